"""Metrics on masks whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from s3pot.metrics import (
    COVERED_SHARE,
    FaceScore,
    boundary_f,
    lightness,
    mean,
    micro_iou,
    micro_precision,
    micro_recall,
    score,
    thirds,
)

NAN = float("nan")


def box(x0: int, y0: int, x1: int, y1: int) -> NDArray[np.bool_]:
    mask = np.zeros((100, 100), bool)
    mask[y0:y1, x0:x1] = True
    return mask


REGION = box(10, 10, 90, 90)
NONE = np.zeros((100, 100), bool)


def test_the_truth_scores_one() -> None:
    result = score(box(20, 20, 60, 60), box(20, 20, 60, 60), REGION)
    assert (result.iou, result.boundary_f, result.false_alarm) == (1, 1, 0)
    assert (result.precision, result.recall, result.visible_iou) == (1, 1, 1)
    assert result.covered == pytest.approx(1600 / 6400)
    assert result.is_covered
    assert not result.is_clean


def test_half_an_occluder_scores_half() -> None:
    result = score(box(20, 20, 40, 60), box(20, 20, 60, 60), REGION)
    assert (result.iou, result.precision, result.recall) == (0.5, 1, 0.5)
    assert result.visible_iou == pytest.approx((6400 - 1600) / (6400 - 800))


def test_twice_an_occluder() -> None:
    result = score(box(20, 20, 60, 60), box(20, 20, 40, 60), REGION)
    assert (result.iou, result.precision, result.recall) == (0.5, 0.5, 1)
    assert result.false_alarm == pytest.approx(800 / 6400)


def test_only_the_face_counts() -> None:
    result = score(box(0, 0, 50, 50), box(10, 10, 50, 50), REGION)
    assert result.iou == 1
    assert result.false_alarm == 0
    assert (result.area, result.truth, result.marked, result.hit) == (6400, 1600, 1600, 1600)


def test_a_clean_face_has_no_iou_but_false_alarms() -> None:
    result = score(box(20, 20, 28, 28), NONE, REGION)
    assert np.isnan([result.iou, result.recall, result.boundary_f]).all()
    assert result.precision == 0
    assert result.false_alarm == pytest.approx(64 / 6400)
    assert result.is_clean


def test_a_face_barely_touched_is_neither_covered_nor_clean() -> None:
    result = score(NONE, box(20, 20, 27, 28), REGION)
    assert 0 < result.covered < COVERED_SHARE
    assert not result.is_covered
    assert not result.is_clean
    assert np.isnan(result.iou)


def test_nothing_marked_has_no_precision() -> None:
    result = score(NONE, box(20, 20, 60, 60), REGION)
    assert np.isnan(result.precision)
    assert (result.recall, result.iou, result.boundary_f) == (0, 0, 0)


def test_a_labelled_face_is_used_for_the_visible_iou_alone() -> None:
    truth = box(20, 20, 60, 60)
    visible = REGION & ~truth & ~box(10, 70, 90, 90)  # of 4800 px visible, 1600 are no face
    told = score(truth, truth, REGION, visible=visible)
    assert told.visible_iou == pytest.approx(3200 / 4800)
    plain = score(truth, truth, REGION)
    assert (told.iou, told.boundary_f, told.hit) == (plain.iou, plain.boundary_f, plain.hit)


def test_a_wholly_covered_face_has_no_visible_iou() -> None:
    assert np.isnan(score(REGION, REGION, REGION).visible_iou)


def test_a_shifted_outline_is_found_out_beyond_its_tolerance() -> None:
    truth = box(20, 20, 60, 60)
    assert boundary_f(box(22, 20, 62, 60), truth, 2) == 1
    assert boundary_f(box(26, 26, 66, 66), truth, 2) < 0.5
    # 37 px wide and high, 3 px off each side: no px of one outline is within 2 of the other
    assert boundary_f(box(23, 23, 57, 57), truth, 2) == 0
    assert boundary_f(NONE, NONE, 2) == 1
    assert boundary_f(NONE, truth, 2) == 0


def test_one_side_of_four_found() -> None:
    """Precision 1, recall of the outline known: the mask is the truth's left 3 px."""
    truth, strip = box(20, 20, 60, 60), box(20, 20, 23, 60)
    # The strip's outline is 40 + 40 + 2 px, of which the right column (38 px) lies 2 px inside.
    # 156 px are the truth's; columns 20 to 24 of top and bottom and the left side are met.
    precision = 1.0
    recall = (40 + 2 * 4) / 156
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_f(strip, truth, 2) == pytest.approx(expected, abs=0.01)


def test_bad_shapes_and_an_empty_face_are_refused() -> None:
    small = np.zeros((5, 5), bool)
    with pytest.raises(ValueError, match=r"shapes differ: \(5, 5\), \(5, 6\)"):
        score(small, np.zeros((5, 6), bool), small)
    with pytest.raises(ValueError, match="shapes differ"):
        score(small, small, small, visible=np.zeros((6, 5), bool))
    with pytest.raises(ValueError, match="no face"):
        score(small, small, small)


def test_sums_weigh_a_large_occluder_more() -> None:
    large = FaceScore(area=1000, truth=400, marked=400, hit=400, boundary_f=1, visible_iou=1)
    small = FaceScore(area=1000, truth=100, marked=200, hit=50, boundary_f=0, visible_iou=1)
    clean = FaceScore(area=1000, truth=0, marked=500, hit=0, boundary_f=NAN, visible_iou=0.5)
    scores = [large, small, clean]  # the clean face's alarms are told elsewhere
    assert micro_iou(scores) == pytest.approx(450 / 650)
    assert micro_precision(scores) == pytest.approx(450 / 600)
    assert micro_recall(scores) == pytest.approx(450 / 500)
    assert mean([s.iou for s in scores]) == pytest.approx((1 + 50 / 250) / 2)
    assert np.isnan(
        [micro_iou([clean]), micro_precision([clean]), micro_recall([]), mean([])]
    ).all()


def test_lightness_of_known_colours() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[:, :3] = 119  # sRGB 119 is L* 50.0; OpenCV rounds by 0.15
    image[:, 3:] = (255, 0, 0)  # L* 53.2
    left = np.zeros((4, 6), bool)
    left[:, :3] = True
    assert lightness(image, left) == pytest.approx(50, abs=0.3)
    assert lightness(image, ~left) == pytest.approx(53.24, abs=0.3)
    assert lightness(image * 0 + 255, left) == pytest.approx(100, abs=0.01)
    assert np.isnan(lightness(image, left & ~left))


def test_thirds() -> None:
    assert thirds([3, NAN, 1, 2, 4]) == pytest.approx((2, 3))
    assert np.isnan(thirds([NAN])).all()


def test_no_outline_at_the_regions_own_edge_counts() -> None:
    region = np.zeros((40, 40), bool)
    region[5:35, 5:35] = True
    truth, short = region.copy(), region.copy()
    truth[:, :20] = False
    short[:, :20] = False
    short[30:] = False  # the mask's own face ends 5 px early: no error of the occluder's outline
    assert score(short, truth, region).boundary_f < 0.9
    assert score(short, truth, region, rim_px=6).boundary_f == pytest.approx(1)
    whole = score(region, region, region, rim_px=6)
    assert np.isnan(whole.boundary_f)  # all is covered: there is no outline to find
    assert score(truth, region, region, rim_px=6).boundary_f == 0
