"""``s3pot bench speed``: our own run from file to file: time by stage, floor, memory, latency.

Read :func:`bench` first.  The same clip goes through three times: as fast as it will, timed; some
frames with everything counted, which is slow; and at its own pace, as a camera would bring it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from configs.settings import Settings
from stream.bench.floor import Ceilings, ceilings
from stream.bench.memory import peak_mb, resident_mb
from stream.bench.stages import Clock, StageTime, TimedSource, timed_effect, watched
from stream.bench.work import Tally, Work, busy_share
from stream.clip import ClipFrame, clip
from stream.demo import write_clip
from stream.effects import build_effect
from stream.frame import Frame, FrameResult
from stream.inlets import open_source
from stream.pipeline import Pipeline
from stream.run import run
from stream.sinks import VideoSink
from stream.sources import Source, SourceInfo

FPS = Fraction(25)

COUNTED_FRAMES = 30
"""In the run that counts work."""

PACED_FRAMES = 150
"""In the run at the clip's own pace."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Of frames that come at their own pace: from a decoded frame to the composited one in the encoder.

    Attributes:
        fps: at which frames came.
        p50_ms, p95_ms, p99_ms: of the frames that were delivered.
        dropped_share: of the frames that came, because a newer one was there.
    """

    fps: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    dropped_share: float


@dataclass(frozen=True, slots=True)
class Speed:
    """Attributes:
    frames: run.
    seconds: from the first decoded frame to the closed file, without loading the models.
    loading_seconds: of models and files.
    cpu_seconds: of all threads, while running.
    memory_mb: resident set at each tenth of the run.
    peak_mb: of the process, up to the end of the run.
    stages: each stage's own time.
    work: stage -> what it does in a frame's time, counted over COUNTED_FRAMES frames.
    ceilings: of the machine.
    latency: at the clip's own pace.
    busy_share: of the card's time; None without one.
    """

    frames: int
    seconds: float
    loading_seconds: float
    cpu_seconds: float
    memory_mb: list[float]
    peak_mb: float
    stages: list[StageTime]
    work: dict[str, Work]
    ceilings: Ceilings
    latency: Latency
    busy_share: float | None


def there_and_back(frames: Sequence[ClipFrame]) -> Iterator[ClipFrame]:
    """The frames forward, backward, forward ... without end and without a jump."""
    return chain.from_iterable(cycle([frames, frames[-2:0:-1]]))


def bench(
    settings: Settings, frames: int, on_result: Callable[[FrameResult], None] | None = None
) -> Speed:
    """Run a clip of so many frames from file to file.

    Args:
        settings: of the run.
        frames: at least 10.
        on_result: called with each result of the timed run.

    Raises:
        ValueError: too few frames, or a setting is wrong.
    """
    if frames < 10:
        raise ValueError(f"a benchmark needs at least 10 frames, got {frames}")
    with TemporaryDirectory(prefix="s3pot-bench-") as name:
        folder = Path(name)
        path = write_long_clip(folder / "clip.mp4", frames)
        speed = timed(settings, path, folder / "out.mp4", frames, on_result)
        with closing(Pipeline.from_settings(settings)) as pipeline:
            device = pipeline.model.device
            pictures = list(islice(open_source(str(path)), COUNTED_FRAMES))
            work = counted(settings, pipeline, pictures)
            busy = busy_share(device, lambda: seconds_of(pipeline, pictures))
        late = paced(settings, path, folder / "paced.mp4", min(frames, PACED_FRAMES))
        return replace(speed, work=work, ceilings=ceilings(device), latency=late, busy_share=busy)


def write_long_clip(path: Path, frames: int) -> Path:
    """The demo's clip, there and back, so many frames long."""
    drawn = list(islice(clip(fps=FPS), frames))
    write_clip(path, islice(there_and_back(drawn), frames), FPS)
    return path


def timed(
    settings: Settings, path: Path, target: Path, frames: int,
    on_result: Callable[[FrameResult], None] | None,
) -> Speed:  # fmt: skip
    """The run as fast as it will."""
    began, memory, clock = time.monotonic(), [], Clock()

    def watch(result: FrameResult) -> None:
        if (result.frame.index + 1) % max(1, frames // 10) == 0:
            memory.append(resident_mb())
        if on_result is not None:
            on_result(result)

    with ExitStack() as stack:
        source = stack.enter_context(closing(TimedSource(open_source(str(path)), clock)))
        effect = timed_effect(build_effect(settings), clock)
        out = settings.output
        sink = VideoSink(target, source.info, effect, source_path=path, crf=out.crf,
                         preset=out.preset)  # fmt: skip
        setattr(sink, "write", clock.timed("encode out", sink.write))  # noqa: B010
        pipeline = stack.enter_context(closing(Pipeline.from_settings(settings)))
        stack.enter_context(watched(pipeline, clock))
        loading = time.monotonic() - began
        cpu = time.process_time()
        report = run(source, pipeline, [sink], watch)
        cpu = time.process_time() - cpu
    return Speed(
        report.frames, report.seconds, loading, cpu, memory, peak_mb(), clock.times(),
        work={}, ceilings=Ceilings(np.inf, np.inf), latency=Latency(*[np.nan] * 5), busy_share=None,
    )  # fmt: skip


def counted(settings: Settings, pipeline: Pipeline, frames: Sequence[Frame]) -> dict[str, Work]:
    """The run in which each stage's work is counted."""
    tally = Tally()
    effect = tally.timed("effect", build_effect(settings))
    with watched(pipeline, tally), tally:
        for result in pipeline(frames):
            effect(result.frame.image, result.masks)
    return tally.stages


def seconds_of(pipeline: Pipeline, frames: Sequence[Frame]) -> float:
    """How long the pipeline takes for frames that are decoded already."""
    began = time.perf_counter()
    for _ in pipeline(frames):
        pass
    return time.perf_counter() - began


class PacedSource:
    """Frames at their own times, as a camera would bring them; see :class:`stream.sources.Source`.

    Args:
        source: of the frames.
        frames: so many.

    Attributes:
        came: monotonic seconds at which each frame, by its index, was there.
    """

    def __init__(self, source: Source, frames: int) -> None:
        self._source, self._frames = source, frames
        self.info: SourceInfo = replace(source.info, live=True)
        self.damage: str | None = None
        self.notes: list[str] = []
        self.came: dict[int, float] = {}

    def __iter__(self) -> Iterator[Frame]:
        frames = list(islice(self._source, self._frames))
        began = time.monotonic()
        for frame in frames:
            time.sleep(max(0.0, began + float(frame.time) - time.monotonic()))
            self.came[frame.index] = time.monotonic()
            yield frame

    def close(self) -> None:
        self._source.close()


def paced(settings: Settings, path: Path, target: Path, frames: int) -> Latency:
    """The run at the clip's own pace; a frame that would wait behind a newer one is dropped."""
    with ExitStack() as stack:
        source = stack.enter_context(closing(PacedSource(open_source(str(path)), frames)))
        out = settings.output
        sink = VideoSink(target, source.info, build_effect(settings), source_path=path,
                         crf=out.crf, preset=out.preset)  # fmt: skip
        spent: list[float] = []
        write = sink.write

        def watched_write(result: FrameResult) -> None:
            write(result)
            spent.append(time.monotonic() - source.came[result.frame.index])

        setattr(sink, "write", watched_write)  # noqa: B010
        pipeline = stack.enter_context(closing(Pipeline.from_settings(settings)))
        run(source, pipeline, [sink])
    p50, p95, p99 = (float(v) for v in 1000 * np.quantile(spent, [0.5, 0.95, 0.99]))
    return Latency(float(FPS), p50, p95, p99, 1 - len(spent) / len(source.came))
