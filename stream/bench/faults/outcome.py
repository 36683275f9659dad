"""What was promised of a fault, what happened, and whether that is the same."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stream.bench.faults.rig import Rig
from stream.bench.faults.witness import Witness

RECOVER_SECONDS = 2.0
"""From the source's return to the next good picture of it."""

ALIVE_SECONDS = 1.5
"""The output never says nothing for longer."""

END_SECONDS = 12.0
"""From SIGTERM to the end, whatever is stuck."""

LEGEND = (
    "frames out of order and uncovered faces: pictures that came out; s: seconds from the source's "
    "(receiver's, model's) return to the next good picture, of the worst time; -: it never was away"
)


@dataclass(slots=True)
class Outcome:
    """One scene.

    Attributes:
        promised, happened: in words.
        pictures: that came out.
        out_of_order: of them, that show an earlier moment than the one before, or are stamped so.
        uncovered: of them, that show a face.
        recover_seconds: each time; infinity where it did not.
        broken: promises that were.
        fault: the scene's name.
    """

    promised: str
    happened: str = ""
    pictures: int = 0
    out_of_order: int = 0
    uncovered: int = 0
    recover_seconds: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    fault: str = ""

    def see(self, witness: Witness, *, alive: bool = True) -> None:
        """Count what a witness saw.

        Args:
            witness: at its end.
            alive: the output was to go on all the time.
        """
        self.pictures += len(witness.seen)
        self.out_of_order += witness.out_of_order + (witness.falling if alive else 0)
        self.uncovered += witness.uncovered
        if alive:
            gap = witness.longest_gap
            self.expect(gap <= ALIVE_SECONDS, f"nothing came out for {gap:.1f} s")

    def expect(self, kept: bool, otherwise: str) -> None:
        """A promise, and what is said if it is broken."""
        if not kept:
            self.broken.append(otherwise)

    def judge(self) -> None:
        """The promises that every scene makes."""
        self.expect(self.pictures > 0, "nothing came out")
        self.expect(not self.out_of_order, f"{self.out_of_order} pictures out of order")
        self.expect(not self.uncovered, f"{self.uncovered} pictures show a face")
        worst = max(self.recover_seconds, default=0.0)
        self.expect(worst <= RECOVER_SECONDS, f"back after {worst:.1f} s")

    @property
    def verdict(self) -> str:
        """Kept, or what was not."""
        return "; ".join(self.broken) or "kept"

    @property
    def row(self) -> list[str]:
        """Of the table."""
        worst = f"{max(self.recover_seconds):.1f}" if self.recover_seconds else "-"
        counts = (self.pictures, self.out_of_order, self.uncovered)
        return [self.fault, self.promised, self.happened, *map(str, counts), worst, self.verdict]


@dataclass(frozen=True, slots=True)
class Scene:
    """A fault.

    Attributes:
        promised: in words.
        play: does it, and fills the outcome in.
    """

    promised: str
    play: Callable[[Rig, Outcome], None]


HEADS = (
    "fault", "promised", "what happened", "pictures", "out of order", "uncovered faces", "s", "verdict"
)  # fmt: skip


def played(name: str, scene: Scene, folder: Path, *, quick: bool, seed: int) -> Outcome:
    """Play a scene; whatever goes wrong in it is a promise broken."""
    outcome = Outcome(scene.promised, fault=name)
    with Rig(folder, quick=quick, seed=seed) as rig:
        try:
            scene.play(rig, outcome)
        except (OSError, ValueError) as error:
            outcome.broken.append(f"{type(error).__name__}: {error}")
    outcome.judge()
    return outcome


def table(outcomes: Sequence[Outcome]) -> str:
    """As Markdown."""
    rows = [list(HEADS), ["---"] * len(HEADS), *(outcome.row for outcome in outcomes)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def write_json(path: Path, outcomes: Sequence[Outcome], about: dict[str, object]) -> None:
    """Everything; what is infinite is null."""
    rows = [asdict(outcome) | {"verdict": outcome.verdict} for outcome in outcomes]
    for row in rows:
        seconds = row["recover_seconds"]
        row["recover_seconds"] = [s if math.isfinite(s) else None for s in seconds]
    text = json.dumps(about | {"faults": rows}, indent=1, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
