"""Glass to glass: how late a picture comes out that says when it was drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream.bench.faults.rig import Rig
from stream.bench.faults.witness import Look, Witness
from stream.bench.servers.publisher import Take

SETTLE_SECONDS = 4.0
"""At the start pictures that waited come at once; not counted."""

BASE_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Latency:
    """From drawing to decoding of what came out, milliseconds.

    Attributes:
        name: of the way.
        pictures: measured.
        p50, p95, p99: percentiles.
    """

    name: str
    pictures: int
    p50: float
    p95: float
    p99: float

    @property
    def line(self) -> str:
        """For people."""
        figures = f"p50 {self.p50:.0f}, p95 {self.p95:.0f}, p99 {self.p99:.0f} ms"
        return f"{self.name}: {figures}, {self.pictures} pictures"


def measured(name: str, rig: Rig, witness: Witness, seconds: float) -> Latency:
    """Look for so long.

    Raises:
        TimeoutError: nothing came.
    """
    begin = len(witness.seen)
    witness.watch(seconds)
    late = [
        1000 * rig.since(sighting.number, sighting.at)
        for sighting in witness.seen[begin:]
        if sighting.number is not None
    ]
    if not late:
        raise TimeoutError(f"{name}: nothing came for {seconds:g} s")
    return Latency(name, len(late), *map(float, np.percentile(late, (50, 95, 99))))


def latency(folder: Path, arguments: list[str], *, rate: int, seconds: float) -> list[Latency]:
    """The way through a server alone, and through ``s3pot run`` and a second server.

    Args:
        folder: for files.
        arguments: more of ``s3pot run``.
        rate: pictures a second of the camera.
        seconds: to look for.
    """
    with Rig(folder, quick=True) as rig:
        server, out = rig.relay(), rig.relay()
        rig.camera(server.url(), Take(288, 352, rate, picture="photo")).first_ms()
        with Witness(look := Look(lambda _: False), look.of_url(server.url())) as direct:
            direct.watch(SETTLE_SECONDS)
            base = measured("server alone", rig, direct, BASE_SECONDS)
        rig.real(server.url(), out.url("out"), "-q", *arguments)
        witness = rig.watch(out.url("out"), Look(lambda _: False))
        witness.watch(SETTLE_SECONDS)
        return [base, measured("server, s3pot run, server", rig, witness, seconds)]
