"""What every registered source promises."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stream.errors import StreamError
from stream.inlets import INLETS, camera, live, open_source, pattern, raw, standard_input, web
from stream.sources import Source, SourceInfo
from tests.clips import cut, number_of, write_clip

FRAMES = 20

# For each registered scheme: a way to a working source of FRAMES numbered frames, and to a bad one.
GOOD: dict[str, Callable[[Path], str]] = {
    "file": lambda folder: str(
        write_clip(folder / "clip.mp4", range(FRAMES), container_options={"movflags": "faststart"})
    ),
}
BAD: dict[str, Callable[[Path], str]] = {"file": lambda folder: str(folder / "missing.mp4")}
DAMAGED: dict[str, Callable[[Path], str]] = {
    "file": lambda folder: str(cut(Path(GOOD["file"](folder)), 0.9)),
}
SCHEMES = sorted(GOOD)


@pytest.fixture(params=SCHEMES)
def source(request: pytest.FixtureRequest, tmp_path: Path):
    opened = open_source(GOOD[request.param](tmp_path))
    yield opened
    opened.close()


def test_every_registered_source_is_under_contract():
    # Live ones: tests/test_live.py, for they need a server, test_pattern.py and test_camera.py.
    others = {camera, live, pattern, raw, standard_input, web}
    assert {make for kind, make in INLETS.items() if kind in GOOD} == set(INLETS.values()) - others
    assert set(GOOD) == set(BAD)


def test_info_is_known_before_iterating(source: Source):
    info = source.info
    assert isinstance(info, SourceInfo)
    assert info.height > 0
    assert info.width > 0
    assert isinstance(info.time_base, Fraction)
    assert info.time_base > 0
    assert info.rate is None or isinstance(info.rate, Fraction)
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.width = 1


def test_every_frame_once_in_order_with_rising_exact_times(source: Source):
    frames = list(source)
    if not source.info.live:
        assert len(frames) == FRAMES
    assert [frame.index for frame in frames] == list(range(len(frames)))
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers == sorted(set(numbers))
    times = [frame.time for frame in frames]
    assert all(isinstance(time, Fraction) for time in times)
    assert all(a < b for a, b in pairwise(times))
    assert all((time / source.info.time_base).denominator == 1 for time in times)


def test_frames_are_uint8_rgb_of_the_size_told(source: Source):
    for frame in source:
        assert frame.image.shape == (source.info.height, source.info.width, 3)
        assert frame.image.dtype == np.uint8
        assert frame.source == source.info.name
        assert frame.duration is None or frame.duration > 0


def test_no_damage_and_no_notes_without_cause(source: Source):
    list(source)
    assert source.damage is None
    assert source.notes == []


def test_frames_stay_valid_while_later_ones_are_read(source: Source):
    frames = list(source)
    copies = [frame.image.copy() for frame in frames]
    assert len({copy.tobytes() for copy in copies}) == len(frames)


def test_close_in_the_middle_and_twice(source: Source):
    frames = iter(source)
    next(frames)
    source.close()
    source.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_source_that_cannot_open_says_which(scheme: str, tmp_path: Path):
    name = BAD[scheme](tmp_path)
    with pytest.raises(StreamError) as caught:
        open_source(name)
    assert isinstance(caught.value, OSError)
    assert name in str(caught.value)


@pytest.mark.parametrize("scheme", sorted(DAMAGED))
def test_damage_ends_the_iteration_and_is_told(scheme: str, tmp_path: Path):
    source = open_source(DAMAGED[scheme](tmp_path))
    assert source.damage is None
    count = len(list(source))
    assert 0 < count < FRAMES
    assert source.damage
    source.close()
