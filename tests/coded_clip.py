"""A clip of a face for a browser's fake camera, whose frames say their number in the picture."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.clip import FACE_PX, Crossing, clip

BITS, BLOCK_PX = 7, 24
"""Numbers of so many bits in blocks of this side, along the picture's lower edge."""

HAND = Crossing(
    "hand", 0.8, 4.0, ((-1.4, 1.2, 20), (-0.25, 0.4, 6), (-0.2, 0.38, 2), (-0.2, 0.38, 0), (-1.3, 1.1, -16)), 1.4, 1
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Coded:
    """A frame with its truth: (H, W, 3) RGB, (H, W) occluder, and the face's middle, x y px."""

    image: NDArray[np.uint8]
    occluder: NDArray[np.bool_]
    face_px: NDArray[np.float64]


def coded_clip(seconds: Fraction = Fraction(5), fps: Fraction = Fraction(15)) -> list[Coded]:
    """Frames of 360 x 640: a face, and a hand that comes, stays and goes."""
    frames = []
    for number, frame in enumerate(clip((HAND,), seconds, fps)):
        image = frame.image.copy()
        image[-BLOCK_PX:, : (BITS + 2) * BLOCK_PX] = 0
        for bit in range(BITS + 1):  # the last one is the parity
            wanted = number >> bit & 1 if bit < BITS else number.bit_count() & 1
            if wanted:
                image[-BLOCK_PX:, bit * BLOCK_PX : (bit + 1) * BLOCK_PX] = 255
        matrix = frame.photo_to_frame
        frames.append(Coded(image, frame.occluder, matrix[:, :2] @ FACE_PX + matrix[:, 2]))
    return frames


def number_of(image: NDArray[np.uint8]) -> int | None:
    """The number in a picture; None if it cannot be read."""
    row = image[-BLOCK_PX * 3 // 4 : -BLOCK_PX // 4].mean((0, 2))
    bits = [row[b * BLOCK_PX + 8 : (b + 1) * BLOCK_PX - 8].mean() for b in range(BITS + 2)]
    if any(40 < level < 215 for level in bits) or bits[-1] > 128:
        return None
    number = sum((level > 128) << bit for bit, level in enumerate(bits[:BITS]))
    return number if number.bit_count() & 1 == (bits[BITS] > 128) else None


def write_y4m(path: Path, frames: list[Coded], fps: int = 15) -> Path:
    """What Chromium takes for a camera's pictures; it plays them over and over."""
    height, width = frames[0].image.shape[:2]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames:
            yuv = cv2.cvtColor(frame.image, cv2.COLOR_RGB2YUV_I420)
            file.write(b"FRAME\n" + yuv.tobytes())
    return path
