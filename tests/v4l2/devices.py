"""Cameras and virtual cameras as the kernel has them; run by ``make v4l2`` on a machine that has some.

The name keeps it out of ``make test``.  Figures go to ``$OUT/figures.txt``.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from configs.settings import load_settings
from stream import camera, v4l2
from stream.camera import OpenCvSource, V4l2Source
from stream.errors import SinkError, SinkPathError, SourceError, SourceNotFoundError
from stream.frame import Frame, FrameResult
from stream.job import Job
from stream.live import LiveOptions
from stream.sources import SourceInfo
from stream.virtual_camera import VirtualCameraSink
from tests.clips import number_of, numbered, write_clip

Image = NDArray[np.uint8]

CAMERA, SCREEN = "/dev/video0", "/dev/video1"
"""vivid: gives colour bars; takes pictures, but not by write()."""

LOOP, OPEN_LOOP = "/dev/video9", "/dev/video10"
"""v4l2loopback, with and without exclusive_caps."""

OPENERS = 6
"""So often a device of v4l2loopback may be opened."""

BARS = (191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191), (0, 0, 0)  # fmt: skip
"""75 % colour bars, from the left."""

VIVID = Path("/sys/bus/platform/drivers/vivid")


@pytest.fixture(scope="session", autouse=True)
def modules() -> None:
    load("vivid")
    control("osd_text_mode=2")  # nothing is written on the bars
    load(
        "v4l2loopback", "video_nr=9,10", "exclusive_caps=1,0", "card_label=exclusive,open",
        "max_buffers=8", f"max_openers={OPENERS}",
    )  # fmt: skip


def load(*words: str) -> None:
    subprocess.run(["busybox", "modprobe", *words], check=True)


def control(setting: str) -> None:
    """Set one of vivid's."""
    subprocess.run(["v4l2-ctl", "-d", CAMERA, "-c", setting], check=True)


def unplug(seconds: float) -> threading.Timer:
    """Take vivid away, and bring it back."""

    def plug() -> None:
        (VIVID / "bind").write_text("vivid.0")
        control("osd_text_mode=2")

    (VIVID / "unbind").write_text("vivid.0")
    timer = threading.Timer(seconds, plug)
    timer.start()
    return timer


def figure(name: str, **values: object) -> None:
    """Keep what was measured."""
    with (Path(os.environ.get("OUT", ".")) / "figures.txt").open("a") as file:
        file.write(f"{name}: {json.dumps(values, default=str)}\n")


def wish(size: str = "640x480", rate: float = 30, form: str = "auto") -> LiveOptions:
    return LiveOptions(give_up_seconds=30, camera=v4l2.Wish(size, rate, form))


def taken(source: V4l2Source | OpenCvSource, count: int) -> list[Frame]:
    with closing(iter(source)) as frames:  # lets the device go
        return [next(frames) for _ in range(count)]


def bars_of(image: Image) -> Image:
    """(8, 3) the colours, from the left."""
    height, width = image.shape[:2]
    return image[height * 3 // 4, width // 16 :: width // 8][:8].astype(int)


def info(height: int, width: int, *, live: bool = True, rate: int = 10) -> SourceInfo:
    return SourceInfo("drawn", height, width, rate=Fraction(rate), live=live)


def result(index: int, height: int, width: int, rate: int = 10) -> FrameResult:
    frame = Frame(numbered(index, height, width), index, Fraction(index, rate), "drawn")
    return FrameResult(frame, (), ())


class Watcher:
    """Somebody else who watches a device: Debian's ffmpeg, raw RGB pictures."""

    def __init__(self, path: str, height: int, width: int) -> None:
        self._shape = height, width, 3
        words = (
            f"ffmpeg -v error -f v4l2 -i {path} -f rawvideo -pix_fmt rgb24 -fps_mode passthrough -"
        )
        self._ffmpeg = subprocess.Popen(words.split(), stdout=subprocess.PIPE)
        assert self._ffmpeg.stdout
        self._out = self._ffmpeg.stdout

    def pictures(self, count: int) -> list[Image]:
        size = int(np.prod(self._shape))
        read = (self._out.read(size) for _ in range(count))
        return [np.frombuffer(data, np.uint8).reshape(self._shape) for data in read if data]

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *error: object) -> None:
        self._ffmpeg.kill()
        self._ffmpeg.wait()
        self._out.close()


@contextmanager
def shown(sink: VirtualCameraSink, height: int, width: int) -> Iterator[None]:
    """Pictures with numbers, one after the other, ten a second, until the block ends."""
    ended = threading.Event()

    def show() -> None:
        index = 0
        while not ended.wait(0.1):
            sink.write(result(index % 256, height, width))
            index += 1

    thread = threading.Thread(target=show)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        sink.close()


# The source.


@pytest.mark.parametrize(("size", "rate"), [("640x360", 15), ("1280x720", 5), ("320x180", 30)])
def test_the_camera_gives_its_bars_in_the_size_that_was_asked(size: str, rate: float) -> None:
    source = V4l2Source(f"camera:{CAMERA}", wish(size, rate))
    frames, told = taken(source, 20), source.info
    assert f"{told.width}x{told.height}" == size
    assert np.abs(bars_of(frames[-1].image) - BARS).max() <= 3
    assert [frame.index for frame in frames] == list(range(20))
    steps = [float(b.time - a.time) for a, b in pairwise(frames)]
    figure(f"camera {size}", asked_rate=rate, told_rate=told.rate, pix_fmt=told.pix_fmt,
           median_step=round(float(np.median(steps)), 4), longest_step=max(steps),
           error=int(np.abs(bars_of(frames[-1].image) - BARS).max()), notes=source.notes)  # fmt: skip
    assert min(steps) > 0


def test_a_number_is_enough_and_full_colours_are_full() -> None:
    control("test_pattern=1")
    try:
        with V4l2Source("camera:0", wish()) as source:
            image = taken(source, 3)[-1].image
    finally:
        control("test_pattern=0")
    assert np.abs(bars_of(image) - np.array(BARS) * 255 / 191).max() <= 3


def test_what_is_in_use_is_told() -> None:
    with closing(iter(V4l2Source(f"camera:{CAMERA}", wish()))) as frames:
        next(frames)
        with pytest.raises(SourceError, match="camera:0: another program is using") as caught:
            V4l2Source("camera:0", wish())
        next(frames)
    figure("busy camera", error=caught.value)


def test_what_is_no_camera_is_told_with_those_that_are() -> None:
    with pytest.raises(
        SourceNotFoundError, match=r"no /dev/video77; cameras: camera:/dev/video0 \(vivid\)"
    ):
        V4l2Source("camera:77")
    with pytest.raises(SourceError, match=r"/dev/video1 \(vivid\) gives no pictures"):
        V4l2Source(f"camera:{SCREEN}")
    with pytest.raises(SourceError, match="while no program writes to it"):
        V4l2Source(f"camera:{LOOP}")
    with pytest.raises(SourceError, match="gives no mjpeg pictures; it has YUYV"):
        V4l2Source(f"camera:{CAMERA}", wish(form="mjpeg"))


def test_a_camera_that_is_pulled_out_comes_back() -> None:
    source = V4l2Source(f"camera:{CAMERA}", wish("320x180"))
    with closing(iter(source)) as frames:
        before = [next(frames) for _ in range(5)]
        unplug(2)
        gone = time.monotonic()
        after = next(frame for frame in frames if frame.epoch)
        away = time.monotonic() - gone
        more = [next(frames) for _ in range(3)]
    assert after.epoch == 1
    assert before[-1].time < after.time < more[0].time
    assert np.abs(bars_of(more[-1].image) - BARS).max() <= 3
    assert sum(source.breaks.values()) == 1
    figure("camera unplugged for 2 s", back_after=round(away, 2), breaks=source.breaks)


def test_a_camera_whose_connection_drops_is_opened_again() -> None:
    source = V4l2Source(f"camera:{CAMERA}", wish("320x180"))
    with closing(iter(source)) as frames:
        next(frames)
        control("disconnect=1")
        gone = time.monotonic()
        after = next(frame for frame in frames if frame.epoch)
        away = time.monotonic() - gone
    assert np.abs(bars_of(after.image) - BARS).max() <= 3
    figure("camera disconnected", back_after=round(away, 2), breaks=source.breaks)


@pytest.fixture
def mjpeg() -> Iterator[str]:
    """A camera that gives MJPEG: Debian's ffmpeg draws it."""
    clip = write_clip(Path("/tmp/mjpeg.avi"), range(60), size=(608, 800), codec="mjpeg",
                      pix_fmt="yuvj422p")  # fmt: skip
    words = f"ffmpeg -v error -re -stream_loop -1 -i {clip} -c copy -f v4l2 {OPEN_LOOP}"
    ffmpeg = subprocess.Popen(words.split())
    try:
        until = time.monotonic() + 20
        while v4l2.device(OPEN_LOOP).formats != (v4l2.MJPEG,) and time.monotonic() < until:
            time.sleep(0.1)
        yield OPEN_LOOP
    finally:
        ffmpeg.kill()
        ffmpeg.wait()


def test_mjpeg_is_asked_for_and_decoded(mjpeg: str) -> None:
    options = wish("800x608")
    with V4l2Source(f"camera:{mjpeg}", options) as source:
        frames = taken(source, 10)
        told = source.info
    numbers = [number_of(frame.image) for frame in frames]
    assert all(0 < (b - a) % 60 < 30 for a, b in pairwise(numbers))
    assert np.abs(frames[-1].image[-20, 400].astype(int) - (180, 90, 60)).max() <= 4
    assert told.pix_fmt.startswith("yuvj")
    figure("mjpeg", size=f"{told.width}x{told.height}", pix_fmt=told.pix_fmt, numbers=numbers)


def test_opencv_reads_a_camera_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(capture: cv2.VideoCapture, wish: v4l2.Wish) -> None:
        # Here it would take vivid's BGR3 and hand it out as one line.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"YUYV"))
        as_ever(capture, wish)

    as_ever = camera.ask
    monkeypatch.setattr(camera, "ask", ask)
    source = OpenCvSource("camera:0", wish("640x360", 15))
    frames = taken(source, 10)
    assert (source.info.height, source.info.width) == (360, 640)
    error = int(np.abs(bars_of(frames[-1].image) - BARS).max())
    assert error <= 8  # OpenCV's own conversion
    assert all(a.time < b.time for a, b in pairwise(frames))
    figure("opencv", size=f"{source.info.width}x{source.info.height}", error=error)


# The output.


@pytest.mark.parametrize("size", [(360, 640), (121, 161), (90, 134)])
@pytest.mark.parametrize("path", [LOOP, OPEN_LOOP])
def test_others_see_what_is_shown(path: str, size: tuple[int, int]) -> None:
    even = size[0] // 2 * 2, size[1] // 2 * 2
    with shown(VirtualCameraSink(path, info(*size)), *size):
        time.sleep(0.5)
        assert v4l2.device(path).gives
        with Watcher(path, *even) as watcher:
            pictures = watcher.pictures(8)
        with av.open(path, format="v4l2") as container:
            rate = container.streams.video[0].average_rate
    assert len(pictures) == 8
    numbers = [number_of(picture) for picture in pictures]
    assert all(0 <= b - a < 20 for a, b in pairwise(numbers))
    assert numbers[-1] > numbers[0]
    error = np.abs(pictures[-1][-10:].astype(int) - (180, 90, 60)).max()
    assert error <= 3
    assert rate == 10
    figure(f"shown on {path}", size=size, numbers=numbers, error=int(error), told_rate=rate)


def test_a_file_is_shown_at_its_own_pace() -> None:
    sink = VirtualCameraSink(LOOP, info(120, 160, live=False, rate=20))
    began = time.monotonic()
    for index in range(31):
        sink.write(result(index, 120, 160, rate=20))
    took = time.monotonic() - began
    sink.close()
    assert took >= 1.5
    figure("paced: 31 pictures, 20 a second", seconds=round(took, 3))


def test_who_goes_on_watching_gets_pictures_of_the_size_he_knows() -> None:
    first = VirtualCameraSink(LOOP, info(120, 160))
    with shown(first, 120, 160):
        time.sleep(0.5)
        watcher = Watcher(LOOP, 120, 160)
        assert len(watcher.pictures(3)) == 3
    with watcher, shown(VirtualCameraSink(LOOP, info(240, 240)), 240, 240):
        time.sleep(1)
        pictures = watcher.pictures(40)
    last = pictures[-1]
    assert last.shape == (120, 160, 3)
    assert not last[60, :18].max() > 20  # a square, with black beside it
    assert np.abs(last[100, 80].astype(int) - (180, 90, 60)).max() <= 4


def test_after_a_program_that_only_wrote_the_device_is_woken() -> None:
    words = f"ffmpeg -v error -f lavfi -i testsrc=s=64x48:d=1 -pix_fmt yuv420p -f v4l2 {LOOP}"
    subprocess.run(words.split(), check=True)
    found = v4l2.device(LOOP)
    assert (found.gives, found.driver) == (False, v4l2.LOOPBACK)
    with pytest.raises(OSError, match="Invalid argument"):  # so it would be
        v4l2.Screen(LOOP, 120, 160, Fraction(10))
    with shown(VirtualCameraSink(LOOP, info(120, 160)), 120, 160):
        time.sleep(0.5)
        with Watcher(LOOP, 120, 160) as watcher:
            pictures = watcher.pictures(3)
    assert np.abs(pictures[-1][-10:].astype(int) - (180, 90, 60)).max() <= 3


def test_a_device_that_is_used_missing_or_no_screen_is_told() -> None:
    with pytest.raises(SinkPathError, match=r"no /dev/video77; these take pictures: .*video9"):
        VirtualCameraSink("77", info(120, 160))
    with pytest.raises(SinkPathError, match="/dev/video0 takes no pictures; these take"):
        VirtualCameraSink(CAMERA, info(120, 160))
    held = [os.open(LOOP, os.O_RDWR) for _ in range(OPENERS)]
    try:
        with pytest.raises(SinkError, match="another program is using it"):
            VirtualCameraSink(LOOP, info(180, 320))
    finally:
        for descriptor in held:
            os.close(descriptor)


# The whole way.


class Unchanged:
    """Stands in for the model, which needs most of a minute for a picture on this machine."""

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        for frame in frames:
            yield FrameResult(frame, (), ())

    def close(self) -> None:
        pass


def test_from_a_camera_to_a_virtual_one() -> None:
    settings = load_settings(None, ["effect.name=none", "live.camera_size=320x180"])
    job = Job("camera:0", [f"camera:{LOOP}"], settings, Unchanged())
    seen: list[Image] = []

    def watch() -> None:
        with Watcher(LOOP, 180, 320) as watcher:
            seen.extend(watcher.pictures(20))
        job._source.close()

    thread = threading.Timer(2, watch)
    thread.start()
    with job:
        report = job.run()
    thread.join()
    figure("camera:0 to camera:9", frames=report.frames, seconds=round(report.seconds, 1),
           drops=report.drops, sink_drops=report.sink_drops, latency=report.latency_seconds, notes=report.notes)  # fmt: skip
    assert len(seen) == 20
    assert max(np.abs(bars_of(picture) - BARS).max() for picture in seen) <= 4
    assert report.frames >= 20
    lost = report.sink_drops.get(f"camera:{LOOP}", {})
    assert set(lost) <= {"queue full"}  # where the machine is too slow
