"""A stream that runs in a thread of its own, with a pipeline of its own, for a page to look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from configs.settings import Settings
from stream.composer import Composer
from stream.errors import StreamError
from stream.frame import FrameResult
from stream.inlets import DEVICES, INLETS, open_source
from stream.names import scheme_of
from stream.pipeline import Pipeline
from stream.privacy.audit import Audit
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

FAILED = "it failed inside"
"""All that is told of an error that is ours: its text may name anything."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""After it failed inside, until it begins again; doubled each time that it fails at once."""

WELL_SECONDS = 30.0
"""What ran for so long did not fail at once."""


class Session:
    """Source, pipeline, composer and a board to look at.

    Args:
        settings: of the pipeline and the policy.
        open_next: opens the source, in the session's thread; raises SourceError where that is not
            possible now.
        again: when the source has ended, it is opened anew; when it failed inside, all begins anew, with
            nothing of the picture shown until the policy opens it.

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
        pause = FIRST_PAUSE_SECONDS
        try:
            while not self._closed:
                began = time.monotonic()
                yield from self._life()
                if not self._again:
                    return
                self.board.clear()
                if time.monotonic() - began > WELL_SECONDS:
                    pause = FIRST_PAUSE_SECONDS
                self._sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        finally:
            self.ended = self.ended or "it has ended"
            self.board.clear("nothing comes in")

    def _life(self) -> Iterator[RunReport]:
        """From a new pipeline until all is over, or something fails inside."""
        why = ""
        try:
            pipeline = Pipeline.from_settings(self._settings, live=True)
            with closing(pipeline):
                yield from self._with(pipeline)
        except StreamError as error:  # names in there hold no password
            why = str(error)
        except Exception as error:  # noqa: BLE001  whatever it is, this session alone has it
            why = f"{FAILED} ({type(error).__name__})"
            self.board.tally.failures["session failed"] += 1
        if self._again:
            self.board.note = f"{why}; it begins again" if why else ""
        else:
            self.ended = self.ended or why
        self._begin_anew()

    def _begin_anew(self) -> None:
        """What comes now belongs to nothing before it."""
        self._policy.flush()  # to nobody
        self._policy.restarted("restart")

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
            self._begin_anew()

    def _opened(self) -> Source | None:
        """The source; None, after a while, where it cannot be opened."""
        try:
            source = self._open()
        except StreamError as error:
            if not self._again:
                raise
            self.board.note = str(error)
            self._sleep(AGAIN_SECONDS)
            return None
        self.board.note = ""
        return source

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._closed and time.monotonic() < until:
            time.sleep(NAP_SECONDS)

    def _count(self, result: FrameResult) -> None:
        """In the model's thread, after each frame: those that it had no time for, or failed in."""
        tally, index = self.board.tally, result.frame.index
        if self._seen is not None:
            tally.drops["model busy"] += max(0, index - self._seen - 1)
        self._seen = index
        if result.failure:
            tally.failures[result.failure] += 1

    @property
    def audit(self) -> Audit | None:
        """What the privacy policy counted; None of one that is open."""
        return self._policy.audit if isinstance(self._policy, PrivacyPolicy) else None

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
        heard = Path(name.removeprefix("file://")) if kind in ("", "file") else None
        return LoopedSource(source, lambda: open_source(name, settings.live), heard)

    return Session(settings, open_next, again=True)
