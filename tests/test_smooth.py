"""The smoother: noise is damped, motion is not held back, tracks are kept apart."""

from __future__ import annotations

import numpy as np

from stream.smooth import LIMIT, LogitSmoother


def field(value: float) -> np.ndarray:
    return np.full((4, 4), value, np.float32)


def test_the_first_frame_is_not_delayed() -> None:
    np.testing.assert_array_equal(LogitSmoother().smooth(1, field(3)), field(3))


def test_noise_is_damped() -> None:
    smoother, rng = LogitSmoother(), np.random.default_rng(0)
    raw = rng.normal(0, 0.5, 200)
    out = [float(smoother.smooth(1, field(v))[0, 0]) for v in raw]
    assert np.abs(np.diff(out)).mean() < 0.6 * np.abs(np.diff(raw)).mean()


def test_an_occluder_shows_in_the_frame_in_which_it_comes() -> None:
    smoother = LogitSmoother()
    smoother.smooth(1, field(-LIMIT))
    assert smoother.smooth(1, field(5))[0, 0] > 0


def test_it_is_gone_within_three_frames() -> None:
    smoother = LogitSmoother()
    smoother.smooth(1, field(20))
    assert min(float(smoother.smooth(1, field(-3))[0, 0]) for _ in range(3)) < 0


def test_tracks_do_not_mix_and_can_be_forgotten() -> None:
    smoother = LogitSmoother()
    smoother.smooth(1, field(5))
    np.testing.assert_array_equal(smoother.smooth(2, field(-1)), field(-1))
    smoother.keep({2})
    np.testing.assert_array_equal(smoother.smooth(1, field(-1)), field(-1))
    smoother.reset()
    np.testing.assert_array_equal(smoother.smooth(2, field(1)), field(1))
