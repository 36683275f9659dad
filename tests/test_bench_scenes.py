"""The benchmark's scenes: the truth of a picture is the truth, and the same seed draws the same."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.bench.cast import PhotographCast, Setting
from stream.bench.occluders import DRAWN, cutout_props, drawn_props
from stream.bench.portrait import Portrait, Pose
from stream.bench.scene import SIDES, Scene, Stand, Way, kinds, plan
from stream.bench.shot import through_codec
from stream.bench.stage import SceneFrame, Stage, room, smoothly
from trackers.align import pose_degrees

CAST = PhotographCast()
SIZE = (180, 320)
FULL = np.ones(468, np.float32)


def stage(scene: Scene) -> Stage:
    setting: Setting = CAST.setting(scene)
    props = {way: drawn_props(way) for way in scene.ways}
    return Stage(setting.scene, setting.actors, props, SIZE, room(SIZE, scene.seed))


def at(scene: Scene, seconds: float) -> SceneFrame:
    return stage(scene).frame(Fraction(seconds))


BALL = Way("ball", 0.5, 1.5, ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), 0.7)
STILL = Scene("slow", 0, 2.0, ways=(BALL,), shake=0.0)


def test_every_kind_is_planned_and_the_same_seed_plans_the_same() -> None:
    scenes = plan("small", 3)
    assert {scene.kind for scene in scenes} == set(kinds)
    assert len(scenes) == len(kinds) + sum(count - 1 for count in SIDES.values())
    assert scenes == plan("small", 3)
    assert scenes != plan("small", 4)
    assert len({scene.name for scene in plan("full", 0)}) == 6 * len(scenes)


@pytest.mark.parametrize("kind", kinds)
def test_every_scene_begins_free_and_its_things_come_and_go_in_it(kind: str) -> None:
    for scene in plan("full", 1, [kind]):
        assert all(0 < way.start_seconds < way.stop_seconds <= scene.seconds for way in scene.ways)
        assert all(way.kind in DRAWN and way.actor < len(scene.stands) for way in scene.ways)
        times = scene.times
        assert times[0] == 0
        assert all(a < b for a, b in pairwise(times))
        assert float(times[-1]) < scene.seconds


@pytest.mark.parametrize(("size", "only"), [("huge", ()), ("small", ("slow", "flying"))])
def test_an_unknown_size_or_kind_is_named(size: str, only: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"huge|flying"):
        plan(size, 0, only)


def test_a_variable_rate_varies_and_stays_in_order() -> None:
    (scene,) = [s for s in plan("small", 0, ["rate"]) if s.varied]
    steps = {b - a for a, b in pairwise(scene.times)}
    assert len(steps) > 10


def test_the_truth_is_what_the_thing_changed() -> None:
    frame, without = at(STILL, 1.0), at(replace(STILL, ways=()), 1.0)
    (face,) = frame.faces
    difference = np.abs(frame.image.astype(int) - without.image).max(-1)
    inside = cv2.erode((face.covered > 0.5).astype(np.uint8), np.ones((3, 3))) > 0
    far = cv2.dilate((face.covered > 0.01).astype(np.uint8), np.ones((25, 25))) == 0
    assert inside.sum() > 300
    assert (difference[inside] > 12).mean() > 0.9
    assert difference[far].max() < 20  # noise alone
    assert at(STILL, 0.2).faces[0].covered.max() == 0


def test_a_fast_thing_is_blurred_along_its_way_and_its_truth_is_soft() -> None:
    fast = replace(BALL, path=((-1.0, 0.0, 0.0), (1.0, 0.0, 0.0)))
    still, moving = (at(replace(STILL, ways=(way,), fps=Fraction(12)), 1.0) for way in (BALL, fast))
    soft = [
        ((f.faces[0].covered > 0.05) & (f.faces[0].covered < 0.95)).sum() for f in (still, moving)
    ]
    assert soft[1] > 2 * soft[0]
    areas = [float(f.faces[0].covered.sum()) for f in (still, moving)]
    assert areas[1] == pytest.approx(areas[0], rel=0.03)  # light is spread, not made


def test_what_is_worn_stays_on_the_face_and_what_is_held_does_not() -> None:
    def drift(way: Way) -> float:
        offsets = []
        for seconds in (0.6, 0.8, 1.0, 1.2, 1.4):
            (face,) = at(replace(STILL, ways=(way,), seed=(5,)), seconds).faces
            middle = np.argwhere(face.covered > 0.5).mean(0)[::-1]
            offsets.append((middle - face.landmarks[4, :2]) / np.ptp(face.landmarks[:, 0]))
        return float(np.ptp(offsets, axis=0).max())

    assert drift(replace(BALL, worn=True)) < drift(BALL) / 2


def test_a_head_in_front_covers_the_face_behind_and_not_its_own() -> None:
    stands = (Stand(((0.5, 0.5),), 0.5), Stand(((0.55, 0.5),), 0.5, mirrored=True))
    back, front = at(Scene("passing", 0, 2.0, stands, shake=0.0), 1.0).faces
    x, y = back.landmarks[:, :2].mean(0).astype(int)
    assert back.covered[y, x] > 0.9
    assert front.covered.max() == 0
    eyes = front.landmarks[33, 0], front.landmarks[263, 0]  # right and left eye of the person
    assert (
        eyes[0] < eyes[1]
    )  # of a face that looks at us the right one is on the left, mirrored too


def test_a_face_that_has_left_the_picture_is_not_there() -> None:
    away = Scene("exit", 0, 2.0, (Stand(((1.3, 0.5),)),), shake=0.0)
    assert at(away, 1.0).faces == ()


def test_light_and_cut_change_the_picture() -> None:
    dark = at(replace(STILL, ways=(), light=(0.4,)), 1.0).image.mean()
    assert dark == pytest.approx(0.4 * at(replace(STILL, ways=()), 1.0).image.mean(), rel=0.03)
    cut = replace(STILL, ways=(), cut_seconds=1.0, stands=(Stand(), Stand(((0.2, 0.5),), 0.6)))
    places = [at(cut, t).faces[0].landmarks[:, 0].mean() for t in (0.9, 1.1)]
    assert places[0] - places[1] > 50


@pytest.mark.parametrize(
    ("pose", "axis"), [(Pose(yaw_degrees=12), 0), (Pose(pitch_degrees=8), 1), (Pose(roll_degrees=9), 2)]
)  # fmt: skip
def test_a_pose_turns_the_head_as_our_own_measure_says(pose: Pose, axis: int) -> None:
    portrait: Portrait = CAST._sitter[0]
    before = pose_degrees(portrait.landmarks, FULL)
    spots, landmarks = portrait.way_back(pose)
    after = pose_degrees(landmarks, FULL)
    wanted = (pose.yaw_degrees, pose.pitch_degrees, pose.roll_degrees)[axis]
    assert after[axis] - before[axis] == pytest.approx(wanted, abs=2)
    # The picture goes where the landmarks go: the tip of the nose is drawn from the nose.
    for point in (4, 33, 263, 152):
        x, y = np.round(landmarks[point, :2]).astype(int)
        assert spots[y, x] == pytest.approx(portrait.landmarks[point, :2], abs=2.5)


def test_far_from_the_face_the_photograph_stays() -> None:
    portrait: Portrait = CAST._sitter[0]
    spots, _ = portrait.way_back(Pose(yaw_degrees=12))
    assert spots[500, 20] == pytest.approx([20, 500], abs=3)


def test_smoothly_passes_through_its_rows_and_rests_there() -> None:
    rows = ((0.0,), (1.0,), (5.0,))
    assert [smoothly(rows, s)[0] for s in (0, 0.5, 1, 2)] == pytest.approx([0, 1, 5, 5])
    assert smoothly(rows, 0.51)[0] - 1 < 0.01
    assert smoothly(((7.0,),), 0.3)[0] == 7


def test_a_codec_loses_detail_and_no_frame() -> None:
    images = [at(STILL, t).image for t in (0.2, 0.6, 1.0)]
    coarse, fine = (list(through_codec(images, crf)) for crf in (45, 10))
    assert len(coarse) == len(fine) == 3
    errors = [np.abs(np.stack(out).astype(int) - np.stack(images)).mean() for out in (fine, coarse)]
    assert errors[0] < errors[1] < 20


def test_cutouts_are_taken_by_name_and_bad_ones_refused(tmp_path: Path) -> None:
    picture = np.zeros((40, 20, 4), np.uint8)
    picture[5:35, 5:15] = (10, 20, 200, 255)
    for name in ("hands/a.png", "cup.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), picture)
    layer = cutout_props(tmp_path)(BALL)
    assert layer.shape == (512, 512, 4)
    assert layer[256, 256] == pytest.approx([200, 20, 10, 1])
    assert (layer[..., 3] > 0.5).sum() == pytest.approx(512 * 512 / 3, rel=0.02)
    cv2.imwrite(str(tmp_path / "cup.png"), picture[..., :3])
    with pytest.raises(ValueError, match=r"cup\.png: a cut-out is an 8-bit RGBA"):
        cutout_props(tmp_path)(BALL)
    with pytest.raises(FileNotFoundError, match=r"no \.png"):
        cutout_props(tmp_path / "none")
