"""Figures for an occlusion mask against its truth, always inside the amodal face region."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]

COVERED_SHARE = 0.01
"""A face counts as covered when the truth fills at least this share of its region."""


@dataclass(frozen=True, slots=True)
class FrameScore:
    """Attributes:
    iou: occlusion IoU; nan where the face is not covered.
    boundary_f: F of boundary pixels within 2 px; nan where the face is not covered.
    false_alarm: 0-1 of the region, marked though nothing is there.
    covered: 0-1 of the region, truly covered.
    """

    iou: float
    boundary_f: float
    false_alarm: float
    covered: float


def score(mask: Bool, truth: Bool, region: Bool, tolerance_px: int = 2) -> FrameScore:
    """Score one frame; all (H, W) bool.

    Raises:
        ValueError: the shapes differ, or the region is empty.
    """
    if not mask.shape == truth.shape == region.shape:
        raise ValueError(f"shapes differ: {mask.shape}, {truth.shape}, {region.shape}")
    area = int(region.sum())
    if area == 0:
        raise ValueError("the region is empty: there is no face to score")
    mask, truth = mask & region, truth & region
    covered = truth.sum() / area
    false_alarm = float((mask & ~truth).sum() / area)
    if covered < COVERED_SHARE:
        return FrameScore(float("nan"), float("nan"), false_alarm, float(covered))
    iou = float((mask & truth).sum() / (mask | truth).sum())
    return FrameScore(iou, boundary_f(mask, truth, tolerance_px), false_alarm, float(covered))


def boundary_f(mask: Bool, truth: Bool, tolerance_px: int) -> float:
    """F-measure of the masks' outlines, matched within a tolerance (Perazzi et al. 2016, F)."""
    ours, theirs = _outline(mask), _outline(truth)
    if not ours.any() or not theirs.any():
        return float(not ours.any() and not theirs.any())
    side = 2 * tolerance_px + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    precision = (ours & (cv2.dilate(theirs.astype(np.uint8), kernel) > 0)).sum() / ours.sum()
    recall = (theirs & (cv2.dilate(ours.astype(np.uint8), kernel) > 0)).sum() / theirs.sum()
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def _outline(mask: Bool) -> Bool:
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return mask & ~inner
