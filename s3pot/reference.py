"""RF's generators: the face without the occluder, from nothing but the covered face.

One contract, :class:`ReferenceGenerator`; the registry of builders is at the bottom.
"""

# ruff: noqa: PLC0415  a generator pays for its own imports only

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from s3pot.types import Structure


class StructureBatch(NamedTuple):
    """Structures of B crops as tensors, see :class:`s3pot.types.Structure`.

    Attributes:
        labels: (B, S, S) int64, the paper's 12 classes.
        unroll: (B, S, S, 2) float, for each pixel of the atlas x y of the crop; -1 where none.
        roll: (B, S, S, 2) float, for each pixel of the crop x y of the atlas; -1 where none.
    """

    labels: Tensor
    unroll: Tensor
    roll: Tensor


def stack(structures: Sequence[Structure], device: torch.device | str = "cpu") -> StructureBatch:
    """Bring the structures of B crops to a device."""
    return StructureBatch(
        torch.from_numpy(np.stack([s.labels for s in structures])).to(device).long(),
        torch.from_numpy(np.stack([s.unroll for s in structures])).to(device).float(),
        torch.from_numpy(np.stack([s.roll for s in structures])).to(device).float(),
    )


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """Attributes:
    folder: of the weights; empty means those in the package.
    source: for "diffusers": folder or hub name of an inpainting pipeline.
    controlnet: for "diffusers": folder or hub name of a ControlNet; empty for none.
    """

    folder: str = ""
    source: str = ""
    controlnet: str = ""


class ReferenceGenerator(Protocol):
    """Paints the face without the occluder. The same input gives the same face each time.

    Attributes:
        whole: True if the whole face is painted anew, False if what is not hidden is kept as it is.
    """

    whole: bool

    def __call__(self, raw: Tensor, hidden: Tensor, structure: StructureBatch) -> Tensor:
        """Paint B faces.

        Args:
            raw: (B, 3, S, S) RGB 0-1.
            hidden: (B, 1, S, S) 0-1, how much something is thought to be in front.
            structure: where which part of the face lies.

        Returns:
            (B, 3, S, S) RGB 0-1; off the face it is the raw picture's.
        """
        ...


def _unet(options: GeneratorOptions) -> ReferenceGenerator:
    from s3pot.unet import UNetGenerator
    from s3pot.weights import fill

    generator = UNetGenerator()
    fill(generator, "reference", options.folder)
    return generator


def _pca(options: GeneratorOptions) -> ReferenceGenerator:
    from s3pot.pca import load_pca

    return load_pca(options.folder)


def _regional(options: GeneratorOptions) -> ReferenceGenerator:
    from s3pot.regional import RegionalGenerator
    from s3pot.weights import fill

    generator = RegionalGenerator()
    fill(generator, "regional", options.folder)
    return generator


def _diffusers(options: GeneratorOptions) -> ReferenceGenerator:
    from s3pot.inpaint import load_inpainting

    return load_inpainting(options.source, options.controlnet)


builders: dict[str, Callable[[GeneratorOptions], ReferenceGenerator | None]] = {
    "unet": _unet,
    "pca": _pca,
    "regional": _regional,
    "diffusers": _diffusers,
    "none": lambda _: None,
}
"""Generators by name. To add one: a builder and a line here; "none" invents nothing.

A builder loads its own weights; what it builds is an ``nn.Module``."""
