"""The mean face: 468 points, their triangles and outline, in one small file made here.

``mesh.npz`` was made by aligning MediaPipe's landmarks of 2,080 faces in 3-D and taking the median,
made left-right symmetric; triangles are Delaunay's within the outline, so eyes and mouth are filled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FACE_HEIGHT = 0.70
"""Height of the upright mean face over the side of the aligned square; the rest is context."""


@dataclass(frozen=True, slots=True)
class MeanFace:
    """Attributes:
    template: (468, 3) float32; x right, y down, z away from the camera; face height 1, centre 0.
    triangles: (T, 3) int16, indices of points.
    oval: (36,) int16, the outline, in order.
    mirror: (468,) int16, the point on the other side of the face.
    """

    template: NDArray[np.float32]
    triangles: NDArray[np.int16]
    oval: NDArray[np.int16]
    mirror: NDArray[np.int16]

    def points_px(self, size: int) -> NDArray[np.float32]:
        """(468, 2) float32, the mean face in px of an aligned square of ``size`` px a side."""
        return (self.template[:, :2] * (FACE_HEIGHT * size) + (size - 1) / 2).astype(np.float32)


@cache
def mean_face() -> MeanFace:
    """The mean face, read once."""
    with np.load(Path(__file__).with_name("mesh.npz")) as file:
        return MeanFace(file["template"], file["triangles"], file["oval"], file["mirror"])
