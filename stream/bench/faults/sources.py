"""Faults of the source and of the network before it."""

from __future__ import annotations

import socket
from functools import partial

from stream.bench.faults.outcome import END_SECONDS, Outcome, Scene
from stream.bench.faults.rig import Rig, Run
from stream.bench.faults.witness import WHOLE, Look, Witness
from stream.bench.servers.lossy import Lossy
from stream.bench.servers.mute import Mute, free_port
from stream.bench.servers.publisher import Publisher, Take
from stream.bench.servers.relay import Relay
from stream.bench.servers.stamps import OddStamps

WAIT_SECONDS = 8.0
"""For a source that is back."""

SQUARE = (slice(None), slice(40, 280))
"""Where a square picture lies in one of 320 x 240."""


def ended(rig: Rig, run: Run, outcome: Outcome) -> None:
    """SIGTERM; what the run says of itself goes into the outcome."""
    seconds = run.end()
    outcome.expect(seconds <= END_SECONDS, f"SIGTERM: not ended after {END_SECONDS:.0f} s")
    report = run.report
    outcome.expect(bool(report), "no report")
    if report:
        lost = sum(report["drops"].values())
        said = [f"{report['frames']} frames", f"{lost} dropped" if lost else ""]
        said += [f"{report['filled']} filled in" if report["filled"] else "", outcome.happened]
        outcome.happened = ", ".join(text for text in said if text)


def back(rig: Rig, camera: Publisher, witness: Witness) -> float:
    """Seconds from the camera's first picture on a new connection to the next one that comes out."""
    first = camera.first_ms()
    sighting = witness.numbered(first, WAIT_SECONDS)
    return float("inf") if sighting is None else rig.since(first, sighting.at)


def again(relay: Relay, witness: Witness, away_seconds: float) -> None:
    """Kill the server, and start it after a while."""
    relay.cut()
    witness.watch(away_seconds)
    relay.start()


def restarts(rig: Rig, outcome: Outcome) -> None:
    """The server is killed and restarted, again and again."""
    relay = rig.relay()
    camera = rig.camera(relay.url())
    camera.first_ms()
    run = rig.run(relay.url(), "-")
    witness = rig.watch(run)
    for _ in range(3 if rig.quick else 20):
        witness.watch(rig.chance.uniform(0.3, 1.5))
        again(relay, witness, rig.chance.uniform(0.2, 2.0))
        outcome.recover_seconds.append(back(rig, camera, witness))
    outcome.see(witness)
    outcome.happened = f"killed {len(outcome.recover_seconds)} times"
    ended(rig, run, outcome)


def changes(rig: Rig, outcome: Outcome) -> None:
    """Size, rate and codec are others after each break."""
    relay = rig.relay()
    takes = [Take(), Take(240, 240, 15, "mpeg4"), Take(480, 640, 10, "libvpx"), Take()]
    camera = rig.camera(relay.url(), *takes)
    camera.first_ms()
    run = rig.run(relay.url(), "-")
    witness = rig.watch(run, Look(places=(WHOLE, SQUARE)))
    for _ in takes[1:]:
        witness.watch(1.0)
        again(relay, witness, 0.3)
        outcome.recover_seconds.append(back(rig, camera, witness))
    witness.watch(0.5)
    outcome.see(witness)
    outcome.happened = "H.264, MPEG-4, VP8; 25, 15, 10 a second; 320x240, 240x240, 640x480"
    ended(rig, run, outcome)


def mute(rig: Rig, outcome: Outcome) -> None:
    """The server comes back as one that accepts and says nothing, then as itself."""
    relay = rig.relay()
    camera = rig.camera(relay.url())
    camera.first_ms()
    run = rig.run(relay.url(), "-")
    witness = rig.watch(run)
    relay.cut()
    with Mute(relay.port):
        witness.watch(1.5 if rig.quick else 7.0)  # longer than the time-out
    relay.start()
    outcome.recover_seconds.append(back(rig, camera, witness))
    outcome.see(witness)
    ended(rig, run, outcome)


def hangs(rig: Rig, outcome: Outcome) -> None:
    """The server stops answering with all connections open, then goes on."""
    relay = rig.relay()
    camera = rig.camera(relay.url())
    camera.first_ms()
    run = rig.run(relay.url(), "-")
    witness = rig.watch(run)
    relay.hang()
    witness.watch(2.0)
    relay.go_on()
    first = rig.now()
    sighting = witness.numbered(first, WAIT_SECONDS)
    found = float("inf") if sighting is None else rig.since(first, sighting.at)
    outcome.recover_seconds.append(found)
    outcome.see(witness)
    outcome.happened = "2 s without a packet"
    ended(rig, run, outcome)


def away_at_the_end(rig: Rig, outcome: Outcome) -> None:
    """SIGTERM comes while the source is away."""
    relay = rig.relay()
    rig.camera(relay.url()).first_ms()
    run = rig.run(relay.url(), "-")
    witness = rig.watch(run)
    relay.cut()
    witness.watch(1.0)
    outcome.see(witness)
    seconds = run.end()
    outcome.expect(seconds < 4, f"it took {seconds:.0f} s")
    outcome.expect(run.process.returncode == 0, f"exit status {run.process.returncode}")
    outcome.happened = f"ended after {seconds:.1f} s"


def loss(share: float, rig: Rig, outcome: Outcome) -> None:
    """MPEG-TS over UDP, some packets of which are lost."""
    port = free_port(socket.SOCK_DGRAM)
    with Lossy(port, share) as way:
        rig.camera(f"udp://127.0.0.1:{way.port}?pkt_size=1316").first_ms()
        run = rig.run(f"udp://127.0.0.1:{port}?overrun_nonfatal=1", "-")
        witness = rig.watch(run)
        witness.watch(2.0 if rig.quick else 6.0)
        outcome.see(witness)
        whole = len(witness.numbers) / max(1, len(witness.seen))
        outcome.happened = f"{100 * whole:.0f} % of the pictures can be read"
        ended(rig, run, outcome)


def clocks(kind: str, rig: Rig, outcome: Outcome) -> None:
    """Time stamps that jump, or are missing."""
    camera = OddStamps(rig.zero, kind)
    with camera:
        run = rig.run(camera.url, "-")
        witness = rig.watch(run)
        witness.watch(2.0 if kind == "none" else 9.0)
        outcome.see(witness)
        ended(rig, run, outcome)
        notes = [note.split("live: ", 1)[-1] for note in run.report.get("notes", [])]
        outcome.happened = "; ".join([outcome.happened, *notes])


def b_frames(rig: Rig, outcome: Outcome) -> None:
    """Pictures are sent in another order than they are shown in."""
    relay = rig.relay()
    shuffled = {"preset": "veryfast", "tune": "film", "bf": "3", "b-adapt": "0"}
    rig.camera(relay.url(), Take(extra=shuffled)).first_ms()
    run = rig.run(relay.url(), "-")
    witness = rig.watch(run)
    witness.watch(2.0)
    outcome.see(witness)
    ended(rig, run, outcome)


ORDER = "every picture in order, each later than the one before"

SCENES = {
    "server restarts": Scene("back within 2 s; output goes on, covered", restarts),
    "other size, rate, codec": Scene("back within 2 s, in the first size", changes),
    "mute server": Scene("output goes on; back within 2 s of the real one", mute),
    "server hangs": Scene("output goes on; back within 2 s", hangs),
    "SIGTERM while away": Scene("ends at once, with a report", away_at_the_end),
    "loss 1 %": Scene("damage costs pictures, not the connection", partial(loss, 0.01)),
    "loss 5 %": Scene("damage costs pictures, not the connection", partial(loss, 0.05)),
    "loss 10 %": Scene("damage costs pictures, not the connection", partial(loss, 0.1)),
    "stamps jump": Scene(ORDER, partial(clocks, "jumps")),
    "no stamps": Scene(ORDER, partial(clocks, "none")),
    "B-frames": Scene(ORDER, b_frames),
}
