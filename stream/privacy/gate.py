"""Says whether a picture as a whole may leave: after a failure only once two good frames agree."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stream.privacy.certainty import SAME_PLACE_IOU
from trackers.boxes import iou

Box = NDArray[np.float32]

LOOKS = 2
"""Good frames in which the detector looked, with only good ones between, that must agree."""


class Gate:
    """Closed at first. Not thread-safe.

    Attributes:
        cause: why it is closed, in a word; empty while it is open.
    """

    def __init__(self) -> None:
        self.cause = "start"
        self._before: Mapping[int, Box] | None = None
        self._looks = 0

    def close(self, cause: str) -> None:
        """Something failed; what was seen before counts for nothing."""
        self.cause, self._before, self._looks = cause, None, 0

    def see(self, places: Mapping[int, Box], *, looked: bool, may_open: bool) -> None:
        """A good frame.

        Args:
            places: (4,) boxes of its faces, px, by id.
            looked: whether the detector ran on it.
            may_open: whether nothing else keeps the picture covered.
        """
        if not (self._before is not None and agree(self._before, places)):
            self._looks = 0
        self._looks += looked
        self._before = places
        if may_open and self._looks >= LOOKS:
            self.cause = ""


def agree(before: Mapping[int, Box], now: Mapping[int, Box]) -> bool:
    """Whether two frames that follow each other show the same faces in the same places."""
    if before.keys() != now.keys():
        return False
    pairs = (iou(before[who][None], box[None])[0, 0] for who, box in now.items())
    return all(float(overlap) >= SAME_PLACE_IOU for overlap in pairs)
