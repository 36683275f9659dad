"""Many frames: neither memory nor threads nor file descriptors may grow."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from configs import load_settings
from stream.bench.faults.outcome import Outcome, Scene
from stream.bench.faults.rig import Rig
from stream.bench.faults.stand_in import DiscFinder
from stream.bench.faults.worker import COVERED
from stream.bench.memory import resident_mb
from stream.bench.servers.card import MOST_MS, drawn, shows_face
from stream.bench.servers.mute import free_port
from stream.composer import Composer
from stream.frame import Frame, FrameResult
from stream.policy import build_policy
from stream.publish import PublishSink
from stream.queues import SinkThread, threads_running
from stream.run import run
from stream.sources import SourceInfo

HEIGHT, WIDTH, RATE = 96, 128, 25
FRAMES, FRAMES_QUICK = 100_000, 5_000
SAMPLES = 20
WARM = 0.4
"""What is measured before this share of the frames is the process that fills its caches."""

MOST_MB = 1.0
"""By which memory may grow in 10,000 frames."""


class Drawings:
    """A source of many frames, as fast as they are taken."""

    damage: str | None = None

    def __init__(self, frames: int) -> None:
        self.notes: list[str] = []
        self.info = SourceInfo("drawings", HEIGHT, WIDTH, rate=Fraction(RATE))
        self._frames = frames

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._frames):
            image = drawn(1000 * index // RATE % MOST_MS, HEIGHT, WIDTH)
            yield Frame(image, index, Fraction(index, RATE), "drawings", epoch=index // 1000)

    def close(self) -> None:
        """Nothing is held."""


class Uncovered:
    """A sink that counts, with the eyes of a witness."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.frames = self.bare = self.unordered = 0
        self._before = -1

    def write(self, result: FrameResult) -> None:
        """Look at it."""
        self.frames += 1
        self.bare += shows_face(result.frame.image)
        self.unordered += result.frame.index != self._before + 1
        self._before = result.frame.index

    def close(self, *, cut: bool = False) -> None:
        """Nothing to finish."""

    def abort(self) -> None:
        """Nothing to leave."""


def sample() -> tuple[float, int, int]:
    """Memory in MB, threads, file descriptors of this process."""
    return resident_mb(), threads_running(), len(list(Path("/proc/self/fd").iterdir()))


def work(frames: int, port: int) -> dict[str, object]:
    """Run so many frames through the loop, the policy, an encoder and a sender."""
    source, seen = Drawings(frames), Uncovered()
    sender = PublishSink(f"udp://127.0.0.1:{port}", source.info, preset="ultrafast")
    policy = build_policy(load_settings(None, COVERED))
    composer = Composer(policy, [SinkThread(sender), SinkThread(seen)], steadfast=False)
    samples: list[tuple[float, int, int]] = []
    every = frames // SAMPLES

    def watch(result: FrameResult) -> None:
        if (
            result.frame.index % every == every - 1 and result.frame.index < frames - every
        ):  # it reads
            samples.append(sample())

    began = time.process_time()
    report = run(source, DiscFinder(), [composer], watch)
    return {
        "frames": report.frames, "shown": seen.frames, "bare": seen.bare,
        "unordered": seen.unordered, "every": every, "samples": samples,
        "notes": composer.notes, "seconds": time.process_time() - began,
    }  # fmt: skip


def endures(rig: Rig, outcome: Outcome) -> None:
    """Many frames, in a process of their own."""
    frames = FRAMES_QUICK if rig.quick else FRAMES
    path = rig.folder / "endurance.json"
    code = (
        f"import stream.bench.faults.endurance as e; e.main({frames}, {free_port()}, {str(path)!r})"
    )
    rig.python(code, path).process.wait()
    told = json.loads(path.read_text(encoding="utf-8"))
    outcome.pictures, outcome.uncovered = told["shown"], told["bare"]
    outcome.out_of_order = told["unordered"]
    memory, threads, files = map(np.array, zip(*told["samples"], strict=True))
    first = int(WARM * len(memory))
    slope = float(np.polyfit(np.arange(len(memory))[first:], memory[first:], 1)[0])
    slope *= 10_000 / told["every"]
    outcome.happened = (
        f"{frames} frames, {slope:+.2f} MB per 10,000, {memory[-1]:.0f} MB; "
        f"{threads.min()}-{threads.max()} threads, {files.min()}-{files.max()} files"
    )
    outcome.expect(told["shown"] == frames, f"{told['shown']} frames came out")
    outcome.expect(slope < MOST_MB, f"memory grows by {slope:.2f} MB per 10,000 frames")
    outcome.expect(np.ptp(threads[first:]) == 0, "threads grow")
    outcome.expect(np.ptp(files[first:]) == 0, "open files grow")


def main(frames: int, port: int, path: str) -> None:
    """Of the process."""
    Path(path).write_text(json.dumps(work(frames, port)), encoding="utf-8")


SCENES = {
    "many frames": Scene("memory, threads, files constant", endures),
}
