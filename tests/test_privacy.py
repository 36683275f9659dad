"""The policy that fails closed, on noise: no pixel of a face that may be uncovered leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream.frame import FrameResult
from stream.privacy.cover import hidden_weight
from tests.noise_faces import (
    HEIGHT,
    MIDDLE,
    RADIUS,
    SIDE,
    WIDTH,
    away,
    box,
    but,
    exposed,
    face,
    found,
    mask,
    noise,
    privacy,
    shown,
)
from trackers import TrackState

HERE = (*MIDDLE, 1)
FACE = away(*MIDDLE) < RADIUS
HEAD = box(*MIDDLE, 1.6 * RADIUS)
HAND = FACE & (np.mgrid[:HEIGHT, :WIDTH][1] > MIDDLE[0] + 14)
"""What is covered, well within the edge of the mask."""
GAPS = {"state": TrackState.COASTING, "score": 0.0}


def steady(policy: Any, *spots: tuple[float, float, int], frames: int = 4) -> int:
    """Let the policy see faces at rest until they are sure; the index of the next frame."""
    for index in range(frames):
        last = shown(policy, found(index, *(spots or (HERE,))))
    assert last.any()
    return frames


def test_it_begins_closed_and_opens_with_the_second_of_two_looks_that_agree() -> None:
    policy = privacy()
    assert not shown(policy, found(0)).any()
    assert shown(policy, found(1)).all()
    policy.reset()
    assert not shown(policy, found(0, HERE)).any()
    assert not shown(policy, found(1, (40, 40, 1))).any()  # two frames that do not agree
    assert not shown(policy, found(2, (40, 40, 1), looked=False)).any()
    later = shown(policy, found(3, (40, 40, 1)))
    assert later[:, 270:].all()
    assert not later[box(40, 40, 1.6 * RADIUS)].any()  # and not yet sure
    assert policy.audit.causes == {"start": 4}


@pytest.mark.parametrize("changes", [{}, GAPS])
def test_of_a_sure_or_held_face_all_is_hidden_but_what_is_surely_before_it(changes: Any) -> None:
    policy = privacy()
    seen = shown(policy, but(found(steady(policy), HERE), **changes))
    assert policy.audit.faces["held" if changes else "sure"] >= 1
    column = np.mgrid[:HEIGHT, :WIDTH][1]
    assert not seen[FACE & (column <= MIDDLE[0] + 11)].any()
    assert seen[HAND].all()
    assert seen[away(*MIDDLE) > RADIUS + SIDE / 16 + 2].all()
    assert not seen[(away(*MIDDLE) < RADIUS + 5) & (column < MIDDLE[0])].any()  # the mask's rim


def test_the_occluder_is_hidden_and_the_face_kept() -> None:
    policy = privacy("privacy.hide=occluder")
    seen = shown(policy, found(steady(policy), HERE))
    column = np.mgrid[:HEIGHT, :WIDTH][1]
    assert not seen[FACE & (column >= MIDDLE[0] + 10)].any()
    assert seen[FACE & (column < MIDDLE[0] + 7)].all()


def test_both_hides_the_head_and_neither_nothing() -> None:
    policy = privacy("privacy.hide=both")
    seen = shown(policy, found(steady(policy), HERE))
    assert not seen[HEAD].any()
    assert seen[~box(*MIDDLE, 1.6 * RADIUS + 1)].all()
    policy = privacy("privacy.hide=neither")
    (out,) = policy.push(found(steady(policy), HERE))
    np.testing.assert_array_equal(out.frame.image, noise(4).image)


def torn(value: float) -> np.ndarray:
    probability = mask(*MIDDLE).probability.copy()
    probability[48, 20] = value
    return probability


def shifted(px: float) -> np.ndarray:
    matrix = mask(*MIDDLE).frame_to_face.copy()
    matrix[0, 2] += px
    return matrix


DOUBTS: dict[str, tuple[str, dict[str, Any]]] = {
    "nan": ("mask broken", {"mask_": {"probability": torn(np.nan)}}),
    "infinite": ("mask broken", {"mask_": {"probability": torn(np.inf)}}),
    "logits": ("mask broken", {"mask_": {"probability": torn(-3)}}),
    "no place": ("mask broken", {"mask_": {"frame_to_face": shifted(np.nan)}}),
    "singular": ("mask broken", {"mask_": {"frame_to_face": np.zeros((2, 3))}}),
    "no face": ("mask broken", {"mask_": {"region": np.zeros((SIDE, SIDE), bool)}}),
    "cut off": ("mask broken", {"mask_": {"region": np.ones((SIDE, SIDE), bool)}}),
    "another size": ("mask broken", {"mask_": {"probability": np.zeros((9, 9), np.float32)}}),
    "elsewhere": ("mask elsewhere", {"mask_": {"frame_to_face": shifted(20)}}),
    "of half a face": (
        "mask elsewhere",
        {"mask_": {"region": mask(*MIDDLE).region & (away(48, 48, 96, 96) < 15)}},
    ),
    "mesh in doubt": ("score", {"score": 0.4}),
    "score nan": ("score", {"score": float("nan")}),
    "mask in doubt": ("confidence", {"mask_": {"confidence": 0.5}}),
    "confidence nan": ("confidence", {"mask_": {"confidence": float("nan")}}),
    "all covered": ("covered", {"mask_": {"coverage": 0.9}}),
    "stale": ("stale", {"mask_": {"carried_frames": 13}}),
    "nothing speaks for it": ("unsupported", GAPS | {"support": 0.0, "mask_": {"coverage": 0.1}}),
    "jumped": ("jumped", {"box_px": face(MIDDLE[0] - 25, MIDDLE[1]).box_px}),
    "woke beside": ("jumped", GAPS | {"box_px": face(MIDDLE[0] - 8, MIDDLE[1]).box_px}),
}


@pytest.mark.parametrize("hide", ["face", "occluder"])
@pytest.mark.parametrize(("doubt", "changes"), DOUBTS.values(), ids=DOUBTS)
def test_what_cannot_be_believed_is_covered_with_its_head(
    doubt: str, changes: dict[str, Any], hide: str
) -> None:
    policy = privacy(f"privacy.hide={hide}")
    index = steady(policy)
    doubtful = but(found(index, HERE), **changes)
    seen = shown(policy, doubtful)
    assert policy.audit.doubts[doubt] == 1
    x, y = (doubtful.faces[0].box_px[:2] + doubtful.faces[0].box_px[2:]) / 2
    assert not seen[box(x, y, 1.6 * RADIUS)].any()
    assert not seen[HEAD].any()  # it may be where it was
    here = box(x, y, 1.6 * RADIUS + 4) | box(*MIDDLE, 1.6 * RADIUS + 4)
    assert seen[~here].all()  # the rest of the picture goes on
    assert not shown(policy, found(index + 1, HERE))[FACE].any()  # one good frame is not enough
    for later in range(2, 5):
        seen = shown(policy, found(index + later, HERE))
    assert seen[HAND if hide == "face" else FACE & ~HAND].mean() > 0.8


def test_of_a_damaged_picture_no_mask_is_believed() -> None:
    policy = privacy()
    index = steady(policy)
    good = found(index, HERE)
    seen = shown(policy, replace(good, frame=replace(good.frame, damaged=True)))
    assert not seen[HEAD].any()
    assert seen[~box(*MIDDLE, 1.6 * RADIUS + 4)].all()
    assert policy.audit.doubts["damaged"] == 1
    for later in range(1, 4):
        seen = shown(policy, found(index + later, HERE))
    assert seen[HAND].mean() > 0.8


ASIDE = (MIDDLE[0] + 90, MIDDLE[1], 1)


def test_where_a_face_jumped_from_stays_covered_until_it_is_sure_again() -> None:
    policy = privacy()
    index = steady(policy)
    for k in range(3):  # the mesh slipped onto something else
        assert not shown(policy, found(index + k, ASIDE))[HEAD].any()
    back = [shown(policy, found(index + 3 + k, HERE)) for k in range(4)]
    for seen in back[:3]:
        assert not seen[HEAD | box(*ASIDE[:2], 1.6 * RADIUS)].any()
        assert seen.any()
    assert back[3][box(*ASIDE[:2], RADIUS)].all()


def test_a_face_that_jumped_and_ended_may_be_anywhere() -> None:
    policy = privacy()
    index = steady(policy)
    shown(policy, found(index, (315.0, 120.0, 1)))  # at the edge, if it is there at all
    assert not any(gone(policy, index + 1, 4))
    ghost = found(index + 5, (315.0, 120.0, 2))  # where it jumped to, but not where it was
    assert not shown(policy, ghost).any()
    assert not shown(policy, replace(ghost, frame=noise(index + 6))).any()


def test_a_face_that_jumped_was_perhaps_not_covered_before() -> None:
    policy = privacy("privacy.delay_frames=2")
    for k in range(8):
        policy.push(found(k, HERE))
    assert policy.audit.possible_leaks == 0
    out = [*policy.push(found(8, ASIDE)), *policy.flush()]
    assert not any(exposed(r.frame.image)[box(*ASIDE[:2], RADIUS)].any() for r in out[-3:])
    assert policy.audit.possible_leaks == 3  # of five frames the two that were held are mended


def test_who_was_just_found_is_covered_where_he_may_have_been_before() -> None:
    policy = privacy("privacy.delay_frames=2")
    late = [
        replace(noise(k), time=noise(k).time * 3) for k in range(8)
    ]  # slow, or frames were dropped
    for k in range(5):
        policy.push(found(k, at=late[k]))
    out = [r for k in (5, 6, 7) for r in policy.push(found(k, (100, 120, 1), at=late[k]))]
    before = exposed(
        out[1].frame.image
    )  # one frame before: he may have come three quarters of his width
    assert not before[box(155, 120, RADIUS)].any()
    assert before[:, 260:].all()


def test_where_the_policy_itself_fails_nothing_leaves_of_what_it_holds() -> None:
    policy = privacy("privacy.delay_frames=2")
    out = [r for k in range(6) for r in policy.push(found(k))]
    assert exposed(out[-1].frame.image).all()
    policy._queue._stand_in = None  # no memory is left to paint with
    with pytest.raises(TypeError):
        policy.push(found(6, HERE))
    later = [*policy.blind(noise(6), "policy raised"), *policy.flush()]
    assert [r.frame.index for r in later] == [4, 5, 6]
    assert not any(exposed(r.frame.image).any() for r in later)


def test_a_result_that_came_before_is_no_news() -> None:
    policy = privacy()
    index = steady(policy)
    assert shown(policy, found(index, HERE)).any()
    for _ in range(3):
        assert not shown(policy, found(index, HERE)).any()
    assert not shown(policy, found(index - 1, HERE)).any()
    assert policy.audit.causes["old result"] == 4
    assert not shown(policy, found(index + 1, HERE)).any()
    assert shown(policy, found(index + 2, HERE)).any()


def test_pictures_that_fill_a_gap_are_no_frames_in_which_a_face_could_have_been() -> None:
    policy = privacy()
    for k in range(6):
        policy.push(found(k))
    for _ in range(9):
        policy.blind(noise(5), "no signal")
    policy.push(found(6, HERE))
    assert policy.audit.possible_leaks == 5


def test_a_hidden_face_is_held_for_a_bounded_time_and_its_cover_grows() -> None:
    policy = privacy("privacy.held_frames=5")
    index = steady(policy)
    kept = [shown(policy, but(found(index + k, HERE), **GAPS)) for k in range(9)]
    assert [bool(seen[HAND].any()) for seen in kept] == [True] * 5 + [False] * 4
    assert not kept[8][HEAD].any()
    assert kept[8].sum() < kept[5].sum()
    assert policy.audit.faces["held"] == 5


def gone(policy: Any, index: int, frames: int, **changes: Any) -> list[bool]:
    """Whether anything left of each of some frames without faces."""
    results = (replace(found(index + k), **changes) for k in range(frames))
    return [bool(shown(policy, result).any()) for result in results]


def test_a_face_that_ended_in_the_picture_blinds_it_until_it_is_back_twice() -> None:
    policy = privacy()
    index = steady(policy)
    assert not any(gone(policy, index, 20))
    assert policy.audit.causes["lost"] == policy.audit.faces["lost"] == 20
    assert not shown(policy, found(index + 20, HERE)).any()
    seen = shown(policy, found(index + 21, HERE))
    assert seen.any()
    assert not seen[HEAD].any()


def test_a_lost_face_is_given_up_after_so_long_a_watch() -> None:
    policy = privacy("privacy.wait_seconds=0.38")
    index = steady(policy)
    assert gone(policy, index, 13) == [False] * 9 + [True] * 4
    assert policy.audit.given_up == 1


def test_no_time_counts_in_which_nobody_looked() -> None:
    policy = privacy("privacy.wait_seconds=0.4")
    assert not any(gone(policy, steady(policy), 40, looked=False))
    late = replace(noise(44), time=noise(4000).time)  # the clock jumped
    assert not shown(policy, found(44, at=late)).any()
    assert policy.audit.given_up == 0


def test_a_lost_face_that_came_back_under_another_id_opens_the_picture() -> None:
    policy = privacy()
    index = steady(policy)
    assert not any(gone(policy, index, 3))
    near, far = (190.0, 130.0, 2), (20.0, 20.0, 3)
    assert not shown(policy, found(index + 3, far)).any()
    assert not shown(policy, found(index + 4, far)).any()
    assert not shown(policy, found(index + 5, near, far)).any()
    seen = shown(policy, found(index + 6, near, far))
    assert seen.any()
    assert not seen[HEAD].any()  # where the old one was stays covered for a while


def test_who_leaves_at_the_edge_does_not_blind_and_the_rest_of_the_head_stays_covered() -> None:
    policy = privacy()
    for index in range(8):
        seen = shown(policy, found(index, (MIDDLE[0] + 20 * index, 120, 1)))
    seen = shown(policy, found(8))
    assert seen.any()
    assert not seen[:, 300 - RADIUS :][100:140].any()
    assert "lost" not in policy.audit.causes
    for index in range(9, 70):
        seen = shown(policy, found(index))
    assert seen.all()


def test_the_double_of_a_face_and_what_never_was_sure_do_not_blind() -> None:
    policy = privacy()
    index = steady(policy, HERE, (MIDDLE[0] + 15, MIDDLE[1], 2))
    assert shown(policy, found(index, HERE)).any()
    ghost = but(found(index + 1, HERE, (40, 40, 3)), 1, score=0.1)
    assert shown(policy, ghost).any()
    seen = shown(policy, found(index + 2, HERE))
    assert seen.any()
    assert not seen[box(40, 40, 40)].any()


def test_who_was_seen_for_long_and_never_surely_is_somebody() -> None:
    policy = privacy()
    for index in range(13):
        assert shown(policy, but(found(index, HERE), score=0.4)).any() == (index > 0)
    assert not any(gone(policy, 13, 5))
    assert policy.audit.causes["lost"] == 5


def test_a_face_adrift_blinds_the_picture_while_it_is() -> None:
    policy = privacy()
    index = steady(policy)
    for k in range(4):
        assert not shown(policy, but(found(index + k, HERE), adrift=True, **GAPS)).any()
    assert not shown(policy, found(index + 4, HERE)).any()
    seen = shown(policy, found(index + 5, HERE))
    assert seen.any()
    assert not seen[HEAD].any()


def raised(policy: Any, index: int) -> FrameResult:
    (out,) = policy.blind(noise(index), "model raised")
    return out


def not_finite(policy: Any, index: int) -> FrameResult:
    (out,) = policy.push(but(found(index, HERE), landmarks=np.full((468, 3), np.nan, np.float32)))
    return out


def box_not_finite(policy: Any, index: int) -> FrameResult:
    broken = np.array([0, 0, np.inf, 9], np.float32)
    (out,) = policy.push(but(found(index, HERE, (40, 40, 2)), 1, box_px=broken))
    return out


def far_off(policy: Any, index: int) -> FrameResult:
    (out,) = policy.push(but(found(index, HERE), box_px=face(1e9, 0).box_px))
    return out


def mask_missing(policy: Any, index: int) -> FrameResult:
    (out,) = policy.push(replace(found(index, HERE), masks=()))
    return out


def masks_swapped(policy: Any, index: int) -> FrameResult:
    (out,) = policy.push(replace(found(index, HERE), masks=(mask(*MIDDLE, track_id=2),)))
    return out


FAILURES = {
    "model raised": raised, "nan": not_finite, "faces and masks differ": mask_missing,
}  # fmt: skip
MORE_FAILURES = [box_not_finite, far_off, masks_swapped]


@pytest.mark.parametrize("hide", ["face", "neither"])
@pytest.mark.parametrize("fail", [*FAILURES.values(), *MORE_FAILURES])
def test_where_nothing_is_known_nothing_leaves_until_two_frames_agree(
    fail: Callable[[Any, int], FrameResult], hide: str
) -> None:
    policy = privacy(f"privacy.hide={hide}")
    index = steady(policy)
    for k in range(2):
        out = fail(policy, index + k)
        assert out.frame.index == index + k
        assert not out.faces
        assert not exposed(out.frame.image).any()
    assert not shown(policy, found(index + 2, HERE)).any()
    seen = shown(policy, found(index + 3, HERE))
    assert seen.any()
    assert hide == "neither" or not seen[HEAD].any()
    assert policy.audit.causes.total() == policy.audit.covered_frames == 4


@pytest.mark.parametrize(("cause", "fail"), FAILURES.items())
def test_the_cause_is_counted(cause: str, fail: Callable[[Any, int], FrameResult]) -> None:
    policy = privacy()
    fail(policy, steady(policy))
    assert policy.audit.causes[cause] == 1


def test_who_was_there_before_a_failure_is_expected_after_it() -> None:
    policy = privacy()
    index = steady(policy)
    raised(policy, index)
    assert not any(gone(policy, index + 1, 10))
    assert policy.audit.causes["lost"] == 10


def test_after_a_restart_nobody_is_expected_and_two_frames_must_agree() -> None:
    policy = privacy()
    index = steady(policy)
    policy.restarted("reconnected")
    assert gone(policy, index, 3) == [False, True, True]
    assert policy.audit.causes["reconnected"] == 1
    policy.restarted("reconnected")
    shown(policy, found(index + 3, (40, 40, 1)))
    assert policy.audit.possible_leaks == 0  # it was not in the pictures before


def test_a_change_of_size_is_a_restart() -> None:
    policy = privacy()
    index = steady(policy)
    small = [found(index + k, (60, 60, 1), at=noise(index + k, 120, 160)) for k in range(2)]
    assert not shown(policy, small[0]).any()
    seen = shown(policy, small[1])
    assert seen[:, 120:].all()
    assert not seen[away(60, 60, 120, 160) < RADIUS].any()
    assert policy.audit.causes["size changed"] == 1


def test_a_cut_at_which_a_face_ended_is_a_restart() -> None:
    policy = privacy()
    light = [replace(noise(k), image=noise(k).image // 3 + 170) for k in range(4)]
    dark = [replace(noise(k), image=noise(k).image // 4 + 40) for k in range(4, 7)]
    for frame in light:
        shown(policy, found(0, HERE, at=frame))
    assert [bool(shown(policy, found(0, at=frame)).any()) for frame in dark] == [False, True, True]
    assert policy.audit.causes["cut"] == 1


LEFT, RIGHT = (60.0, 120.0), (250.0, 120.0)


def faces_shown(policy: Any, result: FrameResult) -> set[int]:
    """Whose faces left, of those in a result."""
    seen = shown(policy, result)
    middles = {f.track_id: (f.box_px[:2] + f.box_px[2:]) / 2 for f in result.faces}
    return {k for k, spot in middles.items() if seen[away(*spot) < RADIUS].all()}


@pytest.mark.parametrize(("who", "free"), [("ids", {2}), ("all-but", {1})])
def test_those_chosen_are_hidden_and_the_others_shown(who: str, free: set[int]) -> None:
    policy = privacy(f"privacy.who={who}", "privacy.ids=[1]")
    index = steady(policy, (*LEFT, 1), (*RIGHT, 2))
    assert faces_shown(policy, found(index, (*LEFT, 1), (*RIGHT, 2))) == free
    doubtful = but(found(index + 1, (*LEFT, 1), (*RIGHT, 2)), 2 - min(free), score=0.1)
    doubtful = but(doubtful, min(free) - 1, score=0.1)
    assert faces_shown(policy, doubtful) == set()  # who it is, is believed of a sure face only
    policy.restarted("reconnected")
    for k in range(2, 8):
        free_now = faces_shown(policy, found(index + k, (*LEFT, 1), (*RIGHT, 2)))
    assert free_now == set()  # ids are counted anew: 1 may be anybody


def test_ids_that_were_kept_still_mean_the_same() -> None:
    policy = privacy("privacy.who=all-but", "privacy.ids=[1]")
    index = steady(policy, (*LEFT, 1), (*RIGHT, 2))
    policy.restarted("reconnected", ids_kept=True)
    for k in range(6):
        free = faces_shown(policy, found(index + k, (*LEFT, 1), (*RIGHT, 2)))
    assert free == {1}


def test_who_comes_while_a_chosen_one_is_away_may_be_that_one() -> None:
    policy = privacy("privacy.who=ids", "privacy.ids=[1]", "privacy.wait_seconds=0.2")
    index = steady(policy, (*LEFT, 1), (*RIGHT, 2))
    for k in range(20):
        free = faces_shown(policy, found(index + k, (*RIGHT, 2)))
    assert free == {2}
    for k in range(20, 40):
        free = faces_shown(policy, found(index + k, (*RIGHT, 2), (*MIDDLE, 3)))
    assert free == {2}
    for k in range(40, 60):
        free = faces_shown(policy, found(index + k, (*LEFT, 1), (*RIGHT, 2), (*MIDDLE, 3)))
    assert free == {2, 3}


def test_who_comes_while_a_chosen_one_is_hidden_may_be_that_one() -> None:
    policy = privacy("privacy.who=ids", "privacy.ids=[1]")
    index = steady(policy, (*LEFT, 1), (*RIGHT, 2))
    for k in range(8):  # the track waits behind the hand; the face has come out on its other side
        both = found(index + k, (*LEFT, 1), (*RIGHT, 2), (*MIDDLE, 3))
        assert faces_shown(policy, but(both, 0, **GAPS)) == {2}
    for k in range(8, 12):  # no, here it is
        free = faces_shown(policy, found(index + k, (*LEFT, 1), (*RIGHT, 2), (*MIDDLE, 3)))
    assert free == {2, 3}


def test_who_has_the_place_of_a_chosen_one_may_be_that_one() -> None:
    policy = privacy("privacy.who=ids", "privacy.ids=[1]")
    index = steady(policy, (*LEFT, 1), (*RIGHT, 2))
    for k in range(3):  # found twice
        shown(policy, found(index + k, (*LEFT, 1), (*RIGHT, 2), (LEFT[0] + 5, LEFT[1], 3)))
    for k in range(3, 9):  # of the two tracks the younger lives on
        assert faces_shown(policy, found(index + k, (*RIGHT, 2), (LEFT[0] + 5, LEFT[1], 3))) == {2}


def test_who_is_not_chosen_may_go_unseen() -> None:
    policy = privacy("privacy.who=ids", "privacy.ids=[1]")
    index = steady(policy, (*LEFT, 1), (*RIGHT, 2))
    seen = shown(policy, found(index, (*LEFT, 1)))
    assert seen[away(*RIGHT) < RADIUS].all()


@pytest.mark.parametrize(("delay", "late", "leaks"), [(0, 0, 5), (2, 2, 3), (6, 6, 0)])
def test_a_new_face_is_covered_in_the_frames_still_held_and_the_others_are_counted(
    delay: int, late: int, leaks: int
) -> None:
    policy = privacy(f"privacy.delay_frames={delay}")
    out = [r for k in range(10) for r in policy.push(found(k))]
    out += [r for k in range(10, 14) for r in policy.push(found(k, HERE))]
    out += policy.flush()
    assert [r.frame.index for r in out] == list(range(14))
    assert policy.flush() == []
    free = [exposed(r.frame.image)[FACE].any() for r in out]
    assert free == [False] + [True] * (9 - late) + [False] * late + free[10:]
    assert not any(free[10:12])
    assert policy.audit.possible_leaks == leaks
    assert policy.audit.covered_late == late


def test_a_face_that_comes_into_a_covered_picture_leaks_nothing() -> None:
    policy = privacy()
    index = steady(policy)
    gone(policy, index, 6)
    shown(policy, found(index + 6, (*MIDDLE, 2)))
    assert policy.audit.possible_leaks == 0


def test_nothing_of_the_picture_is_written_or_handed_on() -> None:
    policy = privacy()
    result = found(steady(policy), HERE)
    before = result.frame.image.copy()
    (out,) = policy.push(result)
    assert [m.reference for m in out.masks] == [None]
    assert out.faces == result.faces
    np.testing.assert_array_equal(result.frame.image, before)


@pytest.mark.parametrize("effect", ["blur", "pixelate"])
def test_what_hides_may_be_an_average_of_what_is_hidden_alone(effect: str) -> None:
    policy = privacy(f"privacy.effect={effect}", "effect.blocks=4", "effect.blur=0.2")
    image = noise(4).image.copy()
    image[HAND] = 0
    image[~HEAD] = 0
    for k in range(4):
        policy.push(found(k, HERE))
    (out,) = policy.push(found(4, HERE, at=replace(noise(4), image=image)))
    inner = (away(*MIDDLE) < RADIUS) & (np.mgrid[:HEIGHT, :WIDTH][1] < MIDDLE[0] + 11)
    left = out.frame.image[inner].astype(float)
    assert abs(left.mean() - 152) < 6  # of the noise, and of no black
    assert left.std() < image[inner].std() / 4
    np.testing.assert_array_equal(out.frame.image[HAND], image[HAND])


def test_whatever_happens_no_face_that_is_to_be_hidden_leaves() -> None:
    """Five hundred frames of faces that come, go, jump and break; the seed is fixed."""
    rng = np.random.default_rng(5)
    policy = privacy("privacy.wait_seconds=0.1", "privacy.held_frames=3")
    spots = [(60.0, 60.0), (160.0, 120.0), (260.0, 180.0), (60.0, 180.0)]
    here, opened = {1}, 0
    for index in range(500):
        if rng.random() < 0.1:
            here ^= {int(rng.integers(1, 5))}
        places = [(*(np.array(spots[k - 1]) + rng.normal(0, 3, 2)), k) for k in sorted(here)]
        result = found(index, *places, looked=bool(rng.random() < 0.8))
        if here and rng.random() < 0.3:
            _, changes = list(DOUBTS.values())[rng.integers(len(DOUBTS))]
            which = int(rng.integers(len(here)))
            changes = {k: v for k, v in changes.items() if k != "box_px"}
            result = but(result, which, **changes)
        if rng.random() < 0.03:
            policy.restarted("again")
        if rng.random() < 0.03:
            (out,) = policy.blind(result.frame, "time out")
        else:
            (out,) = policy.push(result)
        seen = exposed(out.frame.image)
        opened += bool(seen.any())
        for x, y, _ in places:
            bare = (away(x, y) < RADIUS) & (np.mgrid[:HEIGHT, :WIDTH][1] < x + 9)
            assert not seen[bare].any(), index
    assert opened > 100
    assert policy.audit.frames == 500
    assert policy.audit.covered_frames == 500 - opened


def test_what_is_kept_ends_a_margin_within_what_is_sure_and_goes_on_at_the_masks_end() -> None:
    one = mask(*MIDDLE)
    fourfold = np.array([[0.25, 0, 48 - 150 / 4], [0, 0.25, 48 - 150 / 4]])
    one = replace(one, frame_to_face=fourfold)  # the face is 240 px wide, about 150 150
    row = (0, 150, 300, 151)
    probability = one.in_box(one.probability, row)[0]
    first = int(np.argmax(probability > 0.8))
    hidden = hidden_weight(one, (0, 0, 300, 300), "face")[150]
    assert (hidden[30 : first + 3] == 1).all()  # 1.5 % of 240 px are 3.6
    last = 150 + 4 * (RADIUS + SIDE // 16) - 4
    assert (hidden[first + 8 : last] == 0).all()
    hidden = hidden_weight(one, (0, 0, 300, 300), "occluder")[150]
    edge = int(np.argmax(probability > 0.2))
    assert (hidden[edge - 3 : last] == 1).all()
    assert (hidden[: edge - 8] == 0).all()
