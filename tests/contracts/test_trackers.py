"""What every registered tracker, and the detector, promise. A new tracker is tested by its file."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import trackers
from tests.pasted_faces import ground, scene
from trackers import MediaPipeDetector, TrackState, make_tracker, tracker_names
from trackers.boxes import box_around


@pytest.fixture(params=tracker_names())
def tracker(request):
    return make_tracker(request.param)


@pytest.fixture(scope="module")
def detector():
    one = MediaPipeDetector()
    yield one
    one.close()


def two_faces(k=0, **size):
    return scene((80 + k, 120, 80, False), (230, 115, 90, True), **size)


def play(tracker, detector, pictures):
    return [tracker.update(p, detector(p) if tracker.wants_detections else None) for p in pictures]


def test_byte_is_registered_and_unknown_names_are_told_the_known():
    assert "byte" in tracker_names()
    with pytest.raises(ValueError, match=r"'bite'.*byte"):
        make_tracker("bite")
    assert make_tracker("byte", detect_every=1).wants_detections


def test_the_package_is_ours():
    root = Path(trackers.__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["name"] == "s3pot-stream"


def test_what_a_face_looks_like(tracker, detector):
    for faces in play(tracker, detector, [two_faces(k) for k in range(4)]):
        assert [face.track_id for face in faces] == [1, 2]
        for face in faces:
            assert face.identity == face.track_id
            assert face.landmarks.shape == (468, 3)
            assert face.landmarks.dtype == np.float32
            assert face.trust.shape == (468,)
            assert face.trust.dtype == np.float32
            assert 0 <= face.trust.min() <= face.trust.max() <= 1
            assert face.box_px == pytest.approx(box_around(face.landmarks))
            assert face.box_px.dtype == np.float32
            assert 0 <= face.score <= 1
            assert face.state in (TrackState.SEEN, TrackState.COASTING)


def test_faces_are_there_with_and_without_detections(tracker, detector):
    picture = two_faces()
    assert len(tracker.update(picture, detector(picture))) == 2
    assert len(tracker.update(picture, None)) == 2  # not looked for
    assert len(tracker.update(picture, [])) == 2  # looked for in vain


def test_nothing_makes_nothing(tracker):
    assert tracker.wants_detections
    for detections in (None, [], None):
        assert tracker.update(ground(), detections) == []
    assert tracker.wants_detections


def test_same_input_same_output(tracker, detector):
    pictures = [two_faces(3 * k) for k in range(5)]
    first = play(tracker, detector, pictures)
    tracker.reset()
    again = play(tracker, detector, pictures)
    for faces, others in zip(first, again, strict=True):
        for a, b in zip(faces, others, strict=True):
            assert (a.track_id, a.age, a.state, a.score) == (b.track_id, b.age, b.state, b.score)
            assert (a.landmarks == b.landmarks).all()


def test_what_was_returned_does_not_change_later(tracker, detector):
    picture = two_faces()
    faces = play(tracker, detector, [picture])[0]
    kept = [(f.landmarks.copy(), f.trust.copy(), f.box_px.copy()) for f in faces]
    tracker.cover(1, np.ones(468, np.float32))
    play(tracker, detector, [two_faces(8), two_faces(16)])
    for face, (landmarks, trust, box) in zip(faces, kept, strict=True):
        assert (face.landmarks == landmarks).all()
        assert (face.trust == trust).all()
        assert (face.box_px == box).all()


def test_cover_lowers_trust_of_that_face_only(tracker, detector):
    picture = two_faces()
    play(tracker, detector, [picture] * 5)
    covered = np.zeros(468, np.float32)
    covered[:100] = 1
    tracker.cover(2, covered)
    tracker.cover(99, covered)  # unknown: ignored
    one, two = tracker.update(picture, None)
    assert one.trust.min() > 0.9
    assert two.trust[:100].max() < 0.5
    assert two.trust[100:].min() > 0.9
    with pytest.raises(ValueError, match="468"):
        tracker.cover(1, np.zeros(5, np.float32))


def test_a_face_that_may_rest_is_followed_all_the_same(tracker, detector):
    play(tracker, detector, [two_faces()] * 5)
    for k in range(1, 7):
        for track_id in (1, 99):  # nobody has 99: ignored
            tracker.rest(track_id)
        faces = tracker.update(two_faces(2 * k), None)
        assert [face.track_id for face in faces] == [1, 2]
        assert all(face.state is TrackState.SEEN for face in faces)
    truth = [face.box_px for face in play(type(tracker)(), detector, [two_faces(12)])[0]]
    for face, box in zip(faces, truth, strict=True):
        assert face.box_px == pytest.approx(box, abs=4)


def test_reset_forgets(tracker, detector):
    play(tracker, detector, [two_faces()] * 2)
    tracker.reset()
    assert tracker.update(two_faces(), None) == []
    assert [f.track_id for f in play(tracker, detector, [two_faces()])[0]] == [1, 2]


def test_two_trackers_count_for_themselves(tracker, detector):
    play(tracker, detector, [two_faces()])
    other = type(tracker)()
    assert [f.track_id for f in play(other, detector, [two_faces()])[0]] == [1, 2]


def test_odd_sizes_and_a_change_of_size(tracker, detector):
    sizes = [(16, 16), (17, 311), (241, 319), (480, 640)]
    for height, width in sizes:
        blank = np.zeros((height, width, 3), np.uint8)
        assert tracker.update(blank, detector(blank)) == []
    play(tracker, detector, [two_faces()])
    bigger = two_faces(height=300, width=400)
    faces = play(tracker, detector, [bigger, bigger, bigger])[-1]
    assert len(faces) == 2


def test_read_only_pictures_are_taken_and_not_written(tracker, detector):
    picture = two_faces()
    picture.setflags(write=False)
    before = picture.copy()
    assert len(play(tracker, detector, [picture, picture])[-1]) == 2
    assert (picture == before).all()


@pytest.mark.parametrize(
    "bad", [np.zeros((40, 40), np.uint8), np.zeros((40, 40, 3)), np.zeros((8, 40, 3), np.uint8)]
)
def test_bad_pictures_are_refused(tracker, detector, bad):
    with pytest.raises(ValueError, match="image must be"):
        tracker.update(bad, None)
    with pytest.raises(ValueError, match="image must be"):
        detector(bad)


def test_importing_loads_no_model_library():
    code = "import sys, trackers; print('mediapipe' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert importlib.import_module("trackers") is trackers


def test_after_an_interruption_faces_are_found_elsewhere_and_keep_their_ids(tracker, detector):
    before = play(tracker, detector, [scene((80, 120, 80, False))] * 6)
    for face in before[-1]:
        tracker.cover(face.track_id, np.zeros(468, np.float32))
    tracker.interrupt()
    assert tracker.wants_detections
    after = play(tracker, detector, [scene((230, 115, 90, False))] * 3)
    assert [[face.track_id for face in faces] for faces in after] == [[1]] * 3
    assert after[0][0].landmarks[:, 0].mean() > 180  # nothing of the old place
