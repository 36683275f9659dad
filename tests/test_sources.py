"""Reading: every frame once, exact times, upright, right colours."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from stream.clock import Clock
from stream.errors import NotAVideoError, PixelFormatError
from stream.inlets import INLETS, open_source
from stream.sources import FileSource
from tests.clips import number_of, numbered, tone, write_clip

VFR = [0, 1001, 2002, 5005, 6006, 9009, 9100, 20000]
QUADRANTS = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [200, 200, 30]]], np.uint8)


def quadrants(index: int, height: int, width: int) -> np.ndarray:
    """Red, green / blue, yellow."""
    return QUADRANTS.repeat(height // 2, 0).repeat(width // 2, 1)


def corners(image: np.ndarray) -> list[list[int]]:
    """Which quadrant of ``quadrants`` lies at top-left, top-right, bottom-left, bottom-right."""
    h, w = image.shape[:2]
    picks = [
        image[h // 4, w // 4],
        image[h // 4, -w // 4],
        image[-h // 4, w // 4],
        image[-h // 4, -w // 4],
    ]
    colours = QUADRANTS.reshape(4, 3).astype(int)
    return [int(np.abs(colours - pick.astype(int)).sum(1).argmin()) for pick in picks]


@pytest.mark.parametrize("bf", ["0", "3"])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".ts"])
def test_variable_rate_is_exact(tmp_path: Path, suffix: str, bf: str):
    path = write_clip(
        tmp_path / f"v{suffix}",
        [t + 3000 for t in VFR],
        time_base=Fraction(1, 30000),
        options={"bf": bf},
    )
    with FileSource(path) as source:
        frames = list(source)
    first = frames[0].time
    assert [f.time - first for f in frames] == [Fraction(t, 30000) for t in VFR]
    assert [f.index for f in frames] == [number_of(f.image) for f in frames] == list(range(8))
    assert all((f.time / source.info.time_base).denominator == 1 for f in frames)
    assert source.damage is None
    assert source.notes == []


def test_late_start_and_last_duration_are_kept(tmp_path: Path):
    path = write_clip(
        tmp_path / "v.mp4",
        [3000, 3100, 3200],
        time_base=Fraction(1, 1000),
        last_ticks=700,
        options={"bf": "0"},
    )
    frames = list(FileSource(path))
    assert [f.time for f in frames] == [3, Fraction(31, 10), Fraction(32, 10)]
    assert [f.duration for f in frames] == [Fraction(1, 10), Fraction(1, 10), Fraction(7, 10)]


def test_info(tmp_path: Path):
    path = write_clip(tmp_path / "v.mp4", range(30), extras=[tone()])
    with FileSource(path) as source:
        info = source.info
    assert (info.height, info.width, info.rate, info.frames) == (48, 64, 30, 30)
    assert info.duration_seconds == pytest.approx(1.0)
    assert (info.pix_fmt, info.bits, info.live, info.rotation_degrees) == ("yuv420p", 8, False, 0)
    assert info.name == str(path)


def test_frames_estimate_where_the_container_has_no_count(tmp_path: Path):
    with FileSource(write_clip(tmp_path / "v.mkv", range(30))) as source:
        assert source.info.frames in (29, 30, 31)


def test_frame_is_contiguous_uint8_rgb(clip: Path):
    with FileSource(clip) as source:
        frame = next(iter(source))
    assert frame.image.dtype == np.uint8
    assert frame.image.shape == (48, 64, 3)
    assert frame.image.flags.c_contiguous
    assert frame.source == str(clip)
    red, green, blue = frame.image[36, 32].astype(int)
    assert abs(red - 180) < 8
    assert abs(green - 90) < 8
    assert abs(blue - 60) < 8


def test_no_timestamps_at_all(tmp_path: Path):
    path = write_clip(tmp_path / "v.h264", options={"bf": "2"})
    with FileSource(path) as source:
        frames = list(source)
    assert [number_of(f.image) for f in frames] == list(range(12))
    steps = {b.time - a.time for a, b in pairwise(frames)}
    assert len(steps) == 1
    assert steps.pop() > 0
    assert frames[0].time == 0
    assert "timestamps" in source.notes[0]


def ticking(*pts: int | None) -> list[int]:
    stream = SimpleNamespace(
        time_base=Fraction(1, 1000), average_rate=Fraction(25), guessed_rate=None
    )
    clock = Clock(stream)
    pictures = [SimpleNamespace(pts=p, duration=0) for p in pts]
    clock.start(pictures[:2])
    return [int(clock(picture)[0] * 1000) for picture in pictures]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ((0, 40, 80), [0, 40, 80]),
        ((None, 0, 40), [-40, 0, 40]),
        ((None, None, None), [0, 40, 80]),
        ((0, None, 80), [0, 40, 80]),
        ((0, 40, 40, 80), [0, 40, 41, 80]),
        ((0, 80, 40, 120), [0, 80, 81, 120]),
        ((90000, 90040, 0, 55), [90000, 90040, 90080, 90135]),
        ((-80, -40, 0), [-80, -40, 0]),
    ],
)
def test_clock(given, wanted):
    assert ticking(*given) == wanted


@pytest.mark.parametrize(
    ("degrees", "hflip", "vflip", "wanted"),
    [
        (0, False, False, [0, 1, 2, 3]),
        (0, True, False, [1, 0, 3, 2]),
        (0, False, True, [2, 3, 0, 1]),
        (180, False, False, [3, 2, 1, 0]),
    ],
)
def test_upside_down(tmp_path: Path, degrees, hflip, vflip, wanted):
    path = write_clip(
        tmp_path / "r.mp4", range(2), draw=quadrants,
        setup=lambda s: s.set_display_rotation(degrees, hflip, vflip),
    )  # fmt: skip
    with FileSource(path) as source:
        frame = next(iter(source))
    assert frame.image.shape == (48, 64, 3)
    assert corners(frame.image) == wanted
    assert source.info.rotation_degrees == (180 if degrees == 180 or vflip else 0)


@pytest.mark.parametrize(("degrees", "clockwise"), [(90, 270), (-90, 90)])
def test_quarter_turns(tmp_path: Path, degrees, clockwise):
    """FFmpeg counts the matrix's angle counter-clockwise; players then show it turned that way."""

    def setup(stream: av.VideoStream) -> None:
        stream.set_display_rotation(degrees)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    path = write_clip(tmp_path / "r.mp4", range(2), draw=quadrants, setup=setup)
    with FileSource(path) as source:
        frame = next(iter(source))
    assert frame.image.shape == (64, 48, 3)
    assert (source.info.height, source.info.width) == (64, 48)
    assert source.info.sample_aspect_ratio == Fraction(3, 4)
    assert source.info.rotation_degrees == clockwise
    with av.open(str(path)) as file:
        counter_clockwise = next(file.decode(video=0)).rotation
    turned = np.rot90(quadrants(0, 48, 64), counter_clockwise // 90)
    assert corners(frame.image) == corners(turned)


def test_crooked_rotation_is_said(tmp_path: Path):
    path = write_clip(tmp_path / "r.mp4", range(2), setup=lambda s: s.set_display_rotation(30))
    with FileSource(path) as source:
        assert next(iter(source)).image.shape == (48, 64, 3)
    assert "rotation of" in source.notes[0]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libx264", "yuv420p10le", ".mp4"),
        ("ffv1", "yuv422p10le", ".mkv"),
        ("ffv1", "gray16le", ".mkv"),
    ],
)
def test_deep_colour_is_refused_by_name(tmp_path: Path, codec, pix_fmt, suffix):
    path = tmp_path / f"deep{suffix}"
    write_clip(path, range(2), codec=codec, pix_fmt=pix_fmt)
    with pytest.raises(PixelFormatError, match=pix_fmt) as caught:
        FileSource(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused(tmp_path: Path, transfer, name):
    def setup(stream: av.VideoStream) -> None:
        stream.codec_context.color_trc = transfer

    path = write_clip(tmp_path / "hdr.mp4", range(2), setup=setup)
    with pytest.raises(PixelFormatError, match=f"{name}.*yuv420p"):
        FileSource(path)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [("ffv1", "gray", ".mkv"), ("ffv1", "bgra", ".mkv"), ("gif", "rgb8", ".gif"), ("png", "pal8", ".mov"),
     ("libx264", "yuv444p", ".mkv"), ("mjpeg", "yuvj420p", ".mkv"), ("libx264rgb", "rgb24", ".mkv")],
)  # fmt: skip
def test_other_pixel_formats(tmp_path: Path, codec, pix_fmt, suffix):
    path = tmp_path / f"p{suffix}"
    if pix_fmt == "pal8":
        _write_palette(path)  # swscale makes none
    else:
        write_clip(path, range(4), codec=codec, pix_fmt=pix_fmt, time_base=Fraction(1, 25))
    with FileSource(path) as source:
        frames = list(source)
    assert [number_of(f.image) for f in frames] == [0, 1, 2, 3]
    shown = frames[0].image[40, 32].astype(int)
    if pix_fmt == "gray":
        assert np.ptp(shown) <= 1
    else:
        assert np.abs(shown - [180, 90, 60]).max() < (64 if codec == "gif" else 8)


def _write_palette(path: Path) -> None:
    """Numbered frames as palette pictures: index 0 black, 1 white, 2 the colour below."""
    palette = np.zeros((256, 4), np.uint8)
    palette[1] = 255
    palette[2] = (255, 180, 90, 60)  # alpha first, as PyAV has it
    palette[0, 0] = 255
    with av.open(str(path), "w") as out:
        stream = out.add_stream("png", rate=25, width=64, height=48)
        stream.pix_fmt = "pal8"
        for index in range(4):
            image = numbered(index)
            cells = np.where(image[..., 0] == 180, 2, image[..., 0] // 255).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray((cells, palette), format="pal8")
            picture.pts, picture.time_base = index, Fraction(1, 25)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


def test_transparency_is_shown_on_black_and_said(tmp_path: Path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25, width=64, height=48)
        stream.pix_fmt = "bgra"
        image = np.full((48, 64, 4), 200, np.uint8)
        image[:, 32:, 3] = 0
        image[:, :32, 3] = 255
        picture = av.VideoFrame.from_ndarray(image, format="rgba")
        out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    with FileSource(path) as source:
        frame = next(iter(source))
    assert frame.image[10, 10].tolist() == [200, 200, 200]
    assert frame.image[10, 50].tolist() == [0, 0, 0]
    assert source.notes == ["transparent parts are shown on black"]


def test_size_that_changes_within_the_file(tmp_path: Path):
    small = write_clip(tmp_path / "a.h264", range(4))
    large = write_clip(tmp_path / "b.h264", range(4, 8), size=(96, 128))
    joined = tmp_path / "joined.h264"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    with FileSource(joined) as source:
        frames = list(source)
    assert {f.image.shape for f in frames} == {(48, 64, 3)}
    assert len(frames) == 8
    assert any("size changes" in note for note in source.notes)


def test_a_second_reading_is_refused(clip: Path):
    with FileSource(clip) as source:
        assert len(list(source)) == 12
        with pytest.raises(ValueError, match="was read already"):
            list(source)


def test_open_source_takes_paths_and_file_urls(clip: Path):
    for name in (str(clip), f"file://{clip}"):
        source = open_source(name)
        assert source.info.width == 64
        source.close()


def test_unknown_scheme_names_the_known_and_hides_the_password():
    with pytest.raises(ValueError, match=r"gopher.*known.*file://") as caught:
        open_source("gopher://me:secret@host/clip")
    assert "secret" not in str(caught.value)


def test_a_source_is_one_entry(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(INLETS, "drawn", lambda name, options: f"opened {name}")
    assert open_source("drawn://x") == "opened drawn://x"


def test_a_playlist_cannot_reach_the_network(tmp_path: Path):
    path = tmp_path / "list.mp4"
    path.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(NotAVideoError, match=r"list\.mp4"):
        FileSource(path)
