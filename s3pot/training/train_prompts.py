"""Train the screening of the prompts without any truth: ``s3pot train prompts`` (method.md 4).

In general, one adapter for all pictures; or per image, a fresh one for each.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from s3pot.adapter import Adapter
from s3pot.objectives import MENDED, ObjectiveOptions
from s3pot.paper import Paper
from s3pot.training.loop import Batch, Figures, Schedule, fit, mean_weights
from s3pot.training.prompt_tasks import (
    Picture,
    Task,
    judge,
    losses_of,
    task_of,
    tasks_of,
    with_adapter,
)
from s3pot.training.stills import Image, plot, plot_log, write_picture

PATIENCE, LEAST_GAIN = 5, 1e-4
"""Per image: training stops after so many iterations without so much gain."""

SHOWN, JUDGED = 8, 64
"""Pictures on the sheet of stills, and pictures that the figures in the log are means of."""


@dataclass(frozen=True, slots=True)
class PerImage:
    """Attributes: at most ``iterations`` for each picture, AdamW's ``rate``, falling as a cosine."""

    iterations: int = 50
    rate: float = 1e-4


def train_general(
    paper: Paper, pictures: Iterable[Picture], run: Path, schedule: Schedule,
    say: Callable[[str], None], *, options: ObjectiveOptions = MENDED,
) -> Path:  # fmt: skip
    """One adapter for all pictures; resumed where ``run/last.pt`` is there.

    Writes ``log.jsonl``, ``loss.png`` and ``stills.png`` as it goes, ``adapter.safetensors`` last.

    Args:
        paper: gives SAM and options.
        pictures: as many as fit into memory: a picture of ViT tokens takes 2 MB.
        run: folder to write.
        schedule: how long and how fast.
        say: takes each line of the log.
        options: the objectives.

    Returns:
        The adapter's file, see :func:`s3pot.adapter.load_adapter`.

    Raises:
        ValueError: no picture can teach anything, or nothing screens.
        FloatingPointError: a loss is no finite number; the last checkpoint stays.
    """
    torch.manual_seed(schedule.seed)
    adapter = Adapter(paper.sam.width)
    with_adapter(paper, adapter)  # refuses before the pictures are worked through
    tasks = tasks_of(paper, pictures)
    adapter.to(tasks[0].tokens.device)

    def loss_of(net: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(net, Adapter)
        now = with_adapter(paper, net)
        picked = [tasks[i] for i in batch["index"].tolist()]
        return torch.cat([losses_of(now, task, options)[0].total for task in picked]).mean()

    def figures(mean: nn.Module) -> Figures:
        assert isinstance(mean, Adapter)
        values, sheet = judge(with_adapter(paper, mean), tasks[:JUDGED], options)
        write_picture(run / "stills.png", np.vstack(sheet[:SHOWN]))
        return values

    def tell(line: str) -> None:
        plot_log(run / "log.jsonl", run / "loss.png")
        say(line)

    if not (run / "last.pt").exists():  # what an untrained adapter, which changes nothing, gives
        values = figures(adapter)
        line = json.dumps(
            {"step": 0, "samples": 0, "loss": values["total"], "minutes": 0.0, **values}
        )
        run.mkdir(parents=True, exist_ok=True)
        (run / "log.jsonl").write_text(line + "\n", encoding="utf-8")
        tell(line)
    last = fit(
        adapter, lambda step: _draws(len(tasks), schedule, step), loss_of, figures,
        run=run, schedule=schedule, say=tell,
    )  # fmt: skip
    save_file(mean_weights(last), run / "adapter.safetensors")
    return run / "adapter.safetensors"


def _draws(count: int, schedule: Schedule, step: int) -> Iterator[Batch]:
    """Endless indices of pictures, a batch each."""
    rng = np.random.default_rng([schedule.seed, step])
    while True:
        yield {"index": torch.from_numpy(rng.integers(count, size=schedule.batch))}


def fit_picture(
    paper: Paper, task: Task, options: ObjectiveOptions = MENDED, how: PerImage = PerImage()
) -> tuple[Adapter, list[float]]:
    """A fresh adapter for one picture (method.md 4.2, per image).

    Returns:
        The adapter, and the loss before each of its iterations.

    Raises:
        FloatingPointError: the loss is no finite number; names the picture.
    """
    adapter = Adapter(paper.sam.width).to(task.tokens.device)
    now = with_adapter(paper, adapter)
    optimizer = torch.optim.AdamW(adapter.parameters(), how.rate, weight_decay=1e-6)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, how.iterations)
    losses: list[float] = []
    best, stale = math.inf, 0
    while len(losses) < how.iterations and stale < PATIENCE:
        loss = losses_of(now, task, options)[0].total.sum()
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"{task.name}: iteration {len(losses)}: loss {loss.item()}")
        losses.append(loss.item())
        stale = 0 if losses[-1] < best - LEAST_GAIN else stale + 1
        best = min(best, losses[-1])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        cosine.step()
    return adapter.eval(), losses


def train_per_image(
    paper: Paper, pictures: Iterable[Picture], run: Path, say: Callable[[str], None], *,
    options: ObjectiveOptions = MENDED, how: PerImage = PerImage(),
) -> Path:  # fmt: skip
    """An adapter of its own for each picture: an upper bound, never a fixed model's figure.

    Writes a line of ``pictures.jsonl`` and a still (before above after) for each picture, and
    ``loss.png``; pictures whose line is there are left out when it is run again.

    Args, Raises: as :func:`train_general`; a picture with no points is told and left as it is.

    Returns:
        ``run/pictures.jsonl``.
    """
    run.mkdir(parents=True, exist_ok=True)
    log = run / "pictures.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    rows = {row["name"]: row for row in map(json.loads, lines)}
    for picture in pictures:
        if picture.name in rows:
            continue
        task = task_of(paper, picture)
        row, sheet = _before_and_after(paper, task, options, how)
        write_picture(run / "stills" / f"{len(rows):04d}.png", np.vstack(sheet))
        rows[picture.name] = row
        with log.open("a", encoding="utf-8") as out:
            out.write(json.dumps(row) + "\n")
        say(json.dumps({key: value for key, value in row.items() if key != "losses"}))
        _plot_mean(list(rows.values()), run / "loss.png")
    return log


def _before_and_after(
    paper: Paper, task: Task, options: ObjectiveOptions, how: PerImage
) -> tuple[dict[str, object], list[Image]]:
    """A picture's line of the log, and its stills."""
    torch.manual_seed(0)
    untrained = Adapter(paper.sam.width).to(task.tokens.device)
    first, above = judge(with_adapter(paper, untrained), [task], options)
    if not task.chosen.prompts.labels.numel():
        return {"name": task.name, "iterations": 0, "losses": []}, above
    adapter, losses = fit_picture(paper, task, options, how)
    after, below = judge(with_adapter(paper, adapter), [task], options)
    row: dict[str, object] = {"name": task.name, "iterations": len(losses), "losses": losses}
    for key in ("total", "iou", "false_alarm"):
        if key in first:
            row |= {f"{key}_before": first[key], key: after[key]}
    return row, above + below


def _plot_mean(rows: list[dict[str, list[float]]], path: Path) -> None:
    """The mean loss by iteration; a picture that stopped early keeps its last."""
    curves = [row["losses"] for row in rows if row["losses"]]
    if not curves:
        return
    longest = max(map(len, curves))
    padded = [curve + curve[-1:] * (longest - len(curve)) for curve in curves]
    plot({"mean loss": np.mean(padded, 0).tolist()}, path, range(longest), "iteration")
