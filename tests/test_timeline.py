"""The time of a live stream."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from stream.timeline import Strays, Timeline

STEP = Fraction(1, 25)


def times(stamps: list[Fraction | None], walls: list[float]) -> list[Fraction]:
    timeline = Timeline()
    return [timeline(stamp, wall) for stamp, wall in zip(stamps, walls, strict=True)]


def test_pictures_keep_the_distances_that_their_stamps_say() -> None:
    stamps = [7 + i * STEP for i in range(5)]
    got = times(list(stamps), [100.0, 100.3, 100.31, 100.32, 100.33])  # they come in a burst
    assert got == [i * STEP for i in range(5)]


def test_a_jump_begins_at_the_time_on_the_wall_whichever_way_it_goes() -> None:
    for jump in (-1000, 1000, Fraction(2**33, 90000)):
        got = times([Fraction(2000), 2000 + STEP, 2000 + 2 * STEP + jump], [0.0, 0.04, 0.08])
        assert got[2] == 2 * STEP


def test_missing_and_repeated_stamps_never_go_back() -> None:
    timeline = Timeline()
    got = [timeline(stamp, wall) for stamp, wall in
           [(Fraction(1), 0.0), (None, 0.04), (1 + STEP, 0.08), (1 + STEP, 0.09)]]  # fmt: skip
    assert all(a < b for a, b in pairwise(got))
    assert timeline.mended == {"missing": 1, "not rising": 2, "astray": 0}


def test_a_new_connection_goes_on_behind_what_was_shown() -> None:
    timeline = Timeline()
    burst = [timeline(i * STEP, 0.0) for i in range(10)]  # ahead of the wall
    timeline.interrupt()
    again = [timeline(500 + i * STEP, 0.1) for i in range(3)]
    assert again[0] > burst[-1]
    assert again[1] - again[0] == STEP  # not squeezed together


def test_a_clock_that_is_slow_is_brought_back() -> None:
    timeline = Timeline()
    slow = [timeline(Fraction(i, 30), i / 25) for i in range(500)]  # says 16 s of 20
    assert abs(float(slow[-1]) - 499 / 25) < 1.1


def test_pictures_that_were_waiting_come_at_once_and_keep_their_distances() -> None:
    timeline = Timeline()
    waited = [timeline(i * STEP, i * 0.001) for i in range(100)]  # four seconds at once
    after = [timeline((100 + i) * STEP, 0.1 + i * 0.04) for i in range(100)]
    assert {b - a for a, b in pairwise(waited + after)} == {STEP}


def test_sound_is_placed_by_the_clock_of_the_pictures_unless_it_has_another() -> None:
    timeline = Timeline()
    assert timeline.place(Fraction(100)) is None
    timeline(Fraction(100), 0.0)
    assert timeline.place(100 + STEP) == STEP
    timeline(Fraction(5000), 0.04)  # the pictures' clock has jumped, that of the sound not yet
    assert timeline.place(100 + 2 * STEP) is None
    assert timeline.place(5000 + STEP) == STEP + timeline.place(Fraction(5000))


def test_a_picture_without_a_stamp_is_a_stray_only_where_the_others_have_one() -> None:
    strays = Strays()
    assert not any(strays(stamp) for stamp in range(50))
    assert strays(None)
    assert not strays(50)
    bare, half = Strays(), Strays()
    assert not any(bare(None) for _ in range(50))
    assert not any(half(stamp if stamp % 2 else None) for stamp in range(50))
