"""The loop around the pipeline: everything once, in order; every way to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

import pytest

from stream.frame import Frame, FrameResult
from stream.run import RunReport, each_alone, run
from stream.sources import SourceInfo
from tests.clips import finding, number_of, numbered, passing


class Drawn:
    """A source of numbered frames; can fail, or be damaged, on the way."""

    def __init__(self, frames: int, fail_at: int | None = None, live: bool = False) -> None:
        self.info = SourceInfo("drawn", 48, 64, live=live)
        self.damage: str | None = None
        self.notes = ["from the source"]
        self.given = 0
        self._frames, self._fail_at = frames, fail_at

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._frames):
            if index == self._fail_at:
                raise OSError("cable pulled")
            self.given += 1
            yield Frame(numbered(index % 256), index, Fraction(index, 30), "drawn")

    def close(self) -> None:
        pass


class Kept:
    """A sink that keeps numbers, and fails where told."""

    def __init__(self, fail_at: int | None = None, fail_on_close: bool = False) -> None:
        self.seen: list[int] = []
        self.ended: list[str] = []
        self.notes = ["from the sink"]
        self._fail_at, self._fail_on_close = fail_at, fail_on_close

    def write(self, result: FrameResult) -> None:
        if result.frame.index == self._fail_at:
            raise OSError("disk full")
        self.seen.append(number_of(result.frame.image))

    def close(self, *, cut: bool = False) -> None:
        if self._fail_on_close:
            raise OSError("cannot rename")
        self.ended.append("cut" if cut else "closed")

    def abort(self) -> None:
        self.ended.append("aborted")


def stopping_after(
    count: int, error: BaseException
) -> Callable[[Iterable[Frame]], Iterator[FrameResult]]:
    def occlude(frames: Iterable[Frame]) -> Iterator[FrameResult]:
        for frame in frames:
            if frame.index >= count:  # a live source may have dropped that one
                raise error
            yield FrameResult(frame, (), ())

    return occlude


def leftover_threads() -> list[str]:
    """Threads still running, given a moment to leave their last line."""
    for thread in threading.enumerate():
        if thread.name in ("prefetch", "sink"):
            thread.join(10)
    return [
        t.name for t in threading.enumerate() if t.name in ("prefetch", "sink") and t.is_alive()
    ]


def test_every_frame_reaches_every_sink_once_in_order():
    sinks = [Kept(), Kept()]
    told: list[int] = []
    report = run(Drawn(200), passing, sinks, lambda result: told.append(result.frame.index))
    assert sinks[0].seen == sinks[1].seen == told == list(range(200))
    assert [sink.ended for sink in sinks] == [["closed"], ["closed"]]
    assert report.frames == 200
    assert not report.drops
    assert report.seconds > 0
    assert report.notes == ["from the source", "from the sink", "from the sink"]
    assert not leftover_threads()


def test_report_counts_faces_and_covered_frames():
    report = run(Drawn(10), finding, [])
    assert (report.frames, report.faces, report.covered_frames) == (10, 1, 5)


def test_pipeline_runs_in_the_callers_thread():
    names: set[str] = set()

    def occlude(frames: Iterable[Frame]) -> Iterator[FrameResult]:
        for frame in frames:
            names.add(threading.current_thread().name)
            yield FrameResult(frame, (), ())

    run(Drawn(5), occlude, [])
    assert names == {threading.current_thread().name}


def test_damage_is_reported_not_raised():
    source, sink = Drawn(7), Kept()
    source.damage = "truncated after frame 6"
    report = run(source, passing, [sink])
    assert report.damage == "truncated after frame 6"
    assert sink.ended == ["closed"]
    assert sink.seen == list(range(7))


def test_source_error_comes_after_the_frames_before_it():
    sink, told = Kept(), []
    with pytest.raises(OSError, match="cable pulled"):
        run(Drawn(20, fail_at=9), passing, [sink], lambda r: told.append(r.frame.index))
    assert told == list(range(9))
    assert sink.ended == ["aborted"]
    assert not leftover_threads()


def test_pipeline_error_aborts_the_sinks_and_ends_the_reader():
    source, sinks = Drawn(10**9), [Kept(), Kept()]
    with pytest.raises(RuntimeError, match="model"):
        run(source, stopping_after(5, RuntimeError("model broke")), sinks)
    assert [sink.ended for sink in sinks] == [["aborted"], ["aborted"]]
    assert source.given < 20
    assert not leftover_threads()


def test_sink_error_aborts_the_other_sinks(without_hang: Callable[[Callable[[], object]], None]):
    good, bad = Kept(), Kept(fail_at=4)
    with pytest.raises(OSError, match="disk full"):
        without_hang(lambda: run(Drawn(10**9), passing, [good, bad]))
    assert good.ended == ["aborted"]
    assert bad.ended == ["aborted"]
    assert not leftover_threads()


def test_sink_that_cannot_close_aborts_those_after_it():
    bad, later = Kept(fail_on_close=True), Kept()
    with pytest.raises(OSError, match="cannot rename"):
        run(Drawn(3), passing, [bad, later])
    assert bad.ended == ["aborted"]
    assert later.ended == ["aborted"]


def test_interrupt_closes_with_the_frames_so_far():
    sinks = [Kept(), Kept()]
    with pytest.raises(KeyboardInterrupt):
        run(Drawn(10**9), stopping_after(30, KeyboardInterrupt()), sinks)
    assert [sink.ended for sink in sinks] == [["cut"], ["cut"]]
    assert sinks[0].seen == sinks[1].seen == list(range(30))
    assert not leftover_threads()


class Gated(Kept):
    """A sink that stands still, in ``write`` or in ``close``, until its gate opens."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.gate, self.waiting, self._where = threading.Event(), threading.Event(), where

    def _wait(self, where: str) -> None:
        if where == self._where:
            self.waiting.set()
            assert self.gate.wait(20)

    def write(self, result: FrameResult) -> None:
        self._wait("write")
        super().write(result)

    def close(self, *, cut: bool = False) -> None:
        self._wait("close")
        super().close(cut=cut)


@pytest.mark.parametrize(
    ("where", "frames", "ended"), [("write", 10**9, "cut"), ("close", 9, "closed")]
)
def test_a_real_ctrl_c_while_the_caller_waits(where, frames, ended):
    """The signal comes while the caller waits for a slow sink, or for it to close."""
    sink, caught = Gated(where), threading.Event()
    # A shell that starts us in the background has the signal ignored, and we would wait for ever.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def press() -> None:
        sink.waiting.wait(20)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        caught.wait(0.2)
        sink.gate.set()

    keyboard = threading.Thread(target=press)
    keyboard.start()
    with pytest.raises(KeyboardInterrupt):
        run(Drawn(frames), passing, [sink])
    signal.signal(signal.SIGINT, before)
    keyboard.join()
    assert sink.ended == [ended]
    assert sink.seen == [index % 256 for index in range(len(sink.seen))]
    assert len(sink.seen) == frames if where == "close" else sink.seen
    assert not leftover_threads()


def test_callback_error_aborts():
    sink = Kept()

    def fail(result: FrameResult) -> None:
        raise LookupError("bar")

    with pytest.raises(LookupError, match="bar"):
        run(Drawn(5), passing, [sink], fail)
    assert sink.ended == ["aborted"]


def test_live_source_drops_the_oldest_and_counts():
    sink = Kept()
    gate = threading.Event()

    class Burst(Drawn):
        def __iter__(self) -> Iterator[Frame]:
            yield from super().__iter__()
            gate.set()

    def late(frames: Iterable[Frame]) -> Iterator[FrameResult]:
        gate.wait(10)
        yield from passing(frames)

    report = run(Burst(40, live=True), late, [sink])
    assert sink.seen[-1] == 39
    assert report.drops["queue full"] == 40 - report.frames > 0


def slow(frames: Iterable[Frame]) -> Iterator[FrameResult]:
    for result in passing(frames):
        threading.Event().wait(0.01)
        yield result


def test_a_file_waits_however_slow_the_model_is() -> None:
    sink = Kept()
    assert run(Drawn(30), slow, [sink], budget_seconds=0.001).drops == {}
    assert sink.seen == list(range(30))


def test_a_live_source_loses_what_has_waited_too_long_and_counts_it() -> None:
    sink = Kept()
    report = run(Drawn(40, live=True), slow, [sink], budget_seconds=0.001)
    assert len(sink.seen) + sum(report.drops.values()) == 40
    assert sink.seen == sorted(set(sink.seen))


def test_what_the_model_cannot_do_costs_a_live_stream_one_frame() -> None:
    def broken(frames: Iterable[Frame]) -> Iterator[FrameResult]:
        for result in passing(frames):
            if result.frame.index == 3:
                raise ZeroDivisionError("model broke")
            yield result

    report = RunReport()
    results = list(each_alone(broken, Drawn(5), report))
    assert report.failures == {"ZeroDivisionError": 1}
    assert [result.failure for result in results] == ["", "", "", "model raised", ""]


def test_ctrl_c_is_how_a_live_stream_ends() -> None:
    def stopped(frames: Iterable[Frame]) -> Iterator[FrameResult]:
        yield from passing(frames)
        raise KeyboardInterrupt

    sink = Kept()
    report = run(Drawn(10**9, live=True), stopped, [sink])
    assert sink.ended == ["cut"]
    assert report.frames == len(sink.seen) == 1


def test_what_was_recorded_of_a_live_stream_outlives_an_error() -> None:
    live, file = Kept(), Kept()
    with pytest.raises(OSError, match="cable pulled"):
        run(Drawn(20, fail_at=9, live=True), passing, [live])
    with pytest.raises(OSError, match="cable pulled"):
        run(Drawn(20, fail_at=9), passing, [file])
    assert live.ended == ["cut"]
    assert file.ended == ["aborted"]
