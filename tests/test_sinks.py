"""Writing: the right pixels, lines and masks, and never half a file under a final name."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from pycocotools import mask as coco

from stream.bench.faults.receivers import pictures_in
from stream.errors import SinkError, SinkPathError
from stream.frame import Frame, FrameResult
from stream.recording import mend
from stream.run import run
from stream.sinks import CONTAINERS, JsonSink, MaskSink, VideoSink
from stream.sources import FileSource, SourceInfo
from tests.clips import (
    face,
    finding,
    half_covered,
    number_of,
    numbered,
    numbers_and_times,
    plain_frame,
    unchanged,
)

INFO = SourceInfo("drawn", 48, 64, time_base=Fraction(1, 30), rate=Fraction(30))


def results(count: int = 6, height: int = 48, width: int = 64) -> list[FrameResult]:
    return [FrameResult(plain_frame(i, height, width), (), ()) for i in range(count)]


def left_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("suffix", sorted(CONTAINERS))
@pytest.mark.parametrize("size", [(48, 64), (47, 63), (48, 63)], ids=str)
def test_every_container_keeps_every_frame_and_the_size(tmp_path: Path, suffix, size):
    path = tmp_path / f"out{suffix}"
    info = SourceInfo("drawn", *size, time_base=Fraction(1, 30), rate=Fraction(30))
    sink = VideoSink(path, info, unchanged)
    for result in results(6, *size):
        sink.write(result)
    sink.close()
    shown = numbers_and_times(path)
    assert [number for number, _ in shown] == list(range(6))
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert (stream.height, stream.width) == size
        odd = (size[0] % 2 or size[1] % 2) and suffix != ".webm"
        assert stream.pix_fmt == ("yuv444p" if odd else "yuv420p")
        assert stream.codec_context.name == ("vp9" if suffix == ".webm" else "h264")
    assert left_in(tmp_path) == [f"out{suffix}"]


def test_effect_is_drawn_with_the_frames_masks(tmp_path: Path):
    path, given = tmp_path / "out.mp4", []

    def paint(image, masks):
        given.append(len(masks))
        return (
            np.where(masks[0].to_frame(48, 64)[..., None] > 0.5, 255, 0)
            .astype(np.uint8)
            .repeat(3, 2)
        )

    sink = VideoSink(path, INFO, paint)
    sink.write(FrameResult(plain_frame(), (face(),), (half_covered(),)))
    sink.close()
    with av.open(str(path)) as file:
        image = next(file.decode(video=0)).to_ndarray(format="gray")
    assert given == [1]
    assert image[10, 32] > 250
    assert image[10, 12] < 5


@pytest.mark.parametrize(
    "wrong", [np.zeros((48, 62, 3), np.uint8), np.zeros((48, 64, 3), np.float32)]
)
def test_effect_of_another_shape_is_refused(tmp_path: Path, wrong):
    sink = VideoSink(tmp_path / "out.mp4", INFO, lambda image, masks: wrong)
    with pytest.raises(ValueError, match=r"the effect gave .*not \(48, 64, 3\) uint8"):
        sink.write(results(1)[0])
    sink.abort()
    assert left_in(tmp_path) == []


def test_final_name_appears_only_at_close(tmp_path: Path):
    path = tmp_path / "out.mp4"
    path.write_text("older")
    sink = VideoSink(path, INFO, unchanged)
    for result in results():
        sink.write(result)
    assert path.read_text() == "older"
    assert left_in(tmp_path) == [".out.mp4.partial", "out.mp4"]
    sink.close()
    assert len(numbers_and_times(path)) == 6
    assert left_in(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize("written", [0, 3])
def test_abort_leaves_the_older_file(tmp_path: Path, written: int):
    path = tmp_path / "out.mp4"
    path.write_text("older")
    sink = VideoSink(path, INFO, unchanged)
    for result in results(written):
        sink.write(result)
    sink.abort()
    sink.abort()
    assert path.read_text() == "older"
    assert left_in(tmp_path) == ["out.mp4"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_live_recording_plays_however_it_ends(tmp_path: Path, suffix: str):
    path, killed = tmp_path / f"out{suffix}", tmp_path / f"killed{suffix}"
    sink = VideoSink(path, replace(INFO, live=True), unchanged, options={"tune": "zerolatency"})
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    for index in range(120):
        frame = replace(plain_frame(index), image=np.roll(noise, index, 1))
        sink.write(FrameResult(frame, (), ()))
    killed.write_bytes((tmp_path / f".out{suffix}.partial").read_bytes())
    sink.abort()
    sink.abort()
    assert left_in(tmp_path) == sorted([path.name, killed.name])
    assert f"{path}: what was recorded until then is kept" in sink.notes
    assert pictures_in(path) == 120
    assert pictures_in(killed) >= 30


def test_a_recording_that_broke_off_within_an_index_plays_up_to_there(tmp_path: Path):
    """As a disk that is full cuts it: players refuse such a file as a whole."""
    path, cut = tmp_path / "out.mp4", tmp_path / "cut.mp4"
    sink = VideoSink(path, replace(INFO, live=True), unchanged, options={"tune": "zerolatency"})
    for result in results(100):
        sink.write(result)
    data = (tmp_path / ".out.mp4.partial").read_bytes()
    sink.abort()
    second = data.index(b"moof", data.index(b"moof") + 4)
    refused = 0
    for length in range(second - 6, second + 700, 41):
        cut.write_bytes(data[:length])
        refused += not pictures_in(cut)
        mend(cut, "mp4")
        assert pictures_in(cut) >= 29, length
    assert refused


def test_a_live_recording_that_never_began_leaves_the_older_file(tmp_path: Path):
    path = tmp_path / "out.mp4"
    path.write_text("older")
    VideoSink(path, replace(INFO, live=True), unchanged).abort()
    assert path.read_text() == "older"


def test_no_frame_at_all_still_closes(tmp_path: Path):
    sink = VideoSink(tmp_path / "out.mp4", INFO, unchanged)
    sink.close(cut=True)
    assert left_in(tmp_path) == ["out.mp4"]


def test_unknown_suffix_names_the_known(tmp_path: Path):
    with pytest.raises(SinkPathError, match=r"'\.xyz'; known: \.mp4.*\.webm"):
        VideoSink(tmp_path / "out.xyz", INFO, unchanged)


def test_codec_the_container_refuses(tmp_path: Path):
    with pytest.raises(ValueError, match=r"webm.*libx264"):
        VideoSink(tmp_path / "out.webm", INFO, unchanged, codec="libx264")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("codec", ["no_such_codec", "aac"])
def test_codec_that_is_none(tmp_path: Path, codec):
    with pytest.raises(ValueError, match=codec):
        VideoSink(tmp_path / "out.mp4", INFO, unchanged, codec=codec)
    assert left_in(tmp_path) == []


def test_another_codec_and_options(tmp_path: Path):
    path = tmp_path / "out.mkv"
    sink = VideoSink(path, INFO, unchanged, codec="mpeg4", options={"g": "1"})
    for result in results():
        sink.write(result)
    sink.close()
    with av.open(str(path)) as file:
        assert file.streams.video[0].codec_context.name == "mpeg4"
        assert all(packet.is_keyframe for packet in file.demux(video=0) if packet.size)


def test_crf_is_used(tmp_path: Path):
    sizes = []
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    for crf in (10, 40):
        path = tmp_path / f"{crf}.mp4"
        sink = VideoSink(path, INFO, lambda image, masks: noise, crf=crf)
        for result in results(3):
            sink.write(result)
        sink.close()
        sizes.append(path.stat().st_size)
    assert sizes[0] > 1.5 * sizes[1]


def test_masks_are_named_sized_and_hard(tmp_path: Path, clip: Path):
    directory = tmp_path / "masks"
    with FileSource(clip) as source:
        run(source, finding, [MaskSink(directory)])
    assert left_in(directory) == [f"{i:06d}.png" for i in range(12)]
    for index in range(12):
        picture = cv2.imread(str(directory / f"{index:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert picture.dtype == np.uint8
        assert picture.shape == (48, 64)
        wanted = np.zeros((48, 64), np.uint8)
        if index % 2:
            wanted[4:36, 24:40] = 255
        assert np.array_equal(picture, wanted)
    assert left_in(tmp_path) == ["clip.mp4", "masks"]


def test_masks_of_two_faces_are_joined(tmp_path: Path):
    sink = MaskSink(tmp_path / "m")
    masks = (half_covered(0, 0, 16), half_covered(30, 20, 16, track_id=2))
    sink.write(FrameResult(plain_frame(), (face(1), face(2)), masks))
    sink.close()
    picture = cv2.imread(str(tmp_path / "m" / "000000.png"), cv2.IMREAD_UNCHANGED)
    assert picture[5, 12] == picture[25, 42] == 255
    assert picture.sum() == 255 * 2 * 8 * 16


def test_new_masks_replace_old_ones_and_nothing_else(tmp_path: Path):
    directory = tmp_path / "m"
    for count in (9, 4):
        sink = MaskSink(directory)
        (directory / "notes.txt").write_text("mine") if directory.exists() else None
        for result in results(count):
            sink.write(result)
        sink.close()
    assert left_in(directory) == [*(f"{i:06d}.png" for i in range(4)), "notes.txt"]


def test_masks_into_the_working_directory_and_through_a_link(tmp_path: Path, monkeypatch):
    inner, link = tmp_path / "inner", tmp_path / "link"
    inner.mkdir()
    link.symlink_to(inner)
    monkeypatch.chdir(inner)
    for directory, count in ((Path(), 3), (link, 2)):
        sink = MaskSink(directory)
        for result in results(count):
            sink.write(result)
        sink.close()
        assert left_in(inner) == [f"{i:06d}.png" for i in range(count)]
    assert left_in(tmp_path) == ["inner", "link"]


def test_someone_elses_pictures_are_not_touched(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "000007.png"), numbered(7))
    with pytest.raises(SinkPathError, match=r"000007\.png.*no mask"):
        MaskSink(tmp_path)
    assert left_in(tmp_path) == ["000007.png"]


def test_masks_abort_keeps_the_earlier_sequence(tmp_path: Path):
    directory = tmp_path / "m"
    sink = MaskSink(directory)
    sink.write(results(1)[0])
    sink.close()
    sink = MaskSink(directory)
    for result in results(5):
        sink.write(result)
    sink.abort()
    assert left_in(tmp_path) == ["m"]
    assert left_in(directory) == ["000000.png"]


def test_masks_into_a_file_are_refused(tmp_path: Path, clip: Path):
    with pytest.raises(SinkPathError, match="masks need a directory"):
        MaskSink(clip)


def test_json_lines(tmp_path: Path):
    path = tmp_path / "faces.jsonl"
    sink = JsonSink(path)
    sink.write(FrameResult(plain_frame(0), (), ()))
    sink.write(FrameResult(plain_frame(1), (face(),), (half_covered(),)))
    assert left_in(tmp_path) == [".faces.jsonl.partial"]
    sink.close()
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert first == {"index": 0, "time": 0.0, "faces": []}
    assert second["time"] == pytest.approx(1 / 30, abs=1e-6)
    (entry,) = second["faces"]
    counts = entry.pop("mask")
    assert entry == {
        "id": 1,
        "box": [8.0, 4.0, 40.0, 36.3],
        "state": "coasting",
        "coverage": 0.5,
        "carried": 0,
    }
    assert counts["size"] == [48, 64]
    wanted = np.zeros((48, 64), np.uint8)
    wanted[4:36, 24:40] = 1
    assert np.array_equal(coco.decode(counts), wanted)


def test_json_needs_a_mask_for_every_face(tmp_path: Path):
    sink = JsonSink(tmp_path / "f.jsonl")
    with pytest.raises(ValueError, match="zip"):
        sink.write(FrameResult(plain_frame(), (face(),), ()))
    sink.abort()
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("kind", ["video", "masks", "json"])
def test_no_directory_to_write_to(tmp_path: Path, kind):
    make = {
        "video": lambda p: VideoSink(p / "o.mp4", INFO, unchanged),
        "masks": lambda p: MaskSink(p / "m"),
        "json": lambda p: JsonSink(p / "f.jsonl"),
    }[kind]
    (tmp_path / "file").write_text("")
    for parent, reason in (("missing", "does not exist"), ("file", "is not a directory")):
        with pytest.raises(SinkError, match=reason):
            make(tmp_path / parent)
    assert left_in(tmp_path) == ["file"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a place nobody may write to")
@pytest.mark.parametrize("kind", ["video", "masks", "json"])
def test_not_permitted(kind):
    make = {
        "video": lambda p: VideoSink(p / "o.mp4", INFO, unchanged),
        "masks": lambda p: MaskSink(p / "m"),
        "json": lambda p: JsonSink(p / "f.jsonl"),
    }[kind]
    with pytest.raises(SinkError, match=r"/proc/.*cannot be written"):
        make(Path("/proc"))


def test_output_name_that_is_a_directory(tmp_path: Path):
    (tmp_path / "o.mp4").mkdir()
    with pytest.raises(SinkError, match="is a directory"):
        VideoSink(tmp_path / "o.mp4", INFO, unchanged)


def test_frame_times_that_are_no_tick_are_rounded(tmp_path: Path):
    path = tmp_path / "out.mp4"
    sink = VideoSink(path, INFO, unchanged)
    for index in range(3):
        frame = Frame(numbered(index), index, Fraction(index, 30) + Fraction(1, 1000), "drawn")
        sink.write(FrameResult(frame, (), ()))
    sink.close()
    assert [t for _, t in numbers_and_times(path)] == [0, Fraction(1, 30), Fraction(2, 30)]
    with av.open(str(path)) as file:
        assert [number_of(p.to_ndarray(format="rgb24")) for p in file.decode(video=0)] == [0, 1, 2]
