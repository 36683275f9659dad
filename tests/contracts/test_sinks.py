"""What every sink promises."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from stream.errors import SinkError
from stream.frame import FrameResult
from stream.queues import SinkThread
from stream.sinks import JsonSink, MaskSink, Sink, VideoSink
from stream.sources import SourceInfo
from tests.clips import face, half_covered, numbers_and_times, plain_frame, unchanged

INFO = SourceInfo("drawn", 48, 64, time_base=Fraction(1, 30), rate=Fraction(30))

Make = Callable[[Path], Sink]
MAKERS: dict[str, tuple[str, Make, Callable[[Path], int]]] = {
    # name -> final name, how to make the sink, how many frames a finished output holds
    "mp4": ("o.mp4", lambda p: VideoSink(p, INFO, unchanged), lambda p: len(numbers_and_times(p))),
    "webm": (
        "o.webm",
        lambda p: VideoSink(p, INFO, unchanged),
        lambda p: len(numbers_and_times(p)),
    ),
    "masks": ("masks", MaskSink, lambda p: len(list(p.glob("*.png")))),
    "json": ("f.jsonl", JsonSink, lambda p: len(p.read_text().splitlines())),
    "thread": (
        "f.jsonl",
        lambda p: SinkThread(JsonSink(p)),
        lambda p: len(p.read_text().splitlines()),
    ),
}


@pytest.fixture(params=sorted(MAKERS))
def case(request: pytest.FixtureRequest, tmp_path: Path):
    name, make, count = MAKERS[request.param]
    return tmp_path / name, make, count


def result(index: int) -> FrameResult:
    return FrameResult(plain_frame(index), (face(),), (half_covered(),))


def test_close_puts_every_frame_under_the_final_name(case):
    path, make, count = case
    sink = make(path)
    for index in range(7):
        sink.write(result(index))
    assert not path.exists()
    sink.close()
    assert count(path) == 7
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert all(isinstance(note, str) for note in sink.notes)


def test_a_cut_output_is_whole_too(case):
    path, make, count = case
    sink = make(path)
    for index in range(3):
        sink.write(result(index))
    sink.close(cut=True)
    assert count(path) == 3


@pytest.mark.parametrize("written", [0, 5])
def test_abort_leaves_nothing(case, written: int):
    path, make, _ = case
    sink = make(path)
    for index in range(written):
        sink.write(result(index))
    sink.abort()
    assert list(path.parent.iterdir()) == []


def test_abort_leaves_an_earlier_output_alone(case):
    path, make, count = case
    sink = make(path)
    for index in range(2):
        sink.write(result(index))
    sink.close()
    sink = make(path)
    sink.write(result(0))
    sink.abort()
    assert count(path) == 2


def test_close_replaces_an_earlier_output(case):
    path, make, count = case
    for frames in (5, 2):
        sink = make(path)
        for index in range(frames):
            sink.write(result(index))
        sink.close()
    assert count(path) == 2


def test_a_missing_directory_is_an_error_at_once(case):
    path, make, _ = case
    with pytest.raises(SinkError, match="does not exist") as caught:
        make(path.parent / "missing" / path.name)
    assert isinstance(caught.value, OSError)
    assert "missing" in str(caught.value)
