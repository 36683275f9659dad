"""References as the product's own generators paint them, to train the evidence on.

The trials found that an evidence which never saw such references gains nothing from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray

from s3pot.parse import mesh_structure
from s3pot.reference import GeneratorOptions, ReferenceGenerator, builders, stack

Field = NDArray[np.float32]

MARGIN_PX = 6
"""What the bank widens a first look by before a generator paints; ``reference.margin_px``."""

TRUST = 0.4
"""``known`` of a fresh invention; ``reference.generated_trust``."""


@dataclass(frozen=True, slots=True)
class Inventors:
    """Generators to train with.

    Attributes:
        generators: of :mod:`s3pot.reference`.
        template: (N, 2) float32, the mean mesh in px of a crop.
        triangles: (T, 3) int16.
        parts: see :func:`s3pot.labels.draw_labels`.
    """

    generators: tuple[ReferenceGenerator, ...]
    template: Field
    triangles: NDArray[np.int16]
    parts: Mapping[str, Sequence[Sequence[int]]]

    def __call__(
        self, raw: Field, target: Field, seen: Field, rng: Generator
    ) -> tuple[Field, Field]:
        """Paint a reference as it is at a cold start.

        Args:
            raw: (S, S, 3) 0-1, the covered face.
            target: (S, S) 0-1, the occluder.
            seen: (N, 3) landmarks as the tracker sees them.
            rng: gives all randomness.

        Returns:
            (S, S, 3) 0-1 reference and (S, S) 0-1 known.
        """
        generator = self.generators[rng.integers(len(self.generators))]
        size = raw.shape[0]
        wide = first_look(target, rng)
        structure = mesh_structure(seen, self.template, self.triangles, self.parts, size)
        with torch.inference_mode():
            face = torch.from_numpy(np.ascontiguousarray(raw.transpose(2, 0, 1)))[None]
            painted = generator(face, torch.from_numpy(wide)[None, None], stack([structure]))
        on_mesh = structure.roll[..., 0] >= 0
        known = on_mesh if generator.whole else on_mesh & (wide > 0)
        fresh = TRUST * (1.0 if rng.random() < 0.5 else rng.uniform(0.1, 1))
        image = painted[0].permute(1, 2, 0).numpy() * known[..., None]
        return image.astype(np.float32), (known * fresh).astype(np.float32)


def load_inventors(
    names: Sequence[str], folder: str, template: Field, triangles: NDArray[np.int16],
    parts: Mapping[str, Sequence[Sequence[int]]],
) -> Inventors:  # fmt: skip
    """Build generators by name, with the weights of a folder; "" is the package's.

    Raises:
        ValueError: a name is none of a generator that paints, or its weights are not to be had.
    """
    built = []
    for name in names:
        generator = builders[name](GeneratorOptions(folder)) if name in builders else None
        if generator is None:
            raise ValueError(f"no generator {name!r} to train with; allowed: {sorted(builders)}")
        if isinstance(generator, torch.nn.Module):
            generator.eval().requires_grad_(False)
        built.append(generator)
    return Inventors(tuple(built), template, triangles, parts)


def first_look(target: Field, rng: Generator) -> Field:
    """(S, S) 0 or 1: what a cold first look takes for hidden, widened as the bank widens it.

    It misses a part of the occluder and adds a part of the face.
    """
    size = target.shape[0]
    guess = target > 0.5
    if rng.random() < 0.5:
        guess &= _blotches(size, rng) < rng.uniform(0.5, 1.6)
    if rng.random() < 0.4:
        guess |= _blotches(size, rng) > rng.uniform(1.4, 2.4)
    side = 2 * MARGIN_PX + 1
    return cv2.dilate(guess.astype(np.float32), np.ones((side, side), np.uint8))


def _blotches(size: int, rng: Generator) -> Field:
    coarse = rng.standard_normal((5, 5)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
