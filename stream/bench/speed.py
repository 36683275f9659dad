"""``s3pot bench speed``: frames a second, stage by stage, and memory, on the demo's clip made long."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

from configs.settings import Settings
from stream.bench.stages import Clock, StageTime, TimedSource, timed_effect, watched
from stream.clip import ClipFrame, clip
from stream.demo import write_clip
from stream.effects import build_effect
from stream.frame import FrameResult
from stream.pipeline import Pipeline
from stream.run import run
from stream.sinks import VideoSink
from stream.sources import open_source

FPS = Fraction(25)


@dataclass(frozen=True, slots=True)
class Speed:
    """Attributes:
    frames: run.
    seconds: from the first decoded frame to the closed file, without loading the models.
    loading_seconds: of models and files.
    cpu_seconds: of all threads, while running.
    memory_mb: resident set at each tenth of the run.
    peak_mb: of the whole process.
    stages: each stage's own time.
    """

    frames: int
    seconds: float
    loading_seconds: float
    cpu_seconds: float
    memory_mb: list[float]
    peak_mb: float
    stages: list[StageTime]

    def lines(self) -> list[str]:
        """What to print."""
        rate, cpu = self.frames / self.seconds, self.cpu_seconds / self.frames
        marks = " ".join(f"{mb:.0f}" for mb in self.memory_mb)
        return [
            f"end to end       {rate:.1f} frames a second ({self.frames} frames, 640x360, one face)",
            f"processor        {1000 * cpu:.0f} ms a frame, all threads together",
            f"loading          {self.loading_seconds:.1f} s",
            f"memory           {marks} MB at each tenth of the run, {self.peak_mb:.0f} MB at most",
            "",
            f"{'stage':<12}{'calls':>7}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'ms a frame':>12}",
            *(self._line(stage) for stage in self.stages),
            "decode and effect, encode out have threads of their own: the sum is more than a frame's time",
        ]

    def _line(self, stage: StageTime) -> str:
        share = 1000 * stage.total_seconds / self.frames
        quantiles = f"{stage.p50_ms:>9.2f}{stage.p95_ms:>9.2f}{stage.p99_ms:>9.2f}"
        return f"{stage.name:<12}{stage.calls:>7}{quantiles}{share:>12.2f}"


def there_and_back(frames: list[ClipFrame]) -> Iterator[ClipFrame]:
    """The frames forward, backward, forward ... without end and without a jump."""
    return chain.from_iterable(cycle([frames, frames[-2:0:-1]]))


def bench(
    settings: Settings, frames: int, on_result: Callable[[FrameResult], None] | None = None
) -> Speed:
    """Run a clip of so many frames from file to file.

    Args:
        settings: of the run.
        frames: at least 10.
        on_result: called with each result.

    Raises:
        ValueError: too few frames, or a setting is wrong.
    """
    if frames < 10:
        raise ValueError(f"a benchmark needs at least 10 frames, got {frames}")
    memory: list[float] = []
    with TemporaryDirectory(prefix="s3pot-bench-") as folder:
        path = Path(folder) / "clip.mp4"
        drawn = list(islice(clip(fps=FPS), frames))
        write_clip(path, islice(there_and_back(drawn), frames), FPS)
        began = time.monotonic()

        def watch(result: FrameResult) -> None:
            if (result.frame.index + 1) % max(1, frames // 10) == 0:
                memory.append(resident_mb())
            if on_result is not None:
                on_result(result)

        clock = Clock()
        with ExitStack() as stack:
            source = stack.enter_context(closing(TimedSource(open_source(str(path)), clock)))
            effect = timed_effect(build_effect(settings), clock)
            out = settings.output
            sink = VideoSink(Path(folder) / "out.mp4", source.info, effect,
                             source_path=path, crf=out.crf, preset=out.preset)  # fmt: skip
            setattr(sink, "write", clock.timed("encode out", sink.write))  # noqa: B010
            pipeline = stack.enter_context(closing(Pipeline.from_settings(settings)))
            stack.enter_context(watched(pipeline, clock))
            loading = time.monotonic() - began
            cpu = time.process_time()
            report = run(source, pipeline, [sink], watch)
            cpu = time.process_time() - cpu
    return Speed(report.frames, report.seconds, loading, cpu, memory, peak_mb(), clock.times())


def resident_mb() -> float:
    """Memory that the process holds now; its peak where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_mb()
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def peak_mb() -> float:
    """Most memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
