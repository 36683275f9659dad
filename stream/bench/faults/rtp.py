"""Packets of RTP over UDP are lost on the way to the run.

Not by the kernel (``tc qdisc add dev lo root netem loss 5%``): that needs root and a module that many
machines have not; the server loses them itself, and always the same ones.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from stream.bench.faults.outcome import Outcome, Scene
from stream.bench.faults.rig import Rig
from stream.bench.faults.sources import ended
from stream.bench.servers.publisher import Take
from stream.bench.servers.relay import Relay

TAKE = Take(480, 640)
"""Large enough for several packets a picture."""

MOST_SECONDS = 1.0
"""By which what comes out may be later at the end than at the beginning."""


def loss(share: float, rig: Rig, outcome: Outcome) -> None:
    """RTSP with ``live.transport=udp``."""
    with Relay(share) as relay:
        rig.camera(relay.url(), TAKE).first_ms()
        run = rig.run(relay.url(), "-", settings=["live.transport=udp"])
        witness = rig.watch(run)
        witness.watch(3.0 if rig.quick else 10.0)
        outcome.see(witness)
        late = [rig.since(s.number, s.at) for s in witness.seen if s.number is not None]
        some = max(1, len(late) // 4)
        first, last = float(np.median(late[:some])), float(np.median(late[-some:]))
        outcome.expect(last - first < MOST_SECONDS, f"{last - first:.1f} s later at the end")
        ended(rig, run, outcome)
        notes = [note.rpartition(": ")[2] for note in run.report.get("notes", [])]
        delays = f"{1000 * first:.0f} ms late at first, {1000 * last:.0f} at the end"
        outcome.happened = "; ".join([outcome.happened, delays, *notes])


PROMISED = "in order; damage is counted; latency does not grow"

SCENES = {
    f"RTP loss {share} %": Scene(PROMISED, partial(loss, share / 100)) for share in (1, 5, 10)
}
