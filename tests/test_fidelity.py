"""From file to file: times, sound, text, data, colour, shape and tags arrive as they were."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec import Codec
from skimage import data

from stream.frame import FrameResult
from stream.run import RunReport, run
from stream.sinks import VideoSink
from stream.sources import FileSource
from tests.clips import (
    BITS,
    cut,
    number_of,
    numbered,
    numbers_and_times,
    packets,
    passing,
    texts,
    tone,
    unchanged,
    write_clip,
)

VFR = [0, 1001, 2002, 5005, 6006, 9009, 9100, 20000]


def through(path: Path, out: Path, effect=unchanged, pipeline=passing) -> RunReport:
    """Read a file, find nothing, write a file."""
    with FileSource(path) as source:
        sink = VideoSink(out, source.info, effect, source_path=path)
        report = run(source, pipeline, [sink])
    assert [p.name for p in out.parent.iterdir() if "partial" in p.name] == []
    return report


@pytest.mark.parametrize("bf", [0, 3])
@pytest.mark.parametrize(
    ("suffix", "time_base", "start"),
    [(".mp4", Fraction(1, 30000), 0), (".mp4", Fraction(1, 30000), 90007), (".mov", Fraction(1, 600), 0),
     (".mp4", Fraction(1, 1000000), 13), (".ts", Fraction(1, 90000), 126007)],
)  # fmt: skip
def test_variable_rate_arrives_to_the_tick(tmp_path: Path, suffix, time_base, start, bf):
    path = write_clip(
        tmp_path / f"v{suffix}", [start + tick for tick in VFR], time_base=time_base,
        options={"bf": str(bf)}, last_ticks=777,
        container_options={} if suffix == ".ts" else {"movie_timescale": str(time_base.denominator)},
    )  # fmt: skip
    out = tmp_path / "o.mp4"
    report = through(path, out)
    assert numbers_and_times(out) == numbers_and_times(path)
    assert [number for number, _ in numbers_and_times(out)] == list(range(len(VFR)))
    if suffix != ".ts":  # a transport stream's start is moved by its muxer
        assert numbers_and_times(out)[0][1] == start * time_base
    assert report.notes == []


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_last_frame_lasts_as_long_as_it_did(tmp_path: Path, suffix):
    path = write_clip(
        tmp_path / "v.mp4",
        [0, 40, 80],
        time_base=Fraction(1, 1000),
        last_ticks=700,
        options={"bf": "0"},
    )
    through(path, tmp_path / f"o{suffix}")
    assert packets(tmp_path / f"o{suffix}", "video")[-1][1] == Fraction(7, 10)


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_milliseconds_of_matroska_are_said(tmp_path: Path, suffix):
    path = write_clip(tmp_path / "v.mp4", VFR, time_base=Fraction(1, 30000))
    report = through(path, tmp_path / f"o{suffix}")
    shown = numbers_and_times(tmp_path / f"o{suffix}")
    assert [number for number, _ in shown] == list(range(len(VFR)))
    assert all(
        abs(t - Fraction(v, 30000)) <= Fraction(1, 2000)
        for (_, t), v in zip(shown, VFR, strict=True)
    )
    assert "1/1000 s" in report.notes[0]
    again = through(tmp_path / f"o{suffix}", tmp_path / f"again{suffix}")
    assert numbers_and_times(tmp_path / f"again{suffix}") == shown
    assert again.notes == []


def test_a_video_that_starts_before_zero_is_moved_as_a_whole_and_that_is_said(tmp_path: Path):
    path = write_clip(
        tmp_path / "v.ts", [-9009, -6006, -3003, 0, 3003], time_base=Fraction(1, 90000),
        container_options={"avoid_negative_ts": "disabled"}, options={"bf": "0"}, extras=[tone()],
    )  # fmt: skip
    before = numbers_and_times(path)
    assert before[0][1] < 0
    report = through(path, tmp_path / "o.mp4")
    after = numbers_and_times(tmp_path / "o.mp4")
    assert after == [(number, time - before[0][1]) for number, time in before]
    assert any("moved to 0" in note for note in report.notes)
    offset = packets(path, "audio")[0][0] - before[0][1]
    assert abs(packets(tmp_path / "o.mp4", "audio")[0][0] - after[0][1] - offset) <= Fraction(
        1, 48000
    )


def test_sound_is_copied_packet_by_packet(tmp_path: Path):
    path = write_clip(
        tmp_path / "v.mp4", range(40), extras=[tone("eng"), tone("deu", 880, disposition=0)]
    )
    report = through(path, tmp_path / "o.mp4")
    for nth in (0, 1):
        before, after = packets(path, "audio", nth), packets(tmp_path / "o.mp4", "audio", nth)
        assert len(before) > 50
        assert after == before
    assert packets(path, "audio", 0) != packets(path, "audio", 1)
    assert report.notes == []
    with av.open(str(path)) as a, av.open(str(tmp_path / "o.mp4")) as b:
        for old, new in zip(a.streams.audio, b.streams.audio, strict=True):
            assert new.language == old.language
            assert new.disposition == old.disposition
            assert new.codec_context.extradata == old.codec_context.extradata


@pytest.mark.parametrize(
    ("source", "target", "kind", "extra"),
    [
        (".mp4", ".mov", "audio", tone()),
        (".mkv", ".mkv", "audio", tone()),
        (".webm", ".webm", "audio", tone(codec="libopus")),
        (".webm", ".mkv", "audio", tone(codec="libopus")),
        (".mp4", ".mp4", "subtitle", texts("mov_text")),
        (".mov", ".mov", "subtitle", texts("mov_text")),
        (".mkv", ".mkv", "subtitle", texts("subrip")),
        (".mp4", ".mp4", "data", texts("bin_data", add="add_data_stream")),
    ],
)
def test_streams_are_copied_with_their_times(tmp_path: Path, source, target, kind, extra):
    codec = "libvpx-vp9" if source == ".webm" else "libx264"
    path = write_clip(tmp_path / f"v{source}", range(40), codec=codec, extras=[extra])
    out = tmp_path / f"o{target}"
    report = through(path, out)
    before, after = packets(path, kind), packets(out, kind)
    assert len(before) >= 10
    assert after == before
    assert not [note for note in report.notes if "not copied" in note]


def test_data_without_durations_is_copied_to_its_last_packet(tmp_path: Path):
    path = write_clip(tmp_path / "v.ts", range(40), extras=[texts("klv", add="add_data_stream")])
    through(path, tmp_path / "o.mov")
    before, after = packets(path, "data"), packets(tmp_path / "o.mov", "data")
    assert len(before) >= 10
    assert [(time, data) for time, _, data in after] == [(time, data) for time, _, data in before]


def test_sound_keeps_its_place_where_the_container_changes(tmp_path: Path):
    """Bytes are the same, times differ by the container's rounding; if it must move all, it says so."""
    path = write_clip(tmp_path / "v.mp4", range(40), extras=[tone()])
    report = through(path, tmp_path / "o.mkv")
    before, after = packets(path, "audio"), packets(tmp_path / "o.mkv", "audio")
    assert [p[2] for p in after] == [p[2] for p in before]
    video = numbers_and_times(tmp_path / "o.mkv")[0][1] - numbers_and_times(path)[0][1]
    for old, new in zip(before, after, strict=True):
        assert abs(new[0] - old[0] - video) <= Fraction(1, 1000)
    assert video == 0 or any("moved" in note for note in report.notes)


def test_what_the_container_refuses_is_said(tmp_path: Path):
    path = write_clip(tmp_path / "v.mp4", extras=[tone(), texts("mov_text")])
    with FileSource(path) as source:
        sink = VideoSink(tmp_path / "o.webm", source.info, unchanged, source_path=path)
        report = run(source, passing, [sink])
    assert len(sink.refused) == 2
    assert "audio stream #1 (aac) not copied: webm" in sink.refused[0]
    assert "subtitle stream #2 (mov_text) not copied: webm" in sink.refused[1]
    assert set(sink.refused) <= set(report.notes)
    assert len(numbers_and_times(tmp_path / "o.webm")) == 12


def test_another_picture_stream_is_left_out_and_said(tmp_path: Path):
    """It would show the very faces that an effect hides."""

    def second(out):
        stream = out.add_stream("libx264", rate=30, width=32, height=32)
        stream.pix_fmt = "yuv420p"

        def write(until):
            picture = None if until is None else av.VideoFrame(32, 32, "yuv420p")
            if picture is not None:
                picture.pts, picture.time_base = round(until * 30) - 1, Fraction(1, 30)
            out.mux(stream.encode(picture))

        return write

    path = write_clip(tmp_path / "v.mp4", extras=[second])
    report = through(path, tmp_path / "o.mp4")
    with av.open(str(tmp_path / "o.mp4")) as file:
        assert len(file.streams) == 1
        assert file.streams.video[0].width == 64
    assert len(report.notes) == 1
    assert "video stream #1" in report.notes[0]


def test_attachments_metadata_and_chapters(tmp_path: Path):
    def tune(out):
        out.metadata["title"] = "A talk"
        out.add_attachment("font.ttf", "font/ttf", b"not really a font")
        out.set_chapters(
            [{"id": i, "start": i * 200, "end": i * 200 + 200, "time_base": Fraction(1, 1000),
              "metadata": {"title": f"part {i}"}} for i in (0, 1)]
        )  # fmt: skip

    path = write_clip(
        tmp_path / "v.mkv",
        tune=tune,
        setup=lambda s: s.metadata.update(language="ita", title="Left eye"),
    )
    report = through(path, tmp_path / "o.mkv")
    with av.open(str(tmp_path / "o.mkv")) as file:
        assert file.metadata["title"] == "A talk"
        assert [c["metadata"]["title"] for c in file.chapters()] == ["part 0", "part 1"]
        assert [float(c["start"] * c["time_base"]) for c in file.chapters()] == [0, 0.2]
        (font,) = [s for s in file.streams if s.type == "attachment"]
        assert (font.name, font.data) == ("font.ttf", b"not really a font")
        assert file.streams.video[0].language == "ita"
        assert file.streams.video[0].metadata["title"] == "Left eye"
    assert not [note for note in report.notes if "not copied" in note]


@pytest.mark.parametrize("kind", ["image/webp", "application/octet-stream"])
def test_an_attached_picture_does_not_show_what_is_hidden(tmp_path: Path, kind: str):
    def tune(out):
        out.add_attachment("cover.webp", kind, b"of a face")
        out.add_attachment("old.ttf", "application/x-truetype-font", b"not really a font")

    path = write_clip(tmp_path / "v.mkv", tune=tune)
    report = through(path, tmp_path / "o.mkv")
    assert b"of a face" not in (tmp_path / "o.mkv").read_bytes()
    with av.open(str(tmp_path / "o.mkv")) as file:
        assert [s.type for s in file.streams] == ["video", "attachment"]
    assert [note for note in report.notes if "not copied" in note and "attachment" in note]


def test_chapters_in_mp4_are_not_doubled(tmp_path: Path):
    def tune(out):
        out.set_chapters(
            [
                {
                    "id": 0,
                    "start": 0,
                    "end": 300,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": "one"},
                }
            ]
        )

    path = write_clip(tmp_path / "v.mp4", tune=tune)
    report = through(path, tmp_path / "o.mp4")
    with av.open(str(path)) as a, av.open(str(tmp_path / "o.mp4")) as b:
        assert [c["metadata"] for c in b.chapters()] == [{"title": "one"}]
        assert len(b.streams) == len(a.streams)
    assert report.notes == []


def test_timecode_track_of_mov(tmp_path: Path):
    path = write_clip(
        tmp_path / "v.mov", tune=lambda out: out.metadata.update(timecode="01:00:00:00")
    )
    report = through(path, tmp_path / "o.mov")
    assert packets(tmp_path / "o.mov", "data") == packets(path, "data")
    assert len(packets(path, "data")) == 1
    assert report.notes == []


def test_output_is_interleaved(tmp_path: Path):
    """Sound lies beside its pictures, not behind them all."""
    path = write_clip(tmp_path / "v.mp4", range(150), extras=[tone()], draw=busy)
    through(path, tmp_path / "o.mp4")
    with av.open(str(tmp_path / "o.mp4")) as file:
        places = {"audio": [], "video": []}
        for packet in file.demux():
            if packet.pts is not None:
                places[packet.stream.type].append(
                    (packet.pos, float(packet.pts * packet.time_base))
                )
    for pos, seconds in places["audio"]:
        nearest = min(places["video"], key=lambda p: abs(p[0] - pos))
        assert abs(nearest[1] - seconds) < 1.1


def busy(index: int, height: int, width: int):
    image = numbered(index, height, width)
    noise = np.random.default_rng(1).integers(0, 255, (height // 2, width, 3), np.uint8)
    image[height // 2 :] = np.roll(noise, index * 5, 1)
    return image


def test_interrupted_sound_stops_with_the_picture(tmp_path: Path):
    def interrupted(frames):
        for frame in frames:
            if frame.index == 30:
                raise KeyboardInterrupt
            yield FrameResult(frame, (), ())

    path = write_clip(tmp_path / "v.mp4", range(150), extras=[tone()])
    with pytest.raises(KeyboardInterrupt):
        through(path, tmp_path / "o.mp4", pipeline=interrupted)
    assert len(numbers_and_times(tmp_path / "o.mp4")) == 30
    end = packets(tmp_path / "o.mp4", "audio")[-1][0]
    assert Fraction(8, 10) < end < Fraction(11, 10)


def test_damaged_sound_is_left_out_and_said(tmp_path: Path):
    path = write_clip(
        tmp_path / "v.mp4", range(60), draw=busy, extras=[tone()],
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    before = packets(path, "audio")
    report = through(cut(path, 0.7), tmp_path / "o.mp4")
    after = packets(tmp_path / "o.mp4", "audio")
    assert 10 < len(after) < len(before)
    assert after == before[: len(after)]
    assert report.damage


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotation_is_applied_and_no_longer_tagged(tmp_path: Path, degrees):
    path = write_clip(tmp_path / "v.mp4", setup=lambda s: s.set_display_rotation(degrees))
    out = tmp_path / "o.mp4"
    through(path, out)
    with av.open(str(out)) as file:
        picture = next(file.decode(video=0))
        assert picture.rotation == 0
        assert (picture.width, picture.height) == ((64, 48) if degrees == 180 else (48, 64))
        shown = picture.to_ndarray(format="rgb24")
    with FileSource(path) as source:
        upright = next(iter(source)).image
    assert np.abs(shown.astype(int) - upright).mean() < 3


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_pixel_shape_is_kept(tmp_path: Path, suffix):
    def setup(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    path = write_clip(tmp_path / "v.mp4", setup=setup)
    through(path, tmp_path / f"o{suffix}")
    with FileSource(tmp_path / f"o{suffix}") as source:
        assert source.info.sample_aspect_ratio == Fraction(4, 3)


def test_pixel_shape_that_webm_cannot_hold_is_said(tmp_path: Path):
    def setup(stream):
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    report = through(write_clip(tmp_path / "v.mp4", setup=setup), tmp_path / "o.webm")
    assert any("shape 4/3" in note for note in report.notes)


SPOTS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [180, 90, 60]])


def spots(index: int, height: int, width: int):
    """Six upright bars of plain colour."""
    bars = SPOTS.astype(np.uint8).repeat(-(-width // 6), 0)[:width]
    return np.broadcast_to(bars[None], (height, width, 3)).copy()


def write_colours(path: Path, matrix: int, full: bool, tagged: bool, size=(48, 96)) -> None:
    """Lossless clip of ``spots`` in a colour space; the conversion is ours, not the tested one."""
    height, width = size
    kr, kb = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
    rgb = spots(0, height, width) / 255.0
    luma = kr * rgb[..., 0] + (1 - kr - kb) * rgb[..., 1] + kb * rgb[..., 2]
    blue, red = (rgb[..., 2] - luma) / (2 - 2 * kb), (rgb[..., 0] - luma) / (2 - 2 * kr)
    low, span, chroma = (0, 255, 255) if full else (16, 219, 224)
    planes = [low + span * luma, 128 + chroma * blue, 128 + chroma * red]
    yuv = np.stack([np.clip(np.round(plane), 0, 255) for plane in planes]).astype(np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30, width=width, height=height, options={"qp": "0"})
        stream.pix_fmt = "yuv444p"
        context = stream.codec_context
        context.color_range = 2 if full else 1
        if tagged:
            context.colorspace, context.color_primaries, context.color_trc = matrix, matrix, matrix
        for index in range(3):
            picture = av.VideoFrame.from_ndarray(yuv, format="yuv444p")
            picture.pts, picture.time_base = index, Fraction(1, 30)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


def centres(image) -> np.ndarray:
    step = image.shape[1] // 6
    return image[image.shape[0] // 2, step // 2 :: step][:6].astype(int)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 6, 9], ids=["bt709", "bt601", "bt2020"])
def test_colours_are_true_and_the_tags_stay(tmp_path: Path, matrix, full, suffix):
    path, out = tmp_path / "v.mkv", tmp_path / f"o{suffix}"
    write_colours(path, matrix, full, tagged=True)
    with FileSource(path) as source:
        assert np.abs(centres(next(iter(source)).image) - SPOTS).max() <= 3
    through(path, out)
    with FileSource(out) as source:
        assert np.abs(centres(next(iter(source)).image) - SPOTS).max() <= 8
    with av.open(str(out)) as file:
        picture = next(file.decode(video=0))
        assert picture.colorspace == matrix
        assert picture.color_range == (2 if full else 1)
        assert picture.color_primaries == matrix
        if suffix != ".webm":  # VP9 itself carries no transfer; the container's tag is kept apart
            assert picture.color_trc == matrix


@pytest.mark.parametrize(("size", "matrix"), [((48, 96), 6), ((720, 1280), 1)])
def test_untagged_video_is_read_as_players_read_it_and_stays_untagged(tmp_path: Path, size, matrix):
    path, out = tmp_path / "v.mkv", tmp_path / "o.mp4"
    write_colours(path, matrix, full=False, tagged=False, size=size)
    with FileSource(path) as source:
        assert np.abs(centres(next(iter(source)).image) - SPOTS).max() <= 3
    through(path, out)
    with FileSource(out) as source:
        assert np.abs(centres(next(iter(source)).image) - SPOTS).max() <= 8
    with av.open(str(out)) as file:
        picture = next(file.decode(video=0))
        assert (picture.colorspace, picture.color_primaries, picture.color_trc) == (2, 2, 2)


def test_rgb_source_is_written_with_tags_that_fit(tmp_path: Path):
    path, out = tmp_path / "v.mkv", tmp_path / "o.mp4"
    write_clip(path, codec="ffv1", pix_fmt="bgr0", draw=spots, size=(48, 96))
    through(path, out)
    with av.open(str(out)) as file:
        picture = next(file.decode(video=0))
        assert (picture.colorspace, picture.color_range) == (1, 1)
    with FileSource(out) as source:
        assert np.abs(centres(next(iter(source)).image) - SPOTS).max() <= 8


def test_untouched_picture_is_visually_the_same(tmp_path: Path):
    photo = data.astronaut()[:256, 128:384]
    path, out = tmp_path / "v.mp4", tmp_path / "o.mp4"
    write_clip(path, range(5), size=(256, 256), draw=lambda i, h, w: photo, options={"crf": "12"})
    through(path, out)
    with av.open(str(path)) as a, av.open(str(out)) as b:
        for old, new in zip(a.decode(video=0), b.decode(video=0), strict=True):
            luma_a = np.frombuffer(old.planes[0], np.uint8).astype(float)
            luma_b = np.frombuffer(new.planes[0], np.uint8).astype(float)
            error = ((luma_a - luma_b) ** 2).mean()
            assert 10 * np.log10(255**2 / error) > 40
            assert abs(luma_a.mean() - luma_b.mean()) < 0.5


def test_many_frames_are_all_there(tmp_path: Path):
    """A thousand frames: none lost, doubled or swapped anywhere on the way."""
    count = 1000
    path = write_clip(
        tmp_path / "v.mp4", range(count), options={"preset": "ultrafast"}, draw=wrapped
    )
    report = through(path, tmp_path / "o.mp4")
    assert report.frames == count
    shown = numbers_and_times(tmp_path / "o.mp4")
    assert [number for number, _ in shown] == [i % 2**BITS for i in range(count)]
    assert [time for _, time in shown] == [Fraction(i, 30) for i in range(count)]


def wrapped(index: int, height: int, width: int):
    return numbered(index % 2**BITS, height, width)


def test_effect_reaches_the_file(tmp_path: Path):
    path = write_clip(tmp_path / "v.mp4")
    through(path, tmp_path / "o.mp4", effect=lambda image, masks: 255 - image)
    with FileSource(tmp_path / "o.mp4") as source:
        assert [number_of(frame.image) for frame in source] == [255 - i for i in range(12)]


def test_the_encoders_used_exist():
    for name in ("libx264", "libvpx-vp9"):
        assert Codec(name, "w").type == "video"
