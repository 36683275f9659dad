"""The same with ``s3pot run`` as it is: the real model, a real face, server to server."""

from __future__ import annotations

from stream.bench.faults.outcome import END_SECONDS, Outcome, Scene
from stream.bench.faults.rig import Rig, Run
from stream.bench.faults.sources import WAIT_SECONDS, again, back
from stream.bench.faults.witness import Look
from stream.bench.servers.card import shows_photograph
from stream.bench.servers.publisher import Take

TAKE = Take(288, 352, 10, picture="photo")

HIDDEN = [
    "--policy", "privacy", "--set", "privacy.hide=both", "--set", "privacy.effect=solid",
    "--set", "effect.color=[20, 20, 20]", "--set", "model.threads=1",
]  # fmt: skip


def ends(run: Run, outcome: Outcome) -> None:
    """SIGTERM, and exit status 0."""
    seconds = run.end()
    outcome.expect(seconds <= END_SECONDS, f"SIGTERM: not ended after {END_SECONDS:.0f} s")
    outcome.expect(run.process.returncode == 0, f"exit status {run.process.returncode}")


def source(rig: Rig, outcome: Outcome) -> None:
    """The server that is read from is killed."""
    relay, away = rig.relay(), rig.relay()
    camera = rig.camera(relay.url(), TAKE)
    camera.first_ms()
    run = rig.real(relay.url(), away.url("out"), *HIDDEN)
    witness = rig.watch(away.url("out"), Look(shows_photograph))
    for _ in range(1 if rig.quick else 3):
        witness.watch(2.0)
        again(relay, witness, 0.8)
        outcome.recover_seconds.append(back(rig, camera, witness))
    witness.watch(1.0)
    outcome.see(witness)
    outcome.happened = f"killed {len(outcome.recover_seconds)} times"
    ends(run, outcome)


def receiver(rig: Rig, outcome: Outcome) -> None:
    """The server that is published to is killed."""
    relay, away = rig.relay(), rig.relay()
    rig.camera(relay.url(), TAKE).first_ms()
    run = rig.real(relay.url(), away.url("out"), *HIDDEN)
    witness = rig.watch(away.url("out"), Look(shows_photograph))
    for _ in range(1 if rig.quick else 3):
        witness.watch(1.0)
        again(away, witness, 0.8)
        first = rig.now()
        sighting = witness.numbered(first, WAIT_SECONDS)
        found = float("inf") if sighting is None else rig.since(first, sighting.at)
        outcome.recover_seconds.append(found)
    outcome.see(witness, alive=False)
    outcome.happened = f"killed {len(outcome.recover_seconds)} times"
    ends(run, outcome)


SCENES = {
    "real: server restarts": Scene("back within 2 s; no face is seen", source),
    "real: receiver restarts": Scene("back within 2 s; no face is seen", receiver),
}
