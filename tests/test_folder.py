"""Several files at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.errors import SinkPathError, SourceNotFoundError
from stream.folder import runs


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("b.mp4", "a.MKV", "c.avi", "notes.txt"):
        (folder / name).touch()
    return folder


def test_one_source_is_run_as_it_is(clips: Path) -> None:
    for name in (str(clips / "b.mp4"), "rtsp://host/*", "camera:0", "missing.mp4"):
        assert runs(name, ["out.mp4", "json:-"]) == [(name, ["out.mp4", "json:-"])]


def test_of_a_folder_each_video_has_outputs_of_its_own_name(clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    got = runs(str(clips), [str(out), f"masks:{out}/m", f"json:{out}"])
    assert [Path(source).name for source, _ in got] == ["a.MKV", "b.mp4", "c.avi"]
    assert got[0][1] == [str(out / "a.MKV"), f"masks:{out}/m/a", f"json:{out}/a.jsonl"]
    assert got[2][1][0] == str(out / "c.mp4")
    assert out.is_dir()


def test_a_pattern_takes_what_fits_it(clips: Path, tmp_path: Path) -> None:
    got = runs(f"{clips}/*.mp4", [str(tmp_path / "o")])
    assert [Path(source).name for source, _ in got] == ["b.mp4"]


def test_what_cannot_be_is_named(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceNotFoundError, match="no video"):
        runs(f"{clips}/*.webm", ["o"])
    for output in ("one.mp4", "rtsp://host/x", "-"):
        with pytest.raises(SinkPathError, match="must be a folder"):
            runs(str(clips), [output])
    (clips / "b.mkv").touch()
    with pytest.raises(SinkPathError, match="two files have one name"):
        runs(str(clips), [str(tmp_path / "o")])
