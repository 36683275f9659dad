"""``s3pot bench``: it runs what it says and counts it; no figure of time is judged here."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest
import torch

from configs import load_settings
from stream.bench.floor import Ceilings
from stream.bench.speed import Latency, Speed, bench, there_and_back
from stream.bench.speed_report import speed_lines
from stream.bench.stages import STAGES, StageTime
from stream.bench.work import Work
from stream.frame import FrameResult

TINY = load_settings("tiny", ["model.device=cpu"])


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_it_runs_the_frames_and_counts_them() -> None:
    results: list[FrameResult] = []
    speed = bench(TINY, 12, results.append)
    assert [result.frame.index for result in results] == list(range(12))
    assert all(result.frame.image.shape == (360, 640, 3) for result in results)
    assert all(len(result.masks) == 1 for result in results)
    assert speed.frames == 12
    assert speed.seconds > 0
    assert speed.cpu_seconds > 0
    assert len(speed.memory_mb) == 12  # a twelfth here: a tenth of 12 is one frame
    stages = {stage.name: stage for stage in speed.stages}
    assert list(stages) == [name for name in STAGES if name in stages]
    assert {"decode", "track", "align", "encode", "FE", "PS", "effect", "encode out"} <= set(stages)
    assert stages["decode"].calls == 13  # and the end
    assert stages["encode out"].calls == stages["effect"].calls == stages["align"].calls == 12
    assert all(stage.total_seconds >= 0 for stage in speed.stages)
    assert any("SAM decode" in line for line in speed_lines(speed))
    assert 50 < max(speed.memory_mb) <= speed.peak_mb + 1
    assert speed.work["encode"].flops > 0
    assert 0 < speed.latency.p50_ms <= speed.latency.p99_ms
    assert 0 <= speed.latency.dropped_share < 1
    assert speed.busy_share is None or 0 < speed.busy_share <= 1


@pytest.mark.parametrize("frames", [9, 3, 0, -1])
def test_too_few_frames_are_refused(frames: int) -> None:
    with pytest.raises(ValueError, match=f"at least 10 frames, got {frames}"):
        bench(TINY, frames)


def test_there_and_back_without_a_jump() -> None:
    frames: list[Any] = ["a", "b", "c", "d"]
    assert "".join(islice(there_and_back(frames), 13)) == "abcdcbabcdcba"


def test_the_lines_name_each_figure() -> None:
    speed = Speed(
        100, 8.0, 2.5, 10.0, [100.0, 101.4], 140.2,
        [StageTime("PS", 50, 1.25, 2.5, 3.5, 0.2), StageTime("decode", 101, 1, 2, 3, 0.1)],
        work={"PS": Work(calls=30, flops=60_000_000, bytes_in=30_000_000, copied=15_000_000)},
        ceilings=Ceilings(1e10, 1e9), latency=Latency(25.0, 60.0, 70.0, 80.0, 0.25), busy_share=None,
    )  # fmt: skip
    text = "\n".join(speed_lines(speed))
    for words in (
        "12.5 frames a second",
        "100 frames",
        "100 ms a frame",
        "2.5 s",
        "100 101 MB",
        "140 MB",
        "p50 60, p95 70, p99 80 ms at 25 frames a second, 25 % of them dropped",
        "10 GFLOP/s, 1.0 GB/s",
        "no card",
        "PS               50     1.25     2.50     3.50      2.00      2.0      1.00       0.50    0.0"
        "     1.000      2.0",
    ):
        assert words in text
    assert "decode          101     1.00     2.00     3.00      1.00        -" in text
