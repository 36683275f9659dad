"""Train the regional generator to paint uncovered faces again: ``s3pot train regional``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn

from s3pot.labels import draw_labels, facial
from s3pot.network import INPUT_SIZE_PX
from s3pot.regional import RegionalGenerator, one_hot
from s3pot.sam import resize
from s3pot.training.composite import Faces, jitter
from s3pot.training.loop import Batch, Figures, Schedule, fit
from s3pot.training.losses import painting_loss
from s3pot.training.references import relight
from s3pot.training.samples import load_faces
from s3pot.unet import GENERATOR_PX


@dataclass(frozen=True, slots=True)
class BareSource:
    """Uncovered faces with the label maps of their meshes.

    Attributes:
        faces: folder written by ``s3pot train prepare``.
        triangles: (T, 3) of the mesh.
        parts: see :func:`s3pot.labels.draw_labels`.
    """

    faces: Path
    triangles: NDArray[np.int16]
    parts: Mapping[str, Sequence[Sequence[int]]]

    def batches(self, batch: int, seed: int, *, held_out: bool = False) -> Iterator[Batch]:
        """Endless batches of "face" (B, 3, 96, 96), "labels" (B, 96, 96), "hidden" (B, 1, 96, 96)."""
        faces = load_faces(self.faces, self.triangles, held_out)
        rng = np.random.default_rng(seed)
        while True:
            picks = rng.integers(len(faces.images), size=batch)
            rows = [self._sample(faces, int(i), rng) for i in picks]
            face, labels, hidden = (np.stack(column) for column in zip(*rows, strict=True))
            yield {
                "face": resize(torch.from_numpy(face).permute(0, 3, 1, 2), GENERATOR_PX),
                "labels": torch.from_numpy(labels).long(),
                "hidden": torch.from_numpy(hidden)[:, None],
            }

    def _sample(
        self, faces: Faces, index: int, rng: Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        photo = jitter(faces.photo(index), INPUT_SIZE_PX, rng)
        image = relight(photo.image.astype(np.float32) / 255, abs(rng.normal(0, 0.4)), rng)
        # Pixel centres at integers: (x + 0.5) * scale - 0.5.
        points = (photo.landmarks + 0.5) * np.float32(GENERATOR_PX / INPUT_SIZE_PX) - 0.5
        labels = draw_labels(points.astype(np.float32), self.parts, GENERATOR_PX)
        return image.astype(np.float32), labels, random_hidden(GENERATOR_PX, rng)


def random_hidden(size: int, rng: Generator) -> NDArray[np.float32]:
    """(size, size) 0 or 1: nothing in one of three, else blotches of any share of the picture."""
    if rng.random() < 0.33:
        return np.zeros((size, size), np.float32)
    coarse = rng.standard_normal((4, 4)).astype(np.float32)
    field = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return (field > rng.uniform(-0.5, 1.0)).astype(np.float32)


def repaint_loss(net: nn.Module, batch: Batch) -> Tensor:
    """L1 on colours and on their slopes, on the face; a little off it, for the border's sake."""
    assert isinstance(net, RegionalGenerator)
    face, labels = batch["face"], batch["labels"]
    painted = net.paint(face, 1 - batch["hidden"], one_hot(labels, GENERATOR_PX))
    weight = 0.05 + facial(labels)[:, None].float()
    return painting_loss(painted, face, weight)


def train_regional(
    source: BareSource, run: Path, schedule: Schedule, say: Callable[[str], None], *,
    held_out_batches: int = 2,
) -> Path:  # fmt: skip
    """Train from scratch or resume; returns the checkpoint, see :func:`s3pot.training.loop.fit`."""
    torch.manual_seed(schedule.seed)
    stream = source.batches(32, 99, held_out=True)
    held_out = [next(stream) for _ in range(held_out_batches)]

    @torch.inference_mode()
    def figures(mean: nn.Module) -> Figures:
        losses = [repaint_loss(mean.eval(), batch).item() for batch in held_out]
        return {"held_out_loss": sum(losses) / len(losses)}

    return fit(
        RegionalGenerator(), lambda step: source.batches(schedule.batch, schedule.seed * 4000 + step),
        repaint_loss, figures, run=run, schedule=schedule, say=say,
    )  # fmt: skip
