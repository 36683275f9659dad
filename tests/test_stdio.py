"""Between two programs in a pipe, and files that lie elsewhere."""

from __future__ import annotations

import http.server
import io
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import pytest

from stream.errors import SourceError
from stream.inlets import open_source
from stream.raw import raw_form
from tests.clips import number_of, numbered, write_clip

FRAMES = 12


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(
        tmp_path / "clip.mp4", range(FRAMES), container_options={"movflags": "faststart"}
    )


def s3pot(*words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from stream.cli import main; main()", *words]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def test_a_video_goes_through_a_pipe_and_keeps_its_pictures_and_times(
    clip: Path, tmp_path: Path
) -> None:
    nut = s3pot("run", str(clip), "-", "--effect", "none")
    assert nut.returncode == 0, nut.stderr
    through = tmp_path / "through.nut"
    through.write_bytes(nut.stdout)
    with av.open(str(through)) as container:
        assert container.streams.video[0].codec_context.name == "rawvideo"
    sources = [open_source(str(clip)), open_source(str(through))]
    before, after = (list(source) for source in sources)
    assert (
        [number_of(f.image) for f in after]
        == [number_of(f.image) for f in before]
        == list(range(FRAMES))
    )
    assert [f.time for f in after] == [f.time for f in before]

    lines = s3pot("run", "-", "json:-", stdin=nut.stdout)
    assert lines.returncode == 0, lines.stderr
    assert [json.loads(line)["index"] for line in lines.stdout.splitlines()] == list(range(FRAMES))


def test_what_is_no_video_on_standard_input_is_one_line() -> None:
    done = s3pot("run", "-", "json:-", stdin=b"hello\n" * 100)
    assert done.returncode == 2
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def served(clip: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(clip.parent))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_file_on_a_server_has_an_end_and_loses_nothing(served: str) -> None:
    source = open_source(f"{served}/clip.mp4?token=secret")
    assert not source.info.live
    assert source.info.name == f"{served}/clip.mp4"
    assert [number_of(frame.image) for frame in source] == list(range(FRAMES))
    with pytest.raises(SourceError, match="404") as caught:
        open_source(f"{served}/gone.mp4?token=secret")
    assert "secret" not in str(caught.value)


def raw_pictures(pixels: str, size: tuple[int, int] = (48, 64)) -> bytes:
    """Twelve numbered ones."""
    pictures = (
        av.VideoFrame.from_ndarray(numbered(i, *size), format="rgb24") for i in range(FRAMES)
    )
    return b"".join(p.reformat(format=pixels).to_ndarray().tobytes() for p in pictures)


@pytest.mark.parametrize("pixels", ["rgb24", "bgr24", "yuv420p", "yuyv422", "gray", "bgra", "nv12"])
def test_raw_pictures_are_read_by_what_their_name_says(
    pixels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = raw_pictures(pixels)
    assert raw_form(f"raw:64x48:{pixels}:30").picture_bytes * FRAMES == len(data)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
    source = open_source(f"raw:64x48:{pixels}:30")
    frames = list(source)
    assert (source.info.height, source.info.width, source.info.live) == (48, 64, False)
    assert [number_of(frame.image) for frame in frames] == list(range(FRAMES))
    assert [frame.time for frame in frames] == [Fraction(i, 30) for i in range(FRAMES)]
    assert source.damage is None
    if pixels in ("rgb24", "bgr24", "bgra"):
        assert all((f.image == numbered(i, 48, 64)).all() for i, f in enumerate(frames))


def test_raw_pictures_go_through_the_command() -> None:
    done = s3pot("run", "raw:64x48:rgb24:30000/1001", "json:-", stdin=raw_pictures("rgb24"))
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["index"] for line in lines] == list(range(FRAMES))
    assert lines[1]["time"] == pytest.approx(1001 / 30000, abs=1e-6)


def test_raw_pictures_that_end_within_one_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    data = raw_pictures("rgb24")[:-100]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
    source = open_source("raw:64x48")
    assert len(list(source)) == FRAMES - 1
    assert source.damage == "9116 of the 9216 bytes of a picture after frame 10; another size?"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("raw:", "need raw:WIDTHxHEIGHT"),
        ("raw:64", "as raw:640x480:rgb24:30"),
        ("raw:0x48", "must be 1 to 16384, got 0x48"),
        ("raw:64x48:rgb", "no pixels 'rgb'; did you mean "),
        ("raw:64x48:cuda", "in a device"),
        ("raw:64x48:rgb24:0", "at most 1000, got '0'"),
        ("raw:64x48:rgb24:1/0", "at most 1000, got '1/0'"),
    ],
)
def test_raw_pictures_that_are_not_described_are_refused(name: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        open_source(name)
