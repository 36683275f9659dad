"""Looking ahead: a mask learns from the frames after it, in order, and nothing is lost."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest

from configs import load_settings
from s3pot.types import OcclusionMask
from stream.ahead import LookAhead, logits_of
from stream.clip import clip
from stream.frame import Frame, FrameResult
from stream.pipeline import Pipeline
from tests.test_smooth import SIDE, crop

REGION = np.ones((SIDE, SIDE), bool)


def result(
    index: int, probability: np.ndarray | float, track_id: int = 1, x: int = 0
) -> FrameResult:
    field = np.asarray(probability, np.float32) * np.ones((SIDE, SIDE), np.float32)
    mask = OcclusionMask(track_id, field, REGION, np.eye(2, 3), float((field > 0.5).mean()), 1.0)
    return FrameResult(Frame(crop(x), index, Fraction(index, 25), "clip"), (), (mask,))


def informed(frames: int, results: list[FrameResult]) -> list[FrameResult]:
    ahead = LookAhead(frames)
    out = [late for one in results for late in ahead.push(one)]
    assert len(out) == max(0, len(results) - frames)
    return out + list(ahead.flush())


def test_nothing_is_held_back_without_it() -> None:
    one = result(0, 0.3)
    assert list(LookAhead(0).push(one)) == [one]


@pytest.mark.parametrize("frames", [1, 3, 10])
def test_every_result_comes_once_and_in_order(frames: int) -> None:
    out = informed(frames, [result(k, 0.2) for k in range(7)])
    assert [r.frame.index for r in out] == list(range(7))
    assert all(np.allclose(r.masks[0].probability, 0.2, atol=1e-5) for r in out)


def test_a_single_wrong_frame_is_outvoted_by_those_after_it() -> None:
    out = informed(3, [result(0, 0.1), result(1, 0.6), *(result(k, 0.1) for k in range(2, 6))])
    assert out[1].masks[0].probability.max() < 0.4
    assert out[1].masks[0].coverage == 0
    assert np.allclose(out[5].masks[0].probability, 0.1, atol=1e-5)  # nothing after it


def test_what_comes_is_carried_back_to_where_it_was() -> None:
    sure = np.where(np.arange(SIDE) >= 34, 0.99, 0.01)
    out = informed(2, [result(0, 0.5), result(1, np.roll(sure, -3), x=3), result(2, sure, x=0)])
    got = out[0].masks[0].probability[8:-8]
    assert got[:, 38:50].min() > 0.7
    assert got[:, 8:30].max() < 0.3


def test_what_lies_beside_the_face_says_nothing() -> None:
    part = REGION.copy()
    part[:, 32:] = False
    other = result(1, np.where(part, 0.8, 0.0))
    mask = OcclusionMask(1, other.masks[0].probability, part, np.eye(2, 3), 1.0, 1.0)
    out = informed(1, [result(0, 0.4), FrameResult(other.frame, (), (mask,))])
    got = out[0].masks[0].probability[8:-8]
    assert np.allclose(got[:, 36:-8], 0.4, atol=1e-3)
    assert got[:, 8:28].min() > 0.5


def test_another_face_another_picture_and_a_gap_say_nothing() -> None:
    out = informed(2, [result(0, 0.4), result(1, 0.9, track_id=2), result(2, 0.9)])
    assert np.allclose(out[0].masks[0].probability, 0.4, atol=1e-5)
    dark = FrameResult(Frame(np.zeros((SIDE, SIDE, 3), np.uint8), 1, Fraction(1, 25), "clip"), (),
                       result(1, 0.9).masks)  # fmt: skip
    out = informed(1, [result(0, 0.4), dark])
    assert np.allclose(out[0].masks[0].probability[8:-8, 8:-8], 0.4, atol=0.05)


def test_logits_and_back() -> None:
    values = np.array([[0.0, 0.002473, 0.5, 0.9, 1.0]], np.float32)
    logits = logits_of(values)
    assert logits[0, [0, 2, 4]].tolist() == pytest.approx([-6, 0, 6], abs=1e-3)
    assert np.exp(logits[0, 3]) == pytest.approx(9, rel=1e-3)


def test_the_pipeline_looks_ahead() -> None:
    settings = ["model.device=cpu", "smooth.look_ahead=2"]
    pipeline = Pipeline.from_settings(load_settings("tiny", settings))
    frames = [Frame(f.image, k, f.time, "clip") for k, f in enumerate(islice(clip(), 6))]
    results = list(pipeline(frames))
    assert [r.frame.index for r in results] == list(range(6))
    assert all(len(r.masks) == 1 and r.masks[0].reference is not None for r in results)
    pipeline.close()
