"""The reference bank: what it learns, what it never learns, and how it shows it."""

from __future__ import annotations

import numpy as np
import pytest

from s3pot.bank import SPACING_FRAMES, ReferenceBank
from trackers.mesh import mean_face

SIZE = 96
MEAN = mean_face()
POINTS = MEAN.points_px(SIZE)
VISIBLE = np.ones((SIZE, SIZE), bool)
CLEAN = np.zeros((SIZE, SIZE), np.float32)
HIDDEN = CLEAN + 1


def bank(**changes: float) -> ReferenceBank:
    options = {"margin_px": 2, "min_age_frames": 3, **changes}
    return ReferenceBank(POINTS, MEAN.triangles, SIZE, **options)  # type: ignore[arg-type]


def face(colour: int = 120) -> np.ndarray:
    """A face with a bright left half, so that a wrong pose shows."""
    image = np.full((SIZE, SIZE, 3), colour, np.uint8)
    image[:, : SIZE // 2] += 60
    return image


def share(memory: ReferenceBank, who: int) -> float:
    """How much of the face is known."""
    face_area = memory.structure(POINTS).roll[..., 0] >= 0
    return float((memory.reference(who, POINTS).known > 0)[face_area].mean())


def test_a_stranger_has_no_reference() -> None:
    reference = bank().reference(1, POINTS)
    assert reference.known.max() == 0
    assert reference.image.max() == 0


def test_clean_pixels_come_back_in_their_place() -> None:
    memory = bank()
    for age in range(3, 8):
        memory.observe(1, face(), POINTS, CLEAN, VISIBLE, age_frames=age)
    reference = memory.reference(1, POINTS)
    known = reference.known > 0
    assert share(memory, 1) > 0.9
    assert np.abs(reference.image[known].astype(int) - face()[known]).mean() < 2


def test_they_follow_the_pose() -> None:
    memory = bank()
    for age in range(3, 8):
        memory.observe(1, face(), POINTS, CLEAN, VISIBLE, age_frames=age)
    moved = (POINTS + [6, -4]).astype(np.float32)
    shown = memory.reference(1, moved)
    expected = np.roll(face(), (-4, 6), (0, 1))
    known = shown.known > 0
    assert known.sum() > 1000
    assert np.abs(shown.image[known].astype(int) - expected[known]).mean() < 3


def test_a_suspected_occluder_is_never_learned() -> None:
    memory = bank()
    covered, probability = face(), CLEAN.copy()
    covered[40:60, 40:60] = (255, 0, 0)
    probability[40:60, 40:60] = 0.3  # only suspected
    for age in range(3, 200):
        memory.observe(1, covered, POINTS, probability, VISIBLE, age_frames=age)
    reference = memory.reference(1, POINTS)
    assert not (reference.image[..., 1] == 0)[reference.known > 0].any()
    assert reference.known[45:55, 45:55].max() == 0
    assert reference.known[30, 45] > 0


def test_what_was_known_stays_while_it_is_covered() -> None:
    memory = bank()
    for age in range(3, 8):
        memory.observe(1, face(), POINTS, CLEAN, VISIBLE, age_frames=age)
    covered, probability = face(), CLEAN.copy()
    covered[40:60, 40:60], probability[40:60, 40:60] = 0, 1
    for age in range(8, 100):
        memory.observe(1, covered, POINTS, probability, VISIBLE, age_frames=age)
    assert np.abs(memory.reference(1, POINTS).image[50, 55].astype(int) - face()[50, 55]).max() < 3


def test_a_young_face_teaches_nothing() -> None:
    memory = bank()
    for age in range(3):
        memory.observe(1, face(), POINTS, CLEAN, VISIBLE, age_frames=age)
    assert share(memory, 1) == 0


def test_pixels_off_the_frame_teach_nothing() -> None:
    memory = bank()
    memory.observe(1, face(), POINTS, CLEAN, np.zeros_like(VISIBLE), age_frames=9)
    assert share(memory, 1) == 0


def test_an_invented_pixel_is_trusted_less_and_gives_way_to_a_real_one() -> None:
    memory = bank(generated_trust=0.4)
    memory.invent(1, face(10), POINTS, HIDDEN)
    invented = memory.reference(1, POINTS)
    assert invented.known.max() == pytest.approx(0.4, abs=0.01)
    memory.observe(1, face(), POINTS, CLEAN, VISIBLE, age_frames=9)
    real = memory.reference(1, POINTS)
    assert real.known[50, 50] > 0.7
    assert abs(int(real.image[50, 60, 0]) - 120) < 3


def test_a_real_pixel_does_not_give_way_to_an_invented_one() -> None:
    memory = bank()
    memory.observe(1, face(), POINTS, CLEAN, VISIBLE, age_frames=9)
    memory.invent(1, face(10), POINTS, HIDDEN)
    assert abs(int(memory.reference(1, POINTS).image[50, 60, 0]) - 120) < 3


def test_it_follows_the_light_slowly() -> None:
    memory = bank(rate=0.2)
    for age in range(3, 20):
        memory.observe(1, face(100), POINTS, CLEAN, VISIBLE, age_frames=age)
    memory.observe(1, face(150), POINTS, CLEAN, VISIBLE, age_frames=20)
    assert 105 < memory.reference(1, POINTS).image[50, 60, 0] < 115


def test_faces_are_kept_apart_and_memory_is_bounded() -> None:
    memory = bank(max_identities=2)
    for who in (1, 2, 3):
        memory.observe(who, face(50 * who), POINTS, CLEAN, VISIBLE, age_frames=9)
    assert share(memory, 1) == 0
    assert memory.reference(2, POINTS).image[50, 60, 0] == 100
    assert memory.reference(3, POINTS).image[50, 60, 0] == 150
    memory.reset()
    assert share(memory, 2) == share(memory, 3) == 0


def test_it_asks_for_invention_once() -> None:
    memory = bank()
    assert memory.wants_invention(1, face(), POINTS) == "new face"
    memory.invent(1, face(10), POINTS, HIDDEN)
    assert memory.wants_invention(1, face(), POINTS) == ""
    assert memory.wants_invention(2, face(), POINTS) == "new face"
    for _ in range(2 * SPACING_FRAMES):
        memory.reference(1, POINTS)
    assert memory.wants_invention(1, face(250), POINTS) == ""  # clean pixels follow by themselves
    assert memory.inventions == {"new face": 1}
    assert memory.served == 2 * SPACING_FRAMES


def painted_long_ago(hidden: np.ndarray) -> ReferenceBank:
    memory = bank(history=False, invention_frames=0)
    memory.invent(1, face(), POINTS, hidden)
    for _ in range(SPACING_FRAMES):
        assert memory.wants_invention(1, face(200), POINTS) == ""
        memory.reference(1, POINTS)
    return memory


def test_without_a_history_a_face_is_painted_anew_when_light_or_pose_drift() -> None:
    memory = painted_long_ago(HIDDEN)
    assert memory.wants_invention(1, face(), POINTS) == ""
    occluded = face()
    occluded[40:, 30:] = 255  # much, but a part
    assert memory.wants_invention(1, occluded, POINTS) == ""
    assert memory.wants_invention(1, face(150), POINTS) == "light"
    half = HIDDEN.copy()
    half[:, SIZE // 2 :] = 0
    assert painted_long_ago(half).wants_invention(1, face(), POINTS) == "pose"


def test_what_is_painted_anew_takes_over_gradually() -> None:
    memory = painted_long_ago(HIDDEN)
    memory.invent(1, face(160), POINTS, HIDDEN, cause="light")
    shades = [int(memory.reference(1, POINTS).image[50, 60, 0]) for _ in range(6)]
    assert shades == [130, 140, 150, 160, 160, 160]
    assert memory.inventions == {"new face": 1, "light": 1}


def test_an_invention_fades_so_that_it_cannot_confirm_a_false_alarm_for_ever() -> None:
    memory = bank(generated_trust=0.4)
    memory.invent(1, face(10), POINTS, HIDDEN)
    trust = [float(memory.reference(1, POINTS).known.max()) for _ in range(12)]
    assert abs(trust[0] - 0.4) < 0.01
    assert trust == sorted(trust, reverse=True)
    assert trust[-1] == 0


def test_what_was_not_seen_for_long_is_believed_less() -> None:
    memory = bank()
    for age in range(3, 12):
        memory.observe(1, face(), POINTS, CLEAN, visible=VISIBLE, age_frames=age)
    fresh = memory.reference(1, POINTS).known[50, 60]
    for _ in range(800):
        stale = memory.reference(1, POINTS).known[50, 60]
    assert fresh > 0.95
    assert 0.7 < stale < 0.9


def test_what_looks_uncovered_is_not_its_own_reference() -> None:
    memory, hidden = bank(), CLEAN.copy()
    hidden[60:70, 40:60] = 1
    memory.invent(1, face(10), POINTS, hidden)
    known = memory.reference(1, POINTS).known
    assert known[65, 50] > 0
    assert known[30, 50] == 0


def test_a_place_hidden_by_another_part_of_the_face_is_not_learned() -> None:
    near = np.array([[10, 10], [40, 10], [10, 40], [40, 40]], np.float32)
    template = np.concatenate([near, near + [45, 0]]).astype(np.float32)
    triangles = np.array([[0, 1, 2], [1, 3, 2], [4, 5, 6], [5, 7, 6]], np.int16)
    depth = np.repeat([[1.0], [5.0]], 4, axis=0)
    pose = np.hstack([np.concatenate([near, near]), depth]).astype(np.float32)  # one over the other
    memory = ReferenceBank(template, triangles, SIZE, margin_px=0, min_age_frames=0)
    memory.observe(1, face(), pose, CLEAN, VISIBLE, age_frames=9)
    apart = np.hstack([template, depth]).astype(np.float32)
    known = memory.reference(1, apart).known
    assert known[25, 25] > 0.5
    assert known[25, 70] == 0


def test_a_whole_invention_fills_the_face_and_one_of_the_hidden_part_does_not() -> None:
    hidden_only, whole = bank(), bank()
    half = HIDDEN.copy()
    half[:, half.shape[1] // 2 :] = 0
    hidden_only.invent(1, face(10), POINTS, half)
    whole.invent(1, face(10), POINTS, half, whole=True)
    assert share(whole, 1) > 0.9
    assert 0.3 < share(hidden_only, 1) < 0.75


def test_without_history_the_one_reference_stays() -> None:
    memory = bank(history=False, invention_frames=0)
    memory.invent(1, face(10), POINTS, CLEAN, whole=True)
    first = memory.reference(1, POINTS)
    for age in range(3, 60):
        memory.observe(1, face(200), POINTS, CLEAN, VISIBLE, age_frames=age)
        last = memory.reference(1, POINTS)
    np.testing.assert_array_equal(first.image, last.image)
    np.testing.assert_allclose(first.known, last.known)


def test_the_structure_goes_both_ways() -> None:
    moved = (POINTS + [6, -4]).astype(np.float32)
    structure = bank().structure(moved)
    on = structure.roll[..., 0] >= 0
    ys, xs = np.nonzero(on)
    np.testing.assert_allclose(structure.roll[on], np.stack([xs - 6, ys + 4], 1), atol=1e-3)
    ys, xs = np.nonzero(structure.unroll[..., 0] >= 0)
    there = structure.unroll[ys, xs]
    np.testing.assert_allclose(there, np.stack([xs + 6, ys - 4], 1), atol=1e-3)
