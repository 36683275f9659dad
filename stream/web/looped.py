"""A file as if it were live: at its own speed, over and over, its sound with it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from stream.demux import open_container
from stream.frame import Frame
from stream.sound import Hearing, Samples, Sound
from stream.sources import Source
from stream.timeline import Timeline

NAP_SECONDS = 0.05
"""Waiting is done in such pieces, so that nobody waits for it to end."""


class FileSound:
    """The sound of a file, read beside its pictures.

    Args:
        path: of it; None: silence.
    """

    def __init__(self, path: Path | None) -> None:
        self._container = open_container(path) if path is not None else None
        self._pieces = self._decoded()
        self._next = next(self._pieces, None)

    def _decoded(self) -> Iterator[tuple[Fraction, Samples]]:
        """Time in the file, and samples; until its end or the first damage."""
        if self._container is None or not self._container.streams.audio:
            return
        hearing = Hearing()
        with suppress(av.FFmpegError):
            for piece in self._container.decode(self._container.streams.audio[0]):
                if piece.pts is not None and piece.time_base is not None:
                    yield piece.pts * piece.time_base, hearing(piece)

    def until(self, time_seconds: Fraction) -> Iterator[tuple[Fraction, Samples]]:
        """What is heard until then, and was not asked for before."""
        while self._next is not None and self._next[0] <= time_seconds:
            yield self._next
            self._next = next(self._pieces, None)

    def close(self) -> None:
        """Let the file go."""
        if self._container is not None:
            self._container.close()


class LoopedSource:
    """Plays a file; each round is another epoch.

    Args:
        first: the file, opened.
        reopen: opens it again.
        heard: the file whose sound goes along; None: none does.
    """

    def __init__(
        self, first: Source, reopen: Callable[[], Source], heard: Path | None = None
    ) -> None:
        self._heard = heard
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
            sounds = FileSound(self._heard)
            for frame in self._source:
                start = frame.time if start is None else start
                if not self._wait(began + float(frame.time - start)):
                    return
                now = time.monotonic()
                time_seconds = self._timeline(frame.time, now)
                sound = tuple(
                    Sound(placed, samples)
                    for stamp, samples in sounds.until(frame.time)
                    if (placed := self._timeline.place(stamp)) is not None
                )
                yield replace(
                    frame, index=index, time=time_seconds, epoch=epoch, received_seconds=now,
                    sound=sound,
                )  # fmt: skip
                index += 1
            sounds.close()
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
