"""Faults of the model."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from stream.bench.faults.outcome import Outcome, Scene
from stream.bench.faults.rig import Rig
from stream.bench.faults.sources import ended
from stream.bench.faults.stand_in import FIRST, LAST, SLEEP_SECONDS
from stream.bench.faults.witness import Witness

RATE = 25


def longest_without(witness: Witness) -> float:
    """Seconds between two pictures that follow each other and show a number."""
    at = [sighting.at for sighting in witness.seen if sighting.number is not None]
    return max((b - a for a, b in pairwise(at)), default=float("inf"))


def fails(model: str, fault_seconds: float, rig: Rig, outcome: Outcome) -> None:
    """The model fails for a while in the middle."""
    relay = rig.relay()
    rig.camera(relay.url()).first_ms()
    run = rig.run(relay.url(), "-", model=model)
    witness = rig.watch(run)
    witness.watch(LAST / RATE + fault_seconds + 1.0)
    away = longest_without(witness)
    outcome.recover_seconds.append(max(0.0, away - fault_seconds))
    outcome.expect(len(witness.numbers) > LAST, "it did not come back")
    outcome.happened = f"at most {away:.1f} s covered as a whole"
    outcome.see(witness)
    ended(rig, run, outcome)
    told = run.report.get("failures", {})
    if told:
        outcome.happened += ", " + ", ".join(
            f"{kind} {count} times" for kind, count in told.items()
        )


SOME = (LAST - FIRST) / RATE

SCENES = {
    "model raises": Scene("those frames are covered", partial(fails, "raises", SOME)),
    "NaN in the masks": Scene("those heads are covered", partial(fails, "nan masks", SOME)),
    "NaN in the boxes": Scene("those frames are covered", partial(fails, "nan boxes", SOME)),
    "model gives no masks": Scene("those frames are covered", partial(fails, "torn", SOME)),
    "model sleeps 2 s": Scene("output goes on, covered", partial(fails, "sleeps", SLEEP_SECONDS)),
}  # fmt: skip
