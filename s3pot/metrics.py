"""Figures for an occlusion mask against its truth, always inside the amodal face region.

Arrays in, numbers out: which picture they come from is known elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]

NAN = float("nan")

COVERED_SHARE = 0.01
"""A face counts as covered when the truth fills at least this share of its region."""


@dataclass(frozen=True, slots=True)
class FaceScore:
    """How well one mask of one face fits; areas in px of the arrays scored.

    Attributes:
        area: of the face's region.
        truth: of the region, truly covered.
        marked: of the region, said to be covered.
        hit: of the region, both.
        boundary_f: 0-1, see :func:`boundary_f`; nan where the face is not covered.
        visible_iou: 0-1, IoU of the face's visible part; nan where none is visible.
    """

    area: int
    truth: int
    marked: int
    hit: int
    boundary_f: float
    visible_iou: float

    @property
    def covered(self) -> float:
        """0-1, truly covered share of the face."""
        return self.truth / self.area

    @property
    def is_covered(self) -> bool:
        """Whether enough of the face is covered for an IoU to mean something."""
        return self.covered >= COVERED_SHARE

    @property
    def is_clean(self) -> bool:
        """Whether nothing at all is in front of the face."""
        return self.truth == 0

    @property
    def iou(self) -> float:
        """Occlusion IoU; nan where the face is not covered."""
        union = self.truth + self.marked - self.hit
        return self.hit / union if self.is_covered else NAN

    @property
    def precision(self) -> float:
        """Share of what is marked that is truly covered; nan where nothing is marked."""
        return self.hit / self.marked if self.marked else NAN

    @property
    def recall(self) -> float:
        """Share of what is covered that is marked; nan where the face is not covered."""
        return self.hit / self.truth if self.is_covered else NAN

    @property
    def false_alarm(self) -> float:
        """0-1 of the face, marked though nothing is there."""
        return (self.marked - self.hit) / self.area


def score(
    mask: Bool, truth: Bool, region: Bool, *, visible: Bool | None = None, tolerance_px: int = 2,
    rim_px: int = 0,
) -> FaceScore:  # fmt: skip
    """Score one face of one picture; every array is (H, W) bool.

    Args:
        mask: what is said to be covered.
        truth: what is.
        region: the amodal face area; nothing outside it counts.
        visible: the face's visible part, where somebody labelled it; else the region without truth.
        tolerance_px: of :func:`boundary_f`.
        rim_px: outlines so near to the region's edge do not count: it is the region that ends there,
            and a mask's own region may end a little elsewhere.

    Raises:
        ValueError: the shapes differ, or the region is empty.
    """
    shapes = [a.shape for a in (mask, truth, region) + (() if visible is None else (visible,))]
    if len(set(shapes)) > 1:
        raise ValueError(f"shapes differ: {', '.join(map(str, shapes))}")
    if not region.any():
        raise ValueError("the region is empty: there is no face to score")
    shown = region & (~truth if visible is None else visible)
    mask, truth = mask & region, truth & region
    left = region & ~mask
    union = int((shown | left).sum())
    figures = FaceScore(
        area=int(region.sum()), truth=int(truth.sum()), marked=int(mask.sum()),
        hit=int((mask & truth).sum()), boundary_f=NAN,
        visible_iou=int((shown & left).sum()) / union if shown.any() else NAN,
    )  # fmt: skip
    if not figures.is_covered:
        return figures
    inner = None if not rim_px else eroded(region, rim_px)
    edge = boundary_f(mask, truth, tolerance_px, inner)
    return FaceScore(
        figures.area, figures.truth, figures.marked, figures.hit, edge, figures.visible_iou
    )


def boundary_f(mask: Bool, truth: Bool, tolerance_px: int, where: Bool | None = None) -> float:
    """F-measure of the masks' outlines, matched within a tolerance (Perazzi et al. 2016, F).

    Of outlines that leave ``where`` only what is inside counts, and may be matched outside; nan where
    neither has any inside.
    """
    ours, theirs = _outline(mask), _outline(truth)
    inside = np.ones(mask.shape, bool) if where is None else where
    count, their_count = int((ours & inside).sum()), int((theirs & inside).sum())
    if not count or not their_count:
        return NAN if where is not None and count == their_count else float(count == their_count)
    side = 2 * tolerance_px + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    near_theirs = cv2.dilate(theirs.astype(np.uint8), kernel) > 0
    near_ours = cv2.dilate(ours.astype(np.uint8), kernel) > 0
    precision = (ours & inside & near_theirs).sum() / count
    recall = (theirs & inside & near_ours).sum() / their_count
    return float(2 * precision * recall / max(precision + recall, 1e-9))


def eroded(mask: Bool, by_px: int) -> Bool:
    """What is farther than so many px from the outside."""
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) > by_px)


def _outline(mask: Bool) -> Bool:
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return mask & ~inner


def lightness(image: NDArray[np.uint8], where: Bool) -> float:
    """Median CIELAB L* (0 black, 100 white) of an (H, W, 3) uint8 sRGB image where told; nan of none."""
    if not where.any():
        return NAN
    pixels = (image[where].astype(np.float32) / 255)[None]
    return float(np.median(cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)[..., 0]))


def micro_iou(scores: Sequence[FaceScore]) -> float:
    """IoU of the sums over covered faces: a large occluder weighs more; nan of none."""
    covered = [s for s in scores if s.is_covered]
    union = sum(s.truth + s.marked - s.hit for s in covered)
    return sum(s.hit for s in covered) / union if union else NAN


def micro_precision(scores: Sequence[FaceScore]) -> float:
    """Precision of the sums over covered faces; nan where nothing is marked."""
    covered = [s for s in scores if s.is_covered]
    marked = sum(s.marked for s in covered)
    return sum(s.hit for s in covered) / marked if marked else NAN


def micro_recall(scores: Sequence[FaceScore]) -> float:
    """Recall of the sums over covered faces; nan of none."""
    covered = [s for s in scores if s.is_covered]
    truth = sum(s.truth for s in covered)
    return sum(s.hit for s in covered) / truth if truth else NAN


def mean(values: Sequence[float]) -> float:
    """Mean of what could be measured: nan does not count; nan of nothing."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else NAN


def thirds(values: Sequence[float]) -> tuple[float, float]:
    """The two values that part those known into thirds (linear quantiles); nan of nothing."""
    known = [v for v in values if not np.isnan(v)]
    if not known:
        return NAN, NAN
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    return float(low), float(high)
