"""What a face looks like, remembered small and grey, to tell its own skin from what covers it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.align import align_landmarks, cut
from trackers.mesh import mean_face

SIDE_PX = 64
WINDOW_PX = 9
CHANGED_BELOW = 0.55
"""SSIM under which a place no longer shows what it did."""


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
    """Running mean of one face's portrait."""

    def __init__(self) -> None:
        self._mean: NDArray[np.float32] | None = None
        spots = np.round(mean_face().points_px(SIDE_PX)).astype(int)
        self._columns, self._rows = np.clip(spots, 0, SIDE_PX - 1).T

    def changed(self, now: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(468,) bool, landmarks round which a portrait differs from the memory."""
        if self._mean is None:
            return np.zeros(len(self._rows), bool)
        alike = similarity(self._mean, now)
        changed: NDArray[np.bool_] = alike[self._rows, self._columns] < CHANGED_BELOW
        return changed

    def likeness(self, now: NDArray[np.float32]) -> float:
        """Mean SSIM round the landmarks, at most 1; 0 where nothing is remembered."""
        if self._mean is None:
            return 0.0
        return float(similarity(self._mean, now)[self._rows, self._columns].mean())

    def learn(self, now: NDArray[np.float32]) -> None:
        """Take the portrait of a face that was seen; what differs is believed but slowly."""
        if self._mean is None:
            self._mean = now
            return
        rate = np.where(similarity(self._mean, now) < CHANGED_BELOW, 0.01, 0.15)
        self._mean = (self._mean + rate * (now - self._mean)).astype(np.float32)
