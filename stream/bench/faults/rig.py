"""Sets a scene up: servers, a camera, the run, and who looks at what comes out."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from stream.bench.faults.witness import Look, Witness
from stream.bench.faults.worker import Order
from stream.bench.servers.publisher import Publisher, Take
from stream.bench.servers.relay import Relay

START_SECONDS = 40.0
"""For a process to load its libraries and show a first picture, on a busy machine."""

END_SECONDS = 15.0


@dataclass
class Run:
    """The process that is under test.

    Attributes:
        process: of it; what it writes to standard output is a pipe.
        report_path: where it says what it did.
    """

    process: subprocess.Popen[bytes]
    report_path: Path

    def end(self) -> float:
        """SIGTERM; the seconds until it has ended, infinity if it has not."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return float("inf")
        return time.monotonic() - began

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    @property
    def report(self) -> dict[str, Any]:
        """What it says that it did; empty if it said nothing."""
        if not self.report_path.exists():
            return {}
        told: dict[str, Any] = json.loads(self.report_path.read_text(encoding="utf-8"))
        return told

    def kill(self) -> None:
        """End it, whatever it does."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Rig:
    """One scene; what was started ends with it.

    Args:
        folder: for its files.
        quick: shorter.
        seed: of what is left to chance.

    Attributes:
        zero: ``time.monotonic()`` from which the pictures' numbers count.
        chance: the dice.
    """

    def __init__(self, folder: Path, *, quick: bool, seed: int = 0) -> None:
        self.folder, self.quick = folder, quick
        self.zero, self.chance = time.monotonic(), random.Random(seed)
        self._stack, self._runs = ExitStack(), 0

    def relay(self) -> Relay:
        """A server."""
        return self._stack.enter_context(Relay())

    def camera(self, url: str, *takes: Take, frames: int = 0) -> Publisher:
        """Somebody who publishes."""
        return self._stack.enter_context(Publisher(url, self.zero, *takes, frames=frames))

    def run(self, source: str, *outputs: str, **order: Any) -> Run:
        """The product with a stand-in for its model; see :class:`Order`."""
        path = self._report_path()
        text = json.dumps(asdict(Order(source, list(outputs), str(path), **order)))
        return self._start(["-m", "stream.bench.faults.worker", text], path)

    def real(self, *arguments: str) -> Run:
        """``s3pot run`` as it is."""
        code = "from stream.cli import main; main()"
        return self._start(["-c", code, "run", *arguments], self._report_path())

    def python(self, code: str, report: Path) -> Run:
        """Some code in a process of its own."""
        return self._start(["-c", code], report)

    def _report_path(self) -> Path:
        self._runs += 1
        return self.folder / f"report{self._runs}.json"

    def _start(self, arguments: Sequence[str], path: Path) -> Run:
        with (self.folder / f"{path.stem}.log").open("wb") as log:
            run = Run(
                subprocess.Popen(
                    [sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=log,
                ),
                path,
            )  # fmt: skip
        self._stack.callback(run.kill)
        return run

    def watch(self, where: Run | str, look: Look | None = None) -> Witness:
        """Look at a run's standard output, or at what a server gives; waits for the first number."""
        look = look or Look()
        if isinstance(where, str):
            sightings = look.of_url(where)
        else:
            assert where.process.stdout is not None
            sightings = look.of_pipe(where.process.stdout)
        witness = self._stack.enter_context(Witness(look, sightings))
        if isinstance(where, Run):
            self._stack.callback(where.process.kill)  # first, so that nobody waits for it
        if witness.numbered(0, START_SECONDS) is None:
            raise TimeoutError(f"nothing was shown for {START_SECONDS:.0f} s")
        return witness

    def since(self, number: int, at: float) -> float:
        """Seconds from a number to a moment."""
        return at - self.zero - number / 1000

    def now(self) -> int:
        """The number of a picture drawn now."""
        return round(1000 * (time.monotonic() - self.zero))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stack.close()
