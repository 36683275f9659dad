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

from s3pot.labels import FACIAL
from s3pot.network import INPUT_SIZE_PX
from s3pot.parse import mesh_structure
from s3pot.reference import stack
from s3pot.regional import REGIONAL_PX, RegionalGenerator, atlas_places, one_hot
from s3pot.sam import resize
from s3pot.training.composite import jitter
from s3pot.training.drawn import texture
from s3pot.training.loop import Batch, Figures, Schedule, fit
from s3pot.training.losses import painting_loss
from s3pot.training.references import FacePhoto, relight
from s3pot.training.samples import load_faces
from s3pot.types import Structure


@dataclass(frozen=True, slots=True)
class BareSource:
    """Uncovered faces with the label maps of their meshes.

    Attributes:
        faces: folder written by ``s3pot train prepare``.
        template: (N, 2) float32, the mean mesh in px of a crop.
        triangles: (T, 3) of the mesh.
        parts: see :func:`s3pot.labels.draw_labels`.
    """

    faces: Path
    template: NDArray[np.float32]
    triangles: NDArray[np.int16]
    parts: Mapping[str, Sequence[Sequence[int]]]

    def batches(self, batch: int, seed: int, *, held_out: bool = False) -> Iterator[Batch]:
        """Endless batches of "raw" and "face" (B, 3, s, s), "regions" (B, 12, s, s), "places" (B, 2, s, s) and
        "hidden" (B, 1, s, s); s is REGIONAL_PX. On some raw faces lies a patch that nobody declares.
        """
        faces = load_faces(self.faces, self.triangles, held_out)
        rng = np.random.default_rng(seed)
        while True:
            picks = rng.integers(len(faces.images), size=batch)
            photos = [jitter(faces.photo(int(i)), INPUT_SIZE_PX, rng) for i in picks]
            lit = [relight(_unit(p.image), abs(rng.normal(0, 0.4)), rng) for p in photos]
            raw = [undeclared(face, lit[int(rng.integers(batch))], rng) for face in lit]
            structure = stack([self._structure(photo) for photo in photos])
            hidden = np.stack([random_hidden(REGIONAL_PX, rng) for _ in photos])
            yield {
                "raw": _small(raw),
                "face": _small(lit),
                "regions": one_hot(structure.labels, REGIONAL_PX),
                "places": atlas_places(structure, REGIONAL_PX),
                "hidden": torch.from_numpy(hidden)[:, None],
            }

    def _structure(self, photo: FacePhoto) -> Structure:
        return mesh_structure(
            photo.landmarks, self.template, self.triangles, self.parts, INPUT_SIZE_PX
        )


def _small(images: list[NDArray[np.float32]]) -> Tensor:
    return resize(torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2), REGIONAL_PX)


def _unit(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return image.astype(np.float32) / np.float32(255)


def undeclared(
    face: NDArray[np.float32], other: NDArray[np.float32], rng: Generator
) -> NDArray[np.float32]:
    """In two of five a face with a patch of any colour, or of another's skin, that the first look
    missed: it must not tint what is painted.
    """
    if rng.random() < 0.6:
        return face
    size = face.shape[0]
    coarse = rng.standard_normal((4, 4)).astype(np.float32)
    field = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    patch = other[::-1] if rng.random() < 0.5 else texture(rng, (size, size))
    return np.where((field > rng.uniform(0.5, 1.3))[..., None], patch, face).astype(np.float32)


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
    face, regions = batch["face"], batch["regions"]
    painted = net.paint(batch["raw"], 1 - batch["hidden"], regions, batch["places"]).float()
    weight = 0.05 + regions[:, FACIAL].sum(1, keepdim=True)
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
