"""A file as if it were live: at its own speed, over and over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from stream.frame import Frame
from stream.sources import Source
from stream.timeline import Timeline

NAP_SECONDS = 0.05
"""Waiting is done in such pieces, so that nobody waits for it to end."""


class LoopedSource:
    """Plays a file; each round is another epoch.

    Args:
        first: the file, opened.
        reopen: opens it again.
    """

    def __init__(self, first: Source, reopen: Callable[[], Source]) -> None:
        self.info = replace(first.info, live=True, frames=None, duration_seconds=None)
        self.damage: str | None = None
        self.notes: list[str] = []
        self._source, self._reopen = first, reopen
        self._timeline = Timeline()
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Every frame when its time has come, until :meth:`close`."""
        index = epoch = 0
        while not self._closed:
            began = time.monotonic()
            start = None
            for frame in self._source:
                start = frame.time if start is None else start
                if not self._wait(began + float(frame.time - start)):
                    return
                now = time.monotonic()
                time_seconds = self._timeline(frame.time, now)
                yield replace(
                    frame, index=index, time=time_seconds, epoch=epoch, received_seconds=now
                )
                index += 1
            self._source.close()
            self._source = self._reopen()
            self._timeline.interrupt()
            epoch += 1

    def _wait(self, until: float) -> bool:
        """Whether it is still wanted then."""
        while not self._closed and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, NAP_SECONDS))
        return not self._closed

    def close(self) -> None:
        """The iteration ends soon; from any thread."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()
