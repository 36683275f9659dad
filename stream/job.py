"""One run: a source, the pipeline, the composer and the outputs, opened together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from configs.settings import Settings
from stream.composer import PATIENCE_SECONDS as SIGNAL_SECONDS
from stream.composer import Composer, untold
from stream.frame import Frame, FrameResult
from stream.inlets import open_source
from stream.names import shown
from stream.outlets import Context, is_remote, kind_of, open_outlet
from stream.pipeline import Pipeline
from stream.policy import build_policy
from stream.publish import PublishSink
from stream.queues import SinkThread
from stream.run import RunReport, run
from stream.sinks import Sink
from stream.sources import SourceInfo
from stream.virtual_camera import VirtualCameraSink

LIVE_DEPTH = 8
"""Pictures that may wait for a sink, before the oldest are dropped."""

PATIENCE_SECONDS = 5.0
"""So long a sink of a stream may take to finish; then it is left behind."""


class Work(Protocol):
    """What is done with the frames: the pipeline, or what stands in for it where it is not the point."""

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameResult]: ...
    def close(self) -> None: ...


class Job:
    """A source in; composited pictures, masks and lists of faces out.

    Opens everything at once, cheap things first, so that a mistake is told before work begins; if
    one cannot be opened, nothing of the others is left behind.

    Args:
        source: name for :func:`stream.inlets.open_source`.
        outputs: names for :func:`stream.outlets.open_outlet`; at least one.
        settings: what is drawn, and how.
        work: instead of the pipeline that the settings describe.
        tell: told what a person should know while it goes on: no signal, a receiver lost, back; from
            any thread.

    Attributes:
        info: of the source.

    Raises:
        ValueError: a name, a setting or the weights are wrong; among them the kinds in
            ``stream.errors`` and ``SettingsError``.
        OSError: something cannot be read or written.
    """

    def __init__(
        self, source: str, outputs: Sequence[str], settings: Settings, work: Work | None = None,
        *, tell: Callable[[str], None] = untold,
    ) -> None:  # fmt: skip
        _check_different(outputs)
        policy = build_policy(settings)
        with ExitStack() as failed:
            self._source = open_source(source, settings.live)
            failed.callback(self._source.close)
            self.info: SourceInfo = self._source.info
            path = Path(source.removeprefix("file://"))
            context = Context(self.info, settings, path if path.is_file() else None, tell)
            self._sinks: dict[str, tuple[Sink, SinkThread]] = {}
            for name in outputs:
                sink = open_outlet(name, context)
                failed.callback(sink.abort)
                thread = self._thread(sink, name, late=self.info.live or is_remote(name))
                failed.callback(thread.abort)
                self._sinks[name] = sink, thread  # two that differ in a key are shown as one
            threads = [thread for _, thread in self._sinks.values()]
            self._composer = Composer(
                policy,
                threads,
                steadfast=not self.info.live,
                patience_seconds=patience_seconds(self.info),
                tell=tell,
            )
            self._budget_seconds = settings.live.budget_seconds or None
            self._work: Work = work or Pipeline.from_settings(settings, live=self.info.live)
            failed.pop_all()

    def _thread(self, sink: Sink, name: str, *, late: bool) -> SinkThread:
        """One that is slow drops old pictures where they come when they come; a file waits."""
        if not late:
            return SinkThread(sink)
        return SinkThread(
            sink, LIVE_DEPTH, "newest", patience_seconds=PATIENCE_SECONDS, name=shown(name)
        )

    def run(self, on_result: Callable[[FrameResult], None] | None = None) -> RunReport:
        """Do it, once; see :func:`stream.run.run`."""
        report = run(
            self._source, self._work, [self._composer], on_result,
            budget_seconds=self._budget_seconds,
        )  # fmt: skip
        for name, (sink, thread) in self._sinks.items():
            lost = thread.dropped
            if isinstance(sink, (PublishSink, VirtualCameraSink)):
                lost = lost + sink.dropped
            if lost:
                report.sink_drops[shown(name)] = lost + report.sink_drops.get(
                    shown(name), Counter()
                )
        if isinstance(self._work, Pipeline):
            bank, references = self._work.bank, self._work.references
            report.references, report.inventions = bank.served, bank.inventions
            report.late_frames, report.unpainted = references.late_frames, references.dropped
        return report

    def close(self) -> None:
        """Let the source and the model go."""
        self._work.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


def patience_seconds(info: SourceInfo) -> float:
    """How long to wait for a frame before the output says that none comes: three frames, at least."""
    return max(SIGNAL_SECONDS, 3 / float(info.rate)) if info.rate else SIGNAL_SECONDS


def _check_different(outputs: Sequence[str]) -> None:
    """Raise ValueError if two outputs are one file."""
    names = [Path(kind_of(name)[1]).absolute() for name in outputs]
    for name, path in zip(outputs, names, strict=True):
        if names.count(path) > 1:
            raise ValueError(
                f"{shown(name)}: is given for two outputs; each needs a name of its own"
            )
