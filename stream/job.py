"""One conversion: a source, the pipeline and the sinks, opened together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from configs.settings import Settings
from stream.effects import build_effect
from stream.frame import FrameResult
from stream.pipeline import Pipeline
from stream.run import RunReport, run
from stream.sinks import JsonSink, MaskSink, Sink, VideoSink
from stream.sources import SourceInfo, open_source


class Job:
    """A video in, a composited video out; masks and a list of faces beside it if wanted.

    Opens everything at once, cheap things first, so that a mistake is told before work begins; if
    one cannot be opened, nothing of the others is left behind.

    Args:
        source: name for :func:`stream.sources.open_source`.
        output: the video to write.
        settings: what is drawn, and how.
        masks: directory for one PNG a frame.
        json: file for one line a frame.

    Attributes:
        info: of the source.

    Raises:
        ValueError: a name, a setting or the weights are wrong; among them the kinds in
            ``stream.errors`` and ``SettingsError``.
        OSError: something cannot be read or written.
    """

    def __init__(
        self, source: str, output: Path, settings: Settings, *,
        masks: Path | None = None, json: Path | None = None,
    ) -> None:  # fmt: skip
        _check_different(output, masks, json)
        effect = build_effect(settings)
        with ExitStack() as failed:
            self._source = open_source(source)
            failed.callback(self._source.close)
            self.info: SourceInfo = self._source.info
            path = Path(source.removeprefix("file://"))
            beside = path if path.is_file() else None
            self._sinks: list[Sink] = []

            def add(sink: Sink) -> None:
                self._sinks.append(sink)
                failed.callback(sink.abort)

            crf, preset = settings.output.crf, settings.output.preset
            add(VideoSink(output, self.info, effect, source_path=beside, crf=crf, preset=preset))
            if masks is not None:
                add(MaskSink(masks, source_path=beside))
            if json is not None:
                add(JsonSink(json, source_path=beside))
            self._pipeline = Pipeline.from_settings(settings, live=self.info.live)
            failed.pop_all()

    def run(self, on_result: Callable[[FrameResult], None] | None = None) -> RunReport:
        """Do it, once; see :func:`stream.run.run`."""
        report = run(self._source, self._pipeline, self._sinks, on_result)
        bank, references = self._pipeline.bank, self._pipeline.references
        report.references, report.inventions = bank.served, bank.inventions
        report.late_frames, report.unpainted = references.late_frames, references.dropped
        return report

    def close(self) -> None:
        """Let the source and the model go."""
        self._pipeline.close()
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


def _check_different(*outputs: Path | None) -> None:
    """Raise ValueError if two outputs are one file."""
    names = [path.absolute() for path in outputs if path is not None]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name}: is given for two outputs; each needs a name of its own")
