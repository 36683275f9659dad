"""ByteTracker through its cases of life: covered, crossed, cut, gone, drifting landmarks."""

import cv2
import numpy as np
import pytest

from tests.pasted_faces import STRANGERS, cover, ground, scene, under
from trackers.boxes import box_around
from trackers.byte import ByteTracker
from trackers.faces import FaceDetection, TrackState
from trackers.recognise import regains
from trackers.track import LONGEST_REST

SEEN, COASTING = TrackState.SEEN, TrackState.COASTING


def ids(result):
    return [[face.track_id for face in faces] for faces in result]


def center(face):
    return (face.box_px[:2] + face.box_px[2:]) / 2


def gap(face, other):
    """Mean distance of landmarks over the face's size."""
    size = np.ptp(other.landmarks[:, 1])
    return np.linalg.norm((face.landmarks - other.landmarks)[:, :2], axis=1).mean() / size


def walk(count, start=(100, 120), step=(3, 0.5), face_px=90):
    return [
        scene((start[0] + k * step[0], start[1] + k * step[1], face_px, False))
        for k in range(count)
    ]


def test_a_walking_face_keeps_one_id_and_its_landmarks(play):
    result = play(walk(30))
    assert ids(result) == [[1]] * 30
    assert [faces[0].age for faces in result] == list(range(30))
    assert all(faces[0].state is SEEN for faces in result)
    for k, (face,) in enumerate(result):
        first = result[3][0]
        moved = first.landmarks[:, :2] + np.array([3, 0.5]) * (k - 3)
        assert np.linalg.norm(face.landmarks[:, :2] - moved, axis=1).mean() < 0.03 * 90
        assert face.box_px == pytest.approx(box_around(face.landmarks))


def test_a_born_face_is_reported_in_its_first_frame(play):
    first = play(walk(1))[0]
    assert [(face.track_id, face.age, face.state) for face in first] == [(1, 0, SEEN)]
    assert first[0].score > 0.9


def test_jitter_is_less_than_the_mesh_has(play, detector):
    rng = np.random.default_rng(4)
    still = scene((160, 120, 90, False)).astype(int)
    noisy = [
        np.clip(still + rng.normal(0, 12, still.shape), 0, 255).astype(np.uint8) for _ in range(16)
    ]
    tracker = ByteTracker()
    tracked = np.stack([f[0].landmarks[:, :2] for f in play(noisy, tracker)[4:]])
    bare = np.stack([f[0].landmarks[:, :2] for p in noisy[4:] for f in play([p], ByteTracker())])
    assert tracked.std(0).mean() < 0.6 * bare.std(0).mean()


SHARES = [0.0] * 8 + [0.3, 0.6, 0.9] + [0.9] * 90 + [0.6, 0.3] + [0.0] * 6
"""A board rises over a face, stays for three seconds at 30 frames a second, and falls."""


def test_a_face_covered_for_three_seconds_lives_and_returns(play):
    truth = play(walk(8, (160, 120), (0, 0)))[-1][0]
    picture = scene((160, 120, 90, False))
    covered = [cover(picture, truth.box_px, share) for share in SHARES]
    pictures = [p for p, _ in covered]
    boards = [board & (share > 0) for (_, board), share in zip(covered, SHARES, strict=True)]
    result = play(pictures, boards=boards)
    assert ids(result) == [[1]] * len(SHARES)
    hidden = [faces[0] for faces in result[12:100]]
    assert sum(face.state is COASTING for face in hidden) > 80
    assert max(gap(face, truth) for face in hidden) < 0.12
    assert all(face.trust.mean() < 0.3 for face in hidden)
    back = result[-1][0]
    assert back.state is SEEN
    assert gap(back, truth) < 0.01
    assert back.trust.mean() > 0.9


def test_a_covered_face_that_walks_on_is_picked_up_where_it_comes_back(play):
    pictures = walk(40, (80, 120), (3, 0))
    for k in range(12, 24):
        pictures[k] = cover(pictures[k], np.array([40, 60, 260, 180], np.float32), 1.0)[0]
    result = play(pictures)
    assert ids(result) == [[1]] * 40
    assert result[20][0].state is COASTING
    assert center(result[20][0])[0] > center(result[11][0])[0] + 5
    assert result[-1][0].state is SEEN
    assert center(result[-1][0])[0] == pytest.approx(80 + 3 * 39, abs=6)


def test_told_of_a_half_cover_the_hidden_landmarks_stay_truer(play):
    pictures = walk(30, (160, 120), (0, 0))
    truth = play(pictures[:8])[-1][0]
    shares = [float(np.clip(0.05 * (k - 8), 0, 0.45)) for k in range(30)]
    covered = [cover(p, truth.box_px, share) for p, share in zip(pictures, shares, strict=True)]
    pictures = [p for p, _ in covered]
    boards = [board & (share > 0) for (_, board), share in zip(covered, shares, strict=True)]
    told, untold = play(pictures, boards=boards)[-1][0], play(pictures)[-1][0]
    below = under(boards[-1], truth.landmarks) > 0

    def off(face):
        return np.linalg.norm((face.landmarks - truth.landmarks)[below, :2], axis=1).mean()

    assert told.state is SEEN
    assert told.trust[below].mean() < 0.5 < told.trust[~below].mean()
    assert off(told) < 0.8 * off(untold)


def test_two_faces_cross_and_keep_their_ids(play):
    result = play(
        [scene((60 + 5 * k, 120, 70, False), (260 - 5 * k, 125, 84, True)) for k in range(40)]
    )
    assert all(sorted(frame) == [1, 2] for frame in ids(result))
    first, last = ({f.track_id: center(f)[0] for f in result[k]} for k in (0, -1))
    for track_id in (1, 2):
        assert first[track_id] + last[track_id] == pytest.approx(315, abs=15)


def test_a_scene_cut_ends_the_track_and_the_new_face_is_new(play):
    """The new face may be found one frame late: the detector was not due on the cut."""
    before = walk(8, (90, 120), (1, 0))
    result = ids(play(before + [scene((220, 110, 84, STRANGERS[0]), seed=5)] * 8))
    assert result[:8] == [[1]] * 8
    assert result[8] in ([], [2])
    assert result[9:] == [[2]] * 7
    same_place = [scene((98, 121, 90, STRANGERS[0]), seed=5)] * 4
    assert ids(play(before + same_place)) == [[1]] * 8 + [[2]] * 4


def test_a_face_cut_away_is_not_carried_on(play):
    result = play(walk(8) + [ground(5)] * 5)
    assert ids(result) == [[1]] * 8 + [[]] * 5


def test_a_flash_is_survived(play):
    pictures = walk(16)
    for k in (8, 9):
        pictures[k] = np.clip(pictures[k].astype(int) * 2 + 30, 0, 255).astype(np.uint8)
    assert ids(play(pictures)) == [[1]] * 16


def test_a_face_that_leaves_the_picture_ends_soon(play):
    result = play(walk(50, (200, 120), (5, 0)))
    gone = next(k for k in range(50) if 200 + 5 * k - 40 > 320)  # nothing of it shows any more
    assert ids(result)[: gone - 14] == [[1]] * (gone - 14)
    assert ids(result)[gone + 8 :] == [[]] * (50 - gone - 8)


def test_a_face_that_vanishes_is_given_up_after_the_limit(play):
    result = play(walk(6, step=(0, 0)) + [ground()] * 20, ByteTracker(max_coast_frames=15))
    ended = ids(result).index([])
    assert 6 + 3 <= ended <= 6 + 16
    assert result[7][0].state is COASTING
    assert ids(result)[ended:] == [[]] * (26 - ended)


def test_ids_are_never_used_again_until_reset(play):
    tracker = ByteTracker(max_coast_frames=0)
    face, empty = walk(2, step=(0, 0)), [ground()] * 3
    stranger = [scene((100, 120, 90, STRANGERS[0]))] * 2
    assert ids(play(face + empty + stranger, tracker))[-1] == [2]
    tracker.reset()
    assert ids(play(face, tracker)) == [[1], [1]]
    assert ids(play(face)) == [[1], [1]]


def test_a_detection_the_mesh_does_not_know_is_held_by_the_detector_alone():
    """As behind a large mask: it is shown, coasting, while detections last, and not much longer."""
    blank = np.full((240, 320, 3), 90, np.uint8)
    points = np.array([[140, 100], [180, 100], [160, 120], [160, 140], [125, 105], [195, 105]])
    found = FaceDetection(np.array([120, 80, 200, 160], np.float32), points.astype(np.float32), 0.9)
    tracker = ByteTracker()
    shown = [tracker.update(blank, [found] if k < 30 else []) for k in range(60)]
    assert ids(shown)[:30] == [[1]] * 30
    assert all(f.state is COASTING and f.trust.max() <= 0.25 for faces in shown[:30] for f in faces)
    assert center(shown[29][0]) == pytest.approx([160, 120], abs=12)
    assert shown[45] == []
    weak = FaceDetection(found.box_px, found.landmarks, 0.65)
    assert ByteTracker().update(blank, [weak]) == []


def test_detections_are_wanted_in_turn_and_sooner_when_a_face_is_hidden(play):
    tracker = ByteTracker(detect_every=4)
    assert tracker.wants_detections
    asked = []
    for picture in walk(9):
        asked.append(tracker.wants_detections)
        play([picture], tracker)
    assert asked == [True, False, False, False, True, False, False, False, True]
    hidden = cover(walk(9)[-1], np.array([40, 40, 260, 200], np.float32), 1.0)[0]
    asked = []
    for _ in range(6):
        asked.append(tracker.wants_detections)
        (face,) = play([hidden], tracker)[0]
        assert face.state is COASTING
    assert asked[-4:].count(True) == 2


@pytest.fixture
def meshes(play, monkeypatch):
    """How often the mesh is asked in each picture, by a tracker whose face may always rest."""

    def run(pictures, told=True):
        tracker, asked = ByteTracker(detect_every=99), []
        once = tracker._lookup.once
        monkeypatch.setattr(
            tracker._lookup, "once", lambda *args: asked.append(len(counts)) or once(*args)
        )
        counts = []
        for picture in pictures:
            play([picture], tracker)
            if told:
                tracker.rest(1)
            counts.append(asked.count(len(counts)))
        return counts

    return run


def test_the_mesh_rests_where_flow_follows_and_only_when_told(meshes):
    walking = walk(20, step=(2, 0))
    assert all(meshes(walking, told=False))
    asked = meshes(walking)[4:]
    assert asked.count(0) == len(asked) * LONGEST_REST / (LONGEST_REST + 1)
    assert all(sum(asked[k : k + LONGEST_REST + 1]) == 1 for k in range(12))


def test_the_mesh_rests_before_nothing_that_comes(meshes):
    picture = walk(1)[0]
    for still in range(6, 6 + LONGEST_REST + 1):  # whenever it comes
        box = np.array([60, 70, 140, 175], np.float32)
        covered = [cover(picture, box, share)[0] for share in (0.3, 0.5, 0.6)]
        asked = meshes([picture] * still + covered)
        assert asked[:still].count(0) > 1
        assert all(asked[still:])


@pytest.mark.parametrize(
    "settings",
    [{"detect_every": 0}, {"max_coast_frames": -1}, {"high_score": 0.05}, {"mesh_score": 2.0}],
)
def test_bad_settings(settings):
    with pytest.raises(ValueError, match=next(iter(settings)).split("_")[0]):
        ByteTracker(**settings)


def test_a_hidden_face_is_regained_where_it_comes_up_beside(detector, play):
    """Flow stays with what covers; the head comes out beside it and is no second face."""
    pictures = [scene((110, 120, 90, False))] * 6
    tracker = ByteTracker(detect_every=1)
    play(pictures, tracker)
    track = tracker._tracks[0]
    face = track.landmarks.copy()
    there = np.asarray(cv2.cvtColor(scene((150, 120, 90, False)), cv2.COLOR_RGB2GRAY), np.uint8)
    beside, all_of_it = face + np.float32([40, 0, 0]), np.ones(468, bool)
    assert not regains(
        track, beside, there, all_of_it
    )  # it is seen: what comes up beside is another
    track.state = COASTING
    assert regains(track, beside, there, all_of_it)
    assert not regains(track, face + np.float32([90, 0, 0]), there, all_of_it)  # too far off
    assert not regains(track, beside * np.float32(2), there, all_of_it)  # too large
    empty = np.asarray(cv2.cvtColor(ground(), cv2.COLOR_RGB2GRAY), np.uint8)
    assert not regains(track, beside, empty, all_of_it)  # nothing like this face


def test_a_face_that_comes_up_beside_a_hidden_one_begins_no_second_track(detector):
    tracker = ByteTracker(detect_every=1)
    here, there = scene((110, 120, 90, False)), scene((150, 120, 90, False))
    for _ in range(6):
        tracker.update(here, detector(here))
    track = tracker._tracks[0]
    landmarks = track.landmarks + np.float32([40, 0, 0])
    track.state = COASTING
    tracker._settle = lambda image, region: (landmarks, 1.0)  # the mesh finds it where it now is
    grey = np.asarray(cv2.cvtColor(there, cv2.COLOR_RGB2GRAY), np.uint8)
    far = FaceDetection(np.float32([250, 10, 310, 70]), np.zeros((6, 2), np.float32), 0.9)
    tracker._associate(there, grey, [far])  # no box matches the hidden track's
    assert [t.track_id for t in tracker._tracks] == [1]
    assert track.state is SEEN
    np.testing.assert_allclose(track.landmarks[:, 0].mean(), landmarks[:, 0].mean(), atol=2)
