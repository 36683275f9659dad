"""Pictures that are to leave, while they are held back."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from stream.effects import StandIn
from stream.frame import FrameResult
from stream.privacy.audit import Audit
from stream.privacy.certainty import FASTEST
from stream.privacy.cover import BLANK, head_box, paint_box

Box = NDArray[np.float32]

LEAK_FRAMES = 5
"""A face is taken to have been in the picture for so many frames before it was found."""


@dataclass(slots=True, eq=False)
class Leaving:
    """A picture that is to leave.

    Attributes:
        result: what leaves: the picture covered, no reference of any face.
        boxes_px: (4,) each, covered in it.
        whole: all of it is covered.
        leaked: it is counted as one in which an uncovered face could have leaked.
    """

    result: FrameResult
    boxes_px: list[Box] = field(default_factory=list)
    whole: bool = False
    leaked: bool = False

    def covers(self, box_px: Box) -> bool:
        """Whether nothing of a box can be seen."""
        height, width = self.result.frame.image.shape[:2]
        inside = np.clip(box_px, 0, np.tile((width, height), 2))
        return self.whole or any(
            bool((held[:2] <= inside[:2]).all() and (held[2:] >= inside[2:]).all())
            for held in self.boxes_px
        )


class Queue:
    """Holds pictures back, so that a face which is found late can be covered in them. Not thread-safe.

    Args:
        delay_frames: that are held back.
        stand_in: what is shown in place of what is covered.
        audit: is told of what was covered late, and of what had left by then.
    """

    def __init__(self, delay_frames: int, stand_in: StandIn, audit: Audit) -> None:
        self._delay_frames, self._stand_in, self._audit = delay_frames, stand_in, audit
        self._held: deque[Leaving] = deque()
        self._recent: deque[Leaving] = deque(maxlen=max(LEAK_FRAMES, delay_frames))

    def push(self, leaving: Leaving, *, again: bool) -> list[FrameResult]:
        """One picture in; those that were held long enough out.

        Args:
            leaving: to be held.
            again: it is none of the source, or one that came before.
        """
        if not again:
            self._recent.append(leaving)
        self._held.append(leaving)
        return self._let_go(self._delay_frames)

    def flush(self) -> list[FrameResult]:
        """All that are held."""
        return self._let_go(0)

    def blank(self) -> None:
        """Hide all of all that are held."""
        for leaving in self._held:
            leaving.result.frame.image[:] = BLANK
            self._audit.covered_late += not leaving.whole
            leaving.whole = True
            if leaving.result.verdict is not None and not leaving.result.verdict.covered:
                told = replace(leaving.result.verdict, covered="policy raised")
                leaving.result = replace(leaving.result, verdict=told)

    def forget(self) -> None:
        """In none of these a face was that is found from now on."""
        self._recent.clear()

    def cover_late(self, time: Fraction, new_px: Sequence[Box]) -> None:
        """Cover faces where they were, in what is still held; count what has left.

        Args:
            time: of the frame in which they were found.
            new_px: (4,) each, where.
        """
        for box_px in new_px:
            for back, leaving in enumerate(reversed(self._recent), 1):
                if leaving in self._held and not leaving.whole:
                    before = leaving.result.frame
                    place = head_box(box_px, FASTEST * max(float(time - before.time), 0.0))
                    paint_box(before.image, place, self._stand_in)
                    leaving.boxes_px.append(place)
                    self._audit.covered_late += 1
                if back <= LEAK_FRAMES and not leaving.leaked and not leaving.covers(box_px):
                    leaving.leaked = True
                    self._audit.possible_leaks += 1

    def _let_go(self, keep: int) -> list[FrameResult]:
        count = max(len(self._held) - keep, 0)
        return [self._held.popleft().result for _ in range(count)]
