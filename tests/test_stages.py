"""Stage times: own time only, each thread for itself, and a pipeline is left as it was."""

from __future__ import annotations

import time

import pytest

from configs import load_settings
from stream.bench.stages import Clock, watched
from stream.pipeline import Pipeline


def test_an_inner_stage_is_taken_from_the_outer_one() -> None:
    clock = Clock()
    with clock.stage("FE"):
        time.sleep(0.01)
        with clock.stage("encode"):
            time.sleep(0.05)
    encode, enhance = clock.times()
    assert (encode.name, enhance.name) == ("encode", "FE")  # in the order of a frame's way
    assert encode.total_seconds > 0.05
    assert 0.01 < enhance.total_seconds < 0.05
    assert enhance.calls == 1
    assert enhance.p50_ms == pytest.approx(1000 * enhance.total_seconds)


def test_a_stage_that_fails_is_timed_and_the_error_goes_on() -> None:
    clock = Clock()
    with pytest.raises(ZeroDivisionError):
        clock.timed("decode", lambda: 1 / 0)()
    assert clock.times()[0].calls == 1
    assert clock.timed("decode", lambda a, b=0: a + b)(1, b=2) == 3


def test_a_watched_pipeline_is_put_back_as_it_was() -> None:
    pipeline = Pipeline.from_settings(load_settings("tiny", ["model.device=cpu"]))
    owners = [pipeline, pipeline.tracker, pipeline.bank, pipeline.model, pipeline.smoother]
    before = [dict(owner.__dict__) for owner in owners]
    with watched(pipeline, Clock()):
        assert pipeline.__dict__["detector"] is not before[0]["detector"]
    assert [dict(owner.__dict__) for owner in owners] == before
    pipeline.close()
