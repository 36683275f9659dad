from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from stream.clip import DEMO, SHUTTER, Crossing, clip, exposed, lay, place, premultiplied
from stream.drawn import drawn_occluder, kinds

STILL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def draw(kind, size=128, seed=0):
    return drawn_occluder(kind, size, np.random.default_rng(seed))


@pytest.mark.parametrize("kind", sorted(kinds))
def test_every_kind_is_a_shaded_thing_with_an_anti_aliased_outline(kind):
    picture = draw(kind)
    assert (picture.shape, picture.dtype) == ((128, 128, 4), np.uint8)
    alpha = picture[..., 3]
    inside = alpha == 255
    assert 0.04 < inside.mean() < 0.75
    assert ((alpha > 0) & (alpha < 255)).sum() > 40
    assert picture[inside][:, :3].std(0).max() > 12  # light and texture, not one flat colour
    parts, _ = cv2.connectedComponents(inside.astype(np.uint8))
    assert parts == 2  # background and one thing


@pytest.mark.parametrize("kind", sorted(kinds))
def test_one_seed_one_drawing_at_any_size(kind):
    np.testing.assert_array_equal(draw(kind), draw(kind))
    large = cv2.resize(draw(kind, 256)[..., 3], (128, 128), interpolation=cv2.INTER_AREA)
    assert np.abs(large.astype(int) - draw(kind)[..., 3]).mean() < 2.5


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"unknown kind 'foot'.*hand"):
        draw("foot")
    with pytest.raises(ValueError, match="at least 16 px, got 8"):
        draw("cup", 8)


def test_truth_is_where_the_picture_was_covered():
    one = (Crossing("ball", 0.0, 1.0, ((0.0, 0.0, 0.0), (0.3, 0.1, 20.0)), 1.0),)
    bare = next(clip((), seconds=Fraction(1, 25)))
    frame = next(clip(one, seconds=Fraction(1, 25)))
    assert not bare.occluder.any()
    np.testing.assert_array_equal(frame.photo_to_frame, bare.photo_to_frame)
    felt = frame.image[frame.occluder].astype(int)
    assert (felt[:, 1] > felt[:, 2] + 20).mean() > 0.85  # the ball is yellow-green
    changed = np.abs(frame.image.astype(int) - bare.image).max(2) > 40
    assert (changed & frame.occluder).sum() / (changed | frame.occluder).sum() > 0.85


def test_the_truth_moves_by_parts_of_a_pixel_with_the_drawing():
    drawing = premultiplied(draw("ball", 512))
    spots = []
    for x in (0.0, 0.0025, 0.005):
        one = Crossing("ball", 0.0, 1.0, ((x, 0.0, 0.0), (x, 0.0, 0.0)), 0.8)
        cover = exposed(one, drawing, STILL, 0.5, 0.0)[..., 3].astype(float)
        spots.append((cover.sum(0) * np.arange(cover.shape[1])).sum() / cover.sum())
    step = 0.0025 * 95
    np.testing.assert_allclose(np.diff(spots), step, atol=0.02)


def test_a_fast_thing_is_blurred_and_its_truth_is_the_covered_share_of_time():
    drawing = premultiplied(draw("phone", 512))
    fast = Crossing("phone", 0.0, 1.0, ((-6.0, 0.0, 0.0), (6.0, 0.0, 0.0)), 0.6)
    still = exposed(fast, drawing, STILL, 0.5, 0.0)[..., 3]
    moving = exposed(fast, drawing, STILL, 0.5, SHUTTER / 25)[..., 3]
    assert ((moving > 0.05) & (moving < 0.95)).sum() > 3 * ((still > 0.05) & (still < 0.95)).sum()
    assert abs(moving.sum() / still.sum() - 1) < 0.02


def test_a_path_starts_and_ends_where_it_says():
    one = DEMO[0]
    for moment, row in ((one.start_seconds, one.path[0]), (one.stop_seconds, one.path[-1])):
        center = place(one, STILL, moment) @ np.array([255.5, 255.5, 1.0])
        np.testing.assert_allclose(center, np.array([222.0, 118.0]) + 95.0 * np.array(row[:2]))


def test_layers_cover_each_other_and_shadows_are_no_truth():
    image = np.full((360, 640, 3), 200, np.float32)
    layer = np.zeros((360, 640, 4), np.float32)
    layer[100:200, 100:200] = (10, 20, 30, 1)
    mixed, alpha = lay(image, layer, np.zeros((360, 640), np.float32))
    np.testing.assert_array_equal(alpha, layer[..., 3])
    np.testing.assert_array_equal(mixed[150, 150], (10, 20, 30))
    assert mixed[205, 150].max() < 170  # below it lies a shadow
    assert alpha[205, 150] == 0
    assert (mixed[300, 500] == 200).all()


def test_the_demo_begins_with_a_free_face_and_every_crossing_reaches_it():
    assert min(one.start_seconds for one in DEMO) >= 1.0
    for one in DEMO:
        middle = place(one, STILL, (one.start_seconds + one.stop_seconds) / 2)
        cover = cv2.warpAffine(draw(one.kind, 512)[..., 3], middle, (512, 512))
        assert cover[95:160, 185:260].max() == 255
