"""Train the screening of the prompts without any truth: ``s3pot train prompts`` (method.md 4).

Only the adapter learns.  What comes before it (tokens, matching, points) stays as it is through the
training and is worked out once for each picture.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from s3pot.adapter import Adapter
from s3pot.objectives import MENDED, ObjectiveOptions, Objectives, objectives
from s3pot.paper import Paper, Selection
from s3pot.training.loop import Batch, Figures, Schedule, fit, mean_weights
from s3pot.training.losses import region_iou
from s3pot.training.stills import Image, plot, plot_log, still, write_picture
from s3pot.types import Prompts

PATIENCE, LEAST_GAIN = 5, 1e-4
"""Per image: training stops after so many iterations without so much gain."""

SHOWN, JUDGED = 8, 64
"""Pictures on the sheet of stills, and pictures that the figures in the log are means of."""


class Picture(NamedTuple):
    """One face to train on.

    Attributes:
        name: told in errors and in the log; no two are alike.
        raw, reference: (3, S, S) RGB 0-1.
        known: (1, S, S) 0-1.
        region: (1, S, S) 0 or 1.
        target: (1, S, S) true alpha 0-1, to score with and never to train on; None if unknown.
    """

    name: str
    raw: Tensor
    reference: Tensor
    known: Tensor
    region: Tensor
    target: Tensor | None = None


class Task(NamedTuple):
    """What stays fixed of a picture: its tokens (half floats), its prompts, and what to show."""

    name: str
    tokens: Tensor
    chosen: Selection
    region: Tensor
    target: Tensor | None
    crop: Image
    reference: Image


@dataclass(frozen=True, slots=True)
class PerImage:
    """Attributes: at most ``iterations`` for each picture, AdamW's ``rate``, falling as a cosine."""

    iterations: int = 50
    rate: float = 1e-4


def pictures_of(batch: Batch, name: str) -> list[Picture]:
    """The samples of a batch of composites as pictures, with their truth and simulated reference."""
    fields = [batch[key] for key in ("raw", "reference", "known", "region", "target")]
    return [Picture(f"{name} {i}", *parts) for i, parts in enumerate(zip(*fields, strict=True))]


@torch.no_grad()  # not inference_mode: what is kept here takes part in the training
def task_of(paper: Paper, picture: Picture) -> Task:
    """FE and PS for one picture, before any screening."""
    raw, reference, known, region = (x[None] for x in picture[1:5])
    contrast = paper.enhance(raw, reference, known)
    chosen = paper.select(contrast, region)
    shown = [(x[0].permute(1, 2, 0) * 255).byte().cpu().numpy() for x in (raw, reference)]
    target = None if picture.target is None else picture.target[None]
    return Task(picture.name, contrast.raw.half(), chosen, region, target, shown[0], shown[1])


def tasks_of(paper: Paper, pictures: Iterable[Picture]) -> list[Task]:
    """The pictures that can teach something: those with points.

    Raises:
        ValueError: none has any.
    """
    every = [task_of(paper, picture) for picture in pictures]
    tasks = [task for task in every if task.chosen.prompts.labels.numel()]
    if not tasks:
        raise ValueError(f"none of {len(every)} pictures has a face whose reference is known")
    return tasks


def losses_of(paper: Paper, task: Task, options: ObjectiveOptions) -> tuple[Objectives, Tensor]:
    """The objectives of one picture, (1,) each, and the decoder's answer (1, 1, L, L)."""
    prompts = task.chosen.prompts
    answer = paper.decode(task.tokens.float(), prompts)
    losses = objectives(
        answer, prompts.points, prompts.labels, task.chosen.confidence,
        size_px=paper.sam.size_px, options=options,
    )  # fmt: skip
    return losses, answer


def with_adapter(paper: Paper, adapter: Adapter) -> Paper:
    """The same method, screened by another adapter.

    Raises:
        ValueError: the method screens nothing, so there is nothing to train.
    """
    if not paper.options.screen:
        raise ValueError("paper.screen is off (or the method is as released): nothing to train")
    return Paper(paper.sam, paper.options, adapter)


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
    with_adapter(paper, adapter)
    tasks = tasks_of(paper, pictures)

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


@torch.no_grad()
def judge(
    paper: Paper, tasks: Sequence[Task], options: ObjectiveOptions
) -> tuple[Figures, list[Image]]:
    """Mean objectives, mean IoU and false alarms where the truth is known, and the stills."""
    sums: dict[str, list[float]] = {}
    sheet = []
    for task in tasks:
        losses, answer = losses_of(paper, task, options)
        logits = paper.mask(answer, task.chosen.prompts, task.region)
        values = {name: value.item() for name, value in losses._asdict().items()}
        if task.target is not None:
            iou, alarm = region_iou(logits, task.target, task.region)
            values |= {"iou": iou.item(), "false_alarm": alarm.item()}
        for name, value in values.items():
            sums.setdefault(name, []).append(value)
        sheet.append(show(task, logits))
    with_values = {name: [v for v in values if not math.isnan(v)] for name, values in sums.items()}
    return {name: float(np.mean(v)) for name, v in with_values.items() if v}, sheet


def show(task: Task, logits: Tensor) -> Image:
    """A still of one picture; logits (1, 1, S, S)."""
    prompts = Prompts(*(x[0].cpu().numpy() for x in task.chosen.prompts))
    truth = None if task.target is None else task.target[0, 0].cpu().numpy() > 0.5
    return still(task.crop, task.reference, prompts, logits[0, 0].cpu().numpy(), truth)


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
    first, above = judge(with_adapter(paper, Adapter(paper.sam.width)), [task], options)
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
