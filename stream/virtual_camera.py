"""Shows the composited pictures as a camera, which any other program can open.

On Linux a device of v4l2loopback; elsewhere what pyvirtualcam knows (an extra, under the GPL).
"""

from __future__ import annotations

import errno
import sys
import time
from collections import Counter
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream import v4l2
from stream.errors import SinkError, SinkPathError
from stream.frame import FrameResult
from stream.live import fitted
from stream.picture import Colour, from_rgb
from stream.sources import SourceInfo

Image = NDArray[np.uint8]

WEBCAM = Colour(matrix=6, primaries=1, transfer=13, full_range=False, range_tag=1)
"""Of V4L2_COLORSPACE_SRGB: BT.601's matrix at every size, limited range, sRGB's transfer."""

BACKENDS = ("obs", "unitycapture")
"""Of pyvirtualcam; any other name is a device's."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 0.5

SLACK_SECONDS = 0.1
"""So late is caught up; after more, all that follows comes later."""

LONGEST_WAIT_SECONDS = 10.0
"""No picture is held back for longer: such a gap between time stamps is another clock."""


class Screen(Protocol):
    """Where pictures are shown; see :class:`stream.v4l2.Screen`."""

    def show(self, image: Image) -> None: ...
    def close(self) -> None: ...


class Loopback:
    """A V4L2 device that takes pictures.

    Args:
        path: ``/dev/videoN``.
        info: of the source.

    Raises:
        OSError: see :class:`stream.v4l2.Screen`.
    """

    def __init__(self, path: str, info: SourceInfo) -> None:
        wanted = info.height // 2 * 2, info.width // 2 * 2, info.rate or Fraction(30)
        try:
            self._screen = v4l2.Screen(path, *wanted)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            v4l2.wake(path)
            self._screen = v4l2.Screen(path, *wanted)

    def show(self, image: Image) -> None:
        """Show (H, W, 3) RGB; an odd last row or column is left out."""
        even = image[: image.shape[0] // 2 * 2, : image.shape[1] // 2 * 2]
        whole = fitted(even, self._screen.height, self._screen.width)
        picture = from_rgb(whole, WEBCAM, self._screen.pix_fmt)
        self._screen.write(picture.to_ndarray().tobytes())

    def close(self) -> None:
        """Let it go."""
        self._screen.close()


class Foreign:
    """A virtual camera of macOS or Windows.

    Args:
        name: of a backend of pyvirtualcam, or of a device.
        info: of the source.

    Raises:
        ModuleNotFoundError: pyvirtualcam is not installed. OSError: there is no such camera.
    """

    def __init__(self, name: str, info: SourceInfo) -> None:
        import pyvirtualcam  # noqa: PLC0415  an extra

        backend, named = (name, None) if name in BACKENDS else (None, name)
        try:
            self._camera = pyvirtualcam.Camera(
                info.width, info.height, float(info.rate or 30), device=named, backend=backend
            )
        except (RuntimeError, ValueError) as error:
            raise OSError(errno.ENODEV, str(error)) from None

    def show(self, image: Image) -> None:
        """Show (H, W, 3) RGB."""
        self._camera.send(np.ascontiguousarray(image))

    def close(self) -> None:
        """Let it go."""
        self._camera.close()


class VirtualCameraSink:
    """Shows composited pictures as a camera; comes back when its device does.

    Pictures of a file are shown when their time has come, and who waits for them is held up: what
    one sees is what is written last. Those of a live source are shown at once.

    Args:
        name: ``/dev/video9``, ``9``; elsewhere than on Linux see :class:`Foreign`.
        info: of the source.

    Attributes:
        dropped: pictures that were not shown, by cause.
        notes: what a person should know.

    Raises:
        SinkPathError: there is no such device, it takes no pictures, it is the source itself, or
            an extra is missing.
        SinkError: it cannot be opened now.
    """

    def __init__(self, name: str, info: SourceInfo) -> None:
        self._name, self._info = name, info
        if info.name.startswith("camera:") and v4l2.same(info.name, name):
            raise SinkPathError(f"camera:{name}: is the source itself ({info.name})")
        self._pause, self._next_try, self._breaks = FIRST_PAUSE_SECONDS, 0.0, 0
        self._due: tuple[float, Fraction] | None = None
        self.dropped: Counter[str] = Counter()
        self.notes: list[str] = []
        try:
            self._screen: Screen | None = self._open()
        except ModuleNotFoundError as error:
            what = f"needs the extra s3pot-stream[virtual-camera] ({error.name})"
            raise SinkPathError(f"camera:{name}: {what}") from None
        except OSError as error:
            raise told(name, error) from None

    def _open(self) -> Screen:
        if sys.platform == "linux":
            return Loopback(v4l2.path_of(self._name), self._info)
        return Foreign(self._name, self._info)

    def write(self, result: FrameResult) -> None:
        """Show a picture, or count it as dropped while there is no device."""
        if self._screen is None and not self._again():
            self.dropped["no device"] += 1
            return
        assert self._screen is not None
        if not self._info.live:
            self._wait(result.frame.time)
        try:
            self._screen.show(result.frame.image)
        except OSError:
            self.dropped["device lost"] += 1
            self._breaks += 1
            self._lose()

    def _wait(self, time_seconds: Fraction) -> None:
        """Until it is time; a picture that comes too late moves all that follow."""
        now = time.monotonic()
        if self._due is None:
            due = now
        else:
            last, shown = self._due
            due = last + min(float(time_seconds - shown), LONGEST_WAIT_SECONDS)
        if now - due > SLACK_SECONDS:
            due = now
        time.sleep(max(0.0, due - now))
        self._due = due, time_seconds

    def _again(self) -> bool:
        """Open it anew, unless that has only just failed."""
        if time.monotonic() < self._next_try:
            return False
        try:
            self._screen = self._open()
        except OSError:
            self._lose()
            return False
        self._pause = FIRST_PAUSE_SECONDS
        return True

    def _lose(self) -> None:
        screen, self._screen = self._screen, None
        self._next_try = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        if screen is not None:
            screen.close()

    def close(self, *, cut: bool = False) -> None:
        """Who watches sees no more."""
        self.abort()
        if self._breaks:
            self.notes.append(f"camera:{self._name}: lost {self._breaks} times")

    def abort(self) -> None:
        """Go."""
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.close()


def told(name: str, error: OSError) -> SinkError:
    """What is wrong, and what a person can do about it."""
    path = v4l2.path_of(name)
    number = path.removeprefix("/dev/video")
    make = (
        f"sudo modprobe v4l2loopback video_nr={number if number.isdigit() else 9} "
        "exclusive_caps=1 card_label=s3pot"
    )
    if sys.platform != "linux":
        return SinkPathError(f"camera:{name}: {error.strerror}; OBS brings one: camera:obs")
    if error.errno == errno.EBUSY:
        return SinkError(f"camera:{name}: another program is using it")
    if error.errno == errno.EACCES:
        return SinkError(f"camera:{name}: may not be opened; its group is video, as a rule")
    others = ", ".join(f"camera:{d.path} ({d.card})" for d in v4l2.devices() if d.takes)
    there = f"; these take pictures: {others}" if others else f"; make one: {make}"
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return SinkPathError(f"camera:{name}: there is no {path}{there}")
    if error.errno in (errno.EINVAL, errno.ENOTTY):
        return SinkPathError(f"camera:{name}: {path} takes no pictures{there}")
    return SinkError(f"camera:{name}: {error.strerror}{there}")
