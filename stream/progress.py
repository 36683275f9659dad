"""The bar a person watches: frames, frames a second, time left, faces."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from stream.frame import FrameResult

REDRAW_SECONDS = 0.1


class SpeedColumn(ProgressColumn):
    """Frames a second, as measured over the last half minute."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.1f} fps" if task.speed else "- fps")


class ProgressBar(AbstractContextManager["ProgressBar"]):
    """Call it with each result. Draws on stderr, and only on a terminal; has no thread of its own.

    Args:
        frames: how many to expect; None if nobody knows.
        quiet: draw nothing.
        console: where; stderr if None.

    Attributes:
        frames: results seen.
    """

    def __init__(
        self, frames: int | None, *, quiet: bool = False, console: Console | None = None
    ) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            BarColumn(), TextColumn("{task.completed:.0f}/{task.fields[expected]} frames"),
            SpeedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[faces]} faces"),
            console=console, auto_refresh=False, disable=quiet or not console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=frames, expected=frames or "?", faces=0)
        self._redrawn = 0.0
        self.frames = 0

    def __call__(self, result: FrameResult) -> None:
        """Count a result; redraw if the last time is a while ago."""
        self.frames += 1
        self._progress.update(self._task, completed=self.frames, faces=len(result.faces))
        if time.monotonic() - self._redrawn >= REDRAW_SECONDS:
            self._progress.refresh()
            self._redrawn = time.monotonic()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._progress.refresh()
        self._progress.stop()
