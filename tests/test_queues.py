"""Order, errors, endings and drops, whichever side goes first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from stream.frame import FrameResult
from stream.queues import Channel, Prefetch, SinkThread
from tests.clips import plain_frame

WithoutHang = Callable[[Callable[[], object]], None]


class Recorder:
    """A sink that remembers, and fails where told."""

    def __init__(self, fail_at: int | None = None, fail_on_close: bool = False) -> None:
        self.seen: list[int] = []
        self.ended: list[str] = []
        self.notes = ["a note"]
        self.gate = threading.Event()
        self.gate.set()
        self._fail_at, self._fail_on_close = fail_at, fail_on_close

    def write(self, result: FrameResult) -> None:
        self.gate.wait()
        if result.frame.index == self._fail_at:
            raise OSError("disk full")
        self.seen.append(result.frame.index)

    def close(self, *, cut: bool = False) -> None:
        if self._fail_on_close:
            raise OSError("cannot rename")
        self.ended.append("cut" if cut else "closed")

    def abort(self) -> None:
        self.ended.append("aborted")


def result(index: int) -> FrameResult:
    return FrameResult(plain_frame(index), (), ())


def counting(stop: int, started: list[int] | None = None) -> Iterator[int]:
    for i in range(stop):
        if started is not None:
            started.append(i)
        yield i


def failing_after(stop: int) -> Iterator[int]:
    yield from range(stop)
    raise ValueError("bad byte")


def test_channel_keeps_order_and_ends():
    channel: Channel[int] = Channel(10)
    for i in range(5):
        assert channel.put(i)
    channel.finish()
    assert list(channel) == [0, 1, 2, 3, 4]
    assert list(channel) == []


def test_channel_newest_drops_the_oldest_and_counts():
    channel: Channel[int] = Channel(2, "newest")
    for i in range(5):
        assert channel.put(i)
    channel.finish()
    assert list(channel) == [3, 4]
    assert channel.dropped == {"queue full": 3}


def test_channel_raises_after_what_came_before():
    channel: Channel[int] = Channel(3)
    channel.put(1)
    channel.finish(ValueError("late"))
    assert next(channel) == 1
    with pytest.raises(ValueError, match="late"):
        next(channel)
    with pytest.raises(StopIteration):
        next(channel)


def test_channel_stop_counts_what_was_waiting():
    channel: Channel[int] = Channel(3)
    channel.put(1)
    channel.put(2)
    channel.stop()
    assert not channel.put(3)
    assert channel.dropped == {"consumer stopped": 2}
    assert list(channel) == []


@pytest.mark.parametrize(("depth", "policy"), [(0, "wait"), (3, "drop")])
def test_channel_refuses_bad_settings(depth, policy):
    with pytest.raises(ValueError, match=f"{depth}.*{policy}"):
        Channel(depth, policy)


def test_stop_frees_a_producer_blocked_on_a_full_queue(without_hang: WithoutHang):
    channel: Channel[int] = Channel(1)
    channel.put(0)
    answers: list[bool] = []
    producer = threading.Thread(target=lambda: answers.append(channel.put(1)), daemon=True)
    producer.start()
    channel.stop()
    without_hang(producer.join)
    assert answers == [False]


def test_prefetch_keeps_order():
    with Prefetch(range(500), depth=3) as items:
        assert list(items) == list(range(500))
        assert not items.dropped


def test_prefetch_reads_no_further_than_its_depth():
    started: list[int] = []
    with Prefetch(counting(1000, started), depth=3) as items:
        for item in items:
            if item < 50:
                time.sleep(0.0005)  # gives the reader every chance to run away
            # one handed over, three in the queue, one in the reader's hand
            assert len(started) <= item + 6
            if item == 60:
                break


def test_prefetch_raises_the_readers_error_after_its_items():
    seen = []

    def read() -> None:
        with Prefetch(failing_after(3), depth=8) as items:
            seen.extend(iter(lambda: next(items), None))

    with pytest.raises(ValueError, match="bad byte"):
        read()
    assert seen == [0, 1, 2]


def test_prefetch_consumer_may_stop_early(without_hang: WithoutHang):
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    def take_one() -> None:
        with Prefetch(endless(), depth=2) as items:
            next(items)

    without_hang(take_one)
    assert closed.wait(10), "the reader was left running"


def test_prefetch_consumers_error_ends_the_reader(without_hang: WithoutHang):
    def fail() -> None:
        with Prefetch(counting(10**9), depth=2) as items:
            next(items)
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        without_hang(fail)
    left = [thread for thread in threading.enumerate() if thread.name == "prefetch"]
    for thread in left:
        thread.join(10)
    assert not [thread for thread in left if thread.is_alive()]


def test_prefetch_newest_for_a_slow_consumer():
    ready = threading.Event()

    def burst() -> Iterator[int]:
        yield from range(20)
        ready.set()

    with Prefetch(burst(), depth=1, policy="newest") as items:
        assert ready.wait(10)
        rest = list(items)
    assert rest[-1] == 19
    assert len(rest) + items.dropped["queue full"] == 20


def test_sink_thread_writes_in_order_then_closes():
    sink = Recorder()
    thread = SinkThread(sink, depth=2)
    for i in range(50):
        thread.write(result(i))
    thread.close()
    assert sink.seen == list(range(50))
    assert sink.ended == ["closed"]
    assert thread.notes == ["a note"]
    assert not thread.dropped


def test_sink_thread_passes_the_cut_on():
    sink = Recorder()
    SinkThread(sink).close(cut=True)
    assert sink.ended == ["cut"]


def test_sink_error_reaches_the_writer(without_hang: WithoutHang):
    sink = Recorder(fail_at=3)
    thread = SinkThread(sink, depth=1)

    def write_all() -> None:
        for i in range(1000):
            thread.write(result(i))

    with pytest.raises(OSError, match="disk full"):
        without_hang(write_all)
    with pytest.raises(OSError, match="disk full"):
        thread.close()
    assert sink.seen == [0, 1, 2]
    assert sink.ended == ["aborted"]


def test_sink_error_on_the_last_frame_is_not_lost():
    sink = Recorder(fail_at=0)
    thread = SinkThread(sink)
    thread.write(result(0))
    with pytest.raises(OSError, match="disk full"):
        thread.close()
    assert sink.ended == ["aborted"]


def test_abort_does_not_wait_for_what_is_queued(without_hang: WithoutHang):
    sink = Recorder()
    sink.gate.clear()
    thread = SinkThread(sink, depth=8)
    for i in range(5):
        thread.write(result(i))
    threading.Timer(0.05, sink.gate.set).start()
    without_hang(thread.abort)
    assert sink.ended == ["aborted"]
    assert len(sink.seen) <= 1


def test_newest_sink_never_blocks_the_writer(without_hang: WithoutHang):
    sink = Recorder()
    sink.gate.clear()
    thread = SinkThread(sink, depth=1, policy="newest")
    without_hang(lambda: [thread.write(result(i)) for i in range(100)])
    sink.gate.set()
    thread.close()
    assert sink.seen[-1] == 99
    assert len(sink.seen) + thread.dropped["queue full"] == 100


def test_a_sink_that_takes_nothing_is_left_behind(without_hang: WithoutHang):
    recorder = Recorder()
    recorder.gate.clear()

    def body() -> None:
        thread = SinkThread(recorder, depth=2, policy="newest", patience_seconds=0.05)
        for index in range(5):
            thread.write(result(index))
        with pytest.raises(TimeoutError, match=r"0\.05 s"):
            thread.close()
        thread.abort()

    without_hang(body)
    assert recorder.ended == []  # it is not touched while its thread is in it
    recorder.gate.set()


def test_prefetch_tells_the_reader_to_stop_before_it_waits(without_hang: WithoutHang):
    stopped = threading.Event()

    def away() -> Iterator[int]:
        yield 0
        stopped.wait()

    def body() -> None:
        with Prefetch(away(), stop=stopped.set) as items:
            assert next(items) == 0

    without_hang(body)
    assert stopped.is_set()


def test_write_after_close_is_refused():
    thread = SinkThread(Recorder())
    thread.close()
    with pytest.raises(ValueError, match="closed"):
        thread.write(result(0))
