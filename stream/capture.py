"""Takes pictures from a V4L2 device.

FFmpeg can do that too, but lends out the driver's own buffers: a picture that is let go after its
device was closed, as after every cable that was pulled, ends in a crash; and a camera that stalls is
waited for without end (``mmap_release_buffer``, ``mmap_read_frame`` in libavdevice/v4l2.c).
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

from stream import v4l2
from stream.v4l2 import Wish, fourcc, ioctl, number, request

BUFFERS = 4

NAP_SECONDS = 0.1
"""A wait is made of such pieces, so that nobody waits for it to end."""

_MMAP, _FLAG_ERROR = 1, 0x40

_REQUESTBUFFERS = struct.Struct("4IB3x")
_BUFFER = struct.Struct(
    "@5I0l2l16s2IL3I0l"
)  # the last but three is the offset, a union with pointers
_REQBUFS = request(3, 8, _REQUESTBUFFERS)
_QUERYBUF, _QBUF, _DQBUF = (request(3, command, _BUFFER) for command in (9, 15, 17))


@dataclass(frozen=True, slots=True)
class Taken:
    """What the camera gave.

    Attributes:
        data: a picture of the capture's format; empty where the driver says it is damaged.
        time_seconds: when it was taken, on the driver's clock.
    """

    data: bytes
    time_seconds: Fraction


class Capture:
    """A camera that is running.

    Args:
        device: what was asked of it.
        wish: see :class:`stream.v4l2.Wish`; a camera gives what comes next to it.

    Attributes:
        form: V4L2's name of the pictures' format.
        height, width: px; ``rate``: pictures a second, None if it does not say.

    Raises:
        OSError: another program is using it (EBUSY), it has gone (ENODEV), its lines are padded.
        ValueError: it has no format that is known.
    """

    def __init__(self, device: v4l2.Device, wish: Wish) -> None:
        self._descriptor = os.open(device.path, os.O_RDWR | os.O_NONBLOCK)
        self._maps: list[mmap.mmap] = []
        try:
            self.form, self.height, self.width = self._agree(wish.choice(device.formats), wish)
            self.rate = self._pace(wish.rate)
            for index in range(self._buffers()):
                self._map(index)
                self._order(_QBUF, index)
            ioctl(self._descriptor, v4l2.STREAMON, bytearray(v4l2.TYPE.pack(v4l2.CAPTURE)))
        except BaseException:
            self.close()
            raise

    def _agree(self, form: str, wish: Wish) -> tuple[str, int, int]:
        answer = bytearray(v4l2.FORMAT.pack(v4l2.CAPTURE, *[0] * 8))
        ioctl(self._descriptor, v4l2.G_FMT, answer)
        _, width, height, *_ = v4l2.FORMAT.unpack(answer)
        height, width = wish.height_width if wish.size else (height, width)
        answer = bytearray(v4l2.FORMAT.pack(v4l2.CAPTURE, width, height, number(form), *[0] * 5))
        ioctl(self._descriptor, v4l2.S_FMT, answer)
        _, width, height, given, _, line_bytes, *_ = v4l2.FORMAT.unpack(answer)
        if fourcc(given) != form:
            raise ValueError(f"gives {fourcc(given)} pictures, {form} was asked for")
        if form != v4l2.MJPEG:
            v4l2.check_line(form, width, line_bytes)
        return form, height, width

    def _pace(self, rate: float) -> Fraction | None:
        every = 1 / Fraction(rate).limit_denominator(1001) if rate else Fraction(0)
        answer = bytearray(
            v4l2.STREAMPARM.pack(v4l2.CAPTURE, 0, 0, every.numerator, every.denominator)
        )
        try:
            ioctl(self._descriptor, v4l2.S_PARM if rate else v4l2.G_PARM, answer)
        except OSError:  # it has one pace
            return None
        *_, over, under = v4l2.STREAMPARM.unpack(answer)
        return Fraction(under, over) if over and under else None

    def _buffers(self) -> int:
        answer = bytearray(_REQUESTBUFFERS.pack(BUFFERS, v4l2.CAPTURE, _MMAP, 0, 0))
        ioctl(self._descriptor, _REQBUFS, answer)
        return int(_REQUESTBUFFERS.unpack(answer)[0])

    def _map(self, index: int) -> None:
        *_, offset, length, _, _ = self._order(_QUERYBUF, index)
        self._maps.append(mmap.mmap(self._descriptor, length, offset=offset))

    def _order(self, command: int, index: int = 0) -> tuple[int, ...]:
        data = bytearray(
            _BUFFER.pack(index, v4l2.CAPTURE, 0, 0, 0, 0, 0, b"", 0, _MMAP, 0, 0, 0, 0)
        )
        ioctl(self._descriptor, command, data)
        return _BUFFER.unpack(data)

    def take(self, timeout_seconds: float, stopped: Callable[[], bool]) -> Taken | None:
        """The next picture; None where nobody wants it any longer.

        Args:
            timeout_seconds: none in so long: the camera is stuck.
            stopped: asked again and again.

        Raises:
            TimeoutError: none came. OSError: the camera has gone.
        """
        until = time.monotonic() + timeout_seconds
        while time.monotonic() < until:
            if stopped():
                return None
            try:
                if select.select([self._descriptor], [], [], NAP_SECONDS)[0]:
                    return self._taken()
            except BlockingIOError:  # it was no picture
                time.sleep(NAP_SECONDS)
        raise TimeoutError(f"no picture in {timeout_seconds:g} s")

    def skip(self) -> None:
        """Drop what waits; OSError where the camera has gone."""
        for _ in range(2 * BUFFERS):
            try:
                self._taken()
            except BlockingIOError:
                return

    def _taken(self) -> Taken:
        index, _, used, flags, _, seconds, microseconds, *_ = self._order(_DQBUF)
        data = b"" if flags & _FLAG_ERROR else self._maps[index][:used]
        self._order(_QBUF, index)
        return Taken(data, seconds + Fraction(microseconds, 1_000_000))

    def close(self) -> None:
        """Let it go."""
        with suppress(OSError):  # it may be gone
            ioctl(self._descriptor, v4l2.STREAMOFF, bytearray(v4l2.TYPE.pack(v4l2.CAPTURE)))
        for mapped in self._maps:
            mapped.close()
        os.close(self._descriptor)
