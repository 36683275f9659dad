"""The types that say what covers a face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

KINDS = ("face", "hand", "mask", "sunglasses", "glasses", "hair", "hat", "other")
"""What a pixel of a face can be covered by; "face" is bare. The order is the network's."""

PART_OF_FACE = ("glasses", "hair", "hat")
"""Kinds that the evidence was taught to take for face; a label policy can have it otherwise."""


RIM = 1 / 16
"""Of the crop's side: so far a mask reaches beyond the face's outline.  Landmarks behind a cover are
off by as much, and an occluder that crosses the outline must not be cut off where that is believed
to be.  (Measured: J .787 without it, .857 with it, .859 with a third more; docs/video.md.)"""


def reach(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(M, M) bool: where a mask may say something, the amodal face and a rim of RIM about it."""
    away = cv2.distanceTransform((~region).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray((away <= RIM * len(region)) & region.any())


@dataclass(frozen=True, slots=True)
class Reference:
    """The same face without the occluder, in the pose of the current crop (RF).

    Attributes:
        image: (S, S, 3) uint8 RGB; 0 where nothing is known.
        known: (S, S) float32: 0 unknown, the bank's `generated_trust` where invented, up to 1 seen clean.
    """

    image: NDArray[np.uint8]
    known: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Structure:
    """Where which part of a face lies in its crop: the structural guidance of RF.

    Maps are as ``cv2.remap`` takes them: for each pixel of the *target*, x y of the *source*; -1
    where there is none. The atlas is the face unrolled onto the mean mesh.

    Attributes:
        labels: (S, S) uint8, the paper's 12 classes, see :mod:`s3pot.labels`; amodal: an occluder is
            labelled as what it hides.
        unroll: (S, S, 2) float32, for each pixel of the atlas x y of the crop.
        roll: (S, S, 2) float32, for each pixel of the crop x y of the atlas.
    """

    labels: NDArray[np.uint8]
    unroll: NDArray[np.float32]
    roll: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Prompts:
    """What SAM's decoder is asked (PS).

    **The meaning of a label is stated here and nowhere else: 1 = occluder, 0 = face, 2 and 3 = the
    occluder's box (top-left, bottom-right corner), -1 = padding.**  (The paper's polarity; the
    authors' code has it the other way round.)

    Attributes:
        points: (N, 2) float32, x y in px of the crop.
        labels: (N,) int64, as above.
        logits: (L, L) float32, the dense mask prompt; positive = occluder.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    logits: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class OcclusionMask:
    """What covers one face in one frame; kept in face space with its transform.

    Attributes:
        track_id: the face it belongs to.
        probability: (M, M) float32 0-1, that something is in front of the face; 0 beyond :func:`reach`.
        region: (M, M) bool, the amodal face area.
        frame_to_face: (2, 3) float64 similarity, frame px -> mask px, pixel centres at integers.
        coverage: 0-1, covered share of the face area that lies in the frame.
        confidence: 0-1, mean distance of the probability from one half, doubled, over the same.
        reference: what the face looks like without the occluder, where known; None if nothing is.
        carried_frames: for so many frames it was carried along with the picture; 0: inferred here.
    """

    track_id: int
    probability: NDArray[np.float32]
    region: NDArray[np.bool_]
    frame_to_face: NDArray[np.float64]
    coverage: float
    confidence: float
    reference: Reference | None = None
    carried_frames: int = 0

    def box_px(self, height: int, width: int) -> tuple[int, int, int, int]:
        """x0 y0 x1 y1 (exclusive) in px of the frame: all that the mask can touch; may be empty."""
        inverse = cv2.invertAffineTransform(self.frame_to_face)
        rows, columns = np.nonzero(self.region)
        if rows.size == 0:
            return 0, 0, 0, 0
        beyond = 1 + int(RIM * len(self.region))
        xs = columns.min() - beyond, columns.max() + beyond
        ys = rows.min() - beyond, rows.max() + beyond
        corners = np.array([[x, y] for x in xs for y in ys], np.float64)
        spots = corners @ inverse[:, :2].T + inverse[:, 2]
        low, high = np.floor(spots.min(0)), np.ceil(spots.max(0)) + 1
        x0, y0 = np.clip(low, 0, (width, height)).astype(int)
        x1, y1 = np.clip(high, 0, (width, height)).astype(int)
        return int(x0), int(y0), int(x1), int(y1)

    def in_box(
        self, field: NDArray[np.float32], box_px: tuple[int, int, int, int]
    ) -> NDArray[np.float32]:
        """Bring a face-space field to a box of the frame.

        Args:
            field: (M, M) or (M, M, C) float32 or uint8 in face space.
            box_px: x0 y0 x1 y1 in px of the frame, not empty.

        Returns:
            (y1 - y0, x1 - x0[, C]) of the same dtype; bilinear, 0 outside the crop.
        """
        x0, y0, x1, y1 = box_px
        to_face = self.frame_to_face.copy()
        to_face[:, 2] += to_face[:, :2] @ np.array([x0, y0], np.float64)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(field, to_face, (x1 - x0, y1 - y0), flags=flags)

    def to_frame(self, height: int, width: int) -> NDArray[np.float32]:
        """(height, width) float32 0-1: the probability at the frame's size, 0 beyond :func:`reach`."""
        canvas = np.zeros((height, width), np.float32)
        x0, y0, x1, y1 = box = self.box_px(height, width)
        if x1 > x0 and y1 > y0:
            canvas[y0:y1, x0:x1] = self.in_box(self.probability, box)
        return canvas
