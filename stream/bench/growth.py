"""How time grows with faces and with pixels, and both time and memory with a clip's length."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from configs.settings import Settings
from stream.bench.memory import resident_mb
from stream.clip import HEIGHT, WIDTH
from stream.effects import build_effect
from stream.frame import Frame
from stream.pipeline import Pipeline

Image = NDArray[np.uint8]

FACES = (1, 2, 4, 8, 16)
HEIGHTS_PX = (360, 720, 1080, 2160)
LENGTHS = (100, 200, 400, 800, 1600)

WARM, COUNTED = 10, 40
"""Frames before those that are counted, and these."""

GRID = 4
"""Places for faces in each direction."""


@dataclass(frozen=True, slots=True)
class Point:
    """Attributes:
    axis: "faces", "pixels" or "frames".
    amount: how many.
    ms: a frame, on average; over "frames" up to there.
    found: faces a frame that were found, on average.
    memory_mb: resident set at its end.
    """

    axis: str
    amount: float
    ms: float
    found: float
    memory_mb: float


def growth(
    settings: Settings, base: Sequence[Image], step: Callable[[], None] = lambda: None
) -> Iterator[Point]:
    """Measure all points; pipeline and effect, without decoding and encoding.

    Args:
        settings: of the run.
        base: frames of HEIGHT x WIDTH with one face, that can be gone through there and back.
        step: is called after each point.
    """
    for count in FACES:
        frames = (crowd(base, k, count) for k in range(WARM + COUNTED))
        yield measured("faces", count, settings, frames)
        step()
    for height in HEIGHTS_PX:
        size = (height * WIDTH // HEIGHT, height)
        pictures = islice(endless(base), WARM + COUNTED)
        large = (cv2.resize(p, size, interpolation=cv2.INTER_CUBIC) for p in pictures)
        yield measured("pixels", size[0] * size[1], settings, large)
        step()
    yield from lengths(settings, islice(endless(base), max(LENGTHS)))
    step()


def measured(axis: str, amount: float, settings: Settings, pictures: Iterator[Image]) -> Point:
    """One point: some frames to warm up, then some that count."""
    with closing(Worker(settings)) as work:
        for image in islice(pictures, WARM):
            work(image)
        work.clear()
        for image in pictures:
            work(image)
        return work.point(axis, amount)


def lengths(settings: Settings, pictures: Iterator[Image]) -> Iterator[Point]:
    """One long run, looked at on the way."""
    with closing(Worker(settings)) as work:
        for image in pictures:
            work(image)
            if work.frames in LENGTHS:
                yield work.point("frames", work.frames)


class Worker:
    """Pipeline and effect, timed; what makes the picture is not."""

    def __init__(self, settings: Settings) -> None:
        self._pipeline, self._effect = Pipeline.from_settings(settings), build_effect(settings)
        self._index = 0
        self.clear()

    def clear(self) -> None:
        """Count anew."""
        self.frames, self._seconds, self._found = 0, 0.0, 0

    def __call__(self, image: Image) -> None:
        """Do one more frame."""
        frame = Frame(image, self._index, Fraction(self._index, 25), "growth")
        began = time.perf_counter()
        (result,) = self._pipeline([frame])
        self._effect(image, result.masks)
        self._seconds += time.perf_counter() - began
        self._found += len(result.faces)
        self.frames += 1
        self._index += 1

    def point(self, axis: str, amount: float) -> Point:
        """Of the frames since it was cleared."""
        n = self.frames
        return Point(axis, amount, 1000 * self._seconds / n, self._found / n, resident_mb())

    def close(self) -> None:
        """Let the models go."""
        self._pipeline.close()


def endless(base: Sequence[Image]) -> Iterator[Image]:
    """There and back, without end."""
    k = 0
    while True:
        yield base[bounce(k, len(base))]
        k += 1


def bounce(k: int, length: int) -> int:
    """Index of step ``k`` of a walk there and back."""
    k %= max(1, 2 * length - 2)
    return min(k, 2 * length - 2 - k)


def crowd(base: Sequence[Image], k: int, count: int) -> Image:
    """A frame of 1280 x 720 with so many faces of the same size, each at another moment, on grey."""
    canvas = np.full((2 * HEIGHT, 2 * WIDTH, 3), 90, np.uint8)
    height, width = 2 * HEIGHT // GRID, 2 * WIDTH // GRID
    for place in range(count):
        y, x = (place // GRID) * height, (place % GRID) * width
        picture = base[bounce(k + 7 * place, len(base))]
        canvas[y : y + height, x : x + width] = cv2.resize(
            picture, (width, height), interpolation=cv2.INTER_AREA
        )
    return canvas


def exponent(points: Sequence[Point]) -> float:
    """Of the power law through (amount, ms): the slope of the line through their logarithms."""
    amounts, ms = (np.log([getattr(p, name) for p in points]) for name in ("amount", "ms"))
    return float(np.polyfit(amounts, ms, 1)[0])


def plot(path: Path, points: Sequence[Point]) -> None:
    """Three panels: milliseconds a frame over faces and pixels, memory over frames; PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(10, 3), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, axis in zip(figure.subplots(1, 3), ("faces", "pixels", "frames"), strict=True):
        its = [p for p in points if p.axis == axis]
        amounts, shown = [p.amount for p in its], "memory_mb" if axis == "frames" else "ms"
        axes.plot(amounts, [getattr(p, shown) for p in its], "o-")
        axes.set(xlabel=axis, xscale="log")
        if axis == "frames":
            axes.set(ylabel="MB", ylim=(0, None), title="resident memory")
        else:
            axes.set(ylabel="ms a frame", yscale="log", title=f"exponent {exponent(its):.2f}")
            axes.set_yticks([p.ms for p in its], [f"{p.ms:.0f}" for p in its])
        labels = [f"{n / 1e6:.1f} M" if axis == "pixels" else f"{n:.0f}" for n in amounts]
        axes.set_xticks(amounts, labels)
        axes.minorticks_off()
    figure.savefig(path, dpi=90)
