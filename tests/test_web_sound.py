"""Sound on the page, in step with its pictures."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from configs import load_settings
from stream.frame import Frame, FrameResult
from stream.inlets import open_source
from stream.sound import RATE_HZ, Sound
from stream.web.board import MOST_RECENT, Board
from stream.web.heard import HICCUP_SECONDS, Heard
from stream.web.looped import LoopedSource
from stream.web.speaker import BLOCK, SpeakerTrack
from tests.clips import plain_frame, tone, write_clip

RAMP = (np.arange(10 * RATE_HZ) / (10 * RATE_HZ)).astype(np.float32)
"""A sound whose every sample says where it belongs."""


def with_sound(index: int, step: Fraction = Fraction(1, 10)) -> FrameResult:
    """Picture ``index``, and what was heard since the one before."""
    low, high = (round((index + i) * step * RATE_HZ) for i in (-1, 0))
    heard = (Sound((index - 1) * step, np.stack([RAMP[low:high]] * 2)),) if index else ()
    return FrameResult(replace(plain_frame(index), time=index * step, sound=heard), (), ())


def test_what_is_heard_is_found_where_it_belongs() -> None:
    heard = Heard()
    for index in range(8):
        assert heard.add(with_sound(index), now=100 + index / 10)
    assert heard.lag_seconds == pytest.approx(100.1)  # it comes with the picture at its end
    got = heard.samples(20_000, 1000)
    assert got.shape == (2, 1000)
    assert np.array_equal(got[1], RAMP[20_000:21_000])
    assert not heard.samples(9 * RATE_HZ, 960).any()


def test_a_hiccup_is_not_waited_for_and_a_slow_stream_is() -> None:
    heard = Heard()
    for index in range(20):
        heard.add(with_sound(index), now=100 + index / 10 + (1.5 if index == 10 else 0))
    assert heard.lag_seconds == pytest.approx(100.1 + HICCUP_SECONDS)
    for index in range(20, 90):
        heard.add(with_sound(index), now=100.4 + index / 10)
    assert heard.lag_seconds == pytest.approx(100.5)


def test_another_timeline_forgets_the_one_before() -> None:
    heard = Heard()
    for index in range(5):
        heard.add(with_sound(index), now=100 + index / 10)
    assert not heard.add(with_sound(1), now=300.0)
    assert heard.lag_seconds == pytest.approx(300.0)
    assert not heard.samples(3 * RATE_HZ // 10, 960).any()


def test_a_clock_that_wobbles_makes_no_holes() -> None:
    heard = Heard()
    for index in range(6):
        result = with_sound(index)
        wobble = Fraction((-1) ** index, 100)
        late = tuple(replace(p, time=p.time + wobble) for p in result.frame.sound)
        heard.add(replace(result, frame=replace(result.frame, sound=late)), now=100 + index / 10)
    got = heard.samples(RATE_HZ // 10, RATE_HZ // 4)[0]
    assert np.allclose(np.diff(got), np.diff(RAMP[: len(got)]), atol=1e-6)


def test_who_listens_sees_the_picture_of_what_is_heard() -> None:
    board, now = Board(load_settings("tiny")), time.monotonic()
    board.in_step()  # somebody listens
    times = [index / 25 for index in range(-60, 1)]
    began = Fraction(round((now + times[0]) * 1000), 1000)
    for index, at in enumerate(times):
        frame = Frame(plain_frame(index % 250).image, index, Fraction(index, 25), "x")
        piece = Sound(frame.time - Fraction(1, 5), np.zeros((2, RATE_HZ // 25), np.float32))
        board.heard.add(FrameResult(replace(frame, sound=(piece,)), (), ()), now=now + at)
        board.write(FrameResult(frame, (), ()))
    late = board.heard.lag_seconds - float(began)
    assert late > 0.15  # sound comes so long after its picture,
    assert board.seen.time_seconds == times[-1] - times[0]
    assert board.in_step().time_seconds < board.seen.time_seconds  # so pictures wait for it
    assert len(board._recent) <= MOST_RECENT
    board.clear()
    assert board.in_step() is board.seen


def test_a_file_on_the_page_is_heard(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "c.mp4", range(15), extras=[tone()])
    source = LoopedSource(open_source(str(path)), lambda: open_source(str(path)), path)
    frames = []
    for frame in source:
        frames.append(frame)
        if frame.epoch == 1 and frame.index > 25:
            break
    source.close()
    pieces = [piece for frame in frames for piece in frame.sound]
    assert all(piece.time <= frame.time for frame in frames for piece in frame.sound)
    assert all(a.time < b.time for a, b in pairwise(pieces))
    loud = [np.abs(piece.samples).max() > 0.2 for piece in pieces if piece.samples.shape[1]]
    assert np.mean(loud) > 0.8
    assert {frame.epoch for frame in frames if frame.sound} == {0, 1}
    mute = LoopedSource(open_source(str(path)), lambda: open_source(str(path)))
    assert next(iter(mute)).sound == ()
    mute.close()


class Ramp(Heard):
    """Hears a sound whose samples say where they belong; what is due lags by half a second."""

    def __init__(self) -> None:
        super().__init__()
        self.lag_seconds = time.monotonic() - 0.5

    def samples(self, first: int, count: int) -> np.ndarray:
        return np.stack([(np.arange(first, first + count) % 20_000) / 32767] * 2).astype(np.float32)


def test_blocks_are_sent_without_holes_and_only_to_who_listens() -> None:
    async def listen() -> list:
        wanted: list[bool] = []
        track = SpeakerTrack(Ramp(), lambda: bool(wanted))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(track.recv(), 0.15)
        wanted.append(True)
        blocks = [await track.recv() for _ in range(8)]
        track.stop()
        with pytest.raises(MediaStreamError):
            await track.recv()
        return blocks

    blocks = asyncio.run(listen())
    assert {(b.samples, b.sample_rate, b.format.name, b.layout.name) for b in blocks} == {
        (BLOCK, RATE_HZ, "s16", "stereo")
    }
    steps = [b.pts - a.pts for a, b in pairwise(blocks)]
    assert all(step % BLOCK == 0 for step in steps)
    first, second = (b.to_ndarray().reshape(-1, 2)[:, 0].astype(int) for b in blocks[-2:])
    assert set(np.diff(first) % 20_000) <= {1}
    if steps[-1] == BLOCK:  # a machine that sleeps may leave some out
        assert (second[0] - first[-1]) % 20_000 == 1
