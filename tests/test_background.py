"""Slow work beside the caller: order, errors, what is dropped and why. No test waits for a clock."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.background import Background
from tests.settled import settle

ROOT = Path(__file__).resolve().parents[1]
WithoutHang = Callable[[Callable[[], object]], None]


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Shut until a test opens it; no thread is left standing before it."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def background() -> Iterator[Background[int, str]]:
    one: Background[int, str] = Background(3)
    yield one
    one.close()


def held(background: Background[int, str], gate: threading.Event) -> None:
    """Job 0 is running, and stands before the gate."""
    begun = threading.Event()

    def work() -> str:
        begun.set()
        gate.wait()
        return "held"

    background.submit(0, work)
    assert begun.wait(20)


def fails() -> str:
    raise OSError("out of paint")


def test_nobody_waits_for_it_and_results_come_in_order(
    background: Background[int, str], gate: threading.Event, without_hang: WithoutHang
) -> None:
    held(background, gate)
    background.submit(1, lambda: "one")
    without_hang(lambda: list(background.finished()) == [] or pytest.fail("before it was done"))
    assert 0 in background
    assert 1 in background
    gate.set()
    settle(background)
    assert list(background.finished()) == [(0, "held"), (1, "one")]
    assert list(background.finished()) == []
    assert 0 not in background
    assert not background.dropped


def test_the_work_is_done_in_one_other_thread(background: Background[int, str]) -> None:
    for key in range(3):
        background.submit(key, lambda: threading.current_thread().name)
    settle(background)
    assert [name for _, name in background.finished()] == ["background"] * 3
    assert sum(thread.name == "background" for thread in threading.enumerate()) >= 1


def test_an_error_is_raised_where_results_are_fetched_and_work_goes_on(
    background: Background[int, str],
) -> None:
    background.submit(1, lambda: "before")
    background.submit(2, fails)
    background.submit(3, lambda: "after")
    settle(background)
    results = background.finished()
    assert next(results) == (1, "before")
    with pytest.raises(OSError, match="out of paint"):
        next(results)
    assert list(background.finished()) == [(3, "after")]
    assert 2 not in background


def test_the_oldest_that_waits_is_dropped_and_counted(
    background: Background[int, str], gate: threading.Event
) -> None:
    held(background, gate)
    for key in range(1, 6):
        background.submit(key, lambda: "painted")
    assert background.dropped == {"queue full": 2}
    assert [key in background for key in range(6)] == [True, False, False, True, True, True]
    gate.set()
    settle(background)
    assert [key for key, _ in background.finished()] == [0, 3, 4, 5]


def test_a_key_has_one_job_the_last_one(
    background: Background[int, str], gate: threading.Event
) -> None:
    held(background, gate)
    background.submit(0, lambda: "again")  # the first is running
    background.submit(1, lambda: "old")
    background.submit(1, lambda: "new")
    gate.set()
    settle(background)
    assert list(background.finished()) == [(0, "again"), (1, "new")]
    assert background.dropped == {"asked again": 2}


def test_of_what_nobody_wants_any_more_nothing_is_heard(
    background: Background[int, str], gate: threading.Event
) -> None:
    done: list[int] = []
    background.submit(3, fails)
    settle(background)
    held(background, gate)
    background.submit(1, lambda: done.append(1) or "one")  # type: ignore[func-returns-value]
    background.submit(2, lambda: "two")
    background.keep({2}, "face left")  # of one done, one running and one waiting
    gate.set()
    settle(background)
    assert list(background.finished()) == [(2, "two")]
    assert not done
    assert background.dropped == {"face left": 3}


def test_close_breaks_off_what_goes_on_and_on(
    background: Background[int, str], without_hang: WithoutHang
) -> None:
    begun = threading.Event()

    def endless() -> str:
        begun.set()
        while True:  # as the steps of a diffusion
            sum(range(1000))

    background.submit(0, endless)
    background.submit(1, lambda: "one")
    assert begun.wait(20)
    without_hang(lambda: background.close(0.01))
    assert background._ended.is_set()
    without_hang(background.close)
    assert list(background.finished()) == []
    assert background.dropped == {"closed": 2}
    with pytest.raises(ValueError, match="1"):
        background.submit(1, fails)


def test_close_lets_what_is_nearly_done_end(
    background: Background[int, str], gate: threading.Event, without_hang: WithoutHang
) -> None:
    held(background, gate)
    threading.Timer(0.05, gate.set).start()
    without_hang(lambda: background.close(20))
    assert gate.is_set()
    assert background._ended.is_set()


def test_one_that_never_worked_closes_at_once(without_hang: WithoutHang) -> None:
    without_hang(Background(1).close)


def test_a_process_ends_well_while_something_is_painted() -> None:
    code = """
import torch
from stream.background import Background
def endless():
    while True:
        torch.ones(64, 64) @ torch.ones(64, 64)
background = Background(1)
background.submit(0, endless)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


class Tensor:
    """Takes its time to be freed."""

    def __init__(self, freed: list[str]) -> None:
        self._freed = freed

    def __del__(self) -> None:
        time.sleep(0.2)
        self._freed.append("freed")


@pytest.mark.parametrize("broken_off", [False, True])
def test_what_a_job_held_is_freed_before_it_counts_as_closed(broken_off: bool) -> None:
    """What its thread frees while the interpreter ends aborts the process, if it is torch's."""
    freed: list[str] = []
    background: Background[int, str] = Background(3)
    begun = threading.Event()

    def job(held: Tensor) -> Callable[[], str]:
        def work() -> str:
            begun.set()
            while broken_off:
                time.sleep(0.001)
            return str(held)

        return work

    background.submit(0, job(Tensor(freed)))
    assert begun.wait(20)
    background.close(grace_seconds=0.01 if broken_off else 10)
    gc.collect()  # an error that was raised holds its frames, in a circle
    assert freed == ["freed"]
