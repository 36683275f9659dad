"""The smoother: noise is damped, what moves is followed, what is new passes, tracks are kept apart."""

from __future__ import annotations

import cv2
import numpy as np

from stream.smooth import LIMIT, Flow, FlowSmoother

SIDE = 64
RNG = np.random.default_rng(0)
NOISE = cv2.GaussianBlur(RNG.normal(0, 1, (SIDE, 3 * SIDE)), (0, 0), 3)
SCENE = np.repeat(np.clip(128 + 30 * NOISE / NOISE.std(), 0, 255).astype(np.uint8)[..., None], 3, 2)


ALL = np.ones((SIDE, SIDE), bool)


def crop(x: int = 0) -> np.ndarray:
    """Another part of the same scene."""
    return np.ascontiguousarray(SCENE[:, SIDE + x : 2 * SIDE + x])


def smooth(
    smoother: FlowSmoother, track_id: int, logits: np.ndarray, image: np.ndarray
) -> np.ndarray:
    return smoother.smooth(track_id, logits, image, ALL, smoother.recall(track_id, image))


def field(value: float) -> np.ndarray:
    return np.full((SIDE, SIDE), value, np.float32)


def test_the_first_frame_is_not_delayed() -> None:
    np.testing.assert_array_equal(smooth(FlowSmoother(), 1, field(3), crop()), field(3))


def test_noise_is_damped_more_and_more() -> None:
    smoother, raw = FlowSmoother(), RNG.normal(0, 0.5, 200)
    out = [float(smooth(smoother, 1, field(v), crop())[0, 0]) for v in raw]
    assert np.abs(np.diff(out)).mean() < 0.35 * np.abs(np.diff(raw)).mean()
    assert abs(out[1] - raw[:2].mean()) < 0.1  # at first, the mean


def test_an_occluder_shows_in_the_frame_in_which_it_comes() -> None:
    smoother = FlowSmoother()
    for _ in range(5):
        smooth(smoother, 1, field(-LIMIT), crop())
    assert smooth(smoother, 1, field(5), crop())[0, 0] > 0


def test_it_is_gone_within_three_frames() -> None:
    smoother = FlowSmoother()
    for _ in range(5):
        smooth(smoother, 1, field(20), crop())
    assert min(float(smooth(smoother, 1, field(-3), crop())[0, 0]) for _ in range(3)) < 0


def test_where_the_picture_is_another_the_past_says_nothing() -> None:
    smoother = FlowSmoother()
    for _ in range(5):
        smooth(smoother, 1, field(2), crop())
    assert smooth(smoother, 1, field(-0.5), np.full((SIDE, SIDE, 3), 255, np.uint8)).max() < -0.45


def test_what_is_known_moves_along_with_the_picture() -> None:
    """A thing that moves 3 px a frame, seen as uncertain from the second frame on."""
    smoother = FlowSmoother()
    for frame in range(4):
        known = np.where(np.arange(SIDE) >= 40 - 3 * frame, 4.0, -4.0) * np.ones((SIDE, 1))
        now = known if frame < 3 else known * 0.1
        out = smooth(smoother, 1, now.astype(np.float32), crop(3 * frame))
    inside = slice(8, -8)
    assert out[inside, 34:50].min() > 1.0
    assert out[inside, 8:28].max() < -1.0


def test_what_comes_onto_the_face_has_no_past() -> None:
    smoother, face = FlowSmoother(), np.zeros((SIDE, SIDE), bool)
    face[:, :40] = True
    smoother.smooth(1, field(-4), crop(), face, None)
    past = smoother.recall(1, crop(6))  # all moves 6 px to the left
    assert past is not None
    assert past.trust[8:-8, 36:].max() < 0.1
    assert past.trust[8:-8, 8:30].min() > 0.8


def test_a_field_is_brought_to_where_the_picture_went() -> None:
    flow = Flow()
    way = flow.between(flow.small(crop(0)), flow.small(crop(4)), SIDE)
    ramp = np.tile(np.arange(SIDE, dtype=np.float32), (SIDE, 1))
    inside = (slice(8, -8), slice(8, -12))
    assert np.abs(way.bring(ramp)[inside] - (ramp[inside] + 4)).max() < 0.6
    assert way.trust[inside].min() > 0.9
    assert way.spots.shape == (SIDE, SIDE, 2)


def test_no_memory_is_no_memory() -> None:
    smoother = FlowSmoother(attack=1, release=1)
    for value in (5, 1, -3):
        np.testing.assert_array_equal(smooth(smoother, 1, field(value), crop()), field(value))


def test_what_is_recalled_is_not_learned() -> None:
    smoother = FlowSmoother()
    assert smoother.recall(1, crop()) is None
    smooth(smoother, 1, field(3), crop())
    for _ in range(3):
        past = smoother.recall(1, crop(5))
    assert past is not None
    np.testing.assert_array_equal(past.logits, field(3))
    assert past.trust[8:-8, 8:-12].min() > 0.8
    assert smoother.recall(1, crop()[:32, :32]) is None  # of another size


def test_tracks_do_not_mix_and_can_be_forgotten() -> None:
    smoother = FlowSmoother()
    smooth(smoother, 1, field(5), crop())
    np.testing.assert_array_equal(smooth(smoother, 2, field(-1), crop()), field(-1))
    smoother.keep({2})
    np.testing.assert_array_equal(smooth(smoother, 1, field(-1), crop()), field(-1))
    smoother.reset()
    np.testing.assert_array_equal(smooth(smoother, 2, field(1), crop()), field(1))
