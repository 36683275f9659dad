"""Between the model and the sinks: what may be shown of each frame, drawn once for all of them.

It keeps the output alive: when no result comes for a while (no signal, a model that hangs), the last
picture goes on, blurred past recognition and labelled, at the pace of the stream.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.frame import Frame, FrameResult
from stream.policy import Policy
from stream.sinks import Sink
from stream.timeline import TIME_BASE, whole

Image = NDArray[np.uint8]

NO_SIGNAL = "no signal"

PATIENCE_SECONDS = 0.5

BLOCKS = 5
"""Along the longer side of a picture that nobody is to be known in.  (By eye: in 16 a face is, in 6 hardly.)"""

LATENCIES = 10_000
"""So many of the last frames' are kept."""


def untold(text: str) -> None:
    """Nobody wants to know."""


@dataclass(slots=True)
class Shown:
    """What left the composer.

    Attributes:
        frames: of the source; ``filled``: while nothing came; ``undrawn``: the policy failed.
        latency_seconds: from decoding until it leaves, of the last LATENCIES frames of a live source.
    """

    frames: int = 0
    filled: int = 0
    undrawn: int = 0
    latency_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES))

    def percentiles(self) -> tuple[float, float, float] | None:
        """p50, p95, p99 in seconds; None of a file."""
        if not self.latency_seconds:
            return None
        p50, p95, p99 = np.percentile(list(self.latency_seconds), (50, 95, 99))
        return float(p50), float(p95), float(p99)


class Composer:
    """A sink that draws, and hands the pictures to the sinks that show them.

    Args:
        policy: what may be shown.
        sinks: each gets every result, in order, its ``frame.image`` drawn.
        steadfast: what a sink raises ends the run; else that sink is left out, and noted.
        patience_seconds: nothing came for so long: the picture says so.
        tell: told at once, in its thread, what a person should know while it goes on.

    Attributes:
        shown: counters.
        notes: of all sinks.
    """

    def __init__(
        self, policy: Policy, sinks: Sequence[Sink], *, steadfast: bool = True,
        patience_seconds: float = PATIENCE_SECONDS, tell: Callable[[str], None] = untold,
    ) -> None:  # fmt: skip
        self._tell, self._silent = tell, False
        self._policy, self._sinks, self._steadfast = policy, list(sinks), steadfast
        self._all = tuple(sinks)
        self._last: Frame | None = None  # as it came
        self._epoch = 0
        self._time: Fraction | None = None  # of the last one shown
        self._index = 0
        self._since, self._patience_seconds = 0.0, patience_seconds
        self.shown = Shown()
        self._failed: list[str] = []

    @property
    def notes(self) -> list[str]:
        undrawn = self.shown.undrawn
        raised = (
            [f"the policy failed in {undrawn} frames, of which nothing was shown"]
            if undrawn
            else []
        )
        return [*raised, *self._failed, *(note for sink in self._all for note in sink.notes)]

    def write(self, result: FrameResult) -> None:
        """Draw a result and hand it on."""
        frame = result.frame
        if frame.epoch != self._epoch:
            self._epoch = frame.epoch
            self._hand(self._policy.flush())
            self._policy.restarted("restart", ids_kept=True)
        if self._silent:
            self._silent = False
            self._tell(f"{frame.source}: back after {time.monotonic() - self._since:.1f} s")
        self._last, self._since = frame, time.monotonic()
        self._hand(self._drawn(result))
        self.shown.frames += 1

    def _drawn(self, result: FrameResult) -> Iterable[FrameResult]:
        """What the policy shows; where it fails itself, nothing of the picture."""
        if result.failure:
            return self._policy.blind(result.frame, result.failure)
        if self._steadfast:
            return self._policy.push(result)
        try:
            return self._policy.push(result)
        except Exception:  # noqa: BLE001  whatever fails in there, the stream goes on
            self.shown.undrawn += 1
            return self._policy.blind(result.frame, "policy raised")

    def idle(self) -> None:
        """Nothing came: the last picture goes on, blurred and labelled, one more time."""
        away = Fraction(time.monotonic() - self._since)
        if self._last is None or away < self._patience_seconds:
            return
        if not self._silent:
            self._silent = True
            self._tell(f"{self._last.source}: {NO_SIGNAL}")
        frame = replace(
            self._last, time=whole(self._last.time + away), sound=(),
            image=blurred(self._last.image), received_seconds=0.0,
        )  # fmt: skip
        self._hand(self._policy.flush())
        for result in (*self._policy.blind(frame, NO_SIGNAL), *self._policy.flush()):
            image = labelled(result.frame.image, NO_SIGNAL)
            frame = replace(result.frame, image=image)
            self._hand([replace(result, frame=frame, failure=NO_SIGNAL)])
        self.shown.filled += 1

    def _hand(self, results: Iterable[FrameResult]) -> None:
        for result in results:
            time_seconds = result.frame.time
            if self._time is not None:  # behind pictures that filled a gap
                time_seconds = max(time_seconds, self._time + TIME_BASE)
            frame = replace(result.frame, index=self._index, time=time_seconds)
            self._time, self._index = time_seconds, self._index + 1
            if frame.received_seconds:
                self.shown.latency_seconds.append(time.monotonic() - frame.received_seconds)
            for sink in tuple(self._sinks):
                self._give(sink, replace(result, frame=frame))

    def _give(self, sink: Sink, result: FrameResult) -> None:
        try:
            sink.write(result)
        except Exception as error:
            if self._steadfast:
                raise
            self._leave_out(sink, error, f"it was left out from frame {result.frame.index} on")

    def _leave_out(self, sink: Sink, error: Exception, what: str) -> None:
        """A sink has failed; the others go on."""
        self._sinks.remove(sink)
        sink.abort()
        # What the system and ours say names the output; any other text may hold anything.
        told = str(error) if isinstance(error, OSError) else type(error).__name__
        self._failed.append(f"{told}; {what}")
        self._tell(self._failed[-1])

    def close(self, *, cut: bool = False) -> None:
        """Hand on what is held back, and close every sink that is left."""
        self._hand(self._policy.flush())
        for sink in tuple(self._sinks):
            try:
                sink.close(cut=cut)
            except Exception as error:
                if self._steadfast:
                    raise
                self._leave_out(sink, error, "it could not be finished")
        self._policy.close()

    def abort(self) -> None:
        """Abort every sink; what is held back goes nowhere."""
        self._policy.flush()
        for sink in self._sinks:
            sink.abort()


def blurred(image: Image) -> Image:
    """The picture as a mosaic, softened, in which nobody is known whose face fills it."""
    height, width = image.shape[:2]
    block = max(1, max(height, width) // BLOCKS)
    small = cv2.resize(
        image, (-(-width // block), -(-height // block)), interpolation=cv2.INTER_AREA
    )
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def labelled(image: Image, text: str) -> Image:
    """A copy with white words on a dark band in its middle."""
    canvas = (image * 0.6).astype(np.uint8)
    height, width = canvas.shape[:2]
    scale = max(0.3, min(height / 240, width / 240))
    thick = max(1, round(scale))
    (wide, high), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    spot = ((width - wide) // 2, (height + high) // 2)
    cv2.putText(
        canvas, text, spot, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), thick, cv2.LINE_AA
    )
    return canvas
