"""A thread for slow work, beside those of ``queues.py``; the same contract."""

from __future__ import annotations

import atexit
import ctypes
import threading
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

from stream.queues import STUCK_SECONDS, Carried

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


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
            self._ended.wait(STUCK_SECONDS)
        atexit.unregister(self.close)

    def _drop(self, keys: Collection[K], cause: str) -> None:
        for key in keys:
            del self._jobs[key]
            self._waiting.pop(key, None)
            self.dropped[cause] += 1

    def _run(self) -> None:
        try:
            while self._do_next():
                pass
        except SystemExit:
            pass  # broken off between two jobs
        finally:
            self._ended.set()

    def _do_next(self) -> bool:
        """Do a job; False once closed.

        A function of its own, so that what the job held is let go before it counts as ended: a
        tensor that is freed here while the interpreter ends aborts the process.
        """
        taken = self._take()
        if taken is None:
            return False
        job, work = taken
        with Carried() as carried:
            job.set_result(work())
        if carried.error is not None:
            job.set_exception(carried.error)
        return True

    def _take(self) -> tuple[Future[T], Callable[[], T]] | None:
        """The oldest job that waits; waits for one. None once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else self._waiting.pop(next(iter(self._waiting)))
