"""Video4Linux devices: which there are, what they can do, and how to show pictures on one.

:mod:`stream.capture` takes pictures from them.

What is asked and answered is in the kernel's ``include/uapi/linux/videodev2.h``; the names are its own.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

LOOPBACK = "v4l2 loopback"
"""The driver's name.  Whether its devices give or take pictures depends on who has them open."""

PIX_FMTS = {
    "YUYV": "yuyv422", "UYVY": "uyvy422", "NV12": "nv12", "YU12": "yuv420p", "RGB3": "rgb24", "BGR3": "bgr24",
}  # fmt: skip
"""V4L2's name of a format that is read and written -> FFmpeg's; the first that a camera has is taken."""

MJPEG = "MJPG"

RAW_PX = 640 * 480
"""From a camera on USB 2 no larger pictures come uncompressed at their full rate."""

CAPTURE, OUTPUT = 1, 2  # both as capabilities and as types of buffers
_CAP_DEVICE_CAPS = 0x80000000
_FIELD_NONE, _COLORSPACE_SRGB = 1, 8
_CAPABILITY = struct.Struct("16s32s32sIII12x")
_FMTDESC = struct.Struct("III32sI16x")
FORMAT = struct.Struct("@I0P8I168x")  # the union after the type holds pointers
STREAMPARM = struct.Struct("IIIII184x")
TYPE = struct.Struct("i")


def check_line(form: str, width: int, line_bytes: int) -> None:
    """Raise OSError (ENOTSUP) where a line of a raw picture is longer than its pixels."""
    tight = width * {"YUYV": 2, "UYVY": 2, "RGB3": 3, "BGR3": 3}.get(form, 1)
    if line_bytes not in (0, tight):
        raise OSError(errno.ENOTSUP, f"its lines are padded to {line_bytes} bytes")


def request(direction: int, command: int, layout: struct.Struct) -> int:
    """Linux's ``_IOC``: 1 writes, 2 reads, 3 does both."""
    return direction << 30 | layout.size << 16 | ord("V") << 8 | command


_QUERYCAP = request(2, 0, _CAPABILITY)
_ENUM_FMT = request(3, 2, _FMTDESC)
G_FMT, S_FMT = request(3, 4, FORMAT), request(3, 5, FORMAT)
G_PARM, S_PARM = request(3, 21, STREAMPARM), request(3, 22, STREAMPARM)
STREAMON, STREAMOFF = request(1, 18, TYPE), request(1, 19, TYPE)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a camera is asked for; it gives what comes next to it.

    Attributes:
        size: "1280x720"; empty: as the camera stands.
        rate: pictures a second; 0: as the camera stands.
        form: "raw", "mjpeg", or "auto": MJPEG for pictures of more than RAW_PX, if the camera has it.
    """

    size: str = "640x480"
    rate: float = 30.0
    form: Literal["auto", "raw", "mjpeg"] = "auto"

    @property
    def height_width(self) -> tuple[int, int]:
        """The size in px; zeros: as the camera stands."""
        width, _, height = self.size.partition("x")
        return (int(height), int(width)) if height else (0, 0)

    @property
    def wants_mjpeg(self) -> bool:
        """Whether MJPEG is better, of a camera that has it."""
        height, width = self.height_width
        return self.form == "mjpeg" or (self.form == "auto" and height * width > RAW_PX)

    def choice(self, formats: Sequence[str]) -> str:
        """One of a camera's formats.

        Raises:
            ValueError: it has none that was asked for.
        """
        raw = [form for form in PIX_FMTS if form in formats]
        compressed = [MJPEG] if MJPEG in formats else []
        wanted = {"raw": raw, "mjpeg": compressed, "auto": [*raw, *compressed]}[self.form]
        if not wanted:
            has = ", ".join(formats[:8]) or "none"
            raise ValueError(
                f"gives no {self.form.replace('auto', 'known')} pictures; it has {has}"
            )
        return MJPEG if self.wants_mjpeg and compressed else wanted[0]


@dataclass(frozen=True, slots=True)
class Device:
    """A ``/dev/videoN``.

    Attributes:
        card: its name, for people.
        gives, takes: it is a camera, it shows pictures to others; both of v4l2loopback.
        formats: of the pictures it gives, V4L2's names.
    """

    path: str
    driver: str
    card: str
    gives: bool
    takes: bool
    formats: tuple[str, ...]


def path_of(name: str) -> str:
    """``/dev/video0`` of ``camera:0``, ``camera:/dev/video0``, ``0``."""
    rest = name.removeprefix("camera:")
    return f"/dev/video{rest}" if rest.isdigit() else rest


def same(first: str, second: str) -> bool:
    """Whether two names are one device, also through links as those in ``/dev/v4l/by-id``."""
    one, other = (os.path.realpath(path_of(name)) for name in (first, second))
    return one == other


def device(path: str) -> Device:
    """Ask a device what it is.

    Raises:
        OSError: it cannot be opened, or is no V4L2 device (ENOTTY).
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        asked = bytearray(_CAPABILITY.size)
        ioctl(descriptor, _QUERYCAP, asked)
        driver, card, _, _, all_of_it, own = _CAPABILITY.unpack(asked)
        can = own if all_of_it & _CAP_DEVICE_CAPS else all_of_it
        formats = tuple(_formats(descriptor)) if can & CAPTURE else ()
    finally:
        os.close(descriptor)
    loops = _text(driver) == LOOPBACK
    return Device(
        path,
        _text(driver),
        _text(card),
        bool(can & CAPTURE),
        bool(can & OUTPUT) or loops,
        formats,
    )


def devices() -> list[Device]:
    """All that may be opened, by number."""
    found = []
    for path in sorted(Path("/dev").glob("video*"), key=lambda path: (len(path.name), path.name)):
        with suppress(OSError):
            found.append(device(str(path)))
    return found


class Screen:
    """A device that shows to others, as a camera, what is written to it.

    FFmpeg could write to it as well, but does not look at the size that the device agreed to: another
    one than was asked, while somebody goes on watching from before.

    Args:
        path: ``/dev/videoN``.
        height, width: of the pictures, px; even.
        rate: pictures a second, as those who watch are told.

    Attributes:
        height, width, pix_fmt: what it takes; the format in FFmpeg's words.

    Raises:
        OSError: it cannot be opened (ENOENT, EACCES, EBUSY), takes no pictures (ENOTTY, EINVAL), or
            none that we can write (ENOTSUP).
    """

    def __init__(self, path: str, height: int, width: int, rate: Fraction) -> None:
        self._descriptor = os.open(path, os.O_RDWR)
        try:
            self.height, self.width, self.pix_fmt = self._agree(height, width)
            with suppress(OSError):  # it is a courtesy
                every = 1 / rate.limit_denominator(1001)
                told = STREAMPARM.pack(OUTPUT, 0, 0, every.numerator, every.denominator)
                ioctl(self._descriptor, S_PARM, bytearray(told))
            with suppress(
                OSError
            ):  # see :func:`wake`; others stream as soon as they are written to
                ioctl(self._descriptor, STREAMON, bytearray(TYPE.pack(OUTPUT)))
        except BaseException:
            self.close()
            raise

    def _agree(self, height: int, width: int) -> tuple[int, int, str]:
        wish = (width, height, number("YU12"), _FIELD_NONE, 0, 0, _COLORSPACE_SRGB, 0)
        answer = bytearray(FORMAT.pack(OUTPUT, *wish))
        ioctl(self._descriptor, S_FMT, answer)
        _, width, height, form, _, line_bytes, *_ = FORMAT.unpack(answer)
        name = fourcc(form)
        if name not in PIX_FMTS:
            known = ", ".join(PIX_FMTS)
            raise OSError(errno.ENOTSUP, f"it takes {name} pictures, and none of {known}")
        check_line(name, width, line_bytes)
        return height, width, PIX_FMTS[name]

    def write(self, picture: bytes) -> None:
        """Show a picture of the size and format it takes; OSError where it has gone (ENODEV)."""
        os.write(self._descriptor, picture)

    def close(self) -> None:
        """Let it go."""
        os.close(self._descriptor)


def wake(path: str) -> None:
    """Let a device of v4l2loopback take pictures again.

    With ``exclusive_caps``, version 0.12 (Debian 12) takes none from the end of a program that wrote
    and did no more, as FFmpeg does, until one ends that also said that it streams.

    Raises:
        OSError: it is none, or has gone.
    """
    if device(path).driver != LOOPBACK:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    descriptor = os.open(path, os.O_RDWR)
    with suppress(OSError):  # it fails, for want of a format, and has its effect
        ioctl(descriptor, STREAMON, bytearray(TYPE.pack(OUTPUT)))
    os.close(descriptor)
    device(path)  # it looks anew at what it can do only when it is asked


def _formats(descriptor: int) -> Iterator[str]:
    for index in range(64):
        asked = bytearray(_FMTDESC.pack(index, CAPTURE, 0, b"", 0))
        try:
            ioctl(descriptor, _ENUM_FMT, asked)
        except OSError:  # there are no more
            return
        yield fourcc(_FMTDESC.unpack(asked)[4])


def ioctl(descriptor: int, request: int, data: bytearray) -> None:
    """As of ``fcntl``; the answer is in ``data``."""
    from fcntl import ioctl  # noqa: PLC0415  Windows has none

    ioctl(descriptor, request, data)


def number(name: str) -> int:
    """A format's number."""
    return int.from_bytes(name.encode(), "little")


def fourcc(number: int) -> str:
    """A format's name; those that are big-endian have bit 31 set."""
    return (number & 0x7FFFFFFF).to_bytes(4, "little").decode("ascii", "replace")


def _text(data: bytes) -> str:
    return data.split(b"\0", 1)[0].decode("utf-8", "replace")
