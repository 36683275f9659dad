from __future__ import annotations

import cv2
import numpy as np
import pytest

from configs.settings import SettingsError, load_settings
from s3pot.types import OcclusionMask, Reference
from stream import sticker
from stream.effects import build_effect, effects
from tests.contracts.test_effects import build, covered, mask, picture


def flat(value, shape=(120, 160, 3)):
    return np.full(shape, value, np.uint8)


def test_an_unknown_effect_names_the_near_and_the_allowed():
    with pytest.raises(SettingsError, match="unknown effect 'blurr'; did you mean blur") as caught:
        build_effect(load_settings(None, ["effect.name=blurr"]))
    assert all(name in str(caught.value) for name in effects)


@pytest.mark.parametrize("name", ["blur", "pixelate"])
@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_nothing_of_the_occluder_or_the_background_bleeds_into_the_face(name, scale):
    one = mask(scale=scale)
    occluder = one.to_frame(120, 160) > 0
    image = flat(60)
    image[occluder] = (255, 0, 0)
    region = OcclusionMask(1, one.region.astype(np.float32), one.region, one.frame_to_face, 1, 1)
    image[~(region.to_frame(120, 160) > 0)] = (0, 0, 255)
    _, bare = covered(one, image.shape)
    result = build(name)(image, [one])
    assert np.abs(result[bare].astype(int) - 60).max() <= 2


def test_blur_is_strong_for_the_face_and_grows_with_it():
    stripes = np.zeros((120, 160, 3), np.uint8)
    stripes[:, ::2] = 255
    for scale in (0.5, 1.0, 2.0):
        one = mask(scale=scale, turn=0.0)
        _, bare = covered(one, stripes.shape)
        result = build("blur")(stripes, [one]).astype(int)
        assert stripes[bare].std() > 100
        assert result[bare].std() < 12


def test_pixelate_shows_few_colours():
    one = mask(scale=0.5, turn=0.0)
    _, bare = covered(one, (120, 160))
    result = build("pixelate", "effect.blocks=4")(picture(), [one])
    assert 1 < len(np.unique(result[bare], axis=0)) <= 16


def test_overlay_tints_by_its_strength_and_outlines_the_amodal_face():
    one = mask(turn=0.0)
    occluder, bare = covered(one, (120, 160))
    result = build("overlay", "effect.color=[200, 0, 0]", "effect.strength=0.5")(flat(100), [one])
    np.testing.assert_allclose(
        result[occluder], np.broadcast_to((150, 50, 50), (occluder.sum(), 3)), atol=1
    )
    y, x = np.mgrid[:120, :160]
    radius = np.hypot(x - 80, y - 60)
    line = (radius > 27.5) & (radius < 29)
    assert (result[line].min(1) > 130).mean() > 0.9  # all round, over the occluder as well
    assert (result[radius > 32] == 100).all()
    assert (result[bare] == 100).all()


def test_edges_are_soft_but_narrow():
    row = build("matte")(flat(0), [mask(scale=0.25, turn=0.0)])[60, :, 0].astype(int)
    ramp = np.flatnonzero((row > 8) & (row < 247))
    rise = ramp[ramp < 130]
    assert 2 <= rise.size <= 8
    assert (np.diff(row[rise]) > 0).all()


def test_matte_takes_the_larger_value_where_faces_overlap():
    left, right = mask((70.0, 60.0)), mask((90.0, 60.0), track_id=2)
    both = build("matte")(flat(9), [left, right])
    each = [build("matte")(flat(9), [one]) for one in (left, right)]
    np.testing.assert_array_equal(both, np.maximum(*each))


def test_later_faces_lie_over_earlier_ones():
    left, right = mask((70.0, 60.0)), mask((90.0, 60.0), track_id=2)
    image = picture()
    effect = build("blur")
    np.testing.assert_array_equal(
        effect(image, [left, right]), effect(effect(image, [left]), [right])
    )


def test_restore_shows_the_reference_only_where_hidden_and_known():
    one = mask()
    occluder, bare = covered(one, (120, 160))
    known = np.ones((96, 96), np.float32)
    known[:48] = 0
    shown = OcclusionMask(
        1, one.probability, one.region, one.frame_to_face, 0.3, 1.0,
        Reference(flat(200, (96, 96, 3)) * (known[..., None] > 0), known),
    )  # fmt: skip
    y, x = np.mgrid[:120, :160].astype(float)
    v = one.frame_to_face[1, 0] * x + one.frame_to_face[1, 1] * y + one.frame_to_face[1, 2]
    result = build("restore")(flat(50), [shown])
    assert (result[occluder & (v > 50)] == 200).all()
    assert (result[occluder & (v < 46)] == 50).all()
    assert (result[bare] == 50).all()
    assert result.min() >= 50  # no dark fringe at the edge of what is known


def test_restore_bridges_a_slit_in_what_is_known():
    one = mask()
    occluder, _ = covered(one, (120, 160))
    known = np.ones((96, 96), np.float32)
    known[47:49] = 0
    slit = Reference(flat(200, (96, 96, 3)) * (known[..., None] > 0), known)
    shown = OcclusionMask(1, one.probability, one.region, one.frame_to_face, 0.3, 1.0, slit)
    assert (build("restore")(flat(50), [shown])[occluder] > 190).all()


def test_restore_without_a_reference_leaves_the_picture():
    one = mask()
    bare = OcclusionMask(1, one.probability, one.region, one.frame_to_face, 0.3, 1.0, None)
    np.testing.assert_array_equal(build("restore")(picture(), [bare]), picture())


def test_restore_takes_a_reference_of_another_size():
    one = mask()
    half = Reference(flat(200, (48, 48, 3)), np.ones((48, 48), np.float32))
    small = OcclusionMask(1, one.probability, one.region, one.frame_to_face, 0.3, 1.0, half)
    occluder, _ = covered(one, (120, 160))
    assert (build("restore")(flat(50), [small])[occluder] == 200).all()


def test_a_sticker_from_a_file_lies_where_the_settings_say(tmp_path):
    path = tmp_path / "patch.png"
    rgba = np.zeros((20, 20, 4), np.uint8)
    rgba[..., :] = (10, 20, 250, 255)  # red, as OpenCV writes it
    cv2.imwrite(str(path), rgba)
    one = mask(turn=0.0)
    place = "effect.sticker_box=[0.40, 0.5, 0.10]"
    result = build("sticker", f"effect.sticker={path}", place)(flat(0), [one])
    rows, columns = np.nonzero(result[..., 0] > 125)
    # 0.40 of 96 px is face x 37.9, and face (47.5, 47.5) lies on frame (80, 60).
    assert abs(columns.mean() - (80 + 0.40 * 96 - 0.5 - 47.5)) < 0.6
    assert abs(rows.mean() - 60) < 0.6
    assert abs(np.ptp(columns) + 1 - 9.6) <= 1
    assert tuple(result[60, 70]) == (250, 20, 10)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_a_sticker_without_alpha_is_opaque(tmp_path, shape):
    path = tmp_path / "plain.png"
    cv2.imwrite(str(path), np.full(shape, 90, np.uint8))
    np.testing.assert_array_equal(
        sticker.load(str(path)), np.broadcast_to((90, 90, 90, 1), (8, 8, 4))
    )


def test_a_sticker_of_16_bits(tmp_path):
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((4, 4, 4), 65535, np.uint16))
    np.testing.assert_array_equal(
        sticker.load(str(path)), np.broadcast_to((255, 255, 255, 1), (4, 4, 4))
    )


def test_a_bad_sticker_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png: no such picture"):
        sticker.load(str(tmp_path / "gone.png"))
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    with pytest.raises(ValueError, match=r"text\.png: not a picture"):
        sticker.load(str(text))
    text.write_bytes(b"")
    with pytest.raises(ValueError, match=r"text\.png: not a picture"):
        sticker.load(str(text))


def test_the_drawn_sticker_sits_on_eyes_and_chin_and_leaves_the_nose():
    alpha = sticker.drawn()[..., 3]
    size = alpha.shape[0]
    points = sticker.mean_face().points_px(size)
    assert alpha[tuple(points[152, ::-1].astype(int) - (12, 0))] > 0.5  # chin
    assert 0.1 < alpha[tuple(points[159, ::-1].astype(int))] < 0.6  # through the lens
    assert alpha[tuple(points[4, ::-1].astype(int))] == 0  # tip of the nose
