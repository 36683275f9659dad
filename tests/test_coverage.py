"""``s3pot bench coverage``: whose coverage it is, how restless it is, and what is left behind."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from stream.bench.coverage import Moment, follow, table, unrest, write_csv
from stream.bench.coverage_plot import COLORS, coasting, plot
from stream.bench.entrants import Answer
from stream.cli import app
from stream.errors import SourceError
from stream.frame import Frame
from tests.clips import write_clip
from tests.covered_face import panned

LEFT, RIGHT = (np.array([x, 5, x + 20, 30], np.float32) for x in (2, 40))
SHARES = (0.0, 0.1, 0.2, 0.3, 0.3, 0.0)
NOTHING = np.zeros((48, 64), np.float32)


class Says:
    """Answers as it is told to, some frames late."""

    fingerprint = ""

    def __init__(
        self, name: str, answer: Callable[[int], Sequence[Answer]], late_frames: int = 0
    ) -> None:
        self.name, self._answer, self._late = name, answer, late_frames

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        waiting: list[int] = []
        for frame in frames:
            waiting.append(frame.index)
            if len(waiting) > self._late:
                yield self._answer(waiting.pop(0))
        yield from map(self._answer, waiting)

    def close(self) -> None:
        pass


def face(box: np.ndarray, coverage: float | None, track_id: int | None = None) -> Answer:
    return Answer(NOTHING, box, track_id, coverage)


def ours(index: int) -> list[Answer]:
    """Two faces, of which one is seen late; the other is covered for a while."""
    both = [face(LEFT, SHARES[index], 3), face(RIGHT, 0.5, 8)]
    return both if index >= 2 else both[:1]


@pytest.fixture
def six(tmp_path: Path) -> str:
    return str(write_clip(tmp_path / "talk.mp4", range(6)))


@pytest.mark.parametrize("late_frames", [0, 4])
def test_an_answer_goes_to_the_frame_and_the_face_that_it_is_about(
    six: str, late_frames: int
) -> None:
    """The other numbers nobody, names the right face first, and finds something where nobody is."""
    nowhere = face(LEFT + 300, 1.0)
    other = Says("other", lambda i: [face(RIGHT + 2, 0.4), nowhere, face(LEFT - 1, i / 10)])
    steps: list[int] = []
    moments = list(follow(six, [Says("ours", ours, late_frames), other], lambda: steps.append(1)))
    assert len(steps) == 2
    assert {m.clip for m in moments} == {"talk"}
    got = {
        who: [(m.frame, m.face, round(m.coverage, 3)) for m in moments if m.entrant == who]
        for who in ("ours", "other")
    }
    left = [(i, 3, share) for i, share in enumerate(SHARES)]
    assert sorted(got["ours"]) == sorted([*left, *((i, 8, 0.5) for i in range(2, 6))])
    assert sorted(got["other"]) == sorted(
        [*((i, 3, i / 10) for i in range(6)), *((i, 8, 0.4) for i in range(2, 6))]
    )
    assert [m.time_seconds for m in moments][:2] == pytest.approx([0, 1 / 30])


def moment(frame: int, coverage: float, **changes: object) -> Moment:
    whole = Moment("talk", "ours", frame, frame / 10, 1, coverage, "seen", 0)
    return replace(whole, **changes)


def test_a_steady_rise_is_change_and_no_jitter() -> None:
    rise = [moment(i, 0.1 * i) for i in range(5)]
    figures = unrest(rise, "talk", "ours", "ours")
    assert (figures.found, figures.asked) == (5, 5)
    assert figures.coverage == pytest.approx(0.2)
    assert figures.change == pytest.approx(0.1)
    assert figures.jitter == pytest.approx(0, abs=1e-9)


def test_to_and_fro_is_both() -> None:
    restless = [moment(i, 0.2 * (i % 2)) for i in range(6)]
    figures = unrest(restless, "talk", "ours", "ours")
    assert figures.change == pytest.approx(0.2)
    assert figures.jitter == pytest.approx(0.2)


def test_over_a_gap_nothing_is_compared() -> None:
    gap = [moment(i, c) for i, c in ((0, 0.1), (1, 0.1), (5, 0.9), (6, 0.9))]
    figures = unrest(gap, "talk", "ours", "ours")
    assert figures.change == 0
    assert math.isnan(figures.jitter)
    others = unrest([*gap, moment(0, 0.1, entrant="b")], "talk", "b", "ours")
    assert (others.found, others.asked) == (1, 4)
    assert math.isnan(others.change)
    lines = list(table([*gap, moment(0, 0.1, entrant="b")], "ours"))
    assert "4 of 4" in lines[1]
    assert lines[2].split() == ["b", "1", "of", "4", "10.00", "-", "-"]


def test_coasting_is_shaded_until_it_ends() -> None:
    states = ("seen", "coasting", "coasting", "seen")
    spans = list(coasting([moment(i, 0, state=s) for i, s in enumerate(states)]))
    assert spans == [pytest.approx((0.1, 0.2)), pytest.approx((0.2, 0.3))]


def test_the_plot_shows_each_line_and_a_panel_for_each_face(tmp_path: Path) -> None:
    one = [moment(i, 0.05 * i) for i in range(8)]
    two = [replace(m, face=2, state="coasting") for m in one]
    other = [replace(m, entrant="b", coverage=0.4) for m in one]
    plot(tmp_path / "one.png", [*one, *other], "ours")
    plot(tmp_path / "two.png", [*one, *other, *two], "ours")
    small, large = (cv2.imread(str(tmp_path / f"{name}.png")) for name in ("one", "two"))
    assert small is not None
    assert large is not None
    assert large.shape[0] > 1.5 * small.shape[0]
    for color in COLORS[:2]:
        bgr = [int(color[i : i + 2], 16) for i in (5, 3, 1)]
        assert (np.abs(small.astype(int) - bgr).max(axis=2) < 30).sum() > 100
    grey = (np.ptp(large.astype(int), axis=2) == 0) & (np.abs(large[..., 0].astype(int) - 224) < 3)
    assert grey.sum() > 5000  # the second face's panel


def test_the_csv_has_a_line_for_each_moment(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", [moment(3, 0.25, state="coasting", carried_frames=2)])
    (line,) = csv.DictReader((tmp_path / "a.csv").read_text().splitlines())
    assert line == {
        "clip": "talk", "entrant": "ours", "frame": "3", "time_seconds": "0.300000", "face": "1",
        "coverage": "0.2500", "state": "coasting", "carried_frames": "2",
    }  # fmt: skip


def test_the_command_leaves_a_plot_and_every_value(tmp_path: Path) -> None:
    frames, _ = panned("ball", [0.0] * 20, clean=12)
    clip = write_clip(
        tmp_path / "talk.mp4", range(20), size=(240, 320), draw=lambda i, *_: frames[i].image
    )
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        ["bench", "coverage", str(clip), "--config", "tiny", "--set", "model.device=cpu",
         "--against", "frame-by-frame", "--out", str(out), "--quiet"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "20 of 20" in done.stdout
    assert (out / "coverage.png").stat().st_size > 2000
    lines = list(csv.DictReader((out / "coverage.csv").read_text().splitlines()))
    assert {line["entrant"] for line in lines} == {"ours", "frame-by-frame"}
    assert all(line["carried_frames"] == "0" for line in lines)  # the smallest work looks always
    its = [float(line["coverage"]) for line in lines if line["entrant"] == "ours"]
    assert max(its[:12]) < 0.02
    assert min(its[14:]) > 0.05


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--against", "python:tests.test_bench_video:everything"], "one face from another"),
        (["--against", "nobody"], "nobody"),
        ([], "no face found"),
    ],
)
def test_the_command_names_what_it_cannot_use(
    tmp_path: Path, options: list[str], says: str
) -> None:
    clip = write_clip(tmp_path / "empty.mp4", range(3))
    command = ["bench", "coverage", str(clip), "--config", "tiny", "--quiet", *options]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_an_entrant_must_say_how_much(six: str) -> None:
    silent = Says("silent", lambda _: [face(LEFT, None)])
    with pytest.raises(ValueError, match="silent does not say how much"):
        list(follow(six, [Says("ours", ours), silent]))


def test_a_damaged_clip_is_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "cut.mkv", range(12))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    with pytest.raises(SourceError, match=r"cut\.mkv: truncated"):
        list(follow(str(clip), [Says("ours", lambda _: [face(LEFT, 0.0, 1)])]))


def test_clips_of_one_name_are_refused() -> None:
    done = CliRunner().invoke(app, ["bench", "coverage", "a/talk.mp4", "b/talk.mkv", "--quiet"])
    assert done.exit_code == 2
    assert "clips must differ in name" in done.stderr


def test_a_missing_clip_is_bad_input(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "coverage", str(tmp_path / "none.mp4"), "--quiet"])
    assert done.exit_code == 2
    assert "none.mp4" in done.stderr
