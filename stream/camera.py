"""Cameras of this machine: by FFmpeg's V4L2 on Linux, elsewhere by OpenCV, which knows the system's own way."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Generator
from typing import Any

import av
import cv2
from av.video.reformatter import Colorspace

from stream import v4l2
from stream.errors import SourceError, SourceNotFoundError
from stream.live import LiveOptions, LiveSource
from stream.names import shown
from stream.timeline import TIME_BASE

UNSPECIFIED = 2


def open_camera(name: str, options: LiveOptions) -> LiveSource:
    """``camera:0``, ``camera:/dev/video0``.

    Raises:
        SourceError: it cannot be opened now. SourceNotFoundError: there is none.
    """
    return (V4l2Source if sys.platform == "linux" else OpenCvSource)(name, options)


class V4l2Source(LiveSource):
    """A camera of Linux; its time stamps are the kernel's, of when the picture was taken.

    Args:
        name: ``camera:N`` for ``/dev/videoN``, or ``camera:PATH``.
        options: see :class:`stream.live.LiveOptions`.

    Raises:
        SourceNotFoundError: there is no such device. SourceError: it is busy, or no camera.
    """

    def _connect(self) -> av.VideoFrame:
        try:
            found = v4l2.device(v4l2.path_of(self._name))
        except OSError as error:
            raise missing(self._name, error) from None
        if not found.gives:
            why = f"{found.path} ({found.card}) gives no pictures"
            if found.driver == v4l2.LOOPBACK:
                why += " while no program writes to it"
            raise SourceError(f"{shown(self._name)}: {why}{others()}")
        if self._options.camera.form == "mjpeg" and v4l2.MJPEG not in found.formats:
            has = ", ".join(found.formats)
            raise SourceError(f"{shown(self._name)}: gives no mjpeg; it has {has}")
        return super()._connect()

    def _decoded(self, opened: Any) -> Generator[av.VideoFrame, None, None]:
        """The same, tagged with the matrix that V4L2 means where it does not say: BT.601's."""
        for picture in super()._decoded(opened):
            if picture.colorspace == UNSPECIFIED and not picture.format.is_rgb:
                picture.colorspace = Colorspace.ITU601
            yield picture


class OpenCvSource(LiveSource):
    """A camera by the system's own way (AVFoundation, Media Foundation); stamped when it is got.

    Args:
        name: ``camera:N``, the system's Nth; or ``camera:PATH`` of a file that OpenCV can read.
        options: see :class:`stream.live.LiveOptions`.

    Raises:
        SourceError: it cannot be opened now.
    """

    _capture: cv2.VideoCapture | None = None

    def _connect(self) -> av.VideoFrame:
        self._connected = time.monotonic()
        place = self._name.removeprefix("camera:")
        self._capture = cv2.VideoCapture(int(place) if place.isdigit() else place)
        ask(self._capture, self._options.camera)
        self._pictures = self._got(self._capture)
        try:
            return next(self._pictures)
        except StopIteration:
            self._disconnect()
            why = "there is none, another program uses it, or it may not be used"
            raise SourceError(f"{shown(self._name)}: cannot be opened ({why})") from None

    def _got(self, capture: cv2.VideoCapture) -> Generator[av.VideoFrame, None, None]:
        while True:
            there, image = capture.read()
            if not there:
                return
            picture = av.VideoFrame.from_ndarray(image, format="bgr24")
            picture.pts, picture.time_base = round(time.monotonic() / TIME_BASE), TIME_BASE
            yield picture

    def _disconnect(self) -> None:
        super()._disconnect()
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()


def ask(capture: cv2.VideoCapture, wish: v4l2.Wish) -> None:
    """Tell a camera what is wanted; it takes what it can. The format goes first: sizes depend on it."""
    height, width = wish.height_width
    if wish.wants_mjpeg:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    if height:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    if wish.rate:
        capture.set(cv2.CAP_PROP_FPS, wish.rate)


def missing(name: str, error: OSError) -> SourceError:
    """Why a device cannot be asked."""
    path = v4l2.path_of(name)
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return SourceNotFoundError(f"{shown(name)}: there is no {path}{others()}")
    if error.errno == errno.EACCES:
        return SourceError(
            f"{shown(name)}: {path} may not be opened; its group is video, as a rule"
        )
    if error.errno == errno.EBUSY:
        return SourceError(f"{shown(name)}: another program is using {path}")
    return SourceError(f"{shown(name)}: {path} is no camera ({error.strerror}){others()}")


def others() -> str:
    """The cameras that are there."""
    there = [f"camera:{found.path} ({found.card})" for found in v4l2.devices() if found.gives]
    return f"; cameras: {', '.join(there)}" if there else "; no camera is there"
