"""Where a frame's time goes: each stage's own time, without that of the stages it calls.

The stages are timed from outside: the pipeline knows nothing of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

import stream.pipeline
from stream.effects import Effect
from stream.frame import Frame
from stream.pipeline import Pipeline
from stream.sources import Source, SourceInfo

STAGES = (
    "decode", "detect", "track", "align", "reference", "encode", "FE", "PS", "SAM decode", "smooth",
    "learn", "effect", "encode out",
)  # fmt: skip
"""In the order of a frame's way."""


@dataclass(frozen=True, slots=True)
class StageTime:
    """One stage of a run; milliseconds of a call.

    Attributes:
        name: of :data:`STAGES`.
        calls: how often it ran.
        p50_ms, p95_ms, p99_ms: of its calls (linear quantiles).
        total_seconds: of all of them.
    """

    name: str
    calls: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    total_seconds: float


class Clock:
    """Collects the time of named stages; a stage within another is taken from the outer one.

    Each thread has its own stack of running stages, so that reader, model and sinks do not mix.
    """

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}
        self._inner: ContextVar[list[float] | None] = ContextVar("inner", default=None)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done within."""
        inner: list[float] = [0.0]
        outer = self._inner.get()
        token = self._inner.set(inner)
        began = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - began
            self._inner.reset(token)
            if outer is not None:
                outer[0] += spent
            self._times.setdefault(name, []).append(spent - inner[0])

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same callable, timed."""

        def run(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name):
                return call(*args, **kwargs)

        return run

    def times(self) -> list[StageTime]:
        """Of the stages that ran, in the order of a frame's way."""
        rows = []
        for name in (name for name in STAGES if name in self._times):
            spent = np.array(self._times[name])
            p50, p95, p99 = (float(v) for v in 1000 * np.quantile(spent, [0.5, 0.95, 0.99]))
            rows.append(StageTime(name, len(spent), p50, p95, p99, float(spent.sum())))
        return rows


class Watcher(Protocol):
    """Wraps a stage's callable: a :class:`Clock`, or who counts what it does."""

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]: ...


@contextmanager
def watched(pipeline: Pipeline, clock: Watcher) -> Iterator[None]:
    """Time a pipeline's stages while within; the pipeline is not to be used again with another clock."""
    model, bank = pipeline.model, pipeline.bank
    sam = cast(Any, getattr(model.method, "sam", None))
    parts: list[tuple[Any, str, str]] = [
        (pipeline, "detector", "detect"), (pipeline.tracker, "update", "track"),
        (pipeline.tracker, "cover", "track"), (stream.pipeline, "align", "align"),
        (bank, "reference", "reference"), (pipeline.references, "invent", "reference"),
        (bank, "observe", "learn"), (model, "enhance", "FE"), (model, "decode", "PS"),
        (pipeline.smoother, "smooth", "smooth"), (pipeline.smoother, "recall", "smooth"),
    ]  # fmt: skip
    if sam is not None:
        parts.append((sam, "decode", "SAM decode"))
        net = getattr(sam, "net", None)
        parts.append(
            (sam, "encode", "encode") if net is None else (net.encoder, "forward", "encode")
        )
    kept = [
        (owner, name, owner.__dict__.get(name), name in owner.__dict__) for owner, name, _ in parts
    ]
    try:
        for owner, name, stage in parts:
            setattr(owner, name, clock.timed(stage, getattr(owner, name)))
        yield
    finally:
        for owner, name, before, own in kept:
            if own:
                setattr(owner, name, before)
            else:
                delattr(owner, name)


class TimedSource:
    """A source whose decoding is timed; see :class:`stream.sources.Source`."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source, self._clock = source, clock
        self.info: SourceInfo = source.info

    @property
    def notes(self) -> list[str]:
        return list(self._source.notes)

    @property
    def damage(self) -> str | None:
        return self._source.damage

    def __iter__(self) -> Iterator[Frame]:
        frames = iter(self._source)
        while True:
            with self._clock.stage("decode"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    def close(self) -> None:
        self._source.close()


def timed_effect(effect: Effect, clock: Clock) -> Effect:
    """An effect that is timed."""
    return cast(Effect, clock.timed("effect", effect))
