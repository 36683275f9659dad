import cv2
import numpy as np
import pytest

from tests.pasted_faces import cover, ground, scene, under
from trackers.faces import TrackState
from trackers.flow import Motion, face_motion, scene_cut, spread_points
from trackers.kalman import BoxKalman
from trackers.landmarks import FaceMesh, RegionOfInterest, roi_from_landmarks
from trackers.mesh import mean_face
from trackers.shape import RememberedShape, steady
from trackers.texture import Texture, portrait
from trackers.track import Track

ALL = np.ones(468, bool)


@pytest.fixture(scope="module")
def mesh():
    return FaceMesh()


@pytest.fixture(scope="module")
def face(mesh):
    """A picture of a face 100 px high at (160, 120), and its landmarks."""
    picture = scene((160, 120, 100, False))
    landmarks, _ = mesh(picture, RegionOfInterest((160, 120), 170))
    landmarks, score = mesh(picture, roi_from_landmarks(landmarks))
    assert score > 0.99
    return picture, landmarks


def grey(picture):
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def moved(picture, matrix):
    return cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def similarity(scale, degrees, x, y, about=(160, 120)):
    matrix = cv2.getRotationMatrix2D(about, degrees, scale)
    matrix[:, 2] += (x, y)
    return matrix


@pytest.mark.parametrize("step", [(1, 0, 7.5, -3.25), (1.04, 3, 0, 0), (0.97, -4, -12, 5)])
def test_flow_measures_a_known_motion(face, step):
    picture, landmarks = face
    matrix = similarity(*step)
    motion = face_motion(grey(picture), grey(moved(picture, matrix)), landmarks, ALL)
    truth = Motion(matrix, 1.0).carry(landmarks)
    assert np.linalg.norm((motion.carry(landmarks) - truth)[:, :2], axis=1).max() < 0.5
    assert motion.support > 0.8


def test_flow_scales_depth_with_the_face(face):
    _, landmarks = face
    bigger = Motion(similarity(2, 30, 5, 5), 1.0).carry(landmarks)
    assert bigger[:, 2] == pytest.approx(2 * landmarks[:, 2], rel=1e-5)


def test_flow_follows_the_face_and_not_what_covers_it(face):
    picture, landmarks = face
    box = np.array([100, 60, 220, 175], np.float32)
    before, board = cover(picture, box, 0.4)
    now = picture.copy()
    now[:-9][board[9:]] = before[9:][board[9:]]  # the board rises, the face stands still
    hidden = under(board | np.roll(board, -9, 0), landmarks).astype(bool)
    motion = face_motion(grey(before), grey(now), landmarks, ~hidden)
    assert np.abs(motion.carry(landmarks) - landmarks)[:, :2].max() < 1.0
    fooled = face_motion(grey(before), grey(now), landmarks, hidden)
    assert np.abs(fooled.carry(landmarks) - landmarks)[:, 1].mean() > 4


def test_flow_gives_up_where_nothing_is_left(face):
    picture, landmarks = face
    few = np.zeros(468, bool)
    few[spread_points()[:7]] = True
    assert face_motion(grey(picture), grey(picture), landmarks, few) is None
    assert face_motion(grey(picture), grey(picture), landmarks + np.float32(900), ALL) is None
    noise = np.random.default_rng(0).integers(0, 256, (240, 320), dtype=np.uint8)
    motion = face_motion(grey(picture), noise, landmarks, ALL)
    assert motion is None or motion.support < 0.3


def test_points_are_spread_and_off_the_outline():
    chosen = spread_points()
    assert len(set(chosen.tolist())) == len(chosen)
    assert not set(chosen.tolist()) & set(mean_face().oval.tolist())
    spots = mean_face().template[chosen, :2]
    gaps = np.linalg.norm(spots[:, None] - spots[None], axis=2) + 9 * np.eye(len(spots))
    assert gaps.min() > 0.03  # 1/30 of the face: no cluster round the eyes


BOX = np.array([[110, 60, 210, 180]], np.float32)


def test_another_scene_is_a_cut_and_a_moving_face_is_none():
    here, there = grey(scene((160, 120, 90, False))), grey(scene((160, 120, 90, False), seed=5))
    assert scene_cut(here, there, BOX)
    assert not scene_cut(here, grey(scene((190, 130, 90, False))), BOX)
    assert scene_cut(here, here[:, :200], BOX)


def test_a_flash_and_a_hand_are_no_cut():
    here = scene((160, 120, 90, False))
    flash = np.clip(here.astype(int) * 2 + 30, 0, 255).astype(np.uint8)
    assert not scene_cut(grey(here), grey(flash), BOX)
    hidden = here.copy()
    hidden[40:, 90:230] = (200, 30, 30)
    assert not scene_cut(grey(here), grey(hidden), BOX)


def test_kalman_predicts_a_steady_walk_and_stops_when_damped():
    box = np.array([0, 0, 40, 50], np.float32)
    kalman = BoxKalman(box)
    for k in range(1, 25):
        kalman.predict()
        kalman.update(box + np.float32(3 * k))
    x, y = kalman.predict()
    assert (x, y) == pytest.approx((3, 3), abs=0.2)
    assert kalman.box_px == pytest.approx(box + 75, abs=1.5)
    steps = [kalman.predict(0.8)[0] for _ in range(30)]
    assert steps[0] > 2
    assert steps[-1] < 0.01


def test_hidden_landmarks_come_from_the_remembered_shape(face):
    _, landmarks = face
    shape = RememberedShape()
    shape.learn(landmarks, np.ones(468, np.float32))
    assert not shape.settled
    for _ in range(4):
        shape.learn(landmarks, np.ones(468, np.float32))
    truth = Motion(similarity(1.2, 15, 30, -10), 1.0).carry(landmarks)
    slipped, trust = truth.copy(), np.ones(468, np.float32)
    lower = landmarks[:, 1] > 125
    slipped[lower, :2] += (14, -9)
    trust[lower] = 0
    repaired = shape.complete(slipped, trust)
    assert np.linalg.norm((repaired - truth)[:, :2], axis=1)[lower].max() < 1.5
    assert repaired[~lower] == pytest.approx(slipped[~lower], abs=1e-3)


def test_the_fit_resists_slips_that_nobody_reported(face):
    _, landmarks = face
    shape = RememberedShape()
    for _ in range(4):
        shape.learn(landmarks, np.ones(468, np.float32))
    slipped = landmarks.copy()
    chin = landmarks[:, 1] > 145
    assert 0.1 < chin.mean() < 0.4
    slipped[chin, :2] += (25, 0)
    fitted = shape.fit(slipped, np.ones(468, np.float32))
    off = np.linalg.norm((fitted - landmarks)[:, :2], axis=1)
    assert off[~chin].mean() < 2.0  # plain least squares: about 5


def test_an_occluder_is_not_learned_as_shape(face):
    _, landmarks = face
    shape = RememberedShape()
    for _ in range(4):
        shape.learn(landmarks, np.ones(468, np.float32))
    lower = landmarks[:, 1] > 125
    slipped = landmarks.copy()
    slipped[lower, :2] += (14, -9)
    for _ in range(50):
        shape.learn(slipped, np.where(lower, 0, 1).astype(np.float32))
    off = np.linalg.norm(
        (shape.fit(landmarks, np.ones(468, np.float32)) - landmarks)[:, :2], axis=1
    )
    assert off.max() < 1.0


def test_steady_takes_jitter_away_and_keeps_up_with_a_jump(face):
    _, landmarks = face
    seen, hidden = np.ones(468, np.float32), np.zeros(468, np.float32)
    noise = np.random.default_rng(1).normal(0, 0.3, landmarks.shape).astype(np.float32)
    left = steady(landmarks, landmarks + noise, seen) - landmarks
    assert 0.2 < np.abs(left).mean() / np.abs(noise).mean() < 0.5
    assert steady(landmarks, landmarks + 20, seen) == pytest.approx(landmarks + 20)
    assert np.abs(steady(landmarks, landmarks + 20, hidden) - landmarks).max() < 3


def test_texture_tells_skin_from_a_board(face):
    picture, landmarks = face
    texture = Texture()
    for _ in range(5):
        texture.learn(portrait(grey(picture), landmarks))
    brighter = np.clip(picture * 1.2 + 10, 0, 255).astype(np.uint8)
    turned = similarity(1.3, 20, 0, 0)
    assert texture.changed(portrait(grey(brighter), landmarks)).mean() < 0.03
    there = Motion(turned, 1.0).carry(landmarks)
    assert texture.changed(portrait(grey(moved(picture, turned)), there)).mean() < 0.1
    hidden, board = cover(picture, np.array([100, 60, 220, 170], np.float32), 0.5)
    changed, below = texture.changed(portrait(grey(hidden), landmarks)), under(board, landmarks) > 0
    assert changed[below].mean() > 0.7
    assert changed[landmarks[:, 1] < 105].mean() < 0.1


def test_a_track_with_nothing_to_speak_for_it_tires_sooner(face):
    picture, landmarks = face
    blank = np.full_like(grey(picture), 128)

    def coasted(**known):
        track = Track(1, landmarks, 1.0, BoxKalman(np.array([110, 60, 210, 180], np.float32)))
        track.observe(landmarks, 1.0)
        for _ in range(4):
            track.predict(blank, blank, [])
            for name, value in known.items():
                setattr(track, name, value)
            track.coast(0.0)
        assert track.state is TrackState.COASTING
        return track.coasted

    covered = np.ones(468, np.float32)
    assert coasted(cover_known=True, covered=covered) == 4
    assert coasted(cover_known=True, covered=0 * covered) == 12
    assert coasted() == 12


def test_the_ground_is_flat_enough_to_need_the_face():
    assert ground().std() > 10  # else the cut tests would pass on an empty picture
