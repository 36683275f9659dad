"""Steadies a face's mask over time: logits in face space, with a gain that follows the change.

Small changes are noise and are mixed with the past; large ones are an occluder that moves, and pass
at once (the one-euro filter's idea, Casiez et al. 2012, on a field of logits).  A mask comes faster
than it goes: for compositing a late release is better than a late onset.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

LIMIT = 6.0
"""Logits are clipped here: a long-sure pixel must not need many frames to change its mind."""


class LogitSmoother:
    """One memory per track. Not thread-safe.

    Args:
        attack: 0-1, gain of a small rise; 1 follows at once.
        release: 0-1, gain of a small fall.
        jump: a change of this many logits passes whole.
    """

    def __init__(self, attack: float = 0.6, release: float = 0.35, jump: float = 6.0) -> None:
        self._attack, self._release, self._jump = attack, release, jump
        self._last: dict[int, Field] = {}

    def smooth(self, track_id: int, logits: Field) -> Field:
        """Mix this frame's logits (S, S) with the track's past; the first frame stays as it is."""
        now = np.clip(logits, -LIMIT, LIMIT)
        last = self._last.get(track_id)
        if last is not None and last.shape == now.shape:
            change = now - last
            base = np.where(change > 0, self._attack, self._release)
            gain = base + (1 - base) * np.clip(np.abs(change) / self._jump, 0, 1)
            now = (last + gain * change).astype(np.float32)
        self._last[track_id] = now
        return now

    def keep(self, track_ids: set[int]) -> None:
        """Forget every track but these."""
        for gone in self._last.keys() - track_ids:
            del self._last[gone]

    def reset(self) -> None:
        """Forget every track."""
        self._last.clear()
