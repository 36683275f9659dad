"""Faces that left, and whether one that comes is one of them. Nothing here outlives its tracker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trackers.texture import portrait
from trackers.track import Track

SAME_FACE_SSIM = 0.55
"""Likeness of a portrait to a remembered one from which they are of one face. On seven real clips of
as many persons 3 % of the pairs of strangers reached it, and 86 % of the pairs of one person."""

LEAST_VISIBLE = 0.4
"""Share of the face that must be in sight for its likeness to say anything."""


class Gallery:
    """Tracks that ended, the least recently seen forgotten first.

    Args:
        size: so many faces are kept.
    """

    def __init__(self, size: int = 16) -> None:
        self._size = size
        self._left: list[Track] = []

    def __len__(self) -> int:
        return len(self._left)

    def keep(self, track: Track) -> None:
        """Remember a face that left, if it was ever seen well enough to be known again."""
        if track.texture.known:
            self._left = [*self._left, track][-self._size :]

    def who(
        self, now: NDArray[np.uint8], landmarks: NDArray[np.float32], visible: NDArray[np.bool_]
    ) -> Track | None:
        """The face that is back; None where nobody here explains it.

        Args:
            now: (H, W) uint8 grey frame.
            landmarks: (468, 3) float32 px of a face that came up.
            visible: (468,) bool, landmarks that show it: not what lies off the picture or before it.
        """
        return most_alike(self._left, now, landmarks, visible)

    def release(self, track: Track) -> None:
        """Take a face out that is back."""
        self._left = [other for other in self._left if other is not track]

    def forget(self) -> None:
        """Everyone."""
        self._left.clear()


def most_alike(
    tracks: list[Track], now: NDArray[np.uint8], landmarks: NDArray[np.float32],
    visible: NDArray[np.bool_], least: float = SAME_FACE_SSIM,
) -> Track | None:  # fmt: skip
    """Of some faces the one that a portrait is of, the latest of equals; None if of nobody's.

    Args:
        tracks: that it may be.
        now: (H, W) uint8 grey frame.
        landmarks: (468, 3) float32 px.
        visible: (468,) bool.
        least: likeness, see :meth:`trackers.texture.Texture.likeness`.
    """
    if not tracks or visible.mean() < LEAST_VISIBLE:
        return None
    picture = portrait(now, landmarks)
    alike = [track.texture.likeness(picture, visible) for track in tracks]
    best = len(alike) - 1 - int(np.argmax(alike[::-1]))
    return tracks[best] if alike[best] >= least else None
