"""Boxes: (4,) float32, x0 y0 x1 y1 in px of the frame, x1 and y1 exclusive."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def box_around(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """(4,) float32 box around (N, 2 or 3) landmarks."""
    spots = landmarks[:, :2]
    return np.asarray(np.concatenate([spots.min(0), spots.max(0)]), np.float32)


def area(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) areas in px² of (N, 4) boxes; an inverted box has none."""
    sides: NDArray[np.float32] = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def intersection(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, M) areas in px² shared by (N, 4) and (M, 4) boxes."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    return area(np.concatenate([low, high], axis=2))


def iou(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, M) float32 intersection over union, 0-1, of (N, 4) and (M, 4) boxes."""
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return np.asarray(shared / np.maximum(union, 1e-6), np.float32)


def grow(boxes: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Boxes (..., 4) with ``share`` of their sides added at each side."""
    margin = share * (boxes[..., 2:] - boxes[..., :2])
    return np.concatenate([boxes[..., :2] - margin, boxes[..., 2:] + margin], axis=-1)


def suppress(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], iou_at: float = 0.3
) -> list[int]:
    """Greedy non-maximum suppression; also drops a box that lies mostly inside a better one.

    A tile that cuts a face yields a box of half of it: its IoU with the whole is small, so the
    share of the smaller box is looked at too.

    Args:
        boxes: (N, 4) float32.
        scores: (N,) float32.
        iou_at: overlap from which two boxes are one face.

    Returns:
        Indices of the boxes kept, best score first.
    """
    shared = intersection(boxes, boxes)
    smaller = np.minimum(area(boxes)[:, None], area(boxes)[None, :])
    same = (iou(boxes, boxes) > iou_at) | (shared > 0.7 * np.maximum(smaller, 1e-6))
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if not same[index, kept].any():
            kept.append(int(index))
    return kept


def match(a: NDArray[np.float32], b: NDArray[np.float32], least: float) -> dict[int, int]:
    """Index into (N, 4) -> index into (M, 4): the one-to-one assignment of greatest overlap.

    Pairs whose IoU is under ``least`` are left out.
    """
    overlap = iou(a, b)
    rows, columns = linear_sum_assignment(-overlap)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {row: column for row, column in pairs if overlap[row, column] >= least}


def visible_share(box: NDArray[np.float32], height: int, width: int) -> float:
    """0-1, the part of a box that lies in a picture of (height, width)."""
    picture = np.array([[0, 0, width, height]], np.float32)
    return float(intersection(box[None], picture)[0, 0] / max(float(area(box)), 1e-6))


def overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """IoU of the boxes around two sets of (N, 2 or 3) landmarks."""
    return float(iou(box_around(a)[None], box_around(b)[None])[0, 0])


def within(landmarks: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(468,) bool, landmarks that lie in any of (N, 4) boxes."""
    if not len(boxes):
        return np.zeros(len(landmarks), bool)
    spots = landmarks[:, None, :2]
    held: NDArray[np.bool_] = ((spots > boxes[:, :2]) & (spots < boxes[:, 2:])).all(2).any(1)
    return held
