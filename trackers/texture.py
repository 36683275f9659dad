"""What a face looks like, remembered small and grey, to tell its own skin from what covers it."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.align import align_landmarks, cut
from trackers.mesh import mean_face

SIDE_PX = 64
WINDOW_PX = 9
CHANGED_BELOW = 0.55
"""SSIM under which a place no longer shows what it did."""

CLEAN_BELOW = 0.1
"""A landmark more covered than this teaches nothing."""

ALIKE_RATE, DIFFERS_RATE, UNSURE_RATE = 0.15, 0.05, 0.01
"""Weight of a new portrait: where it is as remembered; where it differs though nothing covers it, as
another light; and where it differs and may be covered."""


def portrait(grey: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """(SIDE_PX, SIDE_PX) float32 0-255, the upright face of an (H, W) uint8 grey frame."""
    matrix = align_landmarks(landmarks, np.ones(len(landmarks), np.float32), SIDE_PX)
    return cut(grey, matrix, SIDE_PX).astype(np.float32)


def similarity(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """SSIM of every place (Wang et al. 2004, eq. 13), at most 1, of two (S, S) float32 pictures."""
    mean_a, mean_b, aa, bb, ab = (
        cv2.blur(field, (WINDOW_PX, WINDOW_PX)) for field in (a, b, a * a, b * b, a * b)
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    spread = aa - mean_a**2 + bb - mean_b**2 + c2
    result: NDArray[np.float32] = light * (2 * (ab - mean_a * mean_b) + c2) / spread
    return result


class Texture:
    """Running mean of one face's portrait, of the places that were seen uncovered."""

    def __init__(self) -> None:
        self._mean: NDArray[np.float32] | None = None
        self._seen = np.zeros((SIDE_PX, SIDE_PX), bool)
        spots = np.round(mean_face().points_px(SIDE_PX)).astype(int)
        self._columns, self._rows = np.clip(spots, 0, SIDE_PX - 1).T

    @property
    def known(self) -> bool:
        """Whether half of the face or more is remembered."""
        return bool(self._seen[self._rows, self._columns].mean() >= 0.5)

    def changed(self, now: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(468,) bool, landmarks round which a portrait differs from the memory."""
        if self._mean is None:
            return np.zeros(len(self._rows), bool)
        differs = (similarity(self._mean, now) < CHANGED_BELOW) & self._seen
        changed: NDArray[np.bool_] = differs[self._rows, self._columns]
        return changed

    def likeness(self, now: NDArray[np.float32], visible: NDArray[np.bool_] | None = None) -> float:
        """Mean SSIM round the landmarks, at most 1; 0 where nothing is remembered.

        The memory's mirror image counts as well: after a cut the light may come from the other side,
        and faces are nearly symmetric.

        Args:
            now: a :func:`portrait`.
            visible: (468,) bool, the landmarks that count; all if None.
        """
        if self._mean is None:
            return 0.0
        count = np.ones(len(self._rows), bool) if visible is None else visible
        looks = []
        for mean, seen in ((self._mean, self._seen), (self._mean[:, ::-1], self._seen[:, ::-1])):
            counted = count & seen[self._rows, self._columns]
            alike = similarity(np.ascontiguousarray(mean), now)[self._rows, self._columns]
            looks.append(float(alike[counted].mean()) if counted.any() else 0.0)
        return max(looks)

    def learn(self, now: NDArray[np.float32], covered: NDArray[np.float32] | None = None) -> None:
        """Take the portrait of a face that was seen.

        Args:
            now: a :func:`portrait`.
            covered: (468,) 0-1, what is known to lie before the face: it is not learned.  None:
                nobody knows, and what differs is believed but slowly.
        """
        clean = np.ones((SIDE_PX, SIDE_PX), bool) if covered is None else _uncovered(covered)
        if self._mean is None:
            self._mean = now
        differs = similarity(self._mean, now) < CHANGED_BELOW
        rate = np.where(differs, UNSURE_RATE if covered is None else DIFFERS_RATE, ALIKE_RATE)
        rate = np.where(self._seen, rate, 1.0) * clean
        self._mean = (self._mean + rate * (now - self._mean)).astype(np.float32)
        self._seen |= clean


def _uncovered(covered: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(SIDE_PX, SIDE_PX) bool, places whose nearest landmark, of (468,), is not covered."""
    clean: NDArray[np.bool_] = (covered < CLEAN_BELOW)[_nearest()]
    return clean


@cache
def _nearest() -> NDArray[np.intp]:
    """(SIDE_PX, SIDE_PX), the landmark nearest to each pixel of a portrait."""
    spots = mean_face().points_px(SIDE_PX)
    y, x = np.indices((SIDE_PX, SIDE_PX))
    away = (x[..., None] - spots[:, 0]) ** 2 + (y[..., None] - spots[:, 1]) ** 2
    nearest: NDArray[np.intp] = away.argmin(-1)
    return nearest
