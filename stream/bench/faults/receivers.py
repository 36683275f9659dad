"""Faults of the outputs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import av

from stream.bench.faults.outcome import Outcome, Scene
from stream.bench.faults.rig import Rig
from stream.bench.faults.sources import WAIT_SECONDS, ended
from stream.bench.servers.mute import Mute


def source(rig: Rig) -> str:
    """A camera behind a server of its own."""
    relay = rig.relay()
    rig.camera(relay.url()).first_ms()
    return relay.url()


def restarts(rig: Rig, outcome: Outcome) -> None:
    """The server that is published to is killed and restarted."""
    relay = rig.relay()
    run = rig.run(source(rig), relay.url("out"))
    witness = rig.watch(relay.url("out"))
    for _ in range(2 if rig.quick else 6):
        witness.watch(rig.chance.uniform(0.3, 1.0))
        relay.cut()
        witness.watch(rig.chance.uniform(0.2, 2.0))
        relay.start()
        first = rig.now()
        sighting = witness.numbered(first, WAIT_SECONDS)
        found = float("inf") if sighting is None else rig.since(first, sighting.at)
        outcome.recover_seconds.append(found)
    outcome.see(witness, alive=False)
    outcome.happened = f"killed {len(outcome.recover_seconds)} times"
    ended(rig, run, outcome)


def mute(rig: Rig, outcome: Outcome) -> None:
    """One of two receivers accepts and never says a word."""
    with Mute() as server:
        run = rig.run(source(rig), "-", f"rtsp://127.0.0.1:{server.port}/x")
        witness = rig.watch(run)
        witness.watch(2.0 if rig.quick else 8.0)
        outcome.see(witness)
        ended(rig, run, outcome)


def blocked(rig: Rig, outcome: Outcome) -> None:
    """One of two outputs is a pipe that nobody reads."""
    relay = rig.relay()
    run = rig.run(source(rig), "-", relay.url("out"))
    witness = rig.watch(relay.url("out"))
    witness.watch(3.0)
    outcome.see(witness)
    ended(rig, run, outcome)
    lost = run.report.get("sink_drops", {}).get("-", {})
    outcome.happened += f", {sum(lost.values())} not taken by the pipe"
    outcome.expect(bool(lost), "the pipe was not stuck")


def closed(rig: Rig, outcome: Outcome) -> None:
    """One of two outputs is a pipe whose reader goes away."""
    relay = rig.relay()
    run = rig.run(source(rig), "-", relay.url("out"))
    assert run.process.stdout is not None
    run.process.stdout.close()
    witness = rig.watch(relay.url("out"))
    witness.watch(2.0)
    outcome.see(witness)
    ended(rig, run, outcome)
    outcome.happened += ", " + "; ".join(run.report.get("notes", ["nothing was said"]))


def full(rig: Rig, outcome: Outcome) -> None:
    """One of two outputs is a file that may not grow."""
    path = rig.folder / "film.mp4"
    run = rig.run(source(rig), "-", str(path), most_bytes=50_000)
    witness = rig.watch(run)
    witness.watch(4.0)
    outcome.see(witness)
    ended(rig, run, outcome)
    notes = [note.replace(str(rig.folder), "") for note in run.report.get("notes", [])]
    outcome.expect(bool(notes), "the disk was not full")
    outcome.expect(path.exists() and pictures_in(path) > 0, "what was recorded is lost")
    outcome.happened += ", " + "; ".join(notes)


def pictures_in(path: Path) -> int:
    """Of a film whose end is missing."""
    found = 0
    with suppress(av.FFmpegError), av.open(str(path)) as film:
        for _ in film.decode(video=0):
            found += 1
    return found


SCENES = {
    "receiver restarts": Scene("back within 2 s", restarts),
    "mute receiver": Scene("the other output goes on", mute),
    "pipe that nobody reads": Scene("the other output goes on; SIGTERM ends it", blocked),
    "pipe that closes": Scene("the other output goes on", closed),
    "disk that fills": Scene("the other output goes on; what was recorded plays", full),
}
