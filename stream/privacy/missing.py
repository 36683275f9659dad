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
    ahead = memory.box_px + np.tile(memory.motion_px, 2)
    if visible_share(ahead, *size[:2]) < LEFT_SHARE:
        return "left"
    if others:
        boxes = np.stack([face.box_px for face in others])
        if iou(memory.box_px[None], boxes).max() >= REPLACED_IOU:
            return "replaced"
    return "lost" if memory.ever_sure else "never sure"


@dataclass(slots=True)
class Missing:
    """A face that ended.

    Attributes:
        box_px: (4,) its head when it was last there; stays covered.
        blinds: the whole picture is covered, for the face may be anywhere.
        watched_seconds: for so long the detector has looked since and not found it.
    """

    box_px: Box
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
        return [one.box_px for one in self._missing.values()]

    @property
    def blinding(self) -> list[int]:
        """Those for whom the whole picture is to be covered."""
        return [track_id for track_id, one in self._missing.items() if one.blinds]

    def add(self, track_id: int, box_px: Box, end: End) -> None:
        """A face ended; ``box_px`` is its last one."""
        self._missing[track_id] = Missing(head_box(box_px), end == "lost")

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
            if any(meet(one.box_px, head_box(box_px)) for box_px in born.values()):
                one.blinds = False  # it has come back under another id
        over = [k for k, m in self._missing.items() if m.watched_seconds >= self._wait_seconds]
        return sum(self._missing.pop(track_id).blinds for track_id in over)

    def clear(self) -> None:
        """Nobody is missing."""
        self._missing.clear()


def meet(a: Box, b: Box) -> bool:
    """Whether two boxes overlap."""
    return bool((np.maximum(a[:2], b[:2]) < np.minimum(a[2:], b[2:])).all())
