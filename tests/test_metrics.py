"""Metrics on masks whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest

from s3pot.metrics import boundary_f, score


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((100, 100), bool)
    mask[y0:y1, x0:x1] = True
    return mask


REGION = box(10, 10, 90, 90)


def test_the_truth_scores_one() -> None:
    result = score(box(20, 20, 60, 60), box(20, 20, 60, 60), REGION)
    assert (result.iou, result.boundary_f, result.false_alarm) == (1, 1, 0)
    assert result.covered == pytest.approx(1600 / 6400)


def test_half_an_occluder_scores_half() -> None:
    assert score(box(20, 20, 40, 60), box(20, 20, 60, 60), REGION).iou == 0.5


def test_only_the_face_counts() -> None:
    result = score(box(0, 0, 50, 50), box(10, 10, 50, 50), REGION)
    assert result.iou == 1
    assert result.false_alarm == 0


def test_a_clean_face_has_no_iou_but_false_alarms() -> None:
    result = score(box(20, 20, 28, 28), np.zeros((100, 100), bool), REGION)
    assert np.isnan(result.iou)
    assert result.false_alarm == pytest.approx(64 / 6400)


def test_a_shifted_outline_is_found_out_beyond_its_tolerance() -> None:
    truth = box(20, 20, 60, 60)
    assert boundary_f(box(22, 20, 62, 60), truth, 2) == 1
    assert boundary_f(box(26, 26, 66, 66), truth, 2) < 0.5


def test_bad_shapes_and_an_empty_face_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        score(np.zeros((5, 5), bool), np.zeros((5, 6), bool), np.zeros((5, 5), bool))
    with pytest.raises(ValueError, match="no face"):
        score(np.zeros((5, 5), bool), np.zeros((5, 5), bool), np.zeros((5, 5), bool))
