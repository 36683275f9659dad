"""How far from the truth each generator paints: ``s3pot train judge``.

On held-out people and cut-outs, composited; by colour, not by beauty.  What a reference is worth is
the occlusion IoU that it leads to, see ``s3pot eval``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from s3pot.labels import facial
from s3pot.network import INPUT_SIZE_PX
from s3pot.parse import mesh_structure
from s3pot.reference import ReferenceGenerator, StructureBatch, stack
from s3pot.training.composite import jitter
from s3pot.training.layer import put_in_front, skin_colour
from s3pot.training.occluders import Occluders, load_occluders
from s3pot.training.references import FacePhoto, bend
from s3pot.training.samples import MIX, load_faces
from s3pot.types import Structure

Image = NDArray[np.float32]

LEAST_COVERED = 0.03
"""Share of the face that the occluder hides at least."""

MARGIN_PX = 6
"""What is called hidden is wider than the occluder by this, as the product widens it."""


BATCH = 8
"""Faces painted at once."""


class Covered(NamedTuple):
    """Attributes:
    raw, clean: (B, 3, S, S) RGB 0-1, with the occluder and without.
    hidden: (B, 1, S, S) 0 or 1, the occluder with its margin.
    structure: of the mesh as a tracker sees it, error included.
    """

    raw: Tensor
    clean: Tensor
    hidden: Tensor
    structure: StructureBatch


@dataclass(frozen=True, slots=True)
class CoveredSource:
    """Attributes:
    faces: folder written by ``s3pot train prepare``.
    occluders: folder of RGBA cut-outs.
    template: (N, 2) float32, the mean mesh in px of the crop.
    triangles: (T, 3).
    parts: see :func:`s3pot.labels.draw_labels`.
    """

    faces: Path
    occluders: Path
    template: NDArray[np.float32]
    triangles: NDArray[np.int16]
    parts: Mapping[str, Sequence[Sequence[int]]]

    def held_out(self, count: int, seed: int = 7) -> Covered:
        """``count`` covered faces of held-out people, always the same."""
        faces = load_faces(self.faces, self.triangles, held_out=True)
        occluders = load_occluders(self.occluders, MIX, held_out=True)
        rng = np.random.default_rng(seed)
        rows: list[tuple[Image, Image, NDArray[np.float32], Structure]] = []
        while len(rows) < count:
            photo = jitter(faces.photo(int(rng.integers(len(faces.images)))), INPUT_SIZE_PX, rng)
            raw, clean, alpha = _cover(photo, occluders, rng)
            structure = self._seen(photo, rng)
            if (alpha > 0.5)[facial(structure.labels)].mean() > LEAST_COVERED:
                rows.append((raw, clean, alpha, structure))
        raws, cleans, alphas, structures = zip(*rows, strict=True)
        kernel = np.ones((2 * MARGIN_PX + 1,) * 2, np.uint8)
        masks = [cv2.dilate((alpha > 0.1).astype(np.float32), kernel) for alpha in alphas]
        hidden = torch.from_numpy(np.stack(masks))[:, None]
        return Covered(_up(raws), _up(cleans), hidden, stack(structures))

    def _seen(self, photo: FacePhoto, rng: Generator) -> Structure:
        landmarks = bend(photo.landmarks, abs(rng.normal(0, 1.0)), rng)
        size = photo.image.shape[0]
        return mesh_structure(landmarks, self.template, self.triangles, self.parts, size)


def _cover(
    photo: FacePhoto, occluders: Occluders, rng: Generator
) -> tuple[Image, Image, NDArray[np.float32]]:
    """The photograph with an occluder and without, (S, S, 3) 0-1, and the occluder's alpha."""
    clean = photo.image.astype(np.float32) / 255
    kind, cutout = occluders.pick(rng)
    raw, alpha = put_in_front(clean, kind, cutout, photo, tone=skin_colour(photo), rng=rng)
    return np.clip(raw, 0, 1).astype(np.float32), clean, alpha


def _up(pictures: Sequence[Image]) -> Tensor:
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


@torch.inference_mode()
def judge(generator: ReferenceGenerator, covered: Covered) -> dict[str, float]:
    """Mean absolute colour error, 0-255.

    Returns:
        "hidden": on the covered part of the face; "undeclared": the same, the generator not told
        that anything is hidden; "visible": on the part of the face that is not covered.
    """
    face = facial(covered.structure.labels)[:, None]
    hidden = face & (covered.hidden > 0)
    told = _painted(generator, covered, covered.hidden)
    untold = _painted(generator, covered, torch.zeros_like(covered.hidden))

    def error(picture: Tensor, where: Tensor) -> float:
        return float((picture - covered.clean).abs().mean(1, keepdim=True)[where].mean()) * 255

    return {
        "hidden": error(told, hidden), "undeclared": error(untold, hidden),
        "visible": error(told, face & ~hidden),
    }  # fmt: skip


def _painted(generator: ReferenceGenerator, covered: Covered, hidden: Tensor) -> Tensor:
    painted = []
    for at in range(0, len(hidden), BATCH):
        some = slice(at, at + BATCH)
        structure = StructureBatch(*(part[some] for part in covered.structure))
        painted.append(generator(covered.raw[some], hidden[some], structure))
    return torch.cat(painted)
