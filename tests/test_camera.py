"""Cameras, as far as one can go without: what the kernel's own are like is in tests/v4l2."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from configs.settings import SettingsError, load_settings
from stream import camera, v4l2
from stream.camera import OpenCvSource, V4l2Source, ask
from stream.capture import Taken
from stream.dial import LiveOptions
from stream.errors import SourceError, SourceNotFoundError
from stream.inlets import open_source, options_of
from stream.v4l2 import Device, Wish
from tests.clips import number_of, numbered, write_clip

WEBCAM = Device("/dev/video0", "uvcvideo", "drawn", True, False, ("MJPG", "YUYV"))


def test_a_device_is_named_by_its_number_or_its_path(tmp_path: Path) -> None:
    assert v4l2.path_of("camera:3") == v4l2.path_of("3") == "/dev/video3"
    assert v4l2.path_of("camera:/dev/v4l/by-id/mine") == "/dev/v4l/by-id/mine"
    link = tmp_path / "by-id"
    link.symlink_to("/dev/video3")
    assert v4l2.same("camera:3", str(link))
    assert not v4l2.same("camera:3", "/dev/video4")


@pytest.mark.parametrize(
    ("wish", "formats", "chosen"),
    [
        (Wish("640x480"), ("MJPG", "YUYV"), "YUYV"),
        (Wish("1280x720"), ("MJPG", "YUYV"), "MJPG"),
        (Wish("1280x720", form="raw"), ("MJPG", "NV12", "YUYV"), "YUYV"),
        (Wish("320x240", form="mjpeg"), ("MJPG", "YUYV"), "MJPG"),
        (Wish("1280x720"), ("YU12", "H264"), "YU12"),
        (Wish(""), ("H264", "MJPG"), "MJPG"),
    ],
)
def test_mjpeg_is_for_large_pictures(wish: Wish, formats: tuple[str, ...], chosen: str) -> None:
    assert wish.choice(formats) == chosen


def test_a_format_that_a_camera_does_not_have_is_told() -> None:
    with pytest.raises(ValueError, match="gives no mjpeg pictures; it has YUYV"):
        Wish(form="mjpeg").choice(("YUYV",))
    with pytest.raises(ValueError, match="gives no known pictures; it has H264"):
        Wish().choice(("H264",))


def test_the_settings_say_what_is_asked_for() -> None:
    chosen = ["live.camera_size=1280x720", "live.camera_rate=60", "live.camera_format=mjpeg"]
    settings = load_settings(None, chosen)
    assert options_of(settings.live).camera == Wish("1280x720", 60, "mjpeg")
    assert options_of(load_settings().live).camera == Wish()
    with pytest.raises(SettingsError, match="camera_size"):
        load_settings(None, ["live.camera_size=large"])


def test_a_camera_that_is_not_there_is_told() -> None:
    with pytest.raises(SourceNotFoundError, match=r"camera:9999: there is no /dev/video9999; "):
        open_source("camera:9999")


def test_those_that_are_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(v4l2, "devices", lambda: [WEBCAM])
    with pytest.raises(SourceError, match=r"; cameras: camera:/dev/video0 \(drawn\)"):
        open_source("camera:9999")


def test_a_file_is_no_camera_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(SourceError, match="is no camera"):
        open_source(f"camera:{path}")
    assert path.read_text() == "mine"


def test_a_device_that_only_shows_is_no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = Device("/dev/video9", v4l2.LOOPBACK, "s3pot", False, True, ())
    monkeypatch.setattr(v4l2, "device", lambda path: loop)
    with pytest.raises(
        SourceError, match=r"\(s3pot\) gives no pictures while no program writes to it"
    ):
        open_source("camera:9")


class Driver:
    """What a camera's driver gives, connection after connection; an error ends each."""

    rate: Fraction | None = Fraction(25)

    def __init__(self, form: str, *connections: list[Taken | OSError]) -> None:
        self.form, self.height, self.width = form, 48, 64
        self._connections = iter(connections)
        self.asked: list[Wish] = []
        self.closed = self.skipped = 0

    def __call__(self, device: Device, wish: Wish) -> Driver:
        self.asked.append(wish)
        self._given = iter(next(self._connections))
        return self

    def take(self, timeout_seconds: float, stopped: Callable[[], bool]) -> Taken | None:
        if stopped():
            return None
        given = next(self._given, TimeoutError(f"no picture in {timeout_seconds:g} s"))
        if isinstance(given, OSError):
            raise given
        return given

    def skip(self) -> None:
        self.skipped += 1

    def close(self) -> None:
        self.closed += 1


def yuyv(index: int) -> bytes:
    """A picture with its number, by BT.601 as V4L2 has it."""
    picture = av.VideoFrame.from_ndarray(numbered(index % 256), format="rgb24")
    return picture.reformat(format="yuyv422", dst_colorspace="itu601").to_ndarray().tobytes()


def jpeg(index: int) -> bytes:
    return cv2.imencode(".jpg", numbered(index % 256)[..., ::-1])[1].tobytes()


def given(drawn: Callable[[int], bytes], numbers: range) -> list[Taken | OSError]:
    """Pictures; the very first is old when the source is asked for one, and not seen."""
    return [Taken(drawn(number), Fraction(number, 25)) for number in numbers]


@pytest.fixture
def webcam(monkeypatch: pytest.MonkeyPatch) -> Callable[[Driver], V4l2Source]:
    def opened(driver: Driver) -> V4l2Source:
        monkeypatch.setattr(v4l2, "device", lambda path: WEBCAM)
        monkeypatch.setattr(camera, "Capture", driver)
        return V4l2Source("camera:0", LiveOptions(give_up_seconds=5))

    return opened


@pytest.mark.parametrize(("form", "drawn"), [("YUYV", yuyv), ("MJPG", jpeg)])
def test_pictures_keep_their_order_colours_and_times(
    webcam: Callable[[Driver], V4l2Source], form: str, drawn: Callable[[int], bytes]
) -> None:
    driver = Driver(form, given(drawn, range(-1, 10)))
    with closing(iter(webcam(driver))) as frames:
        taken = list(islice(frames, 10))
    assert [number_of(frame.image) for frame in taken] == list(range(10))
    assert {b.time - a.time for a, b in pairwise(taken)} == {Fraction(1, 25)}
    below = taken[-1].image[30:].astype(int)
    assert np.abs(below - (180, 90, 60)).max() <= 3
    assert driver.closed == driver.skipped == 1


def test_a_large_picture_is_of_the_same_matrix(
    webcam: Callable[[Driver], V4l2Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    tall = numbered(5, 720, 64)  # above 576 lines BT.709 is meant, but not by V4L2
    picture = av.VideoFrame.from_ndarray(tall, format="rgb24").reformat(
        format="yuyv422", dst_colorspace="itu601"
    )
    driver = Driver("YUYV", [Taken(picture.to_ndarray().tobytes(), Fraction(0))] * 2)
    driver.height = 720
    source = webcam(driver)
    with closing(iter(source)) as frames:
        image = next(frames).image
    assert np.abs(image[-1].astype(int) - (180, 90, 60)).max() <= 3
    assert source.info.rate == 25


@pytest.mark.parametrize(
    ("end", "cause"),
    [(OSError(errno.ENODEV, "No such device"), "No such device"), (None, "no picture in 5 s")],
)
def test_a_camera_that_goes_or_stalls_is_opened_again(
    webcam: Callable[[Driver], V4l2Source], end: OSError | None, cause: str
) -> None:
    driver = Driver(
        "YUYV", [*given(yuyv, range(-1, 3)), *([end] if end else [])], given(yuyv, range(10, 13))
    )
    source = webcam(driver)
    with closing(iter(source)) as frames:
        taken = list(islice(frames, 6))
    assert [number_of(frame.image) for frame in taken] == [0, 1, 2, 10, 11, 12]
    assert [frame.epoch for frame in taken] == [0, 0, 0, 1, 1, 1]
    assert all(a.time < b.time for a, b in pairwise(taken))
    assert source.notes == [f"camera:0: lost 1 times: {cause}"]
    assert driver.closed == 2
    assert driver.asked == [Wish(), Wish()]


def test_a_camera_that_stalls_at_once_is_told_by_its_name(
    webcam: Callable[[Driver], V4l2Source],
) -> None:
    driver = Driver("YUYV", [])
    with pytest.raises(SourceError, match=r"camera:0: cannot be opened \(no picture in 5 s\)"):
        webcam(driver)
    assert driver.closed == 1


def test_who_stops_has_not_lost_the_camera(webcam: Callable[[Driver], V4l2Source]) -> None:
    driver = Driver("YUYV", given(yuyv, range(-1, 5)))
    source = webcam(driver)
    frames = iter(source)
    next(frames)
    driver._given = iter([None])  # what is given while it is being stopped
    source.close()
    assert list(frames) == []
    assert source.notes == []
    assert driver.closed == 1


def test_a_damaged_picture_costs_itself(webcam: Callable[[Driver], V4l2Source]) -> None:
    some = given(jpeg, range(-1, 4))
    some[2], some[3] = Taken(b"", Fraction(1, 25)), Taken(b"no picture", Fraction(2, 25))
    source = webcam(Driver("MJPG", some))
    with closing(iter(source)) as frames:
        assert [number_of(frame.image) for frame in islice(frames, 2)] == [0, 3]
    assert source.damaged == 2


def test_what_opencv_reads_comes_in_order_and_again_when_it_ends(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", range(6), codec="mjpeg", pix_fmt="yuvj420p")
    source = OpenCvSource(f"camera:{clip}")
    assert (source.info.height, source.info.width, source.info.live) == (48, 64, True)
    with closing(iter(source)) as frames:
        taken = list(islice(frames, 9))
    assert [number_of(frame.image) for frame in taken] == [0, 1, 2, 3, 4, 5, 0, 1, 2]
    assert [frame.epoch for frame in taken] == [0] * 6 + [1] * 3
    assert all(a.time < b.time for a, b in pairwise(taken))
    assert np.abs(taken[0].image[40, 32].astype(int) - (180, 90, 60)).max() < 6  # RGB, not BGR


def test_opencv_is_asked_for_the_format_first() -> None:
    asked: list[tuple[int, float]] = []

    class Recorder:
        def set(self, what: int, value: float) -> None:
            asked.append((what, value))

    ask(Recorder(), Wish("1280x720", 25))
    mjpeg = cv2.VideoWriter.fourcc(*"MJPG")
    assert asked == [
        (cv2.CAP_PROP_FOURCC, mjpeg), (cv2.CAP_PROP_FRAME_WIDTH, 1280),
        (cv2.CAP_PROP_FRAME_HEIGHT, 720), (cv2.CAP_PROP_FPS, 25),
    ]  # fmt: skip
    asked.clear()
    ask(Recorder(), Wish("", 0))
    assert asked == []


@pytest.fixture
def no_system_camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    class Nothing:
        def __init__(self, place: object) -> None:
            assert place == 3

        def set(self, what: int, value: float) -> None:
            pass

        def read(self) -> tuple[bool, None]:
            return False, None

        def release(self) -> None:
            pass

    monkeypatch.setattr(cv2, "VideoCapture", Nothing)
    monkeypatch.setattr("sys.platform", "darwin")
    return None


@pytest.mark.usefixtures("no_system_camera")
def test_elsewhere_than_on_linux_opencv_is_asked() -> None:
    with pytest.raises(SourceError, match="camera:3: cannot be opened"):
        open_source("camera:3")
