"""Hides faces, or what is in front of them, so that nothing of them is left.

Other than an effect's, these weights are whole wherever there may be anything to hide: what is soft
of an edge lies in what is kept.  Everything is painted over what was painted before, so that no later
cover uncovers an earlier one.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.types import OcclusionMask, reach
from stream.effects import StandIn
from stream.patch import Image, Weight, blend, face_px
from trackers.boxes import grow

Hide = Literal["face", "occluder", "both", "neither"]
"""The face and not what is in front of it; the other way round; all of the head; nothing."""

Box = NDArray[np.float32]

SURE_OCCLUDER, SURE_FACE = 0.8, 0.2
"""Probability of an occluder from which a pixel is surely one, and below which surely face."""

MARGIN = 0.015
"""Over the length of a face: masks are wrong along their edge, and show so much of what is beyond
(on the benchmark about 1 % of a face); so what is kept ends so far within what is sure."""

SOFT = 0.01
"""Over the length of a face, how soon what is kept is all there."""

HEAD = 0.3
"""Of the sides of a face's box, added at each: 1.6 times the box holds the head, hair and ears."""

BLANK = 40
"""Grey level of a picture that is hidden as a whole: nothing of it is left to be undone."""


def blank(image: Image) -> Image:
    """A picture of the same size that shows nothing."""
    return np.full_like(image, BLANK)


def head_box(box_px: Box, more: float = 0.0) -> Box:
    """(4,) float32 px: a face's box grown to its head, and by ``more`` of its sides beyond."""
    return np.asarray(grow(box_px, HEAD + more), np.float32)


def within(box_px: Box, height: int, width: int) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 (exclusive) in whole px of the picture, rounded outward; may be empty."""
    x0, y0 = np.floor(np.clip(box_px[:2], 0, (width, height))).astype(int)
    x1, y1 = np.ceil(np.clip(box_px[2:], 0, (width, height))).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def paint_box(canvas: Image, box_px: Box, stand_in: StandIn) -> None:
    """Hide all of a box of the (H, W, 3) picture, in place."""
    x0, y0, x1, y1 = within(box_px, *canvas.shape[:2])
    if x1 > x0 and y1 > y0:
        part = canvas[y0:y1, x0:x1]
        length_px = float(np.max(box_px[2:] - box_px[:2])) / (1 + 2 * HEAD)
        canvas[y0:y1, x0:x1] = stand_in(part, np.ones(part.shape[:2], np.uint8), length_px)


def paint_mask(canvas: Image, mask: OcclusionMask, hide: Hide, stand_in: StandIn) -> None:
    """Hide what ``hide`` says, "face" or "occluder", of one face in the (H, W, 3) picture, in place."""
    x0, y0, x1, y1 = box_px = mask.box_px(*canvas.shape[:2])
    if x1 > x0 and y1 > y0:
        hidden = hidden_weight(mask, box_px, hide)
        source = (hidden == 1).astype(np.uint8)
        picture = canvas[y0:y1, x0:x1]
        instead = stand_in(picture, inner(source, margin_px(mask)), face_px(mask))
        canvas[y0:y1, x0:x1] = blend(picture, instead, hidden)


def hidden_weight(mask: OcclusionMask, box_px: tuple[int, int, int, int], hide: Hide) -> Weight:
    """(h, w) float32 0-1, how much of each pixel of a box is hidden.

    Args:
        mask: of a face.
        box_px: x0 y0 x1 y1 of the box in the frame, not empty.
        hide: "face": all that the mask reaches, but what is surely an occluder and ``MARGIN`` within
            it; "occluder": what may be one, and ``MARGIN`` about it.
    """
    touched = mask.in_box(reach(mask.region).astype(np.float32), box_px)
    here = np.minimum(2 * touched, 1)  # whole as far as the mask reaches, soft beyond
    probability = mask.in_box(mask.probability, box_px) / np.maximum(touched, np.float32(0.5))
    margin, soft = margin_px(mask), max(SOFT * face_px(mask), 1.0)
    if hide == "face":
        # What goes on beyond the mask's reach has no edge there.
        inward_px = away((probability > SURE_OCCLUDER) | (touched < 0.5))
        kept = np.clip((inward_px - margin) / soft, 0, 1)
        return np.asarray(here * (1 - kept), np.float32)
    outward_px = away(probability < SURE_FACE)
    return np.asarray(here * np.clip(1 - (outward_px - margin) / soft, 0, 1), np.float32)


def away(area: NDArray[np.bool_]) -> Weight:
    """(h, w) float32: of each pixel of an area, how far it is in px to one that is not; beyond it 0."""
    if area.all():
        return np.full(area.shape, np.inf, np.float32)
    return np.asarray(cv2.distanceTransform(area.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def margin_px(mask: OcclusionMask) -> float:
    """``MARGIN`` in px of the frame; of a small face a pixel."""
    return max(MARGIN * face_px(mask), 1.0)


def inner(area: NDArray[np.uint8], margin: float) -> NDArray[np.uint8]:
    """What of an area of 0 and 1 lies so many px within, if anything does: colour is taken there."""
    deep = (away(area > 0) > margin).astype(np.uint8)
    return deep if deep.any() else area if area.any() else np.ones_like(area)
