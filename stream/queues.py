"""Threads, locks and queues, here and in ``background.py`` and nowhere else.

The contract, whatever is put in between: order is kept; an error on the far side is raised on the
near side after what came before it; whichever side stops, the other returns; what is dropped is
counted with its cause.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Literal, Self, TypeVar

from stream.frame import FrameResult, heard_in
from stream.sinks import Sink

T = TypeVar("T")

Policy = Literal["wait", "newest"]
"""What a full queue does: ``wait`` for room (files, nothing is lost), or keep the ``newest`` and
drop the oldest (live).  With a budget, what has waited for longer is dropped too, but for the
newest: staleness."""

STUCK_SECONDS = 10.0
"""How long to wait for a reader that a device or a network holds; after that it is left behind."""


def threads_running() -> int:
    """Threads of this process that Python knows of."""
    return threading.active_count()


class Channel(Generic[T]):
    """A bounded queue between one producer and one consumer.

    Args:
        depth: items it holds at most.
        policy: see ``Policy``.
        budget_seconds: older items are dropped; None: none are.
        heir: (dropped, next) -> next, with what must not be lost of the dropped one.

    Attributes:
        dropped: how many items never arrived, by cause.
    """

    def __init__(
        self, depth: int, policy: Policy = "wait", budget_seconds: float | None = None,
        heir: Callable[[T, T], T] = lambda dropped, following: following,
    ) -> None:  # fmt: skip
        if depth < 1 or policy not in ("wait", "newest"):
            raise ValueError(f"depth must be 1 or more, policy wait or newest: {depth}, {policy!r}")
        self.dropped: Counter[str] = Counter()
        self._items: deque[tuple[float, T]] = deque()  # and when they came
        self._depth, self._policy, self._budget_seconds = depth, policy, budget_seconds
        self._heir = heir
        self._changed = threading.Condition()
        self._finished = self._stopped = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Producer: hand an item over. False if the consumer has stopped: so should you."""
        with self._changed:
            while self._policy == "wait" and len(self._items) >= self._depth and not self._stopped:
                self._changed.wait()
            if self._stopped:
                return False
            self._items.append((time.monotonic(), item))
            if len(self._items) > self._depth:
                self._drop_oldest("queue full")
            self._changed.notify_all()
            return True

    def finish(self, error: BaseException | None = None) -> None:
        """Producer: nothing follows. ``error`` is raised at the consumer after what is queued."""
        with self._changed:
            self._finished = True
            self._error = self._error or error
            self._changed.notify_all()

    def stop(self) -> None:
        """Consumer: no more is wanted. What is queued is dropped; a waiting producer returns."""
        with self._changed:
            self._stopped = True
            if self._items:
                self.dropped["consumer stopped"] += len(self._items)
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        """Consumer: the next item, waiting for it."""
        return self.get()

    def get(self, timeout_seconds: float | None = None) -> T:
        """Consumer: the next item.

        Raises:
            TimeoutError: none came in time. StopIteration: none will. Or the producer's error.
        """
        with self._changed:
            if not self._changed.wait_for(self._is_ready, timeout_seconds):
                raise TimeoutError(f"nothing came for {timeout_seconds} s")
            self._drop_stale()
            if self._items:
                _, item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None and not self._stopped:
                error, self._error = self._error, None
                raise error
            raise StopIteration

    def _is_ready(self) -> bool:
        return bool(self._items) or self._finished or self._stopped

    def _drop_stale(self) -> None:
        oldest = time.monotonic() - (self._budget_seconds or 0)
        while self._budget_seconds and len(self._items) > 1 and self._items[0][0] < oldest:
            self._drop_oldest("too old")

    def _drop_oldest(self, cause: str) -> None:
        _, dropped = self._items.popleft()
        came, following = self._items[0]
        self._items[0] = came, self._heir(dropped, following)
        self.dropped[cause] += 1


class Carried:
    """Keeps the error that ends a thread's block, for the side where the caller is."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        self.error = error
        return True


class Prefetch(Generic[T]):
    """Reads ahead in a thread of its own. A context manager that gives the items to iterate over.

    Args:
        items: iterated in the thread.
        depth: items read ahead at most.
        policy, budget_seconds, heir: see :class:`Channel`.
        stop: called at the end, so that a reader that waits for something returns.
        patience_seconds: one that has not returned so long after the end is left behind.
    """

    def __init__(
        self, items: Iterable[T], depth: int = 4, policy: Policy = "wait",
        budget_seconds: float | None = None, *,
        heir: Callable[[T, T], T] = lambda dropped, following: following,
        stop: Callable[[], None] | None = None, patience_seconds: float = STUCK_SECONDS,
    ) -> None:  # fmt: skip
        self._items, self._stop, self._patience_seconds = items, stop, patience_seconds
        self._channel: Channel[T] = Channel(depth, policy, budget_seconds, heir)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read, name="prefetch", daemon=True)

    def _read(self) -> None:
        with Carried() as carried:
            for item in self._items:
                if not self._channel.put(item):
                    break
        self._channel.finish(carried.error)
        self._done.set()

    def __enter__(self) -> Channel[T]:
        self._thread.start()
        return self._channel

    def __exit__(self, *error: object) -> None:
        self._channel.stop()
        if self._stop is not None:
            self._stop()
        self._done.wait(self._patience_seconds)


class SinkThread:
    """Runs a sink in a thread of its own; is itself a ``Sink``.

    The sink is closed in its thread too, so that a Ctrl-C in the caller's cannot break it off.

    Args:
        sink: written to and closed in the thread.
        depth: results that may wait.
        policy: see ``Policy``.
        idle: called in the thread whenever nothing came for ``idle_seconds``.
        patience_seconds: a sink that has not ended so long after it was told to is left behind.
    """

    def __init__(
        self, sink: Sink, depth: int = 4, policy: Policy = "wait", *,
        idle: Callable[[], None] | None = None, idle_seconds: float = 0.5,
        patience_seconds: float | None = None,
    ) -> None:  # fmt: skip
        self._sink, self._idle, self._patience_seconds = sink, idle, patience_seconds
        self._idle_seconds = None if idle is None else idle_seconds
        self._channel: Channel[FrameResult] = Channel(depth, policy, heir=heard_in)
        self._error: BaseException | None = None
        self._closing = self._cut = self._ended = False
        # Not Thread.join: before Python 3.13, one that Ctrl-C breaks off calls the thread dead.
        self._done = threading.Event()
        threading.Thread(target=self._pump, name="sink", daemon=True).start()

    @property
    def dropped(self) -> Counter[str]:
        """Results that never reached the sink, by cause."""
        return self._channel.dropped

    @property
    def notes(self) -> list[str]:
        return self._sink.notes

    def _pump(self) -> None:
        with Carried() as carried:
            for result in iter(self._next, None):
                self._sink.write(result)
            if self._closing:
                self._sink.close(cut=self._cut)
                self._ended = True
        self._error = carried.error
        self._channel.stop()
        self._done.set()

    def _next(self) -> FrameResult | None:
        """The next result; None where nothing follows. Whoever waits for it is kept busy."""
        while True:
            try:
                return self._channel.get(self._idle_seconds)
            except TimeoutError:
                if self._idle is not None:
                    self._idle()
            except StopIteration:
                return None

    def write(self, result: FrameResult) -> None:
        """Queue a result.

        Raises:
            BaseException: what the sink raised, from then on.
            ValueError: the sink was closed or aborted.
        """
        if not self._channel.put(result):
            self._done.wait()
            raise self._error or ValueError("write to a sink that was closed")

    def close(self, *, cut: bool = False) -> None:
        """Write what is queued, then close the sink; if anything failed, abort it and raise.

        If it is interrupted, calling it again goes on waiting.

        Raises:
            TimeoutError: the sink was left behind.
        """
        if not self._closing:
            self._closing, self._cut = True, cut
        self._channel.finish()
        patience = self._patience_seconds
        if not self._done.wait(patience):
            self._patience_seconds = 0.0  # it has been waited for
            raise TimeoutError(f"an output took nothing for {patience:g} s")
        if self._error is not None:
            self.abort()
            raise self._error

    def abort(self) -> None:
        """Drop what is queued and abort the sink; nothing if it has already ended."""
        self._closing = False
        self._channel.stop()
        if self._done.wait(self._patience_seconds) and not self._ended:
            self._ended = True
            self._sink.abort()
