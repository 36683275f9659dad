"""What a person watches: a bar for a file, a line of figures for a stream, and what happens to it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from stream.frame import FrameResult

REDRAW_SECONDS = 0.1

FACES = TextColumn("{task.fields[faces]} faces")


class SpeedColumn(ProgressColumn):
    """Frames a second, as measured over the last half minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} fps" if task.speed else "- fps")


def file_columns() -> tuple[ProgressColumn, ...]:
    """How far it is."""
    counted = TextColumn("{task.completed:.0f}/{task.fields[expected]} frames")
    return BarColumn(), counted, SpeedColumn(), TimeRemainingColumn(), FACES


def stream_columns() -> tuple[ProgressColumn, ...]:
    """How well it goes."""
    counted = TextColumn("{task.completed:.0f} frames, {task.fields[dropped]} dropped")
    latency = TextColumn("{task.fields[latency]} ms")
    return SpinnerColumn(), TimeElapsedColumn(), counted, SpeedColumn(), latency, FACES


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """Call it with each result. Draws on stderr, and only on a terminal; has no thread of its own.

    Args:
        frames: how many to expect; None if nobody knows.
        live: a stream has no end, but a latency, and frames that are dropped.
        quiet: draw nothing.
        console: where; stderr if None.

    Attributes:
        frames: results seen.
    """

    def __init__(
        self, frames: int | None, *, live: bool = False, quiet: bool = False,
        console: Console | None = None,
    ) -> None:  # fmt: skip
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            *(stream_columns() if live else file_columns()), console=self._console, auto_refresh=False,
            disable=quiet or not self._console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task(
            "", total=frames, expected=frames or "?", faces=0, latency="-", dropped=0
        )
        self._redrawn = 0.0
        self.frames = 0

    def __call__(self, result: FrameResult) -> None:
        """Count a result; redraw if the last time is a while ago."""
        self.frames += 1
        received, now = result.frame.received_seconds, time.monotonic()
        self._progress.update(
            self._task, completed=self.frames, faces=len(result.faces),
            latency=f"{1000 * (now - received):.0f}" if received else "-",
            dropped=result.frame.index + 1 - self.frames,
        )  # fmt: skip
        if time.monotonic() - self._redrawn >= REDRAW_SECONDS:
            self._progress.refresh()
            self._redrawn = time.monotonic()

    def say(self, text: str) -> None:
        """A line of its own, with the time of day, above the figures; from any thread."""
        self._console.print(
            f"{time.strftime('%H:%M:%S')} {text}", markup=False, highlight=False, soft_wrap=True
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._progress.refresh()
        self._progress.stop()
