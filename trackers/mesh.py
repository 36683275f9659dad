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

Rings = tuple[tuple[int, ...], ...]

PARTS: dict[str, Rings] = {
    "nose": (
        (168, 122, 188, 174, 217, 198, 131, 102, 64, 98, 97, 2,
         326, 327, 294, 331, 360, 420, 437, 399, 412, 351),
    ),
    "brows": (
        (46, 53, 52, 65, 55, 107, 66, 105, 63, 70),
        (276, 283, 282, 295, 285, 336, 296, 334, 293, 300),
    ),
    "eyes": (
        (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
        (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
    ),
    "lips": (
        (61, 146, 91, 181, 84, 17, 314, 405, 321, 375,
         291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
    ),
    "inner mouth": (
        (78, 95, 88, 178, 87, 14, 317, 402, 318, 324,
         308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
    ),
}  # fmt: skip
"""Outlines on MediaPipe's mesh, in the order in which they lie on each other."""

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

    @property
    def parts(self) -> dict[str, Rings]:
        """Part of the face -> closed rings of points, in the order in which they are painted."""
        return {"skin": (tuple(int(i) for i in self.oval),), **PARTS}

    def points_px(self, size: int) -> NDArray[np.float32]:
        """(468, 2) float32, the mean face in px of an aligned square of ``size`` px a side."""
        return (self.template[:, :2] * (FACE_HEIGHT * size) + (size - 1) / 2).astype(np.float32)


@cache
def mean_face() -> MeanFace:
    """The mean face, read once."""
    with np.load(Path(__file__).with_name("mesh.npz")) as file:
        return MeanFace(file["template"], file["triangles"], file["oval"], file["mirror"])
