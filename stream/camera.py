"""Cameras of this machine: by V4L2 on Linux, elsewhere by OpenCV, which knows the system's own way."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction

import av
import cv2
from av.video.reformatter import Colorspace

from stream import v4l2
from stream.capture import Capture
from stream.dial import LiveOptions
from stream.errors import SourceError, SourceNotFoundError
from stream.frame import Frame
from stream.live import LiveSource
from stream.names import shown
from stream.timeline import TIME_BASE

MICROSECOND = Fraction(1, 1_000_000)

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

    _capture: Capture | None = None

    def __init__(self, name: str, options: LiveOptions | None = None) -> None:
        super().__init__(name, options)
        if self._capture is not None:
            self.info = replace(self.info, rate=self._capture.rate)

    def __iter__(self) -> Iterator[Frame]:
        """As of LiveSource, from now on: pictures have waited while the model was loaded."""
        if self._capture is not None:
            with suppress(OSError):  # the next picture will tell
                self._capture.skip()
            self._first = self._next() or self._again() or self._first
        yield from super().__iter__()

    def _connect(self) -> av.VideoFrame:
        self._connected = time.monotonic()
        self._capture = self._open()
        self._pictures = self._taken(self._capture)
        try:
            return next(self._pictures)
        except (SourceError, StopIteration) as error:
            self._disconnect()
            said = str(error) or "it was closed"
            raise SourceError(f"{shown(self._name)}: cannot be opened ({said})") from None

    def _open(self) -> Capture:
        try:
            found = v4l2.device(v4l2.path_of(self._name))
            if found.gives:
                return Capture(found, self._options.camera)
        except OSError as error:
            raise why(self._name, error) from None
        except ValueError as error:
            raise SourceError(f"{shown(self._name)}: {error}") from None
        raise SourceError(f"{shown(self._name)}: {idle(found)}{others()}")

    def _taken(self, capture: Capture) -> Generator[av.VideoFrame, None, None]:
        """Pictures; those that the cable damaged are counted.

        Raises:
            SourceError: none come any longer.
        """
        decoder = decoder_of(capture)
        while True:
            try:
                taken = capture.take(self._options.read_seconds, lambda: self._closed)
            except OSError as error:
                raise SourceError(error.strerror or str(error)) from None
            if taken is None:
                return
            try:
                pictures = decoder.decode(av.Packet(taken.data)) if taken.data else []
            except (av.error.InvalidDataError, av.error.ArgumentError):
                pictures = []
            self.damaged += not pictures
            for picture in pictures:
                picture.time_base = MICROSECOND
                picture.pts = round(taken.time_seconds / MICROSECOND)
                if picture.colorspace == UNSPECIFIED and not picture.format.is_rgb:
                    picture.colorspace = Colorspace.ITU601  # V4L2 means that at every size
                yield picture

    def _disconnect(self) -> None:
        super()._disconnect()
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.close()


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
            form = "gray" if image.ndim == 2 else "bgr24"  # of an infrared camera
            picture = av.VideoFrame.from_ndarray(image, format=form)
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


def decoder_of(capture: Capture) -> av.VideoCodecContext:
    """What makes pictures of a camera's data."""
    raw = v4l2.PIX_FMTS.get(capture.form)
    decoder = av.VideoCodecContext.create("rawvideo" if raw else "mjpeg", "r")
    decoder.height, decoder.width = capture.height, capture.width
    if raw:
        decoder.pix_fmt = raw
    decoder.thread_type = "SLICE"  # frame threads would hold pictures back
    return decoder


def idle(found: v4l2.Device) -> str:
    """Why a device is no camera."""
    loops = " while no program writes to it" if found.driver == v4l2.LOOPBACK else ""
    return f"{found.path} ({found.card}) gives no pictures{loops}"


def why(name: str, error: OSError) -> SourceError:
    """Why a device cannot be used."""
    path = v4l2.path_of(name)
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        return SourceNotFoundError(f"{shown(name)}: there is no {path}{others()}")
    if error.errno == errno.EACCES:
        return SourceError(
            f"{shown(name)}: {path} may not be opened; its group is video, as a rule"
        )
    if error.errno == errno.EBUSY:
        return SourceError(f"{shown(name)}: another program is using {path}")
    if error.errno == errno.ENOTTY:
        return SourceError(f"{shown(name)}: {path} is no camera{others()}")
    return SourceError(f"{shown(name)}: {path} cannot be opened ({error.strerror or error})")


def others() -> str:
    """The cameras that are there."""
    there = [f"camera:{found.path} ({found.card})" for found in v4l2.devices() if found.gives]
    return f"; cameras: {', '.join(there)}" if there else "; no camera is there"
