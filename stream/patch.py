"""One face's box of a picture, and the soft weights that say what is what in it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.types import OcclusionMask

Image = NDArray[np.uint8]
Weight = NDArray[np.float32]

EDGE_LOW, EDGE_HIGH = 0.25, 0.75
"""Probabilities at which the occluder's soft edge begins and ends."""


@dataclass(frozen=True, slots=True)
class Patch:
    """One face's box of the picture.

    Attributes:
        picture: (h, w, 3) uint8, what the box shows so far; not to be written.
        occluder: (h, w) float32 0-1, how much of the pixel is something in front of the face.
        face: (h, w) float32 0-1, how much lies on the face, seen or covered.
        mask: the mask itself.
        box_px: x0 y0 x1 y1 of the box in the frame.
    """

    picture: Image
    occluder: Weight
    face: Weight
    mask: OcclusionMask
    box_px: tuple[int, int, int, int]

    @property
    def visible(self) -> Weight:
        """(h, w) float32 0-1, how much of the pixel is face that shows."""
        return np.minimum(self.face, 1 - self.occluder)

    @property
    def face_px(self) -> float:
        """See :func:`face_px`."""
        return face_px(self.mask)


def face_px(mask: OcclusionMask) -> float:
    """Longer side of the whole face in px of the frame, also where the frame cuts it."""
    rows, columns = mask.region.any(1), mask.region.any(0)
    side = max(np.ptp(np.flatnonzero(rows)), np.ptp(np.flatnonzero(columns))) + 1
    return float(side) / shrink(mask)


def look(image: Image, mask: OcclusionMask, feather: float) -> Patch | None:
    """The patch of one mask in a picture, or None where its box lies outside.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: what covers the face.
        feather: width of the face's soft border over the side of face space.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box = mask.box_px(height, width)
    if x1 <= x0 or y1 <= y0:
        return None
    scale = shrink(mask)
    # A face smaller than face space is sampled sparsely, a larger one magnifies each px of the
    # mask: both make a staircase of a sharp edge unless it is blurred a little first.
    spread = 0.5 * scale if scale > 1.2 else 0.6 if scale < 0.8 else 0.0
    occluder = mask.in_box(soften(mask.probability, spread), box)
    sigma = max(feather * mask.region.shape[0], 0.7 * scale)
    return Patch(
        picture=image[y0:y1, x0:x1],
        occluder=smoothstep(occluder, EDGE_LOW, EDGE_HIGH),
        face=smoothstep(border(mask, box, sigma), 0.5, 0.95),
        mask=mask,
        box_px=box,
    )


def shrink(mask: OcclusionMask) -> float:
    """How many px of face space one px of the frame is wide."""
    return float(np.hypot(mask.frame_to_face[0, 0], mask.frame_to_face[1, 0]))


def border(mask: OcclusionMask, box_px: tuple[int, int, int, int], sigma: float) -> Weight:
    """(h, w): the region blurred by ``sigma`` px of face space; one half on its border."""
    return mask.in_box(soften(mask.region.astype(np.float32), sigma), box_px)


def soften(field: Weight, sigma: float) -> Weight:
    """Gaussian blur; a sigma of nothing changes nothing."""
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32) if sigma > 0.1 else field


def smoothstep(values: Weight, low: float, high: float) -> Weight:
    """0 up to ``low``, 1 from ``high`` on (or the other way round where high is below low)."""
    t = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return t * t * (3 - 2 * t)


def blend(below: Image, above: Image, weight: Weight) -> Image:
    """``above`` where ``weight`` is 1, ``below`` where it is 0, both to the bit; mixed between."""
    return np.asarray(cv2.blendLinear(above, below, weight, 1 - weight), np.uint8)
