"""The logs of training runs as one picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Line = dict[str, float]

BOOKKEEPING = ("step", "samples", "minutes", "loss")


def read_log(run: Path) -> list[Line]:
    """The lines of a run's ``log.jsonl``; of a step that was logged twice, the later one.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is empty, or no log of :func:`s3pot.training.loop.fit`.
    """
    lines: dict[float, Line] = {}
    try:
        for text in (run / "log.jsonl").read_text(encoding="utf-8").splitlines():
            line = json.loads(text)
            lines[line["step"]] = line
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{run / 'log.jsonl'}: not a log of a training run: {error!r}") from None
    if not lines:
        raise ValueError(f"{run / 'log.jsonl'}: empty")
    return [lines[step] for step in sorted(lines)]


def draw_curves(runs: Sequence[Path], out: Path) -> None:
    """One panel a run: the loss dotted, every other figure as it is, over samples.

    Args:
        runs: folders of :func:`s3pot.training.loop.fit`.
        out: picture to write, its kind by its ending.

    Raises:
        FileNotFoundError: a run has no log.
        ValueError: a log is none, or nothing can write a picture of that kind.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow

    figure = Figure(figsize=(4.5 * len(runs), 3.2), layout="constrained")
    for place, run in enumerate(runs):
        log = read_log(run)
        axes: Any = figure.add_subplot(1, len(runs), place + 1)
        samples = [line["samples"] for line in log]
        axes.plot(samples, [line["loss"] for line in log], "k:", label="loss")
        for name in (key for key in log[-1] if key not in BOOKKEEPING):
            axes.plot(samples, [line.get(name, float("nan")) for line in log], label=name)
        axes.set_title(run.name)
        axes.set_xlabel("samples")
        axes.set_ylim(bottom=0)
        axes.legend(fontsize=6)
    figure.savefig(out, dpi=90)
