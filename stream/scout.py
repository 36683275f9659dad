"""Says when the detector may rest: while nothing changes beside the faces that are followed."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.router import Compute
from trackers import TrackedFace
from trackers.boxes import grow
from trackers.faces import TrackState

Image = NDArray[np.uint8]

CELLS = 40
"""Along the longer side of the picture; the whole of a face that a detector finds fills one."""

SAMPLES = 8
"""Of a cell, a side: a mean of more would cost more than it is worth."""

CHANGED_LEVELS = 8
"""Grey levels, 0-255, of a cell's mean: noise and codecs stay below."""

AROUND = 0.5
"""Of a face's box at each side: its hair, neck and shoulders move with it."""

LONGEST_REST_FRAMES = {"full": 0, "auto": 20, "saver": 20}


class Scout:
    """Remembers the picture in which the detector looked last. Not thread-safe.

    Args:
        compute: see :class:`stream.router.Router`; with "full" the detector never rests.
    """

    def __init__(self, compute: Compute = "full") -> None:
        self._longest = LONGEST_REST_FRAMES[compute]
        self._seen: Image | None = None
        self._rested = 0

    def wants_detections(self, image: Image, faces: Sequence[TrackedFace], *, asked: bool) -> bool:
        """Whether the detector should look at a frame.

        Args:
            image: (H, W, 3) uint8 RGB.
            faces: of the frame before.
            asked: whether the tracker wants it to.
        """
        self._rested += 1
        if not asked or (self._longest and self._may_rest(image, faces)):
            return False
        self._rested = 0
        self._seen = cells(image) if self._longest else None
        return True

    def _may_rest(self, image: Image, faces: Sequence[TrackedFace]) -> bool:
        if self._seen is None or self._rested > self._longest:
            return False
        if not faces or any(face.state is not TrackState.SEEN for face in faces):
            return False
        now = cells(image)
        if now.shape != self._seen.shape:
            return False
        changed = cv2.absdiff(now, self._seen) > CHANGED_LEVELS
        step, side = cell_px(image)
        for x0, y0, x1, y1 in grow(np.stack([face.box_px for face in faces]), AROUND) / (
            step * side
        ):
            changed[max(0, int(y0)) : int(np.ceil(y1)), max(0, int(x0)) : int(np.ceil(x1))] = False
        return not changed.any()

    def reset(self) -> None:
        """Forget the picture."""
        self._seen = None
        self._rested = 0


def cells(image: Image) -> Image:
    """(H, W, 3) uint8 RGB as at most CELLS x CELLS grey means; what is left at the right and at the
    bottom, less than a cell, is left out.
    """
    step, side = cell_px(image)
    part = image[::step, ::step]
    height, width = (max(1, length // side) for length in part.shape[:2])
    # Whole px to a cell: else OpenCV takes thrice as long.
    part = np.ascontiguousarray(part[: height * side, : width * side])
    small = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def cell_px(image: Image) -> tuple[int, int]:
    """Of how many px of an (H, W, 3) picture, a side, one is looked at; and the side of a cell in those."""
    longest = max(image.shape[:2])
    step = max(1, longest // (CELLS * SAMPLES))
    return step, -(-longest // (step * CELLS))
