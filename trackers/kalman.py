"""Where a box will be in the next frame: SORT's constant-velocity Kalman filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POSITION_NOISE, VELOCITY_NOISE = 1 / 20, 1 / 160
"""Standard deviations over the box's height (ByteTrack's figures)."""


class BoxKalman:
    """State: centre x, centre y, width, height in px and their velocities in px a frame.

    After Bewley et al. 2016 (SORT), section 3.2, with the noise of Zhang et al. 2022 (ByteTrack).
    """

    def __init__(self, box_px: NDArray[np.float32]) -> None:
        self._mean = np.concatenate([_to_centre(box_px), np.zeros(4)])
        self._covariance = self._noise(2 * POSITION_NOISE, 10 * VELOCITY_NOISE)
        self._step = np.eye(8)
        self._step[:4, 4:] = np.eye(4)

    @property
    def box_px(self) -> NDArray[np.float32]:
        """(4,) float32 x0 y0 x1 y1 now believed."""
        centre, half = self._mean[:2], np.maximum(self._mean[2:4], 1) / 2
        return np.asarray(np.concatenate([centre - half, centre + half]), np.float32)

    def predict(self, damping: float = 1.0) -> tuple[float, float]:
        """Go one frame on.

        Args:
            damping: factor on the velocity; below 1 for a face not measured any more.

        Returns:
            x and y in px by which the centre moves.
        """
        self._mean[4:] *= damping
        x, y = self._mean[4:6]
        self._mean = self._step @ self._mean
        noise = self._noise(POSITION_NOISE, VELOCITY_NOISE)
        self._covariance = self._step @ self._covariance @ self._step.T + noise
        return float(x), float(y)

    def update(self, box_px: NDArray[np.float32]) -> None:
        """Take a measured box in."""
        height = max(self._mean[3], 1.0)
        spread = self._covariance[:4, :4] + np.eye(4) * (POSITION_NOISE * height) ** 2
        gain = np.linalg.solve(spread, self._covariance[:4]).T
        self._mean = self._mean + gain @ (_to_centre(box_px) - self._mean[:4])
        self._covariance = self._covariance - gain @ self._covariance[:4]

    def _noise(self, position: float, velocity: float) -> NDArray[np.float64]:
        deviation = np.repeat([position, velocity], 4) * max(self._mean[3], 1.0)
        return np.diag(deviation**2)


def _to_centre(box_px: NDArray[np.float32]) -> NDArray[np.float64]:
    low, high = box_px[:2].astype(np.float64), box_px[2:].astype(np.float64)
    return np.concatenate([(low + high) / 2, high - low])
