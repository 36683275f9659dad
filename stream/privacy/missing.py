"""Faces that ended: which of them blind the picture, and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream.privacy.certainty import Memory
from stream.privacy.cover import head_box
from trackers.boxes import iou, visible_share
from trackers.faces import TrackedFace

Box = NDArray[np.float32]
End = Literal["left", "replaced", "never sure", "lost"]

LEFT_SHARE = 0.75
"""A face is at the edge, on its way out, if less than this of its box lies in the picture."""

REPLACED_IOU = 0.35
"""Of a face's last box with another face's, from which that one has its place."""

LONGEST_STEP_SECONDS = 0.1
"""So much of the time between two frames counts as watched: a jump of the clock is no time."""


def how_it_ended(memory: Memory, others: Sequence[TrackedFace], size: tuple[int, ...]) -> End:
    """Why a face is no more.

    Args:
        memory: of the face, up to the frame before.
        others: the faces of this frame.
        size: height and width of the picture, px.
    """
    if not memory.left_px:  # else nobody knows where it was at last
        ahead = memory.box_px + np.tile(memory.motion_px, 2)
        if visible_share(ahead, *size[:2]) < LEFT_SHARE:
            return "left"
        if in_place_of(memory, others):
            return "replaced"
    return "lost" if memory.is_somebody else "never sure"


def in_place_of(memory: Memory, others: Sequence[TrackedFace]) -> list[int]:
    """Ids of those others that are where a face was last."""
    return [
        other.track_id for other in others
        if iou(memory.box_px[None], other.box_px[None])[0, 0] >= REPLACED_IOU
    ]  # fmt: skip


@dataclass(slots=True)
class Missing:
    """A face that ended.

    Attributes:
        boxes_px: (4,) each, its head where it may have been at last; stay covered.
        blinds: the whole picture is covered, for the face may be anywhere.
        watched_seconds: for so long the detector has looked since and not found it.
    """

    boxes_px: list[Box]
    blinds: bool
    watched_seconds: float = 0.0


class Absentees:
    """Not thread-safe.

    Args:
        wait_seconds: a face is given up after the detector has looked for so long.
    """

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._missing: dict[int, Missing] = {}

    @property
    def boxes_px(self) -> list[Box]:
        """(4,) each, px: to be covered."""
        return [box_px for one in self._missing.values() for box_px in one.boxes_px]

    @property
    def blinding(self) -> list[int]:
        """Those for whom the whole picture is to be covered."""
        return [track_id for track_id, one in self._missing.items() if one.blinds]

    def add(self, track_id: int, places_px: Sequence[Box], end: End) -> None:
        """A face ended that was at last in one of these places."""
        heads_px = [head_box(box_px) for box_px in places_px]
        self._missing[track_id] = Missing(heads_px, end == "lost")

    def watch(
        self, faces: Sequence[TrackedFace], born: Mapping[int, Box], step_seconds: float
    ) -> int:
        """Go one frame on.

        Args:
            faces: of this frame.
            born: (4,) boxes of those that were not in the frame before, by id.
            step_seconds: watched since the frame before; 0 where the detector did not look.

        Returns:
            How many were given up that blinded the picture until now.
        """
        for face in faces:
            self._missing.pop(face.track_id, None)
        for one in self._missing.values():
            one.watched_seconds += min(max(step_seconds, 0.0), LONGEST_STEP_SECONDS)
            for box_px in born.values():
                if all(meet(was_px, head_box(box_px)) for was_px in one.boxes_px):
                    one.blinds = False  # it has come back under another id
        over = [k for k, m in self._missing.items() if m.watched_seconds >= self._wait_seconds]
        return sum(self._missing.pop(track_id).blinds for track_id in over)

    def clear(self) -> None:
        """Nobody is missing."""
        self._missing.clear()


def meet(a: Box, b: Box) -> bool:
    """Whether two boxes overlap."""
    return bool((np.maximum(a[:2], b[:2]) < np.minimum(a[2:], b[2:])).all())
