"""All faults, in the order of the table. To add one: a function and an entry in its module."""

from __future__ import annotations

from stream.bench.faults import endurance, models, real, receivers, rtp, sources
from stream.bench.faults.outcome import Scene

SCENES: dict[str, Scene] = {
    **sources.SCENES, **rtp.SCENES, **models.SCENES, **receivers.SCENES, **endurance.SCENES, **real.SCENES,
}  # fmt: skip
