"""``s3pot bench video``: the truth is perfect, each fault has the figure that catches it, and nothing
that could not be measured is passed over in silence.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from stream.bench.cast import ClipCast, PhotographCast, Setting
from stream.bench.entrants import Answer, Called, MaskFolder, make_entrant
from stream.bench.judge import Part, judge, true_faces
from stream.bench.occluders import drawn_props
from stream.bench.page import page
from stream.bench.pictures import stills
from stream.bench.results import Figures, figures, summed, table, write_csv
from stream.bench.scene import Scene, Stand, Way
from stream.bench.shot import Shot, shoot
from stream.bench.stage import Stage, room
from stream.bench.store import Store
from stream.bench.video import Benchmark, answered, measure, write_frames
from stream.cli import app
from stream.frame import Frame
from tests.clips import write_clip

SIZE = (180, 320)
OVER = ((-1.5, 0.1, 0.0), (1.5, 0.1, 0.0))


class SmallCast(PhotographCast):
    """The photograph in a small room."""

    def setting(self, scene: Scene) -> Setting:
        whole = super().setting(scene)
        return Setting(whole.scene, whole.actors, SIZE, room(SIZE, scene.seed))


SCENE = Scene(
    "slow", 0, 2.6, (Stand(face=0.55),), (Way("ball", 0.5, 2.1, OVER, 1.0),), fps=Fraction(15)
)
CAST = SmallCast()


@pytest.fixture(scope="module")
def shot() -> Shot:
    return shoot(SCENE, CAST, drawn_props)


Change = Callable[[int, list[np.ndarray]], np.ndarray]


class Told:
    """Answers with the truth of the frame, changed."""

    fingerprint = ""

    def __init__(self, shot: Shot, change: Change = lambda i, masks: masks[i], name: str = "told"):
        self.name, self._change, self.asked = name, change, 0
        self._boxes = {t.frame: t.box_px for t in shot.truths}
        size = shot.frames[0].image.shape[1::-1]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        self._masks = [np.zeros(size[::-1], np.float32) for _ in shot.frames]
        for truth in shot.truths:
            carried = cv2.warpAffine(truth.covered, truth.frame_to_face, size, flags=flags)
            self._masks[truth.frame] = np.maximum(self._masks[truth.frame], carried)

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        self.asked += 1
        for frame in frames:
            alpha = self._change(frame.index, self._masks)
            yield [Answer(alpha, self._boxes[frame.index], 7)]

    def close(self) -> None:
        pass


def sums(shot: Shot, change: Change) -> Figures:
    return figures(answered(shot, Told(shot, change), lambda *_: None))


def eroded(mask: np.ndarray, by: int) -> np.ndarray:
    return cv2.erode(mask, np.ones((2 * by + 1,) * 2))


def test_the_truth_is_perfect(shot: Shot) -> None:
    got = sums(shot, lambda i, masks: masks[i])
    assert got.j > 0.97
    assert got.f > 0.99
    assert got.dtssd < 0.02
    assert got.flicker < 2e-4
    assert (got.onset_frames, got.release_frames, got.latency_frames) == (0, 0, 0)
    assert (got.onsets_missed, got.lost, got.switches) == (0, 0, 0)
    assert got.alarm < 0.005
    assert got.frames == len(shot.frames)


def test_what_the_judge_itself_holds_for_true_scores_one() -> None:
    setting = CAST.setting(SCENE)
    drawings = {way: drawn_props(way) for way in SCENE.ways}
    drawn = list(Stage(setting.scene, setting.actors, drawings, setting.size, setting.room))[10:25]
    answers = [[Answer(face.covered) for face in frame.faces] for frame in drawn]
    got = figures(judge("slow/0", "slow", "truth", true_faces(drawn), answers))
    assert (got.j, got.f, got.iou_micro) == (1.0, 1.0, 1.0)
    assert (got.dtssd, got.alarm, got.lost) == (0, 0, 0)
    assert got.flicker < 5e-5  # the truth itself changes a little where it counts as still


def test_the_eroded_truth_scores_what_is_left_of_it(shot: Shot) -> None:
    got = sums(shot, lambda i, masks: eroded(masks[i], 3))
    left = total = 0.0
    for truth in shot.truths:
        scale = float(np.hypot(*truth.frame_to_face[0, :2]))
        by = cv2.erode(
            (truth.covered > 0.5).astype(np.uint8), np.ones((2 * round(3 * scale) + 1,) * 2)
        )
        left += float(by[truth.region].sum())
        total += float((truth.covered > 0.5)[truth.region].sum())
    assert got.iou_micro == pytest.approx(left / total, abs=0.03)
    assert got.f < 0.7
    assert got.leak < 0.002


def test_a_lagging_mask_is_caught(shot: Shot) -> None:
    true = sums(shot, lambda i, masks: masks[i])
    got = sums(shot, lambda i, masks: masks[max(0, i - 2)])
    assert got.latency_frames == 2
    assert got.onset_frames >= 1 or got.onsets_missed
    assert got.release_frames >= 1
    assert got.trail > 0.4 > true.trail
    assert got.dtssd > 3 * true.dtssd


def test_a_flickering_mask_is_caught(shot: Shot) -> None:
    true = sums(shot, lambda i, masks: masks[i])
    got = sums(shot, lambda i, masks: masks[i] if i % 2 else eroded(masks[i], 4))
    assert got.flicker > 5 * max(true.flicker, 1e-5)
    assert got.dtssd > 2 * true.dtssd
    assert got.latency_frames == 0


def test_an_empty_mask_is_stable_and_caught_all_the_same(shot: Shot) -> None:
    got = sums(shot, lambda i, masks: masks[i] * 0)
    assert got.warp_error == got.flicker == 0
    assert got.j == 0
    assert got.onsets_missed == 1


def test_a_leaking_mask_is_caught(shot: Shot) -> None:
    got = sums(shot, lambda i, masks: np.ones_like(masks[i]))
    assert got.leak > 0.5
    assert got.leak_frames > 0.8
    assert got.alarm_worst == pytest.approx(1, abs=0.01)
    assert got.releases_missed == 1


class Absent(Told):
    """Loses the face in half of the frames, and has a new id for it each time."""

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        for index, answers in enumerate(super().__call__(scene, frames)):
            yield [] if index % 4 < 2 else [replace(answers[0], track_id=index // 4)]


def test_a_lost_face_and_a_changed_id_are_counted(shot: Shot) -> None:
    got = figures(answered(shot, Absent(shot), lambda *_: None))
    assert got.lost == pytest.approx(0.5, abs=0.05)
    assert got.leak > 0.3  # the whole face shows where nobody hides it
    assert got.switches == 9  # frames 2, 3 are one face, 6, 7 another, ... 38
    assert got.j < 0.7


def test_a_mask_somewhere_else_is_no_mask_of_this_face(shot: Shot) -> None:
    class Beside(Told):
        def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
            for (answer,) in super().__call__(scene, frames):
                assert answer.box_px is not None
                yield [replace(answer, box_px=answer.box_px + np.float32(100))]

    got = figures(answered(shot, Beside(shot), lambda *_: None))
    assert (got.lost, got.j) == (1, 0)


def bench(tmp_path: Path | None = None, scenes: Sequence[Scene] = (SCENE,)) -> Benchmark:
    return Benchmark(scenes, CAST, drawn_props, "test", Store(tmp_path))


def test_a_result_is_kept_and_used_again_only_for_the_same_question(
    tmp_path: Path, shot: Shot
) -> None:
    entrant = Told(shot)
    entrant.fingerprint = "one"
    first = measure(bench(tmp_path), [entrant])
    again = measure(bench(tmp_path), [entrant])
    assert entrant.asked == 1
    assert summed(again["told"]) == summed(first["told"])
    assert list(table(again)) == list(table(first))
    entrant.fingerprint = "two"
    measure(bench(tmp_path), [entrant])
    assert entrant.asked == 2
    entrant.fingerprint = ""  # nobody knows what it depends on
    measure(bench(tmp_path), [entrant])
    assert entrant.asked == 3


def test_two_runs_give_the_same_figures(shot: Shot) -> None:
    again = shoot(SCENE, CAST, drawn_props)
    assert all((a.image == b.image).all() for a, b in zip(shot.frames, again.frames, strict=True))
    parts = [answered(s, Told(shot), lambda *_: None) for s in (shot, again)]
    assert summed(parts[0]) == summed(parts[1])


def test_masks_of_another_tool_are_read_and_a_missing_or_wrong_one_is_named(
    tmp_path: Path, shot: Shot
) -> None:
    write_frames(tmp_path / "frames", shot.frames, SCENE.name)
    written = sorted((tmp_path / "frames/slow/0").glob("*.png"))
    assert len(written) == len(shot.frames)
    first = cv2.cvtColor(cv2.imread(str(written[0])), cv2.COLOR_BGR2RGB)
    assert (first == shot.frames[0].image).all()
    times = (tmp_path / "frames/slow/0/times.txt").read_text().split()
    assert [float(t) for t in times] == pytest.approx(
        [float(f.time) for f in shot.frames], abs=1e-6
    )
    masks = tmp_path / "masks/slow/0"
    masks.mkdir(parents=True)
    told = Told(shot)("slow/0", iter(shot.frames))
    for frame, (answer,) in zip(shot.frames, told, strict=True):
        cv2.imwrite(str(masks / f"{frame.index:06d}.png"), (answer.alpha * 255).astype(np.uint8))
    entrant = MaskFolder(tmp_path / "masks")
    assert figures(answered(shot, entrant, lambda *_: None)).j > 0.95
    cv2.imwrite(str(masks / "000003.png"), np.zeros((9, 9), np.uint8))
    (masks / "000005.png").unlink()
    run = bench()
    assert measure(run, [entrant]) == {"masks:masks": []}
    assert "000003.png: the mask of frame 3 is (9, 9), the frame (180, 320)" in run.refused[0]
    cv2.imwrite(str(masks / "000003.png"), np.zeros(SIZE, np.uint8))
    measure(run, [entrant])
    assert "000005.png: no mask for this frame" in run.refused[1]


def everything(image: np.ndarray) -> np.ndarray:
    return np.ones(image.shape[:2], bool)


def wrong(image: np.ndarray) -> np.ndarray:
    return np.full(image.shape[:2], 2.0)


def test_a_python_callable_can_enter(shot: Shot) -> None:
    entrant = Called("tests.test_bench_video:everything")
    assert figures(answered(shot, entrant, lambda *_: None)).alarm_worst == pytest.approx(1)
    run = bench()
    measure(run, [Called("tests.test_bench_video:wrong")])
    assert "the mask of frame 0 leaves 0-1" in run.refused[0]


@pytest.mark.parametrize(
    "name", ["python:os:nothing_such", "python:no_such_module:x", "somebody", "box"]
)
def test_an_unknown_entrant_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name.rsplit(":", 1)[-1]):
        make_entrant(name, "tiny", ["model.device=cpu"])


def test_our_own_entrants_are_told_apart() -> None:
    names = ["ours", "frame-by-frame", "unsmoothed", "set:smooth.attack=0.9", "config:tiny"]
    entrants = [make_entrant(name, "tiny", ["model.device=cpu"]) for name in names]
    assert [entrant.name for entrant in entrants] == names
    assert len({entrant.fingerprint for entrant in entrants[:4]}) == 4
    for entrant in entrants:
        entrant.close()


def test_frame_by_frame_remembers_nothing(shot: Shot) -> None:
    entrant = make_entrant("frame-by-frame", "tiny", ["model.device=cpu"])
    (alone,) = entrant("slow/0", iter(shot.frames[20:21]))
    among = list(entrant("slow/0", iter(shot.frames[15:21])))
    entrant.close()
    assert len(among) == 6
    np.testing.assert_array_equal(alone[0].alpha, among[-1][0].alpha)
    assert among[-1][0].track_id is None


def test_the_wrong_number_of_answers_is_refused(shot: Shot) -> None:
    class Short(Told):
        def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
            return iter(list(super().__call__(scene, frames))[:-1])

    run = bench()
    measure(run, [Short(shot)])
    assert run.refused == [
        f"slow/0, told: {len(shot.frames) - 1} answers to {len(shot.frames)} frames"
    ]


def test_a_clip_without_a_face_is_named(tmp_path: Path) -> None:
    write_clip(tmp_path / "empty.mp4", range(5), size=SIZE)
    run = Benchmark([SCENE], ClipCast(tmp_path), drawn_props, "", Store(None))
    measure(run, [Called("tests.test_bench_video:everything")])
    assert "empty.mp4: no face in frame 0" in run.refused[0]


def test_a_clip_can_play_and_its_own_face_is_the_true_one(tmp_path: Path, shot: Shot) -> None:
    write_clip(tmp_path / "talk.mp4", range(12), size=SIZE, draw=lambda i, *_: shot.frames[0].image)
    scene = replace(SCENE, seconds=1.0)
    setting = ClipCast(tmp_path).setting(scene)
    assert setting.room is None  # the clip is shown as it is
    assert setting.size == (360, 640)
    played = shoot(scene, ClipCast(tmp_path), drawn_props)
    box = played.truths[0].box_px
    assert box == pytest.approx(2 * shot.truths[0].box_px, abs=8)
    assert max(float(t.covered.mean()) for t in played.truths) > 0.02


def test_pictures_show_the_truth_above_and_the_answer_below(tmp_path: Path, shot: Shot) -> None:
    answers = list(Told(shot, lambda i, masks: masks[i] * 0)("slow/0", iter(shot.frames)))
    strip = stills(shot, answers)
    assert strip.shape == (300, 900, 3)
    green = (strip[..., 1].astype(int) - strip[..., 0] > 60) & (strip[..., 1] > 120)
    assert green[:150].mean() > 5 * max(green[150:].mean(), 1e-3)


def test_the_page_holds_everything_and_fetches_nothing(tmp_path: Path, shot: Shot) -> None:
    results = {"told <b>": answered(shot, Told(shot), lambda *_: None)}
    picture = tmp_path / "a.png"
    cv2.imwrite(str(picture), np.zeros((4, 4, 3), np.uint8))
    text = page(results, {"command": "s3pot"}, ["slow/1: & no"], {"slow/0": {"told": picture}})
    assert "told &lt;b&gt;" in text
    assert "&amp; no" in text
    assert "data:image/png;base64," in text
    assert "http" not in text


def test_the_csv_has_a_line_for_each_face_of_each_frame(tmp_path: Path, shot: Shot) -> None:
    write_csv(tmp_path / "a.csv", {"told": answered(shot, Told(shot), lambda *_: None)})
    lines = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert len(lines) == len(shot.truths)
    assert lines[0]["dtssd"] == lines[0]["iou"] == ""  # nothing before, nothing covered
    assert float(lines[20]["iou"]) > 0.9


def test_the_command_measures_and_leaves_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.bench.scene.plan", lambda *_: [SCENE])
    monkeypatch.setattr("stream.bench.cast.PhotographCast", SmallCast)
    command = [
        "bench", "video", "--config", "tiny", "--set", "model.device=cpu", "--against", "nothing",
        "--against", "frame-by-frame", "--film", "slow/0", "--out", str(tmp_path), "--quiet",
    ]  # fmt: skip
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "frame-by-frame" in done.stdout
    content = json.loads((tmp_path / "results.json").read_text())
    assert list(content["entrants"]) == ["ours", "nothing", "frame-by-frame"]
    assert content["entrants"]["nothing"]["all"]["j"] == 0
    assert content["entrants"]["ours"]["all"]["frames"] == 39
    report = (tmp_path / "report.html").read_text()
    assert report.count("data:image/jpeg") == 3  # strips
    assert report.count("data:image/png") == 1  # a plot
    assert (tmp_path / "films/slow-0.mp4").stat().st_size > 1000
    (tmp_path / "films/slow-0.mp4").unlink()
    again = CliRunner().invoke(app, command)
    assert again.stdout == done.stdout
    assert (tmp_path / "films/slow-0.mp4").is_file()  # though all was measured before


def test_the_command_names_bad_input(tmp_path: Path) -> None:
    for options in (
        ["--only", "flying"],
        ["--clips", str(tmp_path)],
        ["--against", "nobody"],
        ["--film", "slow/9"],
    ):
        done = CliRunner().invoke(app, ["bench", "video", *options, "--quiet"])
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1


def test_parts_end_where_a_face_leaves_the_picture(shot: Shot) -> None:
    truths = [t for t in shot.truths if not 10 <= t.frame < 14]
    answers = list(Told(shot)("slow/0", iter(shot.frames)))
    parts: list[Part] = judge("a/0", "a", "told", truths, answers)
    assert [len(p.rows) for p in parts] == [10, len(shot.frames) - 14]
    assert np.isnan(parts[1].rows[0].dtssd)
