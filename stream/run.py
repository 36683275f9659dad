"""Source to sinks: the loop around the pipeline.

A reader thread decodes ahead, all per-frame model work runs in the caller's thread, and every sink
has a queue and a thread of its own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from stream.frame import Frame, FrameResult
from stream.queues import Policy, Prefetch, SinkThread
from stream.sinks import Sink
from stream.sources import Source

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
    damage: str | None = None
    notes: list[str] = field(default_factory=list)


def run(
    source: Source,
    occlude: Callable[[Iterable[Frame]], Iterator[FrameResult]],
    sinks: Sequence[Sink],
    on_result: Callable[[FrameResult], None] | None = None,
) -> RunReport:
    """Move every frame of a source through the pipeline into all sinks.

    The sinks are closed or aborted here; the source stays the caller's to close. On Ctrl-C the
    frames so far are written out and the files finished, then KeyboardInterrupt goes on. On any
    other error the sinks are aborted, nothing is left under their names, and the error goes on.
    A damaged input is no error: the frames before the damage are delivered, ``damage`` is reported.

    Args:
        source: iterated in a thread.
        occlude: frames -> results, in order, one for one; runs in the caller's thread.
        sinks: each gets every result.
        on_result: called in the caller's thread after a result was handed to the sinks.
    """
    started, report = time.monotonic(), RunReport()
    threads = [SinkThread(sink) for sink in sinks]
    try:
        try:
            with closing(_results(source, occlude, report)) as results:
                for result in results:
                    for thread in threads:
                        thread.write(result)
                    if on_result is not None:
                        on_result(result)
            _close(threads)
        except KeyboardInterrupt:
            _close(threads, cut=True)
            raise
    except BaseException:
        for thread in threads:
            thread.abort()  # those that are closed stay
        raise
    for thread in threads:
        report.drops += thread.dropped
    report.damage = source.damage
    report.notes = [*source.notes, *(note for sink in sinks for note in sink.notes)]
    report.seconds = time.monotonic() - started
    return report


def _results(
    source: Source,
    occlude: Callable[[Iterable[Frame]], Iterator[FrameResult]],
    report: RunReport,
) -> Generator[FrameResult, None, None]:
    """The pipeline's results, counted."""
    seen: set[int] = set()
    policy: Policy = "newest" if source.info.live else "wait"
    with Prefetch(source, policy=policy) as frames:
        for result in occlude(frames):
            seen.update(face.track_id for face in result.faces)
            report.frames += 1
            report.faces = len(seen)
            report.carried += sum(m.carried_frames > 0 for m in result.masks)
            report.looks += sum(m.carried_frames == 0 for m in result.masks)
            report.covered_frames += any(m.coverage >= COVERED_SHARE for m in result.masks)
            yield result
    report.drops += frames.dropped


def _close(threads: Sequence[SinkThread], *, cut: bool = False) -> None:
    for thread in threads:
        thread.close(cut=cut)
