"""Who decides when the network and the detector look: at once for what comes, rarely for what stays."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import islice

import cv2
import numpy as np
import pytest

from configs import load_settings
from stream.clip import clip
from stream.frame import Frame, FrameResult
from stream.pipeline import Pipeline
from stream.router import (
    BUDGETS,
    FIRST_LOOKS,
    FREE_LONGER,
    KNOWN_LOOKS,
    LONGEST_WAITS,
    Router,
    expressive,
    share_of,
    solid_change,
)
from stream.scout import LONGEST_REST_FRAMES, Scout, cells
from stream.smooth import Past
from trackers import AlignedFace, TrackedFace, TrackState
from trackers.align import face_region
from trackers.mesh import mean_face

SIZE = 96
POINTS = np.c_[mean_face().points_px(SIZE), np.zeros(468)].astype(np.float32)
FACE = AlignedFace(
    track_id=1, identity=1, image=np.zeros((SIZE, SIZE, 3), np.uint8), landmarks=POINTS,
    trust=np.ones(468, np.float32), region=face_region(POINTS[:, :2], SIZE),
    inside=np.ones((SIZE, SIZE), bool), frame_to_face=np.eye(2, 3), pose_degrees=(0.0, 0.0, 0.0),
)  # fmt: skip
FREE = np.full((SIZE, SIZE), -4.0, np.float32)
SAME = Past(FREE, np.ones((SIZE, SIZE), np.float32))


def differing(rows: slice, columns: slice) -> Past:
    trust = np.ones((SIZE, SIZE), np.float32)
    trust[rows, columns] = 0
    return Past(FREE, trust)


def change(past: Past) -> float:
    return share_of(FACE, solid_change(FACE, past))


def looks(router: Router, frames: int, past: Past = SAME) -> list[bool]:
    """A run of frames; whenever the network looks, it says that the face is free."""
    seen = []
    for _ in range(frames):
        look = router.wants_look(FACE, past)
        if look:
            router.learn(FACE, past, FREE)
        seen.append(look)
    return seen


def test_full_looks_always_and_a_new_face_is_looked_at() -> None:
    assert all(looks(Router("full"), 20))
    assert Router("auto").wants_look(FACE, None)


@pytest.mark.parametrize("compute", ["auto", "saver"])
def test_waits_grow_to_a_limit_while_nothing_is_wrong(compute: str) -> None:
    router = Router(compute)  # type: ignore[arg-type]
    seen = looks(router, 300)
    assert all(seen[:FIRST_LOOKS])
    waits = np.diff(np.flatnonzero(seen)) - 1
    assert waits[: KNOWN_LOOKS - 1].max() == LONGEST_WAITS[compute]  # it is still being learned
    assert waits.max() == FREE_LONGER * LONGEST_WAITS[compute]
    assert router.carried_frames(1) <= waits.max()


def test_a_network_that_fails_is_asked_again_and_nothing_is_fresh_meanwhile() -> None:
    router = Router("auto")
    looks(router, 60)
    while not router.wants_look(FACE, SAME):
        pass
    carried = router.carried_frames(1)  # it raises now, and nothing is learned
    assert carried > 0
    assert router.wants_look(FACE, SAME)
    assert router.carried_frames(1) == carried
    router.learn(FACE, SAME, FREE)
    assert router.carried_frames(1) == 0
    assert not router.wants_look(FACE, SAME)


@pytest.mark.parametrize("compute", ["auto", "saver"])
def test_a_covered_face_waits_less_long_than_a_free_one(compute: str) -> None:
    router, seen = Router(compute), []  # type: ignore[arg-type]
    covered = FREE.copy()
    covered[40:60, 40:60] = 4
    past = Past(covered, np.ones((SIZE, SIZE), np.float32))
    for _ in range(300):
        seen.append(router.wants_look(FACE, past))
        if seen[-1]:
            router.learn(FACE, past, covered)
    assert (np.diff(np.flatnonzero(seen)) - 1).max() == LONGEST_WAITS[compute]


def test_waits_double() -> None:
    router = Router("auto")
    looks(router, FIRST_LOOKS)
    while not router.wants_look(FACE, SAME):
        pass
    router.learn(FACE, SAME, np.full((SIZE, SIZE), 4.0, np.float32))  # all of it was wrong
    waits = np.diff([-1, *np.flatnonzero(looks(router, 40))]) - 1
    assert waits[:4].tolist() == [0, 1, 3, 7]


def test_a_network_that_says_otherwise_ends_the_waiting() -> None:
    router = Router("auto")
    looks(router, 30)
    while not router.wants_look(FACE, SAME):
        pass
    covered = FREE.copy()
    covered[40:60, 40:60] = 4
    router.learn(FACE, SAME, covered)
    assert router.wants_look(FACE, SAME)


@pytest.mark.parametrize("compute", ["auto", "full"])
def test_who_waits_is_looked_at_only_for_a_cause(compute: str) -> None:
    """Where a mask goes on, and nowhere else, the tracker may take less care."""
    router, waits = Router(compute), []  # type: ignore[arg-type]
    seen = []
    for _ in range(60):
        seen += looks(router, 1)
        waits.append(router.waits(1))
    assert any(waits) == (compute == "auto")
    assert not any(wait and look for wait, look in zip(waits, seen[1:], strict=False))


def test_what_comes_is_looked_at_at_once_but_not_an_expression() -> None:
    router = Router("auto")
    looks(router, FIRST_LOOKS)
    mouth = POINTS[[61, 291, 0, 17]]
    talk = differing(slice(int(mouth[:, 1].min()), int(mouth[:, 1].max()) + 1),
                     slice(int(mouth[:, 0].min()), int(mouth[:, 0].max()) + 1))  # fmt: skip
    assert change(talk) < BUDGETS["auto"]
    cheek = differing(slice(48, 66), slice(20, 40))
    assert change(cheek) > 4 * BUDGETS["auto"]
    assert not router.wants_look(FACE, talk)
    assert router.wants_look(FACE, cheek)
    assert expressive(FACE)[int(mouth[2, 1]), int(mouth[2, 0])]
    assert not expressive(FACE)[55, 25]


def test_what_has_no_consequence_may_change_more() -> None:
    router = Router("auto")
    blob = differing(slice(48, 53), slice(22, 27))
    assert 0.5 * BUDGETS["auto"] < change(blob) < 0.9 * BUDGETS["auto"]
    edge = differing(slice(48, 50), slice(20, 50))
    assert change(edge) == 0
    looks(router, FIRST_LOOKS)
    router.learn(FACE, SAME, FREE + 8)
    router.learn(FACE, SAME, FREE)
    assert router.wants_look(FACE, blob)
    looks(router, 60)
    assert looks(router, 40, blob).count(True) < 8


def test_a_place_where_change_is_harmless_is_let_alone_until_more_changes() -> None:
    router = Router("auto")
    nose, hand = differing(slice(46, 52), slice(45, 52)), differing(slice(46, 66), slice(44, 64))
    assert change(nose) > BUDGETS["auto"]
    looks(router, FIRST_LOOKS + 16)
    assert looks(router, 18, nose).count(True) <= 3  # once for it, then in turn
    assert router.wants_look(FACE, hand)
    router.learn(FACE, hand, FREE + 8)  # it was a hand: nothing is harmless any more
    looks(router, 4)
    assert router.wants_look(FACE, nose)


def test_half_a_face_is_never_harmless() -> None:
    router = Router("auto")
    looks(router, FIRST_LOOKS + 16)
    assert all(looks(router, 10, differing(slice(40, 70), slice(20, 60))))


def test_a_face_is_forgotten() -> None:
    router = Router("auto")
    looks(router, 30)
    router.keep({2})
    assert router.wants_look(FACE, SAME)
    assert router.carried_frames(1) == 0


PICTURE = np.full((180, 320, 3), 100, np.uint8)
SEEN = TrackedFace(
    track_id=1, identity=1, landmarks=POINTS, trust=np.ones(468, np.float32),
    box_px=np.array([140, 60, 180, 110], np.float32), score=1.0, age=9, state=TrackState.SEEN,
)  # fmt: skip


def rests(scout: Scout, image: np.ndarray, faces: list[TrackedFace], frames: int = 30) -> int:
    """How many frames go by without the detector, while it is asked for in each."""
    asked = (scout.wants_detections(image, faces, asked=True) for _ in range(frames))
    return next((k for k, wanted in enumerate(asked) if wanted), frames)


def test_the_detector_rests_while_nothing_changes_beside_the_faces() -> None:
    scout = Scout("auto")
    assert rests(scout, PICTURE, [SEEN]) == 0  # it has never looked
    assert rests(scout, PICTURE, [SEEN]) == LONGEST_REST_FRAMES["auto"]
    moved = cv2.rectangle(PICTURE.copy(), (150, 70), (170, 100), (0, 0, 0), -1)
    assert rests(scout, moved, [SEEN]) > 5  # that is the face itself
    other = cv2.rectangle(PICTURE.copy(), (20, 20), (40, 44), (200, 200, 200), -1)
    assert rests(scout, other, [SEEN]) == 0
    assert rests(Scout("full"), PICTURE, [SEEN]) == 0


def test_the_detector_does_not_rest_without_a_face_that_is_seen() -> None:
    scout = Scout("auto")
    for faces in ([], [replace(SEEN, state=TrackState.COASTING)]):
        scout.wants_detections(PICTURE, faces, asked=True)
        assert rests(scout, PICTURE, faces) == 0
    assert rests(scout, PICTURE[:90], [SEEN]) == 0  # a picture of another size
    assert not scout.wants_detections(PICTURE, [], asked=False)
    assert cells(PICTURE).shape == (22, 40)


def run(compute: str, frames: int) -> list[FrameResult]:
    pipeline = Pipeline.from_settings(
        load_settings("tiny", ["model.device=cpu", f"model.compute={compute}"])
    )
    shots = islice(clip(seconds=Fraction(3)), 15, 15 + frames)
    shown = [Frame(shot.image, k, shot.time, "clip") for k, shot in enumerate(shots)]
    results = list(pipeline(shown))
    pipeline.close()
    return results


def test_carried_masks_are_those_that_the_network_would_have_made() -> None:
    full, auto = run("full", 30), run("auto", 30)
    assert all(mask.carried_frames == 0 for result in full for mask in result.masks)
    carried = [mask.carried_frames for result in auto for mask in result.masks]
    assert 5 < sum(n > 0 for n in carried) < 29  # a hand comes, and is looked at
    for one, other in zip(full, auto, strict=True):
        (a,), (b,) = one.masks, other.masks
        assert abs(a.coverage - b.coverage) < 0.03
        assert b.reference is not None
    assert max(m.coverage for r in auto for m in r.masks) > 0.1
