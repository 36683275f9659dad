"""``s3pot eval``: the composites, and every competitor on the same faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from configs import load_settings
from stream.competitors import PipelineCompetitor
from stream.composites import CompositePlan, composite_cases, hides, lay, way
from stream.datasets import Case
from stream.evaluate import (
    EvalSet,
    Finder,
    Row,
    View,
    carried,
    clean_set,
    composite_set,
    evaluate,
    paired_set,
)
from stream.summary import figures
from stream.truth import MaskValues, RefusedError, Shot
from tests.clips import write_clip
from tests.covered_face import HEIGHT, WIDTH, panned
from tests.eval_stand_ins import (
    StandIn,
    StandInFinder,
    aligned,
    tracked,
    write_covered,
    write_cutouts,
    write_face,
)
from trackers import align

NOISE = np.random.default_rng(3).integers(0, 256, (300, 512, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def ours() -> PipelineCompetitor:
    return PipelineCompetitor("ours", load_settings("tiny", ["model.device=cpu"]))


def rows_of(
    shots: list[Shot], *who: StandIn, finder: StandInFinder | None = None, watch: Any = None
) -> tuple[list[Row], list[str]]:
    """Evaluate one case that is drawn here."""
    refused: list[str] = []
    group = EvalSet("set", 1, [Case("case", "cup", lambda: iter(shots))])
    rows = evaluate(
        group, finder or StandInFinder(), who,  # type: ignore[arg-type]
        watch=watch or (lambda _row, _view: None), refuse=refused.append,
    )  # fmt: skip
    return list(rows), refused


def covered_shot(image: NDArray[np.uint8] = NOISE, visible: bool = False) -> Shot:
    """The lower half of the face that the stand-in finds is covered."""
    truth = np.zeros((300, 512), bool)
    truth[140:] = True
    return Shot(image, truth, ~truth if visible else None, hides=True)


def clean_shot(image: NDArray[np.uint8] = NOISE) -> Shot:
    return Shot(image, np.zeros((300, 512), bool), None, hides=False)


def test_the_oracle_scores_1_and_nothing_scores_0() -> None:
    rows, refused = rows_of([covered_shot()], StandIn("a", 96, "truth"), StandIn("b", 96, 0.0))
    assert not refused
    perfect, nothing = rows
    assert (perfect.competitor, perfect.set, perfect.case, perfect.kind) == (
        "a",
        "set",
        "case",
        "cup",
    )
    assert perfect.score is not None
    assert nothing.score is not None
    assert (perfect.score.iou, perfect.score.boundary_f, perfect.score.false_alarm) == (1, 1, 0)
    assert (nothing.score.iou, nothing.score.recall) == (0, 0)
    assert 0.3 < perfect.score.covered < 0.7
    assert perfect.lightness == pytest.approx(50, abs=15)


def test_all_judge_the_same_face_found_once() -> None:
    finder = StandInFinder()
    who = StandIn("a", 96, 1.0), StandIn("b", 96, 0.0), StandIn("c", 128, 1.0)
    rows, _ = rows_of([covered_shot(), covered_shot()], *who, finder=finder)
    assert [(row.frame, row.competitor) for row in rows] == [
        (0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "b"), (1, "c"),
    ]  # fmt: skip
    faces = [competitor.asked[0][0] for competitor in who]
    assert faces[0] is faces[1]
    assert faces[2].image.shape == (128, 128, 3)  # a crop of its own size, not an enlarged one
    truth = who[2].asked[0][1]
    assert truth is not None
    assert truth.shape == (128, 128)
    # It is scored at the size of ours, and gets the same figures for the same answer.
    assert rows[0].score is not None
    assert rows[2].score is not None
    assert rows[2].score == rows[0].score
    # The tracker hears of our own mask and of no other.
    assert [float(p.max()) for p in finder.covered] == [1, 1]
    assert all(competitor.resets == 1 for competitor in who)  # a clip is one memory


def test_a_labelled_face_changes_the_visible_iou_alone() -> None:
    (plain,), _ = rows_of([covered_shot()], StandIn("a", 96, 0.0))
    (told,), _ = rows_of([covered_shot(visible=True)], StandIn("a", 96, 0.0))
    assert plain.score is not None
    assert told.score is not None
    assert told.score.iou == plain.score.iou
    assert told.score.visible_iou == pytest.approx(plain.score.visible_iou, abs=0.02)


FLAT = np.full((300, 512, 3), 7, np.uint8)


def test_a_picture_without_a_face() -> None:
    rows, _ = rows_of([covered_shot(FLAT), clean_shot(FLAT)], StandIn("a", 96), StandIn("b", 96))
    assert [row.score for row in rows] == [None] * 4
    assert [row.lost for row in rows] == [True, True, False, False]
    assert np.isnan([row.lightness for row in rows]).all()
    assert figures(rows[:1]).iou_macro == 0  # covered and not found: as bad as can be


def test_a_face_outside_the_picture_is_none() -> None:
    finder = StandInFinder(face=tracked((900, 900, 1000, 1000)))
    rows, _ = rows_of([clean_shot()], StandIn("a", 96), finder=finder)
    assert rows[0].score is None


def test_a_case_that_is_refused_gives_no_rows() -> None:
    def shots() -> Iterator[Shot]:
        yield covered_shot()
        raise RefusedError("x.mp4: 1 frames, but 9 masks")

    cases = [Case("x.mp4", "clip", shots), Case("y", "cup", lambda: iter([covered_shot()]))]
    told: list[str] = []
    steps: list[int] = []
    rows = list(
        evaluate(
            EvalSet("set", 2, cases, refused=("z: no mask",)), StandInFinder(),  # type: ignore[arg-type]
            [StandIn("a", 96)], refuse=told.append, step=lambda: steps.append(1),
        )
    )  # fmt: skip
    assert told == ["z: no mask", "x.mp4: 1 frames, but 9 masks"]
    assert [row.case for row in rows] == ["y"]
    assert len(steps) == 2


def test_what_is_watched_is_what_was_scored() -> None:
    seen: list[tuple[Row, View]] = []
    rows, _ = rows_of(
        [covered_shot(), covered_shot(FLAT)], StandIn("a", 96, "truth"),
        watch=lambda row, view: seen.append((row, view)),
    )  # fmt: skip
    ((row, view),) = seen
    assert row is rows[0]
    np.testing.assert_array_equal(view.mask, view.truth)
    assert not (view.truth & ~view.region).any()


def test_a_mask_is_carried_as_its_picture_is() -> None:
    image = np.zeros((300, 512, 3), np.uint8)
    image[90:170, 230:270] = 255
    face = align(image, tracked(), 96)
    truth = carried(image[..., 0] > 0, face)
    assert (truth != (face.image[..., 0] > 127)).mean() < 0.002
    assert truth.any()
    square = aligned(side=64)
    mask = np.zeros((64, 64), bool)
    mask[3:9, 20:40] = True
    np.testing.assert_array_equal(carried(mask, square), mask)


def test_the_finder_tracks_as_the_pipeline_does(ours: PipelineCompetitor) -> None:
    """On a clip our rows must be what the product would have said."""
    frames, truths = panned("hand", [0, 1, 2, 3, 4, 5], 3)
    ours.reset()
    wanted = [result.masks[0].probability for result in ours.pipeline(frames)]
    seen: list[View] = []
    shots = [Shot(f.image, t, None, bool(t.any())) for f, t in zip(frames, truths, strict=True)]
    group = EvalSet("s", 1, [Case("c", "hand", lambda: iter(shots), clip=True)])
    list(
        evaluate(
            group, Finder(ours), [ours], watch=lambda _, view: seen.append(view), refuse=pytest.fail
        )
    )
    for probability, view in zip(wanted, seen, strict=True):
        np.testing.assert_array_equal((probability > 0.5) & view.region, view.mask)


def test_too_small_a_picture_has_no_face(ours: PipelineCompetitor) -> None:
    assert Finder(ours)(np.zeros((8, 40, 3), np.uint8)) is None


BOX = np.array([100, 60, 180, 160], np.float32)
PICTURE = np.full((240, 320, 3), 90, np.uint8)


def block(height: int, width: int) -> NDArray[np.float32]:
    """A green opaque occluder."""
    return np.broadcast_to(np.array([0, 1, 0, 1], np.float32), (height, width, 4)).copy()


def test_an_occluder_lies_where_it_is_said() -> None:
    image, truth = lay(PICTURE, block(20, 40), (150, 100, 0.0), BOX, "object")
    # An object is as long as the face's box is wide, its middle at x y.
    rows, columns = np.nonzero(truth)
    assert (columns.min(), columns.max()) == pytest.approx((110, 190), abs=2.5)
    assert (rows.min(), rows.max()) == pytest.approx((80, 120), abs=2.5)
    away = cv2.dilate(truth.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    np.testing.assert_array_equal(image[away], PICTURE[away])
    inside = cv2.erode(truth.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert (image[inside] == (0, 255, 0)).all()


def test_a_hand_enters_from_where_it_is_said() -> None:
    for angle, side in [(0.0, "right"), (np.pi / 2, "below"), (np.pi, "left")]:
        _, truth = lay(PICTURE, block(20, 40), (150, 100, angle), BOX, "hand")
        y, x = np.argwhere(truth).mean(0)
        beyond = {"right": x - 150, "left": 150 - x, "below": y - 100}[side]
        assert beyond > 30
        # Its leading edge is at x y; an arm is twice as long as the face is wide.
        edge = np.array([150 + 6 * np.cos(angle), 100 + 6 * np.sin(angle)]).round().astype(int)
        assert truth[edge[1], edge[0]]
        assert not truth[int(100 - 6 * np.sin(angle)), int(150 - 6 * np.cos(angle))]


def test_half_transparent_is_no_truth() -> None:
    faint = block(30, 30)
    faint[..., 3] = 0.4
    image, truth = lay(PICTURE, faint, (150, 100, 0.0), BOX, "object")
    assert not truth.any()
    assert image[100, 150] == pytest.approx([54, 156, 54], abs=1)


def test_no_occluder_no_change() -> None:
    image, truth = lay(PICTURE, block(9, 9), None, BOX, "hand")
    np.testing.assert_array_equal(image, PICTURE)
    assert truth.shape == (240, 320)
    assert not truth.any()


def test_the_way_begins_clean_and_ends_clean() -> None:
    places = way(BOX, 90, np.random.default_rng(1))
    there = [i for i, place in enumerate(places) if place is not None]
    assert len(places) == 90
    assert there[0] == 30
    assert there == list(range(there[0], there[-1] + 1))


def test_what_hides_a_face() -> None:
    truth = np.zeros((240, 320), bool)
    truth[:50] = True
    assert not hides(truth, BOX)
    truth[:62] = True
    assert hides(truth, BOX)


def write_face_clip(path: Path, count: int) -> Path:
    frames, _ = panned("hand", [0] * count, count)
    return write_clip(path, range(count), size=(HEIGHT, WIDTH), draw=lambda i, *_: frames[i].image)


FACE = np.array([120, 70, 200, 160], np.float32)


def drawn(folder: Path, plan: CompositePlan) -> list[Case]:
    return list(composite_cases(folder, folder / "occluders", lambda _: FACE, plan))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    write_cutouts(folder / "occluders")
    write_face_clip(folder / "a.mp4", 24)
    return folder


def test_no_clips_or_no_cutouts(tmp_path: Path) -> None:
    def ask(folder: Path) -> Any:
        return composite_set(folder, folder, lambda _: None, CompositePlan())

    with pytest.raises(FileNotFoundError, match=r"no \.mp4"):
        ask(tmp_path)
    write_clip(tmp_path / "a.mp4")
    with pytest.raises(FileNotFoundError, match="cut-outs"):
        ask(tmp_path)


def test_a_clip_without_a_face_is_refused(clips: Path) -> None:
    (case,) = composite_cases(clips, clips / "occluders", lambda _: None, CompositePlan(per_clip=1))
    with pytest.raises(RefusedError, match=r"a\.mp4: no face"):
        list(case.shots())


def test_composites_are_the_same_for_the_same_seed(clips: Path) -> None:
    def images(seed: int) -> list[NDArray[np.uint8]]:
        cases = drawn(clips, CompositePlan(per_clip=2, seed=seed))
        assert [case.name for case in cases] == ["a/0", "a/1"]
        assert all(case.clip for case in cases)
        return [shot.image for case in cases for shot in case.shots()]

    first, again, other = images(8), images(8), images(2)
    assert len(first) == 48
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_first_third_is_clean_and_then_something_comes(clips: Path) -> None:
    (case,) = drawn(clips, CompositePlan(per_clip=1, seed=8))
    shots = list(case.shots())
    assert not any(shot.truth.any() or shot.hides for shot in shots[:8])
    assert any(shot.hides for shot in shots[8:])
    for shot in shots:
        away = cv2.dilate(shot.truth.astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
        assert np.abs(shot.image.astype(int) - shots[0].image)[away].mean() < 3  # the codec's noise


def test_cold_frames_are_of_the_same_composites_and_all_covered(clips: Path) -> None:
    whole = [shot.image for shot in drawn(clips, CompositePlan(per_clip=1, seed=8))[0].shots()]
    cases = drawn(clips, CompositePlan(per_clip=1, seed=8, cold=3))
    assert [(case.name, case.clip) for case in cases] == [
        ("a/0#0", False), ("a/0#1", False), ("a/0#2", False),
    ]  # fmt: skip
    shots = [list(case.shots()) for case in cases]
    assert [len(some) for some in shots] == [1, 1, 1]
    indices = [
        [np.array_equal(some[0].image, image) for image in whole].index(True) for some in shots
    ]
    assert indices == sorted(set(indices))
    assert all(some[0].hides for some in shots)


def test_the_real_pipeline_on_a_composite(tmp_path: Path, ours: PipelineCompetitor) -> None:
    write_cutouts(tmp_path / "occluders")
    write_face_clip(tmp_path / "a.mp4", 30)
    finder, plan = Finder(ours), CompositePlan(per_clip=1, seed=8)  # a quick hand
    group = composite_set(tmp_path, tmp_path / "occluders", finder.first_box, plan)
    assert (group.name, group.count) == (f"{tmp_path.name} composites", 1)
    figure = figures(list(evaluate(group, finder, [ours], refuse=pytest.fail)))
    assert figure.iou_macro > 0.2
    assert figure.alarm_clean < 0.05
    assert (figure.no_face, figure.cases, figure.faces) == (0, 1, 30)


def test_pictures_are_cold_and_scored_by_the_real_pipeline(
    tmp_path: Path, ours: PipelineCompetitor
) -> None:
    write_covered(tmp_path / "pairs" / "a.jpg")
    write_covered(tmp_path / "pairs" / "b.jpg")
    write_face(tmp_path / "faces" / "c.jpg")
    rows = [
        row for group in (paired_set(tmp_path / "pairs", MaskValues()), clean_set(tmp_path / "faces"))
        for row in evaluate(group, Finder(ours), [ours], refuse=pytest.fail)
    ]  # fmt: skip
    first, second, clean = (row.score for row in rows)
    assert first is not None
    assert first.iou > 0.2
    assert first == second  # nothing is remembered from picture to picture
    assert clean is not None
    assert clean.is_clean
    assert clean.false_alarm < 0.05


def test_folders_in_which_nothing_can_be_used(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no pictures and no clips"):
        paired_set(tmp_path, MaskValues())
    with pytest.raises(FileNotFoundError, match="no pictures and no clips"):
        clean_set(tmp_path)
    write_covered(tmp_path / "a.jpg", mask=None)
    with pytest.raises(FileNotFoundError, match=r"no picture with a mask: .*a\.jpg: no mask"):
        paired_set(tmp_path, MaskValues())
