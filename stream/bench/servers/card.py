"""Pictures that say when they were drawn, and show a face that cannot be overlooked.

The strip on top holds the milliseconds since a moment that both sides know, as bars, with a check
sum: what can be read off a picture was really in it, through any lossy codec.  The face is a disc
of a colour that nothing else has; a real one is in :func:`photo`.
"""

from __future__ import annotations

import binascii
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Area = NDArray[np.bool_]

NUMBER_BITS, CHECK_BITS = 20, 16
BITS = 2 + NUMBER_BITS + CHECK_BITS + 2
MOST_MS = 1 << NUMBER_BITS
"""Milliseconds after which the number begins anew (17 minutes)."""

STRIP = 12
"""The strip is a 12th of the picture's height."""

FACE_COLOUR = (235, 25, 235)
BLACK_BELOW, WHITE_FROM = 90, 165

FACE_PX = 4
"""So many pixels of the face's colour are a face: less than a codec makes along an edge."""


def bits_of(number: int) -> list[int]:
    """Guards, number, check sum, guards; most significant first."""
    digits = [number >> i & 1 for i in reversed(range(NUMBER_BITS))]
    check = check_of(number)
    return [1, 0, *digits, *(check >> i & 1 for i in reversed(range(CHECK_BITS))), 0, 1]


def check_of(number: int) -> int:
    """CRC-16 (CCITT): a torn strip that is right by chance would be a picture out of order."""
    return binascii.crc_hqx(number.to_bytes(3, "big"), 0xA5A5)


def stamp(image: Image, number: int) -> Image:
    """Draw a number onto the strip, in place."""
    height, width = image.shape[:2]
    cells = np.arange(width) * BITS // width
    bars = np.array(bits_of(number % MOST_MS), np.uint8)[cells] * 255
    image[: height // STRIP] = bars[None, :, None]
    return image


def number_of(image: Image) -> int | None:
    """Read the number off a picture; None if it shows none."""
    height, width = image.shape[:2]
    middles = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    rows = [height // (4 * STRIP), height // (2 * STRIP), 3 * height // (4 * STRIP)]
    seen = image[rows][:, middles].mean(2)
    if ((seen > BLACK_BELOW) != (seen[0] > BLACK_BELOW)).any():
        return None  # torn
    levels = seen.mean(0)
    if ((levels > BLACK_BELOW) & (levels < WHITE_FROM)).any():
        return None
    bits = [int(level > BLACK_BELOW) for level in levels]
    number = int("".join(map(str, bits[2 : 2 + NUMBER_BITS])), 2)
    return number if bits == bits_of(number) else None


def drawn(number: int, height: int, width: int) -> Image:
    """(height, width, 3): the number, a room, and a face that goes to and fro."""
    image = room(height, width).copy()
    radius = height // 8
    x = width / 2 + width / 5 * np.sin(number / 700)
    y = height * 0.6 + height / 16 * np.cos(number / 900)
    cv2.circle(image, (round(x), round(y)), radius, FACE_COLOUR, -1)
    return stamp(image, number)


@cache
def room(height: int, width: int) -> Image:
    """A background without the face's colour, with something in it for a codec to do."""
    v, u = np.mgrid[:height, :width]
    shade = 110 + 40 * np.sin(u / 17) * np.cos(v / 23)
    return np.stack([shade * 0.5, shade, shade * 0.8], -1).astype(np.uint8)


def face_pixels(image: Image, least: int = 40) -> Area:
    """(H, W) bool: of the face's colour.

    Args:
        image: RGB.
        least: red and blue are both brighter than green by so much, and of like brightness.
    """
    red, green, blue = (image[..., i].astype(np.int16) for i in range(3))
    return np.asarray((np.minimum(red, blue) - green > least) & (abs(red - blue) < 110))


def shows_face(image: Image) -> bool:
    """Whether a pixel of the face is left; stricter than what finds it, for it was coded twice."""
    return int(face_pixels(image, 90).sum()) >= FACE_PX


PHOTO_FACE = (90, 165, 185, 260)
"""Rows and columns of the photograph in which the face's middle lies."""


@cache
def photograph() -> Image:
    """Scikit-image's public-domain photograph of an astronaut."""
    from skimage.data import astronaut  # noqa: PLC0415  only where it is asked for

    return np.asarray(astronaut(), np.uint8)  # type: ignore[no-untyped-call]


def photo(number: int, height: int, width: int) -> Image:
    """(height, width, 3): the number, and a real face that goes to and fro."""
    x, y = round(24 + 20 * np.sin(number / 900)), round(8 + 6 * np.cos(number / 700))
    canvas = np.full(
        (360, 440, 3), 90, np.uint8
    )  # a margin below the strip: a head's cover is large
    canvas[48:] = photograph()[y : y + 312, x : x + 440]
    return stamp(cv2.resize(canvas, (width, height)), number)


def shows_photograph(image: Image) -> bool:
    """Whether the photograph's face is anywhere in a picture that :func:`photo` drew."""
    top, bottom, left, right = PHOTO_FACE
    scale = image.shape[1] / 440, image.shape[0] / 360
    face = cv2.resize(photograph()[top:bottom, left:right], None, fx=scale[0], fy=scale[1])
    grey = [cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (image, face)]
    like = cv2.matchTemplate(grey[0], grey[1], cv2.TM_CCOEFF_NORMED)
    return bool(np.nan_to_num(like, posinf=0, neginf=0).max() > 0.6)
