import cv2
import numpy as np
import pytest

from tests.pasted_faces import ground, scene
from trackers.boxes import box_around, iou, suppress, visible_share
from trackers.detect import MediaPipeDetector, tiles
from trackers.landmarks import FaceMesh, RegionOfInterest, roi_from_detection
from trackers.shape import at_detection


@pytest.fixture(scope="module")
def detector():
    with_tiles = MediaPipeDetector()
    yield with_tiles
    with_tiles.close()


def test_finds_two_faces_best_first(detector):
    found = detector(scene((80, 120, 80, False), (230, 120, 80, True)))
    assert len(found) == 2
    assert found[0].score >= found[1].score
    centres = sorted(float(face.box_px[[0, 2]].mean()) for face in found)
    assert centres == pytest.approx([80, 230], abs=8)
    for face in found:
        right_eye, left_eye, nose, mouth = face.landmarks[:4]
        assert right_eye[0] < nose[0] < left_eye[0]
        assert right_eye[1] < nose[1] < mouth[1]


def test_nothing_in_a_picture_without_a_face(detector):
    assert detector(ground()) == []
    assert detector(np.zeros((16, 16, 3), np.uint8)) == []


def test_a_face_of_24_px_in_720p_is_found_in_a_tile():
    picture = scene((905, 377, 24, False), height=720, width=1280)
    with_tiles, without = MediaPipeDetector(), MediaPipeDetector(small_faces=False)
    boxes = [face.box_px for face in with_tiles(picture)]
    assert any(abs(b[[0, 2]].mean() - 905) < 4 and abs(b[[1, 3]].mean() - 377) < 6 for b in boxes)
    assert all(abs(face.box_px[[0, 2]].mean() - 905) > 4 for face in without(picture))
    with_tiles.close()
    without.close()


def test_a_face_in_the_overlap_of_tiles_is_found_once(detector):
    boxes = [face.box_px for face in detector(scene((230, 180, 60, False), height=360, width=640))]
    assert sum(abs(box[[0, 2]].mean() - 230) < 60 for box in boxes) == 1


def test_max_faces_keeps_the_best(detector):
    picture = scene((80, 120, 80, False), (230, 120, 80, True))
    one = MediaPipeDetector(max_faces=1)
    assert [face.score for face in one(picture)] == [detector(picture)[0].score]
    one.close()


def test_min_score(detector):
    sure = MediaPipeDetector(min_score=0.999)
    assert sure(scene((160, 120, 80, False))) == []
    sure.close()


def test_takes_read_only_and_strided_pictures(detector):
    picture = scene((160, 120, 90, False))
    expected = detector(picture)[0].box_px
    wide = np.zeros((240, 640, 3), np.uint8)
    wide[:, ::2] = picture
    wide.setflags(write=False)
    assert detector(wide[:, ::2])[0].box_px == pytest.approx(expected)


def test_making_one_says_nothing(capfd):
    MediaPipeDetector().close()
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


@pytest.mark.parametrize("settings", [{"min_score": 1.5}, {"max_faces": 0}])
def test_bad_settings(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        MediaPipeDetector(**settings)


def test_closed_twice_then_used():
    detector = MediaPipeDetector()
    detector.close()
    detector.close()
    with pytest.raises(RuntimeError, match="closed"):
        detector(ground())


@pytest.mark.parametrize("size", [(360, 640), (720, 1280), (1280, 720), (2160, 3840), (100, 2000)])
def test_tiles_cover_the_frame_and_overlap(size):
    height, width = size
    seen = np.zeros(size, int)
    for x, y, side in tiles(height, width):
        assert x >= 0
        assert y >= 0
        seen[y : y + side, x : x + side] += 1
    assert seen.min() >= 1
    assert seen.max() >= 2
    assert len(tiles(height, width)) <= 21


def test_a_small_frame_needs_no_tiles():
    assert tiles(240, 320) == []


def test_mean_face_is_laid_where_the_mesh_would_be(detector):
    picture = scene((150, 120, 90, True))
    (found,) = detector(picture)
    mesh, score = FaceMesh()(picture, roi_from_detection(found))
    assert score > 0.9
    laid = at_detection(found)
    assert iou(box_around(laid)[None], box_around(mesh)[None])[0, 0] > 0.75
    assert np.linalg.norm(laid[:, :2] - mesh[:, :2], axis=1).mean() < 0.06 * 90


def test_noise_on_a_large_face_is_averaged_before_the_mesh():
    small = scene((80, 120, 80, False))
    large = cv2.resize(small, None, fx=6, fy=6, interpolation=cv2.INTER_CUBIC).astype(np.float32)
    mesh, region = FaceMesh(), RegionOfInterest((6 * 80.0, 6 * 120.0), 6 * 120.0)
    rng = np.random.default_rng(0)
    plain, _ = mesh(np.clip(large, 0, 255).astype(np.uint8), region)
    looks = []
    for _ in range(3):
        noisy = large + rng.normal(0, 20, large.shape).astype(np.float32)
        looks.append(mesh(np.clip(noisy, 0, 255).astype(np.uint8), region)[0][:, :2])
    error_px = np.abs(np.stack(looks) - plain[:, :2]).mean()
    assert error_px < 0.7  # sampled bare it is 1.05


def test_suppress_drops_overlaps_and_halves_of_a_face():
    boxes = np.array(
        [[0, 0, 100, 100], [10, 0, 110, 100], [0, 0, 30, 100], [300, 0, 400, 100]], np.float32
    )
    assert suppress(boxes, np.array([0.7, 0.9, 0.8, 0.6], np.float32), 0.3) == [1, 2, 3]
    assert suppress(boxes, np.array([0.9, 0.8, 0.7, 0.6], np.float32), 0.3) == [0, 3]


def test_visible_share():
    box = np.array([-50, 0, 50, 100], np.float32)
    assert visible_share(box, 100, 200) == pytest.approx(0.5)
    assert visible_share(box - 500, 100, 200) == 0
