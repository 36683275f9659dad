"""Ways from a video to a composited video, one after another on the same clip, round by round.

Read :func:`race` first.  Each lane decodes, finds, masks, composites and encodes for itself, one
frame after another in one thread; since machines are noisy, only what was measured in the same
round is set in proportion.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from numpy.typing import NDArray

from configs import load_settings
from stream.bench.entrants import Answer, Entrant
from stream.effects import build_effect
from stream.frame import Frame
from stream.inlets import open_source
from stream.pipeline import Pipeline

Image = NDArray[np.uint8]

TINT = np.array([255, 64, 64], np.float32)
STRENGTH = 0.6
"""As our own overlay, so that all lanes encode much the same picture."""


class Painter(Protocol):
    """A way from frames to composited pictures, one for one and in order; remembers faces."""

    name: str

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Image]: ...
    def close(self) -> None: ...


class Copy:
    """Decode and encode, nothing between: the least that anybody pays."""

    name = "copy"

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Image]:
        """See :class:`Painter`."""
        return (frame.image for frame in frames)

    def close(self) -> None:
        """It holds nothing."""


class Product:
    """Ours: pipeline and effect of a configuration."""

    def __init__(self, name: str, config: str | None, overrides: Sequence[str]) -> None:
        settings = load_settings(config, overrides)
        self.name, self._effect = name, build_effect(settings)
        self._pipeline = Pipeline.from_settings(settings)

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Image]:
        """See :class:`Painter`."""
        self._pipeline.reset()
        for result in self._pipeline(frames):
            yield self._effect(result.frame.image, result.masks)

    def close(self) -> None:
        """See :class:`Painter`."""
        self._pipeline.close()


class Floats:
    """An entrant's masks, composited as is usual: the whole frame in float32."""

    def __init__(self, entrant: Entrant) -> None:
        self.name, self._entrant = entrant.name, entrant

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Image]:
        """See :class:`Painter`."""
        waiting: deque[Image] = deque()

        def handed() -> Iterator[Frame]:
            for frame in frames:
                waiting.append(frame.image)
                yield frame

        for answers in self._entrant("speed", handed()):
            yield over(waiting.popleft(), answers)

    def close(self) -> None:
        """See :class:`Painter`."""
        self._entrant.close()


def over(image: Image, answers: Sequence[Answer]) -> Image:
    """(H, W, 3) uint8 with what is marked tinted."""
    canvas = image.astype(np.float32)
    for answer in answers:
        weight = np.float32(STRENGTH) * answer.alpha[..., None]
        canvas = np.asarray(canvas * (1 - weight) + TINT * weight, np.float32)
    return np.rint(canvas).astype(np.uint8)


@dataclass(slots=True)
class Lane:
    """One painter's run through the clip.

    Attributes:
        name: of the painter.
        frame_seconds: of each counted frame, by round.
        cpu_seconds: of all threads, summed over the counted rounds.
    """

    name: str
    frame_seconds: list[list[float]] = field(default_factory=list)
    cpu_seconds: float = 0.0

    @property
    def frames(self) -> int:
        """Counted."""
        return sum(len(each) for each in self.frame_seconds)

    def ms(self) -> float:
        """Milliseconds a frame: the median over rounds of their means."""
        return 1000 * float(np.median([np.mean(each) for each in self.frame_seconds]))

    def ratio(self, to: Lane) -> float:
        """Times ``to``'s time a frame: the median over rounds of the ratio within a round."""
        pairs = zip(self.frame_seconds, to.frame_seconds, strict=True)
        return float(np.median([np.mean(its) / np.mean(other) for its, other in pairs]))


def race(
    clip: Path, painters: Sequence[Painter], folder: Path, *, rounds: int = 4, frames: int = 50,
    limit_seconds: float = 20.0, step: Callable[[], None] = lambda: None,
) -> list[Lane]:  # fmt: skip
    """Time every painter on the same clip, in turns.

    The first round is not counted: caches fill, references are learned.

    Args:
        clip: at least ``rounds * frames`` frames long.
        painters: each keeps what it remembers from round to round.
        folder: for what is encoded.
        rounds: counted ones and the first, at least 2.
        frames: of a round.
        limit_seconds: a lane that needs longer for a round does fewer frames, at least one.
        step: is called after each lane's round.
    """
    if rounds < 2 or frames < 1:
        raise ValueError(f"a race needs 2 rounds of 1 frame at least, got {rounds} of {frames}")
    lanes = [Lane(painter.name) for painter in painters]
    with ExitStack() as stack:
        runs = [
            stack.enter_context(closing(Run(clip, painter, folder / f"{k}.mp4")))
            for k, painter in enumerate(painters)
        ]
        for number in range(rounds):
            for lane, run in zip(lanes, runs, strict=True):
                cpu = time.process_time()
                spent = run.go(frames, limit_seconds)
                if number > 0:
                    lane.frame_seconds.append(spent)
                    lane.cpu_seconds += time.process_time() - cpu
                step()
    return lanes


class Run:
    """A clip through a painter into a file, as far as it is asked to go."""

    def __init__(self, clip: Path, painter: Painter, target: Path) -> None:
        self._source = open_source(str(clip))
        self._pictures = painter(self._source)
        self._out = av.open(str(target), "w")
        rate = self._source.info.rate or Fraction(25)
        self._stream = self._out.add_stream("libx264", rate=rate, options={"preset": "veryfast"})
        self._stream.height, self._stream.width = self._source.info.height, self._source.info.width
        self._stream.pix_fmt = "yuv420p"

    def go(self, frames: int, limit_seconds: float) -> list[float]:
        """Seconds of each of the next frames, from its decoding to its encoding.

        Raises:
            ValueError: the clip has come to its end.
        """
        spent: list[float] = []
        while not spent or (len(spent) < frames and sum(spent) < limit_seconds):
            began = time.perf_counter()
            picture = next(self._pictures, None)
            if picture is None:
                raise ValueError(f"the clip ended {frames - len(spent)} frames too early")
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            self._out.mux(self._stream.encode(frame))
            spent.append(time.perf_counter() - began)
        return spent

    def close(self) -> None:
        """Finish the file, let the clip go; the painter is the caller's."""
        self._out.mux(self._stream.encode(None))
        self._out.close()
        self._source.close()
