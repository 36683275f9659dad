"""After a cut, or a leap of the picture: when to search, and what was there before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trackers.faces import FaceDetection
from trackers.flow import leapt, shift
from trackers.shape import at_detection

NEW_SHARE = 0.5
"""Of the picture of a half hidden face that is found after a leap, what was not there before it."""

FIRST_FRAMES, EVERY = 4, 2
"""Frames after a cut in which faces are searched for whether one is missing or not; and how often
as long as one is."""


class Aftermath:
    """Not thread-safe: one per tracker."""

    def __init__(self) -> None:
        self._before: NDArray[np.uint8] | None = None
        self._first = self._since = 0

    def begin(self, before: NDArray[np.uint8] | None) -> None:
        """The picture was cut in this frame.

        Args:
            before: (H, W) uint8 grey frame before it, if the room is the same; None: all is new.
        """
        self._before, self._first = before, FIRST_FRAMES

    def due(self, *, missing: bool) -> bool:
        """Whether to search in this frame; call once per frame.

        Args:
            missing: a face is not where it was, or stands where only the detector saw it.
        """
        self._since += 1
        fresh, self._first = self._first > 0, max(self._first - 1, 0)
        search = fresh or (missing and self._since >= EVERY)
        if search:
            self._since = 0
        return search

    def is_new(self, now: NDArray[np.uint8], detection: FaceDetection) -> bool:
        """Whether a face is detected where the (H, W) grey picture is another one than before: what
        looks a little like a face on a wall was there all along.
        """
        if self._before is None or self._before.shape != now.shape:
            return True
        return leapt(self._before, now, at_detection(detection), shift(0, 0)) > NEW_SHARE
