"""Pictures with real faces at known places: the astronaut's head, pasted on a drawn ground."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

HEAD_CENTER = (225.0, 125.0)
"""Of the face in scikit-image's astronaut, px; the face is FACE_PX high there."""

FACE_PX = 115.0

STRANGERS = (46, 93, 98, 31)
"""Faces of LFW that the detector finds with a score of 0.89 or more."""


@cache
def head(face_px: float, mirrored: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """A head cut out along an ellipse: (h, w, 3) uint8 RGB and (h, w, 1) float32 opacity."""
    scale = face_px / FACE_PX
    photo = cv2.resize(data.astronaut(), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x, y = (round(v * scale) for v in HEAD_CENTER)
    half = round(85 * scale)
    photo = photo[max(y - round(110 * scale), 0) : y + half, x - half : x + half]
    opacity = np.zeros(photo.shape[:2], np.float32)
    axes = (round(75 * scale), round(95 * scale))
    cv2.ellipse(opacity, (half, len(photo) // 2), axes, 0, 0, 360, 1.0, -1)
    opacity = cv2.GaussianBlur(opacity, (0, 0), 1.5)[..., None]
    step = -1 if mirrored else 1
    return np.ascontiguousarray(photo[:, ::step]), np.ascontiguousarray(opacity[:, ::step])


@cache
def stranger(
    face_px: float, who: int = STRANGERS[0]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Another person, small and grey: as :func:`head`, from scikit-image's piece of LFW."""
    side = round(1.3 * face_px)
    small = np.round(data.lfw_subset()[who] * 255).astype(np.uint8)
    photo = cv2.merge([cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC)] * 3)
    opacity = np.zeros((side, side), np.float32)
    cv2.ellipse(opacity, (side // 2, side // 2), (side // 2 - 3,) * 2, 0, 0, 360, 1.0, -1)
    return photo, cv2.GaussianBlur(opacity, (0, 0), 1.5)[..., None]


@cache
def ground(seed: int = 0, height: int = 240, width: int = 320) -> NDArray[np.uint8]:
    """(height, width, 3) soft coloured blobs; another seed is another scene."""
    size = (height // 16, width // 16, 3)
    blobs = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    return cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC) // 2 + 64


def scene(
    *heads: tuple[float, float, float, bool | int],
    seed: int = 0,
    height: int = 240,
    width: int = 320,
) -> NDArray[np.uint8]:
    """A picture with heads (x, y, face_px, mirrored) on the ground, the later ones in front.

    A number of :data:`STRANGERS` in the place of ``mirrored`` is another person.
    """
    picture = ground(seed, height, width).astype(np.float32)
    for x, y, face_px, who in heads:
        photo, opacity = head(face_px, who) if isinstance(who, bool) else stranger(face_px, who)
        h, w = photo.shape[:2]
        move = np.array([[1, 0, x - w / 2], [0, 1, y - h / 2]], np.float64)
        layer, alpha = (cv2.warpAffine(p, move, (width, height)) for p in (photo, opacity))
        picture += alpha[..., None] * (layer - picture)
    return np.round(picture).astype(np.uint8)


def cover(
    picture: NDArray[np.uint8], box_px: NDArray[np.float32], share: float
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A copy with the lower ``share`` of a face's box behind a mottled board, and the board."""
    x0, y0, x1, y1 = (int(v) for v in box_px)
    top = round(y1 - share * (y1 - y0))
    board = np.zeros(picture.shape[:2], bool)
    board[max(top, 0) : y1 + 40, max(x0 - 12, 0) : x1 + 12] = True
    painted = ground(77, *picture.shape[:2]) // 2 + np.array([90, 60, 40], np.uint8)
    return np.where(board[..., None] & (share > 0), painted, picture).astype(np.uint8), board


def under(board: NDArray[np.bool_], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """(468,) float32, 1 for landmarks behind the board."""
    height, width = board.shape
    x, y = np.round(landmarks[:, :2]).astype(int).T
    return board[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].astype(np.float32)
