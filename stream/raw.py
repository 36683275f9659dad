"""What raw pictures are: nothing in them says so, a name does: ``raw:640x480:rgb24:30``."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from fractions import Fraction

import av

FORM = "raw:WIDTHxHEIGHT[:PIXELS[:RATE]]"

MOST_PX = 16384
MOST_RATE = 1000


@dataclass(frozen=True, slots=True)
class RawForm:
    """How pictures lie in a stream of bytes.

    Attributes:
        height, width: px.
        pixels: FFmpeg's name of their format.
        rate: pictures a second.
    """

    height: int
    width: int
    pixels: str = "rgb24"
    rate: Fraction = Fraction(25)

    @property
    def options(self) -> dict[str, str]:
        """For FFmpeg's format "rawvideo"."""
        size = f"{self.width}x{self.height}"
        return {"video_size": size, "pixel_format": self.pixels, "framerate": str(self.rate)}

    @property
    def picture_bytes(self) -> int:
        """Of one."""
        form = av.VideoFormat(self.pixels, self.width, self.height)
        if form.is_rgb and not form.is_planar:
            return self.width * self.height * form.padded_bits_per_pixel // 8
        return sum(-(-part.bits // 8) * part.width * part.height for part in form.components)


def raw_form(name: str) -> RawForm:
    """Read ``raw:640x480:rgb24:30``; without a rate 25 a second, without pixels rgb24.

    Raises:
        ValueError: it is not of that form, or FFmpeg knows no such pixels.
    """
    match = re.fullmatch(r"raw:(\d+)x(\d+)(?::(\w+)(?::([0-9./]+))?)?", name)
    if match is None:
        raise ValueError(f"{name}: raw pictures need {FORM}, as raw:640x480:rgb24:30")
    width, height, pixels = int(match[1]), int(match[2]), match[3] or "rgb24"
    if not (1 <= width <= MOST_PX and 1 <= height <= MOST_PX):
        raise ValueError(f"{name}: width and height must be 1 to {MOST_PX}, got {width}x{height}")
    _check_pixels(name, pixels)
    return RawForm(height, width, pixels, _rate(name, match[4] or "25"))


def _check_pixels(name: str, pixels: str) -> None:
    try:
        form = av.VideoFormat(pixels)
    except ValueError:
        known: list[str] = sorted(av.video.format.names)  # type: ignore[attr-defined]
        near = difflib.get_close_matches(pixels, known, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(f"{name}: FFmpeg knows no pixels {pixels!r}{hint}") from None
    if not form.components:
        raise ValueError(f"{name}: {pixels} lies in a device and not in a pipe")


def _rate(name: str, text: str) -> Fraction:
    try:
        rate = Fraction(text).limit_denominator(1001)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= MOST_RATE:
        raise ValueError(f"{name}: the rate must be above 0 and at most {MOST_RATE}, got {text!r}")
    return rate
