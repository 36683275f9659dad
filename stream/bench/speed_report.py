"""What ``s3pot bench speed`` says: ratios first, then times, then the machine; and as JSON."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from stream.bench.growth import Point, exponent
from stream.bench.race import Lane
from stream.bench.speed import COUNTED_FRAMES, Speed
from stream.bench.stages import StageTime
from stream.bench.work import Work


def machine() -> str:
    """Processor, cores, threads of torch, card."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    card = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ", no card"
    name = names[0] if names else platform.processor() or platform.machine()
    return (
        f"{name}, {len(names) or '?'} processors, {torch.get_num_threads()} threads{card}; "
        f"torch {torch.__version__}, Python {platform.python_version()}"
    )


def race_lines(lanes: Sequence[Lane]) -> Iterator[str]:
    """The lanes beside the first, in one run."""
    yield f"{'lane':<24}{'x first':>9}{'ms a frame':>12}{'fps':>8}{'CPU ms':>9}{'frames':>8}"
    for lane in lanes:
        cpu = 1000 * lane.cpu_seconds / lane.frames
        cells = f"{lane.ratio(lanes[0]):>9.2f}{lane.ms():>12.1f}{1000 / lane.ms():>8.2f}"
        yield f"{lane.name:<24}{cells}{cpu:>9.0f}{lane.frames:>8}"
    yield "one frame after another in one thread; all lanes decode and encode the same clip, in turns"


def speed_lines(speed: Speed) -> Iterator[str]:
    """Our own run."""
    rate, cpu = speed.frames / speed.seconds, speed.cpu_seconds / speed.frames
    marks, late = " ".join(f"{mb:.0f}" for mb in speed.memory_mb), speed.latency
    busy = "no card" if speed.busy_share is None else f"{100 * speed.busy_share:.0f} % busy"
    yield f"end to end       {rate:.1f} frames a second ({speed.frames} frames, 640x360, one face)"
    yield f"processor        {1000 * cpu:.0f} ms a frame, all threads together; card: {busy}"
    yield f"loading          {speed.loading_seconds:.1f} s"
    yield f"memory           {marks} MB at each tenth of the run, {speed.peak_mb:.0f} MB at most"
    yield (
        f"added latency    p50 {late.p50_ms:.0f}, p95 {late.p95_ms:.0f}, p99 {late.p99_ms:.0f} ms at "
        f"{late.fps:.0f} frames a second, {100 * late.dropped_share:.0f} % of them dropped for newer ones"
    )
    top = speed.ceilings
    yield f"ceilings         {top.flops / 1e9:.0f} GFLOP/s, {top.bytes / 1e9:.1f} GB/s, measured now"
    yield ""
    yield (
        f"{'stage':<12}{'calls':>7}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'ms/frame':>10}"
        f"{'MFLOP':>9}{'MB moved':>10}{'MB copied':>11}{'trips':>7}{'floor ms':>10}{'x floor':>9}"
    )
    for stage in speed.stages:
        yield stage_line(speed, stage)
    model = [s for s in speed.stages if s.name in speed.work and s.name != "effect"]
    ms = 1000 * sum(stage.total_seconds for stage in model) / speed.frames
    least = sum(floor_ms(speed, speed.work[stage.name]) for stage in model)
    yield f"{'detect to learn':<46}{ms:>10.2f}{'':>37}{least:>10.3f}{ms / least:>9.1f}"
    yield (
        "a frame's work: MFLOP of torch's products and convolutions, those of MediaPipe and OpenCV are "
        "not counted;\nMB moved: arrays in and out, and weights; copied: by torch; trips: host to device "
        "and back; floor: the larger of both\nover the ceilings. decode and effect, encode out have "
        "threads of their own: the sum is more than a frame's time"
    )


def stage_line(speed: Speed, stage: StageTime) -> str:
    """One stage's times, and its work if that was counted."""
    ms = 1000 * stage.total_seconds / speed.frames
    times = (
        f"{stage.name:<12}{stage.calls:>7}{stage.p50_ms:>9.2f}{stage.p95_ms:>9.2f}"
        f"{stage.p99_ms:>9.2f}{ms:>10.2f}"
    )
    work = speed.work.get(stage.name)
    if work is None:
        return f"{times}{'-':>9}{'-':>10}{'-':>11}{'-':>7}{'-':>10}{'-':>9}"
    least = floor_ms(speed, work)
    many = f"{ms / least:.1f}" if least else "-"
    return (
        f"{times}{per_frame(work.flops, 1e6):>9.1f}{per_frame(work.moved, 1e6):>10.2f}"
        f"{per_frame(work.copied, 1e6):>11.2f}{per_frame(work.trips):>7.1f}{least:>10.3f}{many:>9}"
    )


def floor_ms(speed: Speed, work: Work) -> float:
    """The least that a stage needs for a frame."""
    return 1000 * speed.ceilings.seconds(work) / COUNTED_FRAMES


def per_frame(amount: float, unit: float = 1.0) -> float:
    """Of what was counted over COUNTED_FRAMES frames."""
    return amount / unit / COUNTED_FRAMES


def growth_lines(points: Sequence[Point]) -> Iterator[str]:
    """Time over faces and pixels, with the fitted exponent; memory over frames."""
    for axis in dict.fromkeys(point.axis for point in points):
        its = [point for point in points if point.axis == axis]
        fitted = "" if axis == "frames" else f"  exponent {exponent(its):.2f}"
        yield f"by {axis}{fitted}"
        for p in its:
            yield f"{p.amount:>12.0f}{p.ms:>10.1f} ms a frame{p.found:>8.1f} faces{p.memory_mb:>8.0f} MB"


def write_json(
    path: Path, speed: Speed, lanes: Sequence[Lane], points: Sequence[Point], command: str
) -> None:
    """All of it; null where nothing was measured."""
    work = {name: counts(w) for name, w in speed.work.items()}
    content = {
        "about": {"command": command, "version": version("s3pot-stream"), "machine": machine()},
        "ours": {**asdict(speed), "work": work},
        "race": [
            {"name": lane.name, "x_first": lane.ratio(lanes[0]), "ms": lane.ms(), "frames": lane.frames}
            for lane in lanes
        ],
        "growth": [asdict(point) for point in points],
    }  # fmt: skip
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def counts(work: Work) -> dict[str, Any]:
    """A stage's work in a frame, in words that JSON knows."""
    return {
        "mflop": per_frame(work.flops, 1e6), "mb_moved": per_frame(work.moved, 1e6),
        "mb_copied": per_frame(work.copied, 1e6), "trips": per_frame(work.trips),
    }  # fmt: skip
