"""The paper's 12 classes of a face, and label maps drawn from a mesh or read from a data set.

Order and tables: method.md 1.3 and 2.2 (read in the authors' code).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import overload

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

CLASSES: tuple[str, ...] = (
    "background", "lips", "brows", "eyes", "hair", "nose",
    "skin", "ears", "neck", "inner mouth", "glasses", "ear-rings",
)  # fmt: skip
"""What a label means, by its number."""

FACIAL: tuple[int, ...] = (1, 2, 3, 5, 6, 9, 10)
"""The classes that are the facial area m: hair, ears, neck and ear-rings are not."""

COLOURS: NDArray[np.uint8] = np.array(
    [[0, 0, 0], [220, 40, 60], [120, 70, 20], [40, 120, 255], [90, 40, 120], [255, 170, 60],
     [250, 215, 180], [180, 220, 120], [90, 150, 90], [120, 0, 40], [0, 220, 220], [255, 255, 0]],
    np.uint8,
)  # fmt: skip
"""(12, 3) RGB to show a label map in, to people and to a ControlNet."""

_FROM_CELEBAMASK = np.array(
    # backgr. skin nose glasses eyes brows ears mouth lips hair hat ear-ring necklace neck cloth
    [0, 6, 5, 10, 3, 3, 2, 2, 7, 7, 9, 1, 1, 4, 0, 11, 0, 8, 0],
    np.uint8,
)


@overload
def facial(labels: Tensor) -> Tensor: ...
@overload
def facial(labels: NDArray[np.uint8]) -> NDArray[np.bool_]: ...
def facial(labels: Tensor | NDArray[np.uint8]) -> Tensor | NDArray[np.bool_]:
    """The facial area m of a label map: bool of the same shape (method.md 2.2)."""
    if isinstance(labels, Tensor):
        return torch.isin(labels, torch.tensor(FACIAL, device=labels.device))
    return np.isin(labels, FACIAL)


def from_celebamask(mask19: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """CelebAMask-HQ's 19 classes -> the paper's 12, any shape (method.md 1.3, third column).

    Raises:
        ValueError: a value above 18.
    """
    if mask19.size and int(mask19.max()) >= len(_FROM_CELEBAMASK):
        raise ValueError(f"a CelebAMask-HQ label is 0-18, got {int(mask19.max())}")
    return _FROM_CELEBAMASK[mask19]


def draw_labels(
    points: NDArray[np.float32], parts: Mapping[str, Sequence[Sequence[int]]], size: int
) -> NDArray[np.uint8]:
    """The amodal label map of a mesh: what the face shows with nothing in front of it.

    Args:
        points: (N, 2 or 3) float32 px of the crop, x right, y down, pixel centres at integers.
        parts: class name -> rings of indices of points, in the order in which they are painted,
            see ``trackers.mesh.MeanFace.parts``.
        size: S, side of the map in px.

    Returns:
        (S, S) uint8 labels. A mesh knows no hair, ears, neck or glasses: they stay background.

    Raises:
        ValueError: a part is none of :data:`CLASSES`.
    """
    labels = np.zeros((size, size), np.uint8)
    sixteenths = np.round(np.asarray(points, np.float64)[:, :2] * 16).astype(np.int32)
    for name, rings in parts.items():
        if name not in CLASSES:
            raise ValueError(f"unknown part {name!r}; allowed: {CLASSES}")
        for ring in rings:
            cv2.fillPoly(labels, [sixteenths[list(ring)]], CLASSES.index(name), shift=4)
    return labels


def show(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(S, S) labels -> (S, S, 3) uint8 RGB in :data:`COLOURS`."""
    return COLOURS[labels]
