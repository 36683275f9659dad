"""Exact times of a stream's pictures: whole ticks, strictly rising, never a float."""

from __future__ import annotations

from fractions import Fraction

import av


class Clock:
    """Gives every picture its time.

    A picture without a timestamp comes one step after its predecessor; one that repeats an earlier
    timestamp comes at the next tick; a jump back of a second or more (joined recordings) moves all
    that follows.

    Attributes:
        time_base: seconds per tick.
        mended: how many pictures had no usable timestamp.
    """

    def __init__(self, stream: av.VideoStream) -> None:
        self.time_base = stream.time_base or Fraction(1, 90000)
        self.mended = 0
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self._step = max(1, round(1 / (rate * self.time_base)))
        self._offset = 0
        self._last: int | None = None

    def start(self, head: list[av.VideoFrame]) -> None:
        """Look at the first pictures: if the very first has no timestamp, count back to it."""
        if head[0].pts is None:
            after = head[1].pts if len(head) > 1 else None
            self._last = (self._step if after is None else after) - 2 * self._step

    def __call__(self, picture: av.VideoFrame) -> tuple[Fraction, Fraction | None]:
        """Time and, where the stream says, duration; in seconds."""
        self._last = self._ticks(picture.pts)
        duration = picture.duration * self.time_base if picture.duration > 0 else None
        return self._last * self.time_base, duration

    def _ticks(self, pts: int | None) -> int:
        if pts is not None and (self._last is None or pts + self._offset > self._last):
            return pts + self._offset
        self.mended += 1
        if pts is None or self._last is None:
            return (self._last or 0) + self._step
        if (self._last - pts - self._offset) * self.time_base < 1:
            return self._last + 1
        self._offset = self._last + self._step - pts
        return self._last + self._step
