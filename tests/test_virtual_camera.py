"""Virtual cameras without one: what others see on real ones is in tests/v4l2."""

from __future__ import annotations

import errno
import sys
import types
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from configs.settings import load_settings
from stream import v4l2, virtual_camera
from stream.errors import SinkError, SinkPathError
from stream.frame import Frame, FrameResult
from stream.job import Job
from stream.outlets import Context, is_remote, kind_of, open_outlet
from stream.sources import SourceInfo
from stream.virtual_camera import VirtualCameraSink
from tests.clips import number_of, numbered, write_clip

Image = NDArray[np.uint8]


def info(
    height: int = 48, width: int = 64, *, live: bool = True, name: str = "drawn"
) -> SourceInfo:
    return SourceInfo(name, height, width, rate=Fraction(25), live=live)


def result(
    index: int, height: int = 48, width: int = 64, time: Fraction | None = None
) -> FrameResult:
    time = Fraction(index, 25) if time is None else time
    return FrameResult(Frame(numbered(index, height, width), index, time, "drawn"), (), ())


class Screen:
    """A device whose pictures can be looked at; ``errors`` are what it says next, None is yes."""

    shown: list[Image]
    errors: list[OSError | None]
    takes: tuple[int, int, str] | None
    opened: list[tuple[str, Fraction]]
    closed: int

    def __init__(self, path: str, height: int, width: int, rate: Fraction) -> None:
        if Screen.errors and (error := Screen.errors.pop(0)):
            raise error
        Screen.opened.append((path, rate))
        self.height, self.width, self.pix_fmt = Screen.takes or (height, width, "yuv420p")

    def write(self, picture: bytes) -> None:
        if Screen.errors and (error := Screen.errors.pop(0)):
            raise error
        if self.pix_fmt == "yuyv422":
            data = np.frombuffer(picture, np.uint8).reshape(self.height, self.width, 2)
        else:
            data = np.frombuffer(picture, np.uint8).reshape(self.height * 3 // 2, self.width)
        seen = av.VideoFrame.from_ndarray(data, format=self.pix_fmt)
        Screen.shown.append(seen.reformat(format="rgb24", src_colorspace="itu601").to_ndarray())

    def close(self) -> None:
        Screen.closed += 1


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> type[Screen]:
    Screen.shown, Screen.errors, Screen.opened = [], [], []
    Screen.takes, Screen.closed = None, 0
    monkeypatch.setattr(v4l2, "Screen", Screen)
    return Screen


class Clock:
    """Stands still but for who sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(virtual_camera, "time", clock)
    return clock


def test_the_name_is_known() -> None:
    assert kind_of("camera:/dev/video9") == ("camera", "/dev/video9")
    assert not is_remote("camera:9")  # of a file no picture is left out


@pytest.mark.parametrize(
    ("size", "pix_fmt"), [((48, 64), "yuv420p"), ((49, 63), "yuv420p"), ((720, 64), "yuyv422")]
)
def test_pictures_are_shown_as_a_webcam_has_them(
    screen: type[Screen], size: tuple[int, int], pix_fmt: str
) -> None:
    even = size[0] // 2 * 2, size[1] // 2 * 2
    screen.takes = *even, pix_fmt
    sink = VirtualCameraSink("9", info(*size))
    for index in range(5):
        sink.write(result(index, *size))
    sink.close()
    assert screen.opened == [("/dev/video9", 25)]
    assert [number_of(image) for image in screen.shown] == list(range(5))
    assert screen.shown[0].shape == (*even, 3)
    assert np.abs(screen.shown[-1][-4:].astype(int) - (180, 90, 60)).max() <= 4
    assert screen.closed == 1
    assert sink.notes == []


def test_a_device_that_sleeps_is_woken_once(
    screen: type[Screen], monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr(v4l2, "wake", woken.append)
    asleep = OSError(errno.EINVAL, "Invalid argument")
    screen.errors = [asleep]
    VirtualCameraSink("9", info()).close()
    assert (woken, len(screen.opened)) == (["/dev/video9"], 1)
    screen.errors = [asleep, asleep]
    with pytest.raises(SinkPathError, match="takes no pictures"):
        VirtualCameraSink("9", info())


def test_a_device_that_keeps_its_size_gets_all_of_the_picture(screen: type[Screen]) -> None:
    screen.takes = 48, 64, "yuv420p"
    sink = VirtualCameraSink("9", info(96, 96))
    sink.write(result(3, 96, 96))
    sink.abort()
    assert screen.shown[0].shape == (48, 64, 3)
    assert not screen.shown[0][:, :6].max() > 20  # black beside the square
    assert np.abs(screen.shown[0][40, 32].astype(int) - (180, 90, 60)).max() <= 3


def test_a_device_that_goes_is_opened_again_and_what_was_lost_is_counted(
    screen: type[Screen], clock: Clock
) -> None:
    sink = VirtualCameraSink("9", info())
    gone = OSError(errno.ENODEV, "No such device")
    screen.errors = [None, gone, gone]
    for index in range(7):  # shown, lost, before the next try, two tries, the second succeeds
        sink.write(result(index))
        clock.now += 0.08
    sink.close()
    assert [number_of(image) for image in screen.shown] == [0, 6]
    assert dict(sink.dropped) == {"device lost": 1, "no device": 4}
    assert sink.notes == ["camera:9: lost 1 times"]
    assert screen.closed == 2


def test_a_file_is_shown_at_its_pace_and_a_late_picture_moves_the_rest(
    screen: type[Screen], clock: Clock
) -> None:
    sink = VirtualCameraSink("9", info(live=False))
    work = [0.0, 0.01, 0.06, 0.0, 0.5, 0.0, 0.0]  # seconds that the model needs
    times = [Fraction(index, 25) for index in range(6)] + [Fraction(3600)]
    for index, (seconds, time) in enumerate(zip(work, times, strict=True)):
        clock.now += seconds
        sink.write(result(index, time=time))
    # 20 ms late are caught up, 460 are not; an hour is no pause.
    assert clock.slept == [0, 0.03, 0, 0.02, 0, 0.04, 10]
    assert len(screen.shown) == 7


def test_a_live_source_is_shown_at_once(screen: type[Screen], clock: Clock) -> None:
    sink = VirtualCameraSink("9", info())
    for index in range(5):
        sink.write(result(index))
    assert clock.slept == []
    assert len(screen.shown) == 5


class Unchanged:
    """Stands in for the model."""

    def __call__(self, frames):
        for frame in frames:
            yield FrameResult(frame, (), ())

    def close(self) -> None:
        pass


def test_a_run_shows_every_picture_of_a_file(
    screen: type[Screen], clock: Clock, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", range(20))
    settings = load_settings(None, ["effect.name=none"])
    with Job(str(clip), ["camera:/dev/video9"], settings, Unchanged()) as job:
        screen.errors = [None] * 5 + [OSError(errno.ENODEV, "No such device")]
        report = job.run()
    assert [number_of(image) for image in screen.shown][:5] == list(range(5))
    assert report.sink_drops["camera:/dev/video9"]["device lost"] == 1
    assert len(screen.shown) + report.sink_drops["camera:/dev/video9"].total() == 20


def test_the_camera_that_is_read_is_not_written_to(screen: type[Screen]) -> None:
    context = Context(info(name="camera:0"), load_settings(), None)
    with pytest.raises(SinkPathError, match=r"is the source itself \(camera:0\)"):
        open_outlet("camera:/dev/video0", context)
    assert screen.opened == []


def test_a_device_that_is_not_there_is_told_with_how_to_make_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(v4l2, "devices", list)
    with pytest.raises(
        SinkPathError,
        match=r"no /dev/video9999; make one: sudo modprobe v4l2loopback video_nr=9999 exclusive_caps=1",
    ):
        VirtualCameraSink("/dev/video9999", info())
    there = v4l2.Device("/dev/video9", v4l2.LOOPBACK, "mine", True, True, ())
    monkeypatch.setattr(v4l2, "devices", lambda: [there])
    with pytest.raises(SinkPathError, match=r"these take pictures: camera:/dev/video9 \(mine\)"):
        VirtualCameraSink("9999", info())


def test_a_file_is_no_device_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(SinkPathError, match="takes no pictures"):
        VirtualCameraSink(str(path), info())
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EBUSY, "another program is using it"), (errno.EACCES, "group")]
)
def test_a_device_that_cannot_be_opened_now_is_told(
    screen: type[Screen], number: int, said: str
) -> None:
    screen.errors = [OSError(number, "no")]
    with pytest.raises(SinkError, match=said):
        VirtualCameraSink("9", info())


# Elsewhere.


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")


@pytest.mark.usefixtures("elsewhere")
def test_elsewhere_the_extra_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(SinkPathError, match=r"needs the extra s3pot-stream\[virtual-camera\]"):
        VirtualCameraSink("obs", info())


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("name", "backend", "device"),
    [("obs", "obs", None), ("Unity Video Capture", None, "Unity Video Capture")],
)
def test_elsewhere_pyvirtualcam_is_given_rgb(
    monkeypatch: pytest.MonkeyPatch, name: str, backend: str | None, device: str | None
) -> None:
    calls: list[object] = []

    class Camera:
        def __init__(self, width: int, height: int, fps: float, **named: object) -> None:
            calls.append((width, height, fps, named))

        def send(self, image: Image) -> None:
            calls.append(image)

        def close(self) -> None:
            calls.append("closed")

    monkeypatch.setitem(sys.modules, "pyvirtualcam", types.SimpleNamespace(Camera=Camera))
    sink = VirtualCameraSink(name, info())
    sink.write(result(7))
    sink.close()
    assert calls[0] == (64, 48, 25.0, {"backend": backend, "device": device})
    assert np.array_equal(calls[1], numbered(7))
    assert calls[2:] == ["closed"]


@pytest.mark.usefixtures("elsewhere")
def test_elsewhere_a_camera_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def camera(*words: object, **named: object) -> None:
        raise RuntimeError("'obs' backend: virtual camera output could not be started")

    monkeypatch.setitem(sys.modules, "pyvirtualcam", types.SimpleNamespace(Camera=camera))
    with pytest.raises(SinkPathError, match="could not be started; OBS brings one"):
        VirtualCameraSink("obs", info())
