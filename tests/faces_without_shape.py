"""A face to generate references of: the astronaut laid on the mean mesh, and what hides it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data
from torch import Tensor

from s3pot.parse import mesh_structure
from s3pot.reference import StructureBatch, stack
from s3pot.types import Structure
from trackers.mesh import mean_face

SIZE = 192
MEAN = mean_face()


def structure(points: NDArray[np.float32] | None = None) -> Structure:
    """Of the mean face, or of points (468, 2 or 3) px."""
    flat = MEAN.points_px(SIZE)
    return mesh_structure(
        flat if points is None else points, flat, MEAN.triangles, MEAN.parts, SIZE
    )


def guides(count: int = 1) -> StructureBatch:
    return stack([structure()] * count)


def astronaut() -> Tensor:
    """(1, 3, S, S) RGB 0-1, her face about where the mean face is."""
    matrix = np.array([[1.15, 0, 95.5 - 1.15 * 225], [0, 1.15, 95.5 - 1.15 * 125]])
    photo = cv2.warpAffine(data.astronaut(), matrix, (SIZE, SIZE))
    return torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255


def cheek() -> Tensor:
    """(1, 1, S, S) 0 or 1: a patch on one cheek."""
    hidden = torch.zeros(1, 1, SIZE, SIZE)
    hidden[..., 95:135, 55:85] = 1
    return hidden
