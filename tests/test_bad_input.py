"""Every bad input: an error that names the file and the reason, and nothing under the final name."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from stream.errors import (
    NotAFileError,
    NotAVideoError,
    NoVideoError,
    SinkPathError,
    SourceError,
    SourceNotFoundError,
    StreamError,
)
from stream.run import run
from stream.sinks import JsonSink, MaskSink, VideoSink
from stream.sources import FileSource
from stream.truncation import missing_bytes
from tests.clips import (
    cut,
    number_of,
    numbered,
    numbers_and_times,
    passing,
    tone,
    unchanged,
    write_clip,
)

FRAMES = 60
GOP = {"g": "20"}


def busy(index: int, height: int, width: int):
    """Numbered frames with a moving pattern, so that every packet has some bytes."""
    image = numbered(index, height, width)
    noise = np.random.default_rng(1).integers(60, 200, (height // 2, width, 3), np.uint8)
    image[height // 2 :] = np.roll(noise, index * 3, 1)
    return image


def assert_names(error: BaseException, path: Path, *reasons: str) -> None:
    text = str(error)
    assert str(path) in text
    for reason in reasons:
        assert reason in text
    assert isinstance(error, StreamError)


def test_missing_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError) as caught:
        FileSource(tmp_path / "gone.mp4")
    assert isinstance(caught.value, SourceNotFoundError)
    assert_names(caught.value, tmp_path / "gone.mp4", "no such file")


def test_directory(tmp_path: Path):
    with pytest.raises(IsADirectoryError) as caught:
        FileSource(tmp_path)
    assert isinstance(caught.value, NotAFileError)
    assert_names(caught.value, tmp_path, "is a directory")


def test_pipe(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(NotAFileError) as caught:
        FileSource(tmp_path / "pipe.mp4")
    assert_names(caught.value, tmp_path / "pipe.mp4", "not a regular file")


def test_empty_file(tmp_path: Path):
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(NotAVideoError) as caught:
        FileSource(path)
    assert_names(caught.value, path, "empty (0 bytes)")


@pytest.mark.parametrize("name", ["text.mp4", "text.txt", "text.mkv", "text"])
def test_text(tmp_path: Path, name):
    path = tmp_path / name
    path.write_text("Dear diary,\n" * 400)
    with pytest.raises(ValueError, match="video") as caught:
        FileSource(path)
    assert_names(caught.value, path)


def test_unreadable(clip: Path):
    if os.geteuid() == 0:
        pytest.skip("root may read anything")
    clip.chmod(0)
    with pytest.raises(SourceError) as caught:
        FileSource(clip)
    assert_names(caught.value, clip, "may not be read")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_audio_only(tmp_path: Path, suffix):
    path = tmp_path / f"sound{suffix}"
    with av.open(str(path), "w") as out:
        write = tone()(out)
        write(0.5)
        write(None)
    with pytest.raises(NoVideoError) as caught:
        FileSource(path)
    assert_names(caught.value, path, "no video stream", "audio")


def test_song_with_a_cover_picture(tmp_path: Path):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as out:
        cover = out.add_stream("mjpeg", rate=1, width=64, height=48)
        cover.pix_fmt = "yuvj420p"
        cover.disposition = Disposition.attached_pic
        write = tone()(out)
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        out.mux(cover.encode(None))
        write(0.5)
        write(None)
    with pytest.raises(NoVideoError) as caught:
        FileSource(path)
    assert_names(caught.value, path, "cover picture only")


FAST = {"movflags": "faststart"}
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}


@pytest.mark.parametrize("share", [0.8, 0.5])
@pytest.mark.parametrize(
    ("suffix", "options", "bf"),
    [(".mp4", FAST, 0), (".mp4", FAST, 3), (".mov", FAST, 3), (".mkv", {}, 0), (".mkv", {}, 3),
     (".mp4", FRAGMENTED, 0), (".ts", {}, 0), (".ts", {}, 3), (".avi", {}, 0)],
)  # fmt: skip
def test_truncated_in_the_middle_of_a_gop(tmp_path: Path, suffix, options, bf, share):
    sound = [] if suffix == ".avi" or options is FRAGMENTED else [tone()]
    whole = write_clip(
        tmp_path / f"whole{suffix}", range(FRAMES), draw=busy, size=(96, 128),
        options=GOP | {"bf": str(bf)}, container_options=options, extras=sound,
    )  # fmt: skip
    path, out = cut(whole, share), tmp_path / "out.mov"
    with FileSource(path) as source:
        sink = VideoSink(out, source.info, unchanged, source_path=path)
        report = run(
            source, passing, [sink, MaskSink(tmp_path / "masks"), JsonSink(tmp_path / "f")]
        )
    shown = numbers_and_times(out)
    numbers = [number for number, _ in shown]
    # Clean, in order, each at its own time; with B-frames a picture beyond the cut may survive.
    assert numbers == [round((time - shown[0][1]) * 30) for _, time in shown]
    surely = len(numbers) - (5 if bf else 0)
    assert numbers[:surely] == list(range(surely))
    assert numbers == sorted(set(numbers))
    assert 0.4 * share * FRAMES < len(numbers) < FRAMES
    assert report.frames == len(numbers) == len(list((tmp_path / "masks").iterdir()))
    assert report.damage is not None
    assert f"truncated after frame {len(numbers) - 1}" in report.damage
    assert "bytes early" in report.damage or not missing_bytes(path)


@pytest.mark.parametrize("kept", [12, 33])
@pytest.mark.parametrize(("bf", "more_bytes"), [(0, 1), (3, 6), (3, 40)])
def test_every_picture_that_is_whole_in_the_file_is_delivered(tmp_path: Path, kept, bf, more_bytes):
    """A broken packet must not cost the pictures before it, which the decoder's threads still hold."""
    whole = write_clip(
        tmp_path / "whole.mp4", range(FRAMES), draw=noisy, size=(120, 160), options=GOP | {"bf": str(bf)},
        container_options=FAST,
    )  # fmt: skip
    with av.open(str(whole)) as file:
        starts = [packet.pos for packet in file.demux(video=0) if packet.size]
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole.read_bytes()[: starts[kept] + more_bytes])
    with FileSource(path) as source:
        numbers = [number_of(frame.image) for frame in source]
    assert len(numbers) == kept
    assert numbers == sorted(set(numbers))
    assert f"truncated after frame {kept - 1}" in source.damage


def noisy(index: int, height: int, width: int):
    image = numbered(index, height, width)
    noise = np.random.default_rng(index).integers(0, 255, (height // 2, width, 3), np.uint8)
    image[height // 2 :] = noise
    return image


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_a_whole_file_has_no_damage(tmp_path: Path, suffix):
    path = write_clip(tmp_path / f"whole{suffix}", range(FRAMES), draw=busy, options={"bf": "0"})
    with FileSource(path) as source:
        assert len(list(source)) == FRAMES
        assert source.damage is None
        assert source.notes == []


def test_whole_files_miss_nothing(tmp_path: Path):
    for suffix in (".mp4", ".mov", ".mkv", ".ts", ".avi", ".webm"):
        codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
        path = write_clip(tmp_path / f"w{suffix}", codec=codec)
        assert missing_bytes(path) == 0
        assert missing_bytes(cut(path, 0.7)) > 0


def test_cut_before_the_first_picture(tmp_path: Path):
    whole = write_clip(tmp_path / "w.mkv", draw=busy, size=(240, 320))
    path = cut(whole, 0.05)
    with pytest.raises(NotAVideoError) as caught:
        FileSource(path)
    assert_names(caught.value, path, "bytes early")


def test_index_at_the_end_is_cut_off(tmp_path: Path):
    """Without faststart the index of an mp4 comes last: nothing of a cut file can be read."""
    data = write_clip(tmp_path / "w.mp4", draw=busy).read_bytes()
    path = tmp_path / "cut.mp4"
    for end in (data.index(b"moov") - 40, data.index(b"moov") + 300):
        path.write_bytes(data[:end])
        with pytest.raises(NotAVideoError) as caught:
            FileSource(path)
        assert_names(caught.value, path, "bytes early")


def test_missing_index_entries_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """If the container's own sizes say nothing, fewer packets than the index names still do."""
    whole = write_clip(
        tmp_path / "w.mp4", range(FRAMES), draw=busy, container_options={"movflags": "faststart"}
    )
    monkeypatch.setattr("stream.demux.missing_bytes", lambda path: None)
    with FileSource(cut(whole, 0.6)) as source:
        count = len(list(source))
    assert count < FRAMES
    assert "60 pictures" in source.damage


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink", "dots"])
def test_output_is_the_input(clip: Path, link):
    before = clip.read_bytes()
    out = clip
    if link == "symlink":
        out = clip.with_name("other.mp4")
        out.symlink_to(clip)
    elif link == "hardlink":
        out = clip.with_name("other.mp4")
        out.hardlink_to(clip)
    elif link == "dots":
        (clip.parent / "sub").mkdir()
        out = clip.parent / "sub" / ".." / clip.name
    with FileSource(clip) as source:
        with pytest.raises(SinkPathError) as caught:
            VideoSink(out, source.info, unchanged, source_path=clip)
        assert_names(caught.value, out, "is the input itself", str(clip))
        with pytest.raises(SinkPathError):
            JsonSink(out, source_path=clip)
    assert clip.read_bytes() == before
    assert not list(clip.parent.glob(".*partial"))


def test_failing_pipeline_leaves_nothing(clip: Path, tmp_path: Path):
    def broken(frames):
        for result in passing(frames):
            if result.frame.index == 7:
                raise RuntimeError("model")
            yield result

    outs = tmp_path / "outs"
    outs.mkdir()
    with FileSource(clip) as source:
        sinks = [
            VideoSink(outs / "o.mp4", source.info, unchanged, source_path=clip),
            MaskSink(outs / "m"),
            JsonSink(outs / "f.jsonl"),
        ]
        with pytest.raises(RuntimeError, match="model"):
            run(source, broken, sinks)
    assert list(outs.iterdir()) == []


def test_interrupt_leaves_playable_files(clip: Path, tmp_path: Path):
    def interrupted(frames):
        for result in passing(frames):
            if result.frame.index == 7:
                raise KeyboardInterrupt
            yield result

    out = tmp_path / "o.mp4"
    with FileSource(clip) as source:
        sinks = [
            VideoSink(out, source.info, unchanged, source_path=clip),
            MaskSink(tmp_path / "m"),
            JsonSink(tmp_path / "f.jsonl"),
        ]
        with pytest.raises(KeyboardInterrupt):
            run(source, interrupted, sinks)
    assert [number for number, _ in numbers_and_times(out)] == list(range(7))
    assert len(list((tmp_path / "m").iterdir())) == 7
    assert len((tmp_path / "f.jsonl").read_text().splitlines()) == 7
    assert missing_bytes(out) == 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".mov"])
def test_one_frame(tmp_path: Path, suffix):
    path, out = write_clip(tmp_path / "one.mp4", [0]), tmp_path / f"o{suffix}"
    with FileSource(path) as source:
        report = run(source, passing, [VideoSink(out, source.info, unchanged, source_path=path)])
    assert report.frames == 1
    assert [number for number, _ in numbers_and_times(out)] == [0]


def test_odd_size_stays(tmp_path: Path):
    path = write_clip(tmp_path / "odd.mkv", size=(47, 63), codec="ffv1")
    out = tmp_path / "o.mp4"
    with FileSource(path) as source:
        run(source, passing, [VideoSink(out, source.info, unchanged, source_path=path)])
    with FileSource(out) as source:
        frames = list(source)
    assert [number_of(frame.image) for frame in frames] == list(range(12))
    assert frames[0].image.shape == (47, 63, 3)
