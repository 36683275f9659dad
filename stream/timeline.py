"""The one time of a live stream: it never goes back, whatever the source's clocks do."""

from __future__ import annotations

from fractions import Fraction

TIME_BASE = Fraction(1, 90000)
"""Seconds per tick of every live stream (RTP's clock for pictures)."""

ASTRAY_SECONDS = Fraction(1)
"""Stamps that jump forward, or fall behind the clock on the wall, by more than this are no longer
followed."""

APART_SECONDS = Fraction(3)
"""Sound that is further from the pictures that come with it has another clock."""

FEW = 10
"""A picture of so many may lack a time stamp by accident; of a stream in which more do, all may."""


class Timeline:
    """Lays time stamps onto the time since the stream began.

    Within a connection pictures keep the distances that their time stamps say.  A new connection, a
    jump, a wrap or a pause that the stamps do not know begins at the time on the wall; a stamp that
    is missing, or not later than the one before, is put right behind it.  Pictures that come sooner
    than their stamps say were waiting somewhere: then the stream began earlier than its first
    picture came.

    Attributes:
        mended: how many stamps could not be followed, by what was wrong with them.
    """

    def __init__(self) -> None:
        self.mended = {"missing": 0, "not rising": 0, "astray": 0}
        self._began: float | None = None
        self._last: Fraction | None = None
        self._offset: Fraction | None = None

    def interrupt(self) -> None:
        """What comes next has clocks of its own."""
        self._offset = None

    def place(self, stamp: Fraction) -> Fraction | None:
        """Time of what belongs to the pictures, as sound.

        None before the first picture is placed, and of what is far from the pictures: when their
        clock jumps, that of the sound has not yet, or has before.
        """
        if self._offset is None or self._last is None:
            return None
        time = whole(stamp + self._offset)
        return time if abs(time - self._last) <= APART_SECONDS else None

    def __call__(self, stamp: Fraction | None, now_seconds: float) -> Fraction:
        """Time of a picture in seconds, a whole number of ticks, later than all before it.

        Args:
            stamp: what the source says, in seconds; None if nothing.
            now_seconds: a clock that only rises.
        """
        if self._began is None:
            self._began = now_seconds
        wall = whole(Fraction(now_seconds - self._began))
        if stamp is None:
            self.mended["missing"] += 1
            return self._after(wall)
        if self._offset is not None and self._is_astray(stamp + self._offset, wall):
            self.mended["astray"] += 1
            self._offset = None
        if self._offset is None:  # not before what was shown: all that follow would be squeezed
            began = wall if self._last is None else max(wall, self._last + TIME_BASE)
            self._offset = began - stamp
        self._began -= max(0.0, float(stamp + self._offset - wall))
        return self._after(whole(stamp + self._offset))

    def _is_astray(self, time: Fraction, wall: Fraction) -> bool:
        last = wall if self._last is None else self._last
        ahead = time - max(wall, last)
        return ahead > ASTRAY_SECONDS or wall - time > ASTRAY_SECONDS

    def _after(self, time: Fraction) -> Fraction:
        if self._last is not None and time <= self._last:
            self.mended["not rising"] += 1
            time = self._last + TIME_BASE
        self._last = time
        return time


class Strays:
    """Tells pictures that a decoder made up where some were lost: of old ones, out of order.

    They have no time stamp although the stream's pictures do.  One for each connection.
    """

    def __init__(self) -> None:
        self._with = self._without = 0

    def __call__(self, stamp: object) -> bool:
        """Whether the picture with this stamp is one; None: it has none."""
        if stamp is not None:
            self._with += 1
            return False
        self._without += 1
        return self._with > FEW * self._without


def whole(seconds: Fraction) -> Fraction:
    """The nearest whole number of ticks."""
    return round(seconds / TIME_BASE) * TIME_BASE
