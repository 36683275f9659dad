"""Every figure over time on masks made by hand, whose value is known; and each fault is caught."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from s3pot.temporal import (
    dtssd,
    flicker,
    flow_back,
    latency_frames,
    leak,
    onsets,
    releases,
    trail,
    warp_error,
)  # fmt: skip

SIZE = 40


def masks(*spans: tuple[int, int] | None) -> np.ndarray:
    """A frame for each span of columns; (T, S, S) float32."""
    frames = np.zeros((len(spans), SIZE, SIZE), np.float32)
    for frame, span in zip(frames, spans, strict=True):
        if span is not None:
            frame[:, span[0] : span[1]] = 1
    return frames


def everywhere(count: int) -> np.ndarray:
    return np.ones((count, SIZE, SIZE), bool)


CROSSING = masks(*[None] * 4, *[(4 * i, 4 * i + 12) for i in range(7)], *[None] * 5)
ALL = everywhere(len(CROSSING))


def late(alpha: np.ndarray, frames: int) -> np.ndarray:
    return np.concatenate([np.repeat(alpha[:1], frames, 0), alpha[:-frames]])


def shares(truth: np.ndarray) -> list[float]:
    return [float(frame.mean()) for frame in truth]


def ious(alpha: np.ndarray, truth: np.ndarray) -> list[float]:
    both, either = np.minimum(alpha, truth), np.maximum(alpha, truth)
    return [float(a.sum() / max(b.sum(), 1)) for a, b in zip(both, either, strict=True)]


def alarms(alpha: np.ndarray, truth: np.ndarray) -> list[float]:
    return [float((a * (1 - t)).mean()) for a, t in zip(alpha, truth, strict=True)]


def test_the_truth_is_perfect_by_every_figure() -> None:
    assert np.nanmax(dtssd(CROSSING, CROSSING, ALL)) == 0
    assert np.nanmax(flicker(CROSSING, CROSSING, ALL)) == 0
    assert np.nanmax(trail(CROSSING, CROSSING, ALL)) == 0
    assert leak(CROSSING, CROSSING, ALL, np.ones(len(ALL), bool)).max() == 0
    assert latency_frames(CROSSING, CROSSING, ALL) == 0
    assert [e.lag_frames for e in onsets(shares(CROSSING), ious(CROSSING, CROSSING))] == [0]
    assert [e.lag_frames for e in releases(shares(CROSSING), alarms(CROSSING, CROSSING))] == [0]


def test_dtssd_of_one_wrong_change_is_the_root_of_its_share() -> None:
    truth = masks(None, None, None)
    alpha = masks(None, (0, 10), (0, 10))  # a quarter of the picture, from the second frame on
    values = dtssd(alpha, truth, everywhere(3))
    assert np.isnan(values[0])
    assert values[1:] == pytest.approx([0.5, 0.0])


def test_a_mask_that_pops_for_one_frame_flickers_by_its_share() -> None:
    truth = masks(None, None, None, None, None)
    alpha = masks(None, None, (0, 10), None, None)
    values = flicker(alpha, truth, everywhere(5))
    assert values[1:4] == pytest.approx([0.25 / 4, 0.25, 0.25 / 4])
    assert np.isnan(values[[0, 4]]).all()


def test_neither_a_mask_that_follows_nor_one_that_stays_flickers() -> None:
    assert np.nanmax(flicker(CROSSING, CROSSING, ALL)) == 0
    always = masks(*[(34, 40)] * len(CROSSING))
    assert np.nanmax(flicker(always, always * 0, ALL)) == 0


@pytest.mark.parametrize("frames", [1, 3])
def test_a_lagging_mask_is_caught_by_onset_release_latency_and_trail(frames: int) -> None:
    alpha = late(CROSSING, frames)
    assert latency_frames(alpha, CROSSING, ALL) == frames
    (onset,) = onsets(shares(CROSSING), ious(alpha, CROSSING))
    (release,) = releases(shares(CROSSING), alarms(alpha, CROSSING))
    assert onset.frame == 4
    assert onset.lag_frames == (1 if frames == 1 else None)  # at three it never overlaps by half
    assert (release.frame, release.lag_frames) == (11, frames)
    assert np.nanmean(trail(alpha, CROSSING, ALL)) > 0.3


def test_trail_is_the_marked_share_of_what_was_left() -> None:
    truth = masks((0, 10), (10, 20), (10, 20))
    alpha = masks((0, 10), (5, 20), (10, 20))
    values = trail(alpha, truth, everywhere(3))
    assert np.isnan(values[0])
    assert values[1:] == pytest.approx([0.5, 0.0])


def test_an_empty_mask_is_stable_but_its_onset_is_never_seen() -> None:
    empty = np.zeros_like(CROSSING)
    images = np.random.default_rng(0).integers(0, 256, (*CROSSING.shape, 3), np.uint8)
    assert np.nanmax(warp_error(empty, images, ALL)) == 0
    assert np.nanmax(flicker(empty, CROSSING, ALL)) == 0
    (onset,) = onsets(shares(CROSSING), ious(empty, CROSSING))
    assert onset.lag_frames is None
    assert np.nanmean(dtssd(empty, CROSSING, ALL)) > 0.1


def test_leak_counts_marked_skin_and_the_whole_face_where_none_was_found() -> None:
    truth = masks((0, 10), (0, 10), (0, 10))
    alpha = masks((0, 10), (0, 20), None)
    found = np.array([True, True, False])
    assert leak(alpha, truth, everywhere(3), found) == pytest.approx([0, 0.25, 0.75])


def test_outside_the_region_nothing_counts() -> None:
    region = everywhere(5)
    region[:, :, 20:] = False
    truth = masks(*[None] * 5)
    alpha = masks(None, None, (20, 40), None, None)
    assert np.nanmax(flicker(alpha, truth, region)) == 0
    assert np.nanmax(dtssd(alpha, truth, region)) == 0
    assert leak(alpha, truth, region, np.ones(5, bool)).max() == 0


def test_an_event_needs_a_spell_on_both_sides() -> None:
    hovering = [0, 0, 0, 0.03, 0, 0.03, 0, 0, 0, 0.5, 0.5, 0.5]
    (onset,) = onsets(hovering, [1.0] * 12)
    assert (onset.frame, onset.until) == (9, 12)
    assert onsets([0.5] * 4 + [0] * 4, [1.0] * 8) == []  # it was there from the start
    assert [e.frame for e in releases([0.5] * 4 + [0] * 4, [0.0] * 8)] == [4]


def textured(shift: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    wide = rng.integers(0, 256, (12, 16, 3), np.uint8)
    big = cv2.resize(wide, (160, 120), interpolation=cv2.INTER_CUBIC)
    return big[20:84, 30 - shift : 94 - shift]


def test_the_flow_says_where_a_pixel_was() -> None:
    flow, sure = flow_back(textured(0), textured(3))  # the picture moved right by 3
    middle = np.s_[16:48, 16:48]
    assert sure[middle].mean() > 0.9
    assert flow[middle][..., 0].mean() == pytest.approx(-3, abs=0.3)
    assert flow[middle][..., 1].mean() == pytest.approx(0, abs=0.3)


def test_a_mask_that_moves_with_the_picture_has_less_warp_error_than_one_that_stays() -> None:
    images = np.stack([textured(0), textured(3)])
    moving = np.zeros((2, 64, 64), np.float32)
    moving[0, 20:40, 20:40] = 1
    moving[1, 20:40, 23:43] = 1
    staying = np.stack([moving[0], moving[0]])
    region = np.ones((2, 64, 64), bool)
    with_it, without = (warp_error(a, images, region)[1] for a in (moving, staying))
    assert with_it < without / 3
