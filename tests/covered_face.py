"""The astronaut's face, panned, and a drawn thing at rest in front of it: frames with exact truth."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from stream.drawn import drawn_occluder
from stream.frame import Frame
from tests.pasted_faces import HEAD_CENTER

HEIGHT, WIDTH = 240, 320
FACE_AT = (160.0, 115.0)
"""Where the middle of the face lies in a frame that is not panned, x y in px."""

PLACES = {"hand": (230, 180, 150), "ball": (225, 150, 70)}
"""Middle x y and side of each drawing, in px of the photograph."""


@cache
def covered_photo(kind: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The photograph with the thing in front, (512, 512, 3) 0-255, and the thing's alpha 0-1."""
    x, y, side = PLACES[kind]
    drawing = drawn_occluder(kind, side, np.random.default_rng(1)).astype(np.float32)
    spot = np.s_[y - side // 2 : y - side // 2 + side, x - side // 2 : x - side // 2 + side]
    photo, alpha = data.astronaut().astype(np.float32), np.zeros((512, 512), np.float32)
    alpha[spot] = drawing[..., 3] / 255
    photo[spot] += alpha[spot][..., None] * (drawing[..., :3] - photo[spot])
    return photo, alpha


def view(photo: NDArray[np.float32], pan_px: float) -> NDArray[np.float32]:
    """What a camera panned by ``pan_px`` sees; the picture moves to the right."""
    shift = np.subtract(FACE_AT, HEAD_CENTER) + (pan_px, 0)
    matrix = np.column_stack([np.eye(2), shift])
    return cv2.warpAffine(photo, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)


def panned(
    kind: str, pans_px: Sequence[float], clean: int
) -> tuple[list[Frame], list[NDArray[np.bool_]]]:
    """Frames of which the first ``clean`` are uncovered, and where the thing is in each."""
    covered, alpha = covered_photo(kind)
    free = data.astronaut().astype(np.float32)
    frames, truths = [], []
    for index, pan in enumerate(pans_px):
        image = view(free if index < clean else covered, pan).round().astype(np.uint8)
        frames.append(Frame(image, index, Fraction(index, 25), "drawn"))
        truths.append((view(alpha, pan) > 0.5) & (index >= clean))
    return frames, truths
