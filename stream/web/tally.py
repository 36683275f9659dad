"""What is counted of a stream while it runs."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, field

import numpy as np

from stream.frame import FrameResult

RECENT_SECONDS = 3.0
"""Frames a second are of so long; so is what counts as coming in now."""

LATENCIES = 600


@dataclass(slots=True)
class Tally:
    """Written by the thread that shows the pictures; read by others, who may see one half counted.

    Attributes:
        frames: shown; ``filled``: pictures shown while nothing came.
        drops: frames that were not shown, by cause; ``failures``: of the model, by kind of error.
        looks, carried: masks that the network made, and masks that were carried along.
        faces: faces shown, by state; ``covered``: the sum of their coverage, by state.
        certainties: faces shown, and those waited for, by what the privacy policy says of them.
        causes: pictures that it covered as a whole, by cause, those that filled a gap too.
        latency_seconds: from receiving to showing, of the last frames.
    """

    frames: int = 0
    filled: int = 0
    looks: int = 0
    carried: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    faces: Counter[str] = field(default_factory=Counter)
    covered: dict[str, float] = field(default_factory=dict)
    certainties: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    latency_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))
    _shown: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))

    def add(self, result: FrameResult, *, filled: bool = False) -> None:
        """Count a frame that is shown now, or a picture that fills a gap."""
        if result.verdict is not None and result.verdict.covered:
            self.causes[result.verdict.covered] += 1
        if filled:
            self.filled += 1
            return
        if result.verdict is not None:
            self.certainties.update(result.verdict.states.values())
        now = time.monotonic()
        self.frames += 1
        self._shown.append(now)
        if result.frame.received_seconds:
            self.latency_seconds.append(now - result.frame.received_seconds)
        for face, mask in zip(result.faces, result.masks, strict=True):
            state = face.state.value
            self.faces[state] += 1
            self.covered[state] = self.covered.get(state, 0.0) + mask.coverage
            self.looks += mask.carried_frames == 0
            self.carried += mask.carried_frames > 0

    @property
    def fps(self) -> float:
        """Frames a second, of the last ``RECENT_SECONDS``."""
        since = time.monotonic() - RECENT_SECONDS
        recent = [at for at in self._shown.copy() if at > since]
        if len(recent) < 2:
            return 0.0
        return (len(recent) - 1) / max(recent[-1] - recent[0], 1e-3)

    def percentiles(self) -> tuple[float, float, float] | None:
        """p50, p95, p99 of the latency in seconds; None where none is known."""
        kept = list(self.latency_seconds.copy())
        if not kept:
            return None
        p50, p95, p99 = np.percentile(kept, (50, 95, 99))
        return float(p50), float(p95), float(p99)

    def merge(self, other: Tally) -> None:
        """Add the counts of one that ended; its speed and latency are past."""
        for name in ("frames", "filled", "looks", "carried"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.drops.update(other.drops)
        self.failures.update(other.failures)
        self.faces.update(other.faces)
        self.certainties.update(other.certainties)
        self.causes.update(other.causes)
        for state, total in other.covered.items():
            self.covered[state] = self.covered.get(state, 0.0) + total
