"""How far one face of one frame can be believed: may its mask decide what leaves?"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from s3pot.types import OcclusionMask
from stream.frame import FrameResult
from trackers.boxes import grow, iou
from trackers.faces import TrackedFace, TrackState

Box = NDArray[np.float32]

STEADY_FRAMES = 3
"""A face is sure from its third frame in a row in which nothing speaks against it."""

LEAST_SCORE, LEAST_CONFIDENCE = 0.5, 0.6
"""Of the mesh, and of the mask.  (Benchmark, seed 1: an uncovered face has 0.99 of both, the lowest
confidence of a face behind a hand or a phone is 0.73.)"""

MOST_COVERED = 0.85
"""Covered share of a face beyond which hardly anything says where it lies."""

MOST_CARRIED_FRAMES = 12
"""A mask that the network made longer ago is not fresh."""

SAME_PLACE_IOU, COASTING_IOU = 0.5, 0.8
"""Of a face's boxes in two frames that follow each other, below which its landmarks jumped; and if it
coasted in one of them: the mesh wakes a hidden face now and then with a sixth of it beside its place."""

SAME_FACE_IOU = 0.8
"""Of a face's box with the box about its mask's face, below which the mask is of another place or size.
(Both are of one mesh; in five real clips it is never below 0.985.)"""

MOST_LEFT = 8
"""Places from which a face jumped, that are remembered."""

FASTEST, MOST_FURTHER = 8.0, 0.4
"""Of its sides a second, a face is taken to move at most where nobody saw it go (who walks past a camera
goes nine of them); and how far at most from where it jumped."""

KNOWN_FRAMES = 12
"""Who was seen in so many is somebody, also if never surely."""

SCALES = 1e-3, 1e3
"""Px of the mask for a px of the frame, beyond which a transform is broken."""


class Certainty(StrEnum):
    """See the table in :mod:`stream.privacy.policy`."""

    SURE = "sure"
    HELD = "held"
    UNSURE = "unsure"
    LOST = "lost"


@dataclass(slots=True)
class Memory:
    """What is remembered of a face from frame to frame.

    Attributes:
        box_px: (4,) in the frame before.
        motion_px: (2,) by which its middle moved into it.
        steady: frames in a row, seen, in which nothing spoke against it.
        coasting: frames in a row in which it was not seen.
        ever_sure: it was sure once.
        seen: frames in which it was seen.
        left_px: (4,) each, from where it jumped since it was sure: it may be there still.
        left_seconds: since it jumped first.
    """

    box_px: Box
    motion_px: NDArray[np.float32] = field(default_factory=lambda: np.zeros(2, np.float32))
    steady: int = 0
    coasting: int = 0
    ever_sure: bool = False
    seen: int = 0
    left_px: deque[Box] = field(default_factory=lambda: deque(maxlen=MOST_LEFT))
    left_seconds: float = 0.0

    @property
    def places_px(self) -> list[Box]:
        """(4,) each, where it may be."""
        more = min(FASTEST * self.left_seconds, MOST_FURTHER)
        return [self.box_px, *(np.asarray(grow(box, more), np.float32) for box in self.left_px)]

    @property
    def is_somebody(self) -> bool:
        """Whether it is taken for a face that is there, and not for a mistake of the detector's."""
        return self.ever_sure or self.seen >= KNOWN_FRAMES

    def move(self, box_px: Box) -> None:
        """The face is at ``box_px`` in this frame."""
        step = (box_px[:2] + box_px[2:] - self.box_px[:2] - self.box_px[2:]) / 2
        self.box_px, self.motion_px = box_px, step.astype(np.float32)

    def judge(
        self, face: TrackedFace, mask: OcclusionMask, held_frames: int, step_seconds: float,
        *, damaged: bool = False,
    ) -> tuple[Certainty, str]:  # fmt: skip
        """How far the face can be believed, and what speaks against it (else empty); moves on.

        Args:
            face: with a finite box.
            mask: of it.
            held_frames: for which a face that was sure may coast.
            step_seconds: since the frame before.
            damaged: parts of the picture may be of another time.
        """
        seen = face.state is TrackState.SEEN
        least = SAME_PLACE_IOU if seen and not self.coasting else COASTING_IOU
        jumped = float(iou(face.box_px[None], self.box_px[None])[0, 0]) < least
        doubt = "jumped" if jumped else "damaged" if damaged else against(face, mask)
        self.left_seconds = self.left_seconds + step_seconds if self.left_px else 0.0
        if jumped:
            self.left_px.append(self.box_px)
        self.move(face.box_px)
        self.coasting = 0 if seen else self.coasting + 1
        self.seen += seen
        if face.adrift:
            self.steady = 0
            return Certainty.LOST, "adrift"
        if doubt:
            self.steady = 0
            return Certainty.UNSURE, doubt
        self.steady += seen
        if self.steady < STEADY_FRAMES:
            return Certainty.UNSURE, "settling"
        if self.coasting > held_frames:
            return Certainty.UNSURE, "coasting"
        self.ever_sure = True
        self.left_px.clear()
        return (Certainty.SURE if seen else Certainty.HELD), ""


def against(face: TrackedFace, mask: OcclusionMask) -> str:
    """What speaks against a face and its mask, in a word; empty if nothing does.

    Args:
        face: with a finite box.
        mask: of it.
    """
    seen = face.state is TrackState.SEEN
    doubts = {
        "mask broken": not is_whole(mask),
        "score": seen and not face.score >= LEAST_SCORE,
        "unsupported": not seen and not (face.support > 0 or mask.coverage > 0.3),
        "confidence": not mask.confidence >= LEAST_CONFIDENCE,
        "covered": not mask.coverage <= MOST_COVERED,
        "stale": mask.carried_frames > MOST_CARRIED_FRAMES,
    }
    found = next((doubt for doubt, is_so in doubts.items() if is_so), "")
    return found or ("" if is_on(mask, face.box_px) else "mask elsewhere")


def is_whole(mask: OcclusionMask) -> bool:
    """Whether a mask is finite, in range, and all of its face lies within its square."""
    region, matrix = mask.region, mask.frame_to_face
    if mask.probability.shape != region.shape or not region.any():
        return False
    if not (np.isfinite(matrix).all() and np.isfinite(mask.probability).all()):
        return False
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    cut = region[0].any() or region[-1].any() or region[:, 0].any() or region[:, -1].any()
    in_range = mask.probability.min() >= 0 and mask.probability.max() <= 1
    return bool(in_range and SCALES[0] < scale < SCALES[1] and not cut)


def is_on(mask: OcclusionMask, box_px: Box) -> bool:
    """Whether a whole mask's face is where the tracker has it, and as large."""
    rows = np.flatnonzero(mask.region.any(1))
    left, right = mask.region[rows].argmax(1), mask.region[rows, ::-1].argmax(1)
    ends = np.concatenate([left, mask.region.shape[1] - 1 - right])  # of each row: farthest any way
    outline = np.stack([ends, np.tile(rows, 2)], 1)
    spots = np.linalg.solve(mask.frame_to_face[:, :2], (outline - mask.frame_to_face[:, 2]).T)
    about = np.concatenate([spots.min(1), spots.max(1)]).astype(np.float32)
    return bool(iou(about[None], box_px[None])[0, 0] >= SAME_FACE_IOU)


def broken(result: FrameResult) -> str:
    """What makes a result useless as a whole, in a word; empty if nothing does."""
    ids = [face.track_id for face in result.faces]
    if ids != [mask.track_id for mask in result.masks] or len(set(ids)) < len(ids):
        return "faces and masks differ"
    height, width = result.frame.image.shape[:2]
    return "" if all(in_range(face, max(height, width)) for face in result.faces) else "nan"


def in_range(face: TrackedFace, side_px: int) -> bool:
    """Whether a face has a box with an area, and landmarks, near a picture of so many px a side."""
    spots: Iterable[NDArray[np.float32]] = (face.box_px, face.landmarks[:, :2])
    near = all(np.isfinite(s).all() and np.abs(s - side_px / 2).max() < 4 * side_px for s in spots)
    return bool(near and (face.box_px[2:] > face.box_px[:2]).all())
