"""Source to sinks: the loop around the pipeline.

A reader thread decodes ahead, all per-frame model work runs in the caller's thread, and every sink
has a queue and a thread of its own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from stream.composer import Composer
from stream.frame import Frame, FrameResult
from stream.queues import Channel, Policy, Prefetch, SinkThread, heard
from stream.sinks import Sink
from stream.sources import Source

FILL_SECONDS = 0.2
"""From one picture to the next while nothing comes."""

FILE_DEPTH, LIVE_DEPTH = 4, 2
"""Frames that may wait for the model."""

COVERED_SHARE = 0.01
"""Covered share of a face from which the report counts the frame."""


@dataclass(slots=True)
class RunReport:
    """What a run did.

    Attributes:
        frames: delivered to the sinks.
        faces: different track ids seen.
        covered_frames: frames in which something covered at least ``COVERED_SHARE`` of a face.
        looks, carried: masks that the network made, and masks that were carried along.
        references: shown to the network; ``inventions``: painted by a generator, by cause.
        late_frames: how many inventions came so many frames after they were asked for; files wait, 0.
        unpainted: inventions that were asked for and never came, by cause.
        seconds: of the clock on the wall.
        drops: frames that did not arrive, by cause; empty for files.
        sink_drops: pictures that a sink did not get, or could not send, by its name and by cause.
        failures: frames of a live source in which the model failed, by kind of error.
        filled: pictures shown while nothing came.
        latency_seconds: p50, p95, p99 from decoding to the composited picture; None of files.
        damage: what was wrong with the input; None if nothing.
        notes: what a person should know: streams not copied, timestamps mended.
    """

    frames: int = 0
    faces: int = 0
    covered_frames: int = 0
    looks: int = 0
    carried: int = 0
    references: int = 0
    inventions: Counter[str] = field(default_factory=Counter)
    late_frames: Counter[int] = field(default_factory=Counter)
    unpainted: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    drops: Counter[str] = field(default_factory=Counter)
    sink_drops: dict[str, Counter[str]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    filled: int = 0
    latency_seconds: tuple[float, float, float] | None = None
    damage: str | None = None
    notes: list[str] = field(default_factory=list)


def run(
    source: Source,
    occlude: Callable[[Iterable[Frame]], Iterator[FrameResult]],
    sinks: Sequence[Sink],
    on_result: Callable[[FrameResult], None] | None = None,
    *,
    budget_seconds: float | None = None,
) -> RunReport:
    """Move every frame of a source through the pipeline into all sinks.

    The sinks are closed or aborted here; the source stays the caller's to close. On Ctrl-C the
    frames so far are written out and the files finished, then KeyboardInterrupt goes on; to a live
    source, which has no other end, it is the end. On any other error the sinks are aborted, nothing is left under their names, and the error goes on.
    A damaged input is no error: the frames before the damage are delivered, ``damage`` is reported.
    Of a live source the newest frames are taken, what the model cannot do costs one frame, and a
    :class:`Composer` among the sinks keeps its output alive while nothing comes.

    Args:
        source: iterated in a thread.
        occlude: frames -> results, in order, one for one; runs in the caller's thread.
        sinks: each gets every result.
        on_result: called in the caller's thread after a result was handed to the sinks.
        budget_seconds: frames of a live source that waited for longer are dropped.
    """
    started, report = time.monotonic(), RunReport()
    threads = [
        SinkThread(sink, idle=kept_alive(sink, source), idle_seconds=FILL_SECONDS) for sink in sinks
    ]
    try:
        try:
            with closing(_results(source, occlude, report, budget_seconds)) as results:
                for result in results:
                    for thread in threads:
                        thread.write(result)
                    if on_result is not None:
                        on_result(result)
            _close(threads)
        except KeyboardInterrupt:
            _close(threads, cut=True)
            if not source.info.live:
                raise
    except BaseException:
        for thread in threads:
            thread.abort()  # those that are closed stay
        raise
    report.seconds = time.monotonic() - started
    return _complete(report, source, sinks, threads)


def _complete(
    report: RunReport, source: Source, sinks: Sequence[Sink], threads: Sequence[SinkThread]
) -> RunReport:
    """What is known once all have ended."""
    for sink, thread in zip(sinks, threads, strict=True):
        report.drops += thread.dropped
        if isinstance(sink, Composer):
            report.filled, report.latency_seconds = sink.shown.filled, sink.shown.percentiles()
    report.damage = source.damage
    report.notes = [*source.notes, *(note for sink in sinks for note in sink.notes)]
    return report


def _results(
    source: Source,
    occlude: Callable[[Iterable[Frame]], Iterator[FrameResult]],
    report: RunReport,
    budget_seconds: float | None,
) -> Generator[FrameResult, None, None]:
    """The pipeline's results, counted."""
    seen: set[int] = set()
    live = source.info.live
    policy: Policy = "newest" if live else "wait"
    depth, budget_seconds = (LIVE_DEPTH, budget_seconds) if live else (FILE_DEPTH, None)
    stop = source.close if live else None
    reader = Prefetch(source, depth, policy, budget_seconds, heir=heard, stop=stop)
    with reader as frames, counted(frames, report):
        for result in each_alone(occlude, frames, report) if live else occlude(frames):
            seen.update(face.track_id for face in result.faces)
            report.frames += 1
            report.faces = len(seen)
            report.carried += sum(m.carried_frames > 0 for m in result.masks)
            report.looks += sum(m.carried_frames == 0 for m in result.masks)
            report.covered_frames += any(m.coverage >= COVERED_SHARE for m in result.masks)
            yield result


@contextmanager
def counted(frames: Channel[Frame], report: RunReport) -> Iterator[None]:
    """What was dropped on the way is in the report, however the run ends."""
    try:
        yield
    finally:
        report.drops += frames.dropped


def each_alone(
    occlude: Callable[[Iterable[Frame]], Iterator[FrameResult]],
    frames: Iterable[Frame],
    report: RunReport,
) -> Iterator[FrameResult]:
    """The same, frame by frame, so that what fails costs one frame and not the stream."""
    for frame in frames:
        try:
            yield from occlude([frame])
        except Exception as error:  # noqa: BLE001  whatever fails in there, the stream goes on
            report.failures[type(error).__name__] += 1
            yield FrameResult(frame, (), (), failure="model raised")


def kept_alive(sink: Sink, source: Source) -> Callable[[], None] | None:
    """What to do while nothing comes; nothing where frames are merely slow."""
    return sink.idle if source.info.live and isinstance(sink, Composer) else None


def _close(threads: Sequence[SinkThread], *, cut: bool = False) -> None:
    for thread in threads:
        thread.close(cut=cut)
