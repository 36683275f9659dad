"""Films of the benchmark: what is right, wrong, missed and lost is to be seen at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from stream.bench.command import Album, filmed
from stream.bench.entrants import Answer
from stream.bench.film import BAR_PX, LINES, Film, Told, pane_size, pictures, window
from stream.bench.judge import judge
from stream.bench.occluders import drawn_props
from stream.bench.pictures import MISSED, RIGHT, WRONG
from stream.bench.shot import Shot, shoot
from stream.bench.strip import GRAPH_PX
from tests.test_bench_video import CAST, SCENE
from tests.test_bench_video import Told as Teller

COVERED, FREE, LOST = 18, 3, 20


@pytest.fixture(scope="module")
def shot() -> Shot:
    return shoot(SCENE, CAST, drawn_props)


@pytest.fixture(scope="module")
def told(shot: Shot) -> dict[str, Told]:
    """Who is right, who marks nothing and loses the face for a while, who marks everything."""
    right = list(Teller(shot)("slow/0", iter(shot.frames)))
    empty = list(Teller(shot, lambda i, masks: masks[i] * 0)("slow/0", iter(shot.frames)))
    empty[LOST : LOST + 4] = [[]] * 4
    full = list(Teller(shot, lambda i, masks: masks[i] * 0 + 1)("slow/0", iter(shot.frames)))
    return {n: scored(shot, its) for n, its in (("a", right), ("b", empty), ("c", full))}


def scored(shot: Shot, answers: Sequence[Sequence[Answer]]) -> Told:
    return Told(answers, judge("slow/0", "slow", "told", shot.truths, answers))


def tinted(pane: np.ndarray, bare: np.ndarray, color: tuple[int, int, int]) -> float:
    """0-1, how much of a pane is laid over with a colour."""
    strength = 0.5 if color == RIGHT else 0.65
    laid = bare + (pane.astype(float) - bare) / strength
    return float((np.abs(laid - color).max(axis=2) < 15).mean())


def shares(shot: Shot, picture: np.ndarray, index: int) -> list[tuple[float, ...]]:
    """Of each pane of a film's picture how much is right, wrong, missed."""
    x0, y0, x1, y1 = window(shot)
    width, height = pane_size(window(shot))
    frame = shot.frames[index].image[y0:y1, x0:x1]
    bare = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
    rows = picture[BAR_PX : BAR_PX + height]
    panes = [rows[:, i * width : (i + 1) * width] for i in range(4)]
    return [tuple(tinted(pane, bare, c) for c in (RIGHT, WRONG, MISSED)) for pane in panes]


def test_each_fault_has_its_colour(shot: Shot, told: dict[str, Told]) -> None:
    """From left to right: the truth, who marks nothing, who marks everything, and the first."""
    made = list(pictures(shot, told))
    assert len(made) == len(shot.frames)
    truth, empty, full, right = shares(shot, made[COVERED], COVERED)
    assert truth[0] > 0.02
    assert truth[1:] == (0, 0)
    assert right == pytest.approx(truth, abs=0.003)
    assert empty == pytest.approx((0, 0, truth[0]), abs=0.003)
    assert full[0] == pytest.approx(truth[0], abs=0.003)
    assert full[1] > 0.02 > 0.003 > full[2]
    truth, empty, full, right = shares(shot, made[FREE], FREE)
    assert max(*truth, *right, *empty) < 0.001
    assert full[1] > 0.1


def test_the_strip_grows_and_says_where_a_face_was_lost(shot: Shot, told: dict[str, Told]) -> None:
    made = list(pictures(shot, told))
    strips = [picture[-GRAPH_PX:] for picture in made]
    bright = [int((strip > 150).any(axis=2).sum()) for strip in strips]
    assert bright[-1] > bright[10]
    where = (np.abs(strips[-1].astype(int) - LINES[1]).max(axis=2) < 20)[-14:].any(axis=0)
    middle = float(np.flatnonzero(where).mean()) / strips[-1].shape[1]
    assert middle == pytest.approx((LOST + 2) / len(shot.frames), abs=0.05)


def test_a_film_is_small_and_has_every_frame(
    tmp_path: Path, shot: Shot, told: dict[str, Told]
) -> None:
    path = Film(tmp_path).write(shot, told)
    assert path.name == "slow-0.mp4"
    with av.open(str(path)) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(frames) == len(shot.frames)
    expected = list(pictures(shot, told))
    assert frames[COVERED].shape == expected[COVERED].shape
    assert np.abs(frames[COVERED].astype(int) - expected[COVERED]).mean() < 6
    assert path.stat().st_size < 10_000 * len(frames)


def test_all_is_one_scene_of_each_kind(tmp_path: Path) -> None:
    names = ["fast/0", "side/0", "side/1", "rate/0", "rate/1"]
    assert filmed(["all"], names, tmp_path) == ["fast/0", "side/0", "rate/0"]
    assert filmed(["side/1", "all"], names, tmp_path) == ["fast/0", "side/0", "side/1", "rate/0"]
    assert filmed([], names, None) == []
    with pytest.raises(ValueError, match="--film all: needs --out"):
        filmed(["all"], names, None)
    with pytest.raises(ValueError, match="all or one of fast/0"):
        filmed(["fast/1"], names, tmp_path)


def test_a_film_is_written_before_the_next_scene_is_held(
    tmp_path: Path, shot: Shot, told: dict[str, Told]
) -> None:
    album = Album(tmp_path, ["slow/0"])
    album.see(shot, "a", told["a"].answers, told["a"].parts)
    assert not (tmp_path / "films").exists()
    again = Shot(shot.scene, shot.frames, shot.truths)
    album.see(again, "a", told["a"].answers, told["a"].parts)
    assert (tmp_path / "films/slow-0.mp4").is_file()
