"""The one home of threads, locks and queues.

The contract, whatever is put in between: order is kept; an error on the far side is raised on the
near side after what came before it; whichever side stops, the other returns; what is dropped is
counted with its cause.
"""

from __future__ import annotations

import atexit
import ctypes
import threading
from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from concurrent.futures import Future
from typing import Generic, Literal, Self, TypeVar

from stream.frame import FrameResult
from stream.sinks import Sink

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

Policy = Literal["wait", "newest"]
"""What a full queue does: ``wait`` for room (files), or drop the oldest for the ``newest`` (live)."""

_STUCK_SECONDS = 10.0
"""How long to wait for a reader that a device or a network holds; after that it is left behind."""


class Channel(Generic[T]):
    """A bounded queue between one producer and one consumer.

    Args:
        depth: items it holds at most.
        policy: see ``Policy``.

    Attributes:
        dropped: how many items never arrived, by cause.
    """

    def __init__(self, depth: int, policy: Policy = "wait") -> None:
        if depth < 1 or policy not in ("wait", "newest"):
            raise ValueError(f"depth must be 1 or more, policy wait or newest: {depth}, {policy!r}")
        self.dropped: Counter[str] = Counter()
        self._items: deque[T] = deque()
        self._depth, self._policy = depth, policy
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
            if len(self._items) >= self._depth:
                self._items.popleft()
                self.dropped["queue full"] += 1
            self._items.append(item)
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
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._finished or self._stopped)
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None and not self._stopped:
                error, self._error = self._error, None
                raise error
            raise StopIteration


class _Carried:
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
        policy: see ``Policy``.
    """

    def __init__(self, items: Iterable[T], depth: int = 4, policy: Policy = "wait") -> None:
        self._items = items
        self._channel: Channel[T] = Channel(depth, policy)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read, name="prefetch", daemon=True)

    def _read(self) -> None:
        with _Carried() as carried:
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
        self._done.wait(_STUCK_SECONDS)


class SinkThread:
    """Runs a sink in a thread of its own; is itself a ``Sink``.

    The sink is closed in its thread too, so that a Ctrl-C in the caller's cannot break it off.

    Args:
        sink: written to and closed in the thread.
        depth: results that may wait.
        policy: see ``Policy``.
    """

    def __init__(self, sink: Sink, depth: int = 4, policy: Policy = "wait") -> None:
        self._sink = sink
        self._channel: Channel[FrameResult] = Channel(depth, policy)
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
        with _Carried() as carried:
            for result in self._channel:
                self._sink.write(result)
            if self._closing:
                self._sink.close(cut=self._cut)
                self._ended = True
        self._error = carried.error
        self._channel.stop()
        self._done.set()

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
        """
        if not self._closing:
            self._closing, self._cut = True, cut
        self._channel.finish()
        self._done.wait()
        if self._error is not None:
            self.abort()
            raise self._error

    def abort(self) -> None:
        """Drop what is queued and abort the sink; nothing if it has already ended."""
        self._closing = False
        self._channel.stop()
        self._done.wait()
        if not self._ended:
            self._ended = True
            self._sink.abort()


class Background(Generic[K, T]):
    """Does slow work in a thread of its own, a job at a time, in order, while the caller goes on.

    Args:
        depth: jobs that may wait; for one more the oldest is dropped.

    Attributes:
        dropped: jobs whose result nobody gets, by cause.
    """

    def __init__(self, depth: int) -> None:
        self.dropped: Counter[str] = Counter()
        self._jobs: dict[K, Future[T]] = {}  # the caller's: in order, until fetched or dropped
        self._waiting: dict[K, tuple[Future[T], Callable[[], T]]] = {}  # both threads'
        self._depth, self._changed = depth, threading.Condition()
        self._closed, self._ended = False, threading.Event()
        self._thread = threading.Thread(target=self._run, name="background", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def submit(self, key: K, work: Callable[[], T]) -> None:
        """Ask for a job; an earlier one of the same key is dropped. ValueError if it was closed."""
        if self._closed:
            raise ValueError(f"job {key!r} for a background that was closed")
        with self._changed:
            self._drop(self._jobs.keys() & {key}, "asked again")
            job = self._jobs[key] = Future()
            self._waiting[key] = job, work
            self._drop(list(self._waiting)[: -self._depth], "queue full")
            self._changed.notify()

    def __contains__(self, key: K) -> bool:
        """Whether a job of this key is waiting, running, or done and not fetched."""
        return key in self._jobs

    def finished(self) -> Iterator[tuple[K, T]]:
        """Fetch what is done, without waiting; what a job raised is raised in its place."""
        for key in [key for key, job in self._jobs.items() if job.done()]:
            yield key, self._jobs.pop(key).result()

    def keep(self, keys: Collection[K], cause: str) -> None:
        """Drop all jobs but those of these keys; of one that is running nothing is heard again."""
        with self._changed:
            self._drop(self._jobs.keys() - set(keys), cause)

    def close(self, grace_seconds: float = 1.0) -> None:
        """Drop all jobs; one that is running is soon broken off, between two steps of Python."""
        self.keep((), "closed")
        with self._changed:
            self._closed = True
            self._changed.notify()
        if not self._ended.wait(grace_seconds):
            # A daemon thread that is left inside of torch aborts the process when that ends.
            ident, stop = ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(SystemExit)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, stop)
            self._ended.wait(_STUCK_SECONDS)
        atexit.unregister(self.close)

    def _drop(self, keys: Collection[K], cause: str) -> None:
        for key in keys:
            del self._jobs[key]
            self._waiting.pop(key, None)
            self.dropped[cause] += 1

    def _run(self) -> None:
        try:
            for job, work in iter(self._take, None):
                with _Carried() as carried:
                    job.set_result(work())
                if carried.error is not None:
                    job.set_exception(carried.error)
        finally:
            self._ended.set()

    def _take(self) -> tuple[Future[T], Callable[[], T]] | None:
        """The oldest job that waits; waits for one. None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting.pop(next(iter(self._waiting)))
