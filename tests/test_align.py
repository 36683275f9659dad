import cv2
import numpy as np
import pytest

from s3pot.types import OcclusionMask
from trackers.align import align, cut, face_region, fit_similarity, pose_degrees
from trackers.boxes import box_around
from trackers.faces import TrackedFace, TrackState
from trackers.mesh import mean_face

HEIGHT, WIDTH = 240, 320


def face_at(x, y, face_px, turn_degrees=0.0, rotation=None):
    """The mean face as a tracked face of the frame."""
    template = mean_face().template.astype(np.float64)
    if rotation is not None:
        template = template @ rotation.T
    angle = np.radians(turn_degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = template * face_px
    landmarks[:, :2] = landmarks[:, :2] @ turn.T + (x, y)
    landmarks = landmarks.astype(np.float32)
    return TrackedFace(
        track_id=1, identity=1, landmarks=landmarks, trust=np.ones(468, np.float32),
        box_px=box_around(landmarks), score=1.0, age=0, state=TrackState.SEEN,
    )  # fmt: skip


def dot(x, y, height=HEIGHT, width=WIDTH, sigma=2.0):
    """A picture with one soft dot, whose centre can be measured to a fraction of a px."""
    rows, columns = np.mgrid[:height, :width]
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat(np.round(spot).astype(np.uint8)[..., None], 3, 2)


def centre(picture):
    weights = picture.astype(np.float64)
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    return np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


PLACES = {
    "upright": (160, 120, 120, 0),
    "turned": (150, 118, 110, 35),
    "upside down": (160, 120, 100, 175),
    "small": (90, 70, 40, -20),
    "shrunk": (160, 120, 230, 10),
    "partly outside": (30, 60, 120, -15),
}


@pytest.mark.parametrize("size", [64, 192])
@pytest.mark.parametrize("place", PLACES)
def test_a_point_lands_where_predicted_and_comes_back(place, size):
    x, y, face_px, turn = PLACES[place]
    face = face_at(x, y, face_px, turn)
    spot = np.array([x + 0.13 * face_px, y + 0.1 * face_px])
    sigma = max(2.0, 1.5 * face_px / (0.7 * size))
    aligned = align(dot(*spot, sigma=sigma), face, size)
    matrix = aligned.frame_to_face
    assert centre(aligned.image[..., 0]) == pytest.approx(
        matrix[:, :2] @ spot + matrix[:, 2], abs=0.5
    )

    mask = OcclusionMask(
        track_id=1, probability=aligned.image[..., 0] / np.float32(255),
        region=np.ones((size, size), bool), frame_to_face=matrix, coverage=0, confidence=1,
    )  # fmt: skip
    assert centre(mask.to_frame(HEIGHT, WIDTH)) == pytest.approx(spot, abs=0.5)


def test_shrinking_does_not_alias():
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255  # finer than the crop can show: it has to come out grey
    face = face_at(400, 400, 600)
    inner = align(stripes, face, 64).image[16:48, 16:48]
    assert inner.std() < 12
    assert 110 < inner.mean() < 145


@pytest.mark.parametrize(("turn", "face_px"), [(0, 100), (50, 60), (-120, 300)])
def test_the_face_stands_upright_in_the_crop(turn, face_px):
    aligned = align(dot(160, 120), face_at(160, 120, face_px, turn), 192)
    assert aligned.landmarks[:, :2] == pytest.approx(mean_face().points_px(192), abs=0.01)
    assert aligned.region[96, 96]
    assert 0.2 < aligned.region.mean() < 0.5


def test_inside_says_which_pixels_the_frame_has():
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    aligned = align(white, face_at(0, 120, 120), 192)  # the left half lies outside
    assert aligned.inside[96, 100:].all()
    assert not aligned.inside[96, :90].any()
    assert not aligned.image[96, :90].any()


def test_a_face_outside_the_frame_gives_a_black_crop():
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    for x, y, face_px in ((-2000, 120, 500), (3000, 120, 500), (160, -900, 90)):
        aligned = align(white, face_at(x, y, face_px), 64)
        assert not aligned.image.any()
        assert not aligned.inside.any()


def rotated(yaw=0.0, pitch=0.0):
    """A head turned about its own axes; x right, y down, z away from the camera."""
    y, p = np.radians(yaw), np.radians(pitch)
    about_y = [[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]]
    about_x = [[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]]
    return np.array(about_y) @ np.array(about_x)


@pytest.mark.parametrize("degrees", [-30, 20])
def test_yaw(degrees):
    face = face_at(160, 120, 100, rotation=rotated(yaw=degrees))
    nose_goes_right = face.landmarks[1, 0] - face.landmarks[[234, 454], 0].mean() > 0
    yaw, pitch, roll = pose_degrees(face.landmarks, face.trust)
    assert nose_goes_right == (yaw > 0)
    assert abs(yaw) == pytest.approx(abs(degrees), abs=0.1)
    assert (pitch, roll) == pytest.approx((0, 0), abs=0.1)


@pytest.mark.parametrize("degrees", [-25, 15])
def test_pitch(degrees):
    face = face_at(160, 120, 100, rotation=rotated(pitch=degrees))
    straight = face_at(160, 120, 100)
    nose_goes_down = face.landmarks[1, 1] > straight.landmarks[1, 1]
    yaw, pitch, roll = pose_degrees(face.landmarks, face.trust)
    assert nose_goes_down == (pitch > 0)
    assert abs(pitch) == pytest.approx(abs(degrees), abs=0.1)
    assert (yaw, roll) == pytest.approx((0, 0), abs=0.1)


@pytest.mark.parametrize("degrees", [-40, 25])
def test_roll_is_clockwise_in_the_picture(degrees):
    yaw, pitch, roll = pose_degrees(
        face_at(160, 120, 100, degrees).landmarks, np.ones(468, np.float32)
    )
    assert (yaw, pitch, roll) == pytest.approx((0, 0, degrees), abs=0.1)


def test_landmarks_without_trust_do_not_move_the_crop():
    face = face_at(160, 120, 100)
    landmarks, trust = face.landmarks.copy(), face.trust.copy()
    lower = landmarks[:, 1] > 130
    landmarks[lower, 0] += 30  # slipped along a hand
    trust[lower] = 0
    slipped = TrackedFace(1, 1, landmarks, trust, face.box_px, 1.0, 0, TrackState.SEEN)
    image = dot(160, 120)
    good, bad = align(image, face, 192).frame_to_face, align(image, slipped, 192).frame_to_face
    assert np.abs(good - bad).max() < 1.0


@pytest.mark.parametrize("dimensions", [2, 3])
def test_fit_similarity_recovers_scale_rotation_and_shift(dimensions):
    rng = np.random.default_rng(5)
    source = rng.normal(size=(40, dimensions))
    rotation = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0]
    rotation[:, 0] *= np.sign(np.linalg.det(rotation))
    target = 2.5 * source @ rotation.T + 7
    target[0] += 100  # an outlier without weight
    weights = np.ones(40)
    weights[0] = 0
    scale, found, shift = fit_similarity(source, target, weights)
    assert scale == pytest.approx(2.5)
    assert found == pytest.approx(rotation)
    assert shift == pytest.approx(np.full(dimensions, 7.0))


def test_fit_similarity_never_mirrors():
    source = np.random.default_rng(5).normal(size=(40, 2))
    _, rotation, _ = fit_similarity(source, source * (-1, 1), np.ones(40))
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_fit_similarity_needs_weight():
    with pytest.raises(ValueError, match="sum above 0"):
        fit_similarity(np.ones((4, 2)), np.ones((4, 2)), np.zeros(4))


def test_region_holds_a_nose_that_stands_out():
    face = face_at(96, 96, 100, rotation=rotated(yaw=70))
    region = face_region(face.landmarks, 192)
    nose = face.landmarks[1, :2].astype(int)
    oval = np.zeros((192, 192), np.uint8)
    outline = face.landmarks[mean_face().oval.astype(int), :2]
    cv2.fillPoly(oval, [np.round(outline).astype(np.int32)], 1)
    assert region[nose[1], nose[0] - 1]
    assert (region & ~oval.astype(bool)).sum() > 20


def test_cut_takes_grey_too():
    grey = dot(50, 60)[..., 0]
    matrix = np.array([[1, 0, -20], [0, 1, -30]], np.float64)
    assert (cut(grey, matrix, 64) == grey[30:94, 20:84]).all()
