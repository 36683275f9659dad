"""What every registered effect promises. A new effect is tested by being registered."""

from __future__ import annotations

import numpy as np
import pytest

from configs.settings import load_settings
from s3pot.types import OcclusionMask, Reference
from stream.effects import build_effect, effects

REPLACES = {"matte": (0, 0, 0), "cutout": (0, 255, 0)}
"""These show nothing of the picture away from the occluders; the colour they show instead."""

KEEPS_OCCLUDER = ("none", "blur", "pixelate", "solid", "sticker")
SIDE = 96


@pytest.fixture(params=sorted(effects))
def name(request):
    return request.param


def build(name, *overrides):
    return build_effect(load_settings(None, [f"effect.name={name}", *overrides]))


def picture(height=120, width=160):
    noise = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    noise.setflags(write=False)
    return noise


def mask(center=(80.0, 60.0), scale=1.0, known=1.0, turn=0.3, track_id=1):
    """A round face of 60 px in face space, its right third covered."""
    y, x = np.mgrid[:SIDE, :SIDE]
    region = np.hypot(x - 47.5, y - 47.5) < 30
    probability = (region & (x > 57)).astype(np.float32)
    turned = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.column_stack([turned, np.array([47.5, 47.5]) - turned @ np.array(center)])
    shown = np.random.default_rng(4).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    reference = Reference(shown, np.full((SIDE, SIDE), known, np.float32))
    return OcclusionMask(track_id, probability, region, matrix, 0.3, 1.0, reference)


def box_of(shape, one):
    inside = np.zeros(shape[:2], bool)
    x0, y0, x1, y1 = one.box_px(*shape[:2])
    inside[y0:y1, x0:x1] = True
    return inside


def covered(one, shape):
    """Pixels well inside the occluder, and well inside the bare face, in the frame."""
    height, width = shape[:2]
    y, x = np.mgrid[:height, :width].astype(float)
    u, v = (one.frame_to_face @ np.stack([x, y, np.ones_like(x)]).reshape(3, -1)).reshape(
        2, height, width
    )
    deep = np.hypot(u - 47.5, v - 47.5) < 22
    return deep & (u > 61), deep & (u < 52)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_only_the_box_changes_and_the_input_is_not_written(name, scale):
    image, one = picture(), mask(scale=scale)
    before = image.copy()
    result = build(name)(image, [one])
    assert (result.shape, result.dtype) == (image.shape, np.uint8)
    assert not np.shares_memory(result, image)
    np.testing.assert_array_equal(image, before)
    outside = ~box_of(image.shape, one)
    beyond = (
        np.broadcast_to(np.array(REPLACES[name], np.uint8), image.shape)
        if name in REPLACES
        else image
    )
    np.testing.assert_array_equal(result[outside], beyond[outside])


def test_without_masks_the_picture_stays(name):
    image = picture()
    result = build(name)(image, [])
    if name in REPLACES:
        assert (result == REPLACES[name]).all()
    else:
        np.testing.assert_array_equal(result, image)
    assert not np.shares_memory(result, image)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("one", KEEPS_OCCLUDER)
def test_the_occluder_stays_sharp_to_the_bit(one, scale):
    image, face = picture(), mask(scale=scale)
    result = build(one)(image, [face])
    occluder, _ = covered(face, image.shape)
    assert occluder.sum() > 20
    np.testing.assert_array_equal(result[occluder], image[occluder])


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_the_part_an_effect_is_about_really_changes(name, scale):
    image, one = picture(), mask(scale=scale)
    result = build(name)(image, [one])
    occluder, bare = covered(one, image.shape)
    changed = (result != image).any(2)
    if name == "none":
        assert not changed.any()
    elif name in ("blur", "pixelate", "solid"):
        assert changed[bare].mean() > 0.95
    elif name == "sticker":
        assert changed[bare].mean() > 0.1
    elif name in ("overlay", "restore"):
        assert changed[occluder].mean() > 0.95
        assert scale > 1 or not changed[bare].any()  # a small face is crossed by its outline
    elif name == "matte":
        assert (result[occluder] == 255).all()
        assert (result[bare] == 0).all()
    elif name == "cutout":
        np.testing.assert_array_equal(result[occluder], image[occluder])
        assert (result[bare] == (0, 255, 0)).all()
    else:
        pytest.fail(f"say here what {name} changes")


@pytest.mark.parametrize(
    "center", [(0.0, 0.0), (159.0, 60.0), (80.0, 130.0), (-500.0, 60.0), (80.0, 900.0)]
)
def test_a_face_partly_or_wholly_outside_the_frame(name, center):
    image, one = picture(), mask(center)
    result = build(name)(image, [one])
    assert result.shape == image.shape
    if one.box_px(120, 160)[0] == one.box_px(120, 160)[2]:
        np.testing.assert_array_equal(result, build(name)(image, []))


@pytest.mark.parametrize("scale", [60.0, 20.0, 0.02])
def test_a_face_of_one_pixel_and_one_larger_than_the_frame(name, scale):
    assert build(name)(picture(), [mask(scale=scale)]).shape == (120, 160, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 3)])
def test_odd_pictures(name, size):
    image = picture(*size)
    assert build(name)(image, [mask(center=(0.0, 0.0))]).shape == image.shape


def test_an_empty_region_is_no_face(name):
    image, one = picture(), mask()
    empty = OcclusionMask(1, one.probability * 0, one.region & False, one.frame_to_face, 0.0, 1.0)
    np.testing.assert_array_equal(build(name)(image, [empty]), build(name)(image, []))


def test_a_face_wholly_covered_is_not_a_special_case(name):
    image, one = picture(), mask()
    full = OcclusionMask(1, one.region.astype(np.float32), one.region, one.frame_to_face, 1.0, 1.0)
    result = build(name)(image, [full])
    occluder, bare = covered(one, image.shape)
    if name in KEEPS_OCCLUDER:
        np.testing.assert_array_equal(result[occluder | bare], image[occluder | bare])
