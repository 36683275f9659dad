"""A run in a process of its own: ``python -m stream.bench.faults.worker ORDER``.

The product's source, loop, policy and sinks; a stand-in finds the faces.  ``ORDER`` is
:class:`Order` as JSON; the report is written when it ends.
"""

from __future__ import annotations

import json
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from configs import load_settings
from stream.bench.faults.stand_in import MODELS
from stream.job import Job
from stream.run import RunReport
from stream.run_command import interruptible

COVERED = [
    "privacy.policy=privacy", "privacy.effect=solid", "effect.color=[20, 20, 20]",
    "output.preset=ultrafast",
]  # fmt: skip
"""Settings of every scene: faces are hidden, in one colour."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is run.

    Attributes:
        source, outputs: as of ``s3pot run``.
        report: file for the run's report, as JSON.
        model: one of ``MODELS``.
        settings: overrides.
        most_bytes: no file of this process may become larger: a full disk; 0: any.
    """

    source: str
    outputs: list[str]
    report: str
    model: str = "disc"
    settings: list[str] = field(default_factory=list)
    most_bytes: int = 0


def told(report: RunReport) -> dict[str, Any]:
    """Its fields; not `asdict`, which cannot copy a Counter."""
    return {one.name: getattr(report, one.name) for one in fields(report)}


def work(order: Order) -> None:
    """Do it."""
    if order.most_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (order.most_bytes, order.most_bytes))
    settings = load_settings(None, [*COVERED, *order.settings])
    with (
        Job(order.source, order.outputs, settings, MODELS[order.model]()) as job,
        interruptible(),
        suppress(KeyboardInterrupt),  # before the loop, or of a file
    ):
        report = job.run()
        Path(order.report).write_text(json.dumps(told(report)), encoding="utf-8")


if __name__ == "__main__":
    work(Order(**json.loads(sys.argv[1])))
