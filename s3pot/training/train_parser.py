"""Train the learned parser on labelled faces: ``s3pot train parser``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot.labels import CLASSES, from_celebamask
from s3pot.network import INPUT_SIZE_PX
from s3pot.parse import LearnedParser, class_iou, confusion
from s3pot.sam import resize
from s3pot.training.composite import jitter
from s3pot.training.loop import Batch, Figures, Schedule, fit
from s3pot.training.references import relight
from s3pot.training.samples import load_faces

IGNORE = 255
"""A label that nobody gave; it teaches nothing. The same number as in ``labels.npy``."""

CLASS_WEIGHTS = (1, 2, 3, 3, 1, 1, 1, 2, 1, 3, 1, 3)
"""Of each of the 12 classes in the loss: small parts weigh more."""


@dataclass(frozen=True, slots=True)
class LabelledSource:
    """Faces whose pixels somebody has named.

    Attributes:
        faces: folder written by ``s3pot train prepare`` from pictures with masks beside them.
        triangles: (T, 3) of the mesh.
    """

    faces: Path
    triangles: NDArray[np.int16]

    def batches(self, batch: int, seed: int, *, held_out: bool = False) -> Iterator[Batch]:
        """Endless batches of "raw" (B, 3, 192, 192) RGB 0-1 and "labels" (B, 192, 192) int64.

        Raises:
            ValueError: no face of this side of the split has labels.
        """
        faces = load_faces(self.faces, self.triangles, held_out)
        named = faces.labelled()
        if not len(named):
            raise ValueError(
                f"{self.faces}: no {'held-out ' if held_out else ''}face has labels; run"
                " `s3pot train prepare` on a folder images/ that has a folder masks/ beside it"
            )
        rng = np.random.default_rng(seed)
        while True:
            pictures, maps = [], []
            for index in rng.choice(named, batch):
                photo = jitter(faces.photo(int(index)), INPUT_SIZE_PX, rng)
                assert photo.labels is not None
                image = relight(photo.image.astype(np.float32) / 255, abs(rng.normal(0, 0.5)), rng)
                flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
                pictures.append(np.float32(image[:, flip]))
                maps.append(to_classes(photo.labels)[:, flip])
            raw = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
            yield {"raw": raw, "labels": torch.from_numpy(np.stack(maps)).long()}


def to_classes(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """19 classes or 255 -> the paper's 12 or IGNORE."""
    named = labels != IGNORE
    return np.where(named, from_celebamask(np.where(named, labels, 0)), np.uint8(IGNORE))


def parser_loss(net: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy at the crop's size, small parts weighing more."""
    assert isinstance(net, LearnedParser)
    scores = resize(net.logits(batch["raw"]), batch["raw"].shape[-1])
    weight = torch.tensor(CLASS_WEIGHTS, dtype=scores.dtype, device=scores.device)
    return F.cross_entropy(scores, batch["labels"], weight, ignore_index=IGNORE)


@torch.inference_mode()
def parsed(net: LearnedParser, batches: list[Batch]) -> Figures:
    """Mean IoU over the classes that occur, and each class's own, on labelled faces."""
    total = torch.zeros(len(CLASSES), len(CLASSES), dtype=torch.int64)
    for batch in batches:
        guess = resize(net.logits(batch["raw"]), batch["raw"].shape[-1]).argmax(1)
        known = batch["labels"] != IGNORE
        total += confusion(guess[known], batch["labels"][known])
    ious = class_iou(total)
    # A class that is not in the truth (glasses) has no IoU to speak of.
    occurs = total.sum(1) > 0
    each = {f"iou_{n}": float(v) for n, v, o in zip(CLASSES, ious, occurs, strict=True) if o}
    return {"miou": float(ious[occurs].mean()), **each}


def train_parser(
    source: LabelledSource, run: Path, schedule: Schedule, say: Callable[[str], None], *,
    held_out_batches: int = 3,
) -> Path:  # fmt: skip
    """Train from scratch or resume; returns the checkpoint, see :func:`s3pot.training.loop.fit`."""
    torch.manual_seed(schedule.seed)
    stream = source.batches(32, 99, held_out=True)
    held_out = [next(stream) for _ in range(held_out_batches)]

    def figures(mean: nn.Module) -> Figures:
        assert isinstance(mean, LearnedParser)
        return parsed(mean.eval(), held_out)

    return fit(
        LearnedParser(), lambda step: source.batches(schedule.batch, schedule.seed * 5000 + step),
        parser_loss, figures, run=run, schedule=schedule, say=say,
    )  # fmt: skip
