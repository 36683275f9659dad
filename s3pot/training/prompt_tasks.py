"""What the screening learns from: pictures, and what FE and PS find in each, worked out once.

Only the adapter is trained, so tokens, matching and points of a picture stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from s3pot.adapter import Adapter
from s3pot.objectives import ObjectiveOptions, Objectives, objectives
from s3pot.paper import Paper, Selection
from s3pot.training.loop import Batch, Figures
from s3pot.training.losses import region_iou
from s3pot.training.stills import Image, still
from s3pot.types import Prompts


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
