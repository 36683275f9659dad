"""A stream that runs in a thread of its own, with a pipeline of its own, for a page to look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing

from configs.settings import Settings
from stream.composer import Composer
from stream.errors import StreamError
from stream.frame import FrameResult
from stream.inlets import DEVICES, INLETS, open_source
from stream.names import scheme_of
from stream.pipeline import Pipeline
from stream.privacy.policy import PrivacyPolicy
from stream.queues import Prefetch
from stream.run import RunReport, run
from stream.sources import Source
from stream.web.board import Board
from stream.web.looped import LoopedSource
from stream.web.memory import give_back
from stream.web.switch import Switch

AGAIN_SECONDS, NAP_SECONDS = 1.0, 0.05
"""A source that cannot be opened is tried again after so long; waiting is done in small pieces."""

NEWEST_SECONDS = 0.02
"""A frame that waited for longer, while another came, is dropped: who looks at himself wants no queue."""

FAILED = "it failed inside, and was closed"
"""All that is told of an error that is ours: its text may name anything."""


class Session:
    """Source, pipeline, composer and a board to look at.

    Args:
        settings: of the pipeline and the policy.
        open_next: opens the source, in the session's thread; raises SourceError where that is not
            possible now.
        again: when the source has ended, it is opened anew.

    Attributes:
        board: what there is to see.
        switch: what is drawn.
        ended: why nothing comes any more; empty while it runs.
    """

    def __init__(self, settings: Settings, open_next: Callable[[], Source], *, again: bool) -> None:
        self.switch = Switch(settings)
        self.board = Board(settings)
        self.ended = ""
        self._settings, self._open, self._again = settings, open_next, again
        self._policy = self.switch.policy()
        self._source: Source | None = None
        self._closed = False
        self._seen: int | None = None  # index of the frame before
        self._thread = Prefetch(self._runs(), 1, "newest")
        self._thread.__enter__()

    def _runs(self) -> Iterator[RunReport]:
        """One report for each time that the source was there. This is what the thread does."""
        try:
            pipeline = Pipeline.from_settings(self._settings, live=True)
            try:
                yield from self._with(pipeline)
            finally:
                pipeline.close()
        except StreamError as error:  # names in there hold no password
            self.ended = self.ended or str(error)
        except Exception as error:
            self.ended = self.ended or f"{FAILED} ({type(error).__name__})"
            raise
        finally:
            self.ended = self.ended or "it has ended"
            self.board.clear("nothing comes in")

    def _with(self, pipeline: Pipeline) -> Iterator[RunReport]:
        while not self._closed:
            source = self._opened()
            if source is None:
                continue
            self._source, self._seen = source, None
            composer = Composer(self._policy, [self.board], steadfast=False)
            try:
                with closing(source):
                    if not self._closed:
                        yield run(
                            source, pipeline, [composer], self._count,
                            budget_seconds=NEWEST_SECONDS,
                        )  # fmt: skip
            except StreamError as error:
                if not self._again:
                    raise
                self.board.note = str(error)
            if not self._again:
                return
            self.board.clear()
            pipeline.reset()
            self._policy.restarted("restart")

    def _opened(self) -> Source | None:
        """The source; None, after a while, where it cannot be opened."""
        try:
            source = self._open()
        except StreamError as error:
            if not self._again:
                raise
            self.board.note = str(error)
            until = time.monotonic() + AGAIN_SECONDS
            while not self._closed and time.monotonic() < until:
                time.sleep(NAP_SECONDS)
            return None
        self.board.note = ""
        return source

    def _count(self, result: FrameResult) -> None:
        """In the model's thread, after each frame: those that it had no time for, or failed in."""
        tally, index = self.board.tally, result.frame.index
        if self._seen is not None:
            tally.drops["model busy"] += max(0, index - self._seen - 1)
        self._seen = index
        if result.failure:
            tally.failures[result.failure] += 1

    @property
    def covered_frames(self) -> int | None:
        """Frames that the privacy policy covered as a whole; None of a policy that is open."""
        policy = self._policy
        return policy.audit.covered_frames if isinstance(policy, PrivacyPolicy) else None

    def close(self, why: str = "") -> None:
        """End it, and wait until it has."""
        self.ended = self.ended or why
        self._closed = True
        if self._source is not None:
            self._source.close()
        self._thread.__exit__(None, None, None)
        give_back()


def watched(name: str, settings: Settings) -> Session:
    """A source by name, for all to watch; a file is played over and over.

    Raises:
        ValueError: the name is of no known kind. SourceError: it is a file that cannot be read.
    """
    kind = next((kind for kind in DEVICES if name.startswith(f"{kind}:")), scheme_of(name))
    if kind in ("", "file") or kind not in INLETS:  # that is known at once
        open_source(name, settings.live).close()

    def open_next() -> Source:
        source = open_source(name, settings.live)
        if source.info.live:
            return source
        return LoopedSource(source, lambda: open_source(name, settings.live))

    return Session(settings, open_next, again=True)
