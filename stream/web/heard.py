"""What there is to hear of a stream, and how long after its pictures were taken all of it is there."""

from __future__ import annotations

import time
from collections import deque
from fractions import Fraction
from statistics import median

import numpy as np

from stream.frame import FrameResult
from stream.sound import RATE_HZ, SLACK_SECONDS, Samples

KEPT_SECONDS = 2.0
"""Of sound."""

LATELY_SECONDS = 5.0
"""A stream that brought sound since then has sound."""

LAG_SECONDS = 5.0
"""The lag is that of so long; what came later than most by ``HICCUP_SECONDS`` is not waited for."""

HICCUP_SECONDS = 0.3

LONG_SECONDS = 0.4
"""Sound that lies further behind its picture than this was kept up on the way, and is left out."""

JUMP_SECONDS = 2.0
"""Where the lag changes by more, another timeline has begun."""

Piece = tuple[int, Samples]
"""Number of the first sample on the stream's timeline, and (2, N) samples."""


class Heard:
    """The sound of the last moments. One thread writes; any may read.

    Sound comes along with pictures, some of it before and some after it is due.  Who plays what was to
    be heard at ``time`` at ``time + lag_seconds`` of ``time.monotonic()`` finds all of it here, and in
    step with pictures that are shown by the same rule.

    Attributes:
        lag_seconds: see above.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Another stream begins."""
        self.lag_seconds = 0.0
        self._came = 0.0
        self._lags: deque[tuple[float, float]] = (
            deque()
        )  # when it was measured, and how long it was
        self._pieces: tuple[Piece, ...] = ()

    @property
    def lately(self) -> bool:
        """Whether the stream has sound."""
        return time.monotonic() - self._came < LATELY_SECONDS

    def add(self, result: FrameResult, now: float) -> bool:
        """Keep the sound of a result that is shown ``now``.

        Returns:
            Whether it belongs to what came before it.
        """
        frame = result.frame
        oldest = frame.time - Fraction(LONG_SECONDS)
        pieces = [piece for piece in frame.sound if piece.time >= oldest]
        goes_on = self._measure(now - float(min([frame.time, *(p.time for p in pieces)])), now)
        kept = self._pieces if goes_on else ()
        first = round((float(frame.time) - KEPT_SECONDS) * RATE_HZ)
        kept = tuple(piece for piece in kept if piece[0] >= first)
        for piece in pieces:
            self._came = now
            start = round(piece.time * RATE_HZ)
            end = kept[-1][0] + kept[-1][1].shape[1] if kept else start
            at = end if abs(start - end) <= SLACK_SECONDS * RATE_HZ else start
            kept = (*kept, (at, piece.samples))
        self._pieces = kept
        return goes_on

    def _measure(self, lag_seconds: float, now: float) -> bool:
        """Take one lag into account; False where the timeline is another one."""
        lags = self._lags
        goes_on = not lags or abs(lag_seconds - lags[-1][1]) < JUMP_SECONDS
        if not goes_on:
            lags.clear()
        lags.append((now, lag_seconds))
        while lags[0][0] < now - LAG_SECONDS:
            lags.popleft()
        known = [lag for _, lag in lags]
        self.lag_seconds = min(max(known), median(known) + HICCUP_SECONDS)
        return goes_on

    def samples(self, first: int, count: int) -> Samples:
        """(2, count) float32 from a sample on; silence where nothing is known. From any thread."""
        heard = np.zeros((2, count), np.float32)
        for start, samples in self._pieces:
            low, high = max(start, first), min(start + samples.shape[1], first + count)
            if low < high:
                heard[:, low - first : high - first] = samples[:, low - start : high - start]
        return heard
