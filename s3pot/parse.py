"""Parsers: where which part of a face lies, the structural guidance of RF (method.md 1.3).

``mesh`` draws it from the landmarks: *amodal*, an occluder is labelled as the skin that it hides.
``learned`` reads it off the picture, as the paper does: a map of the *visible* surfaces, wrong under
an occluder, which it calls skin, hair or background.  The paper's method lives on the first of these
mistakes and is blind to the other two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot import weights
from s3pot.labels import CLASSES, draw_labels
from s3pot.network import Residual, conv
from s3pot.reference import StructureBatch
from s3pot.repose import mesh_map
from s3pot.sam import resize
from s3pot.types import Structure

PARSER_PX = 192
"""The learned parser looks at crops of this side."""

WIDTHS = (16, 32, 64, 96)


def mesh_structure(
    landmarks: NDArray[np.float32], template: NDArray[np.float32], triangles: NDArray[np.int16],
    parts: Mapping[str, Sequence[Sequence[int]]], size: int,
) -> Structure:  # fmt: skip
    """The structure of one crop from its mesh.

    Args:
        landmarks: (N, 3) float32 px of the crop; the nearer (smaller z) hides the farther.
        template: (N, 2) float32, the mean mesh in px of the atlas, which has the crop's size.
        triangles: (T, 3) int16.
        parts: see :func:`s3pot.labels.draw_labels`.
        size: S, side of crop and atlas in px.
    """
    unroll, _ = mesh_map(template, landmarks, triangles, size)
    roll, _ = mesh_map(landmarks, template, triangles, size)
    return Structure(draw_labels(landmarks, parts, size), unroll, roll)


class Parser(Protocol):
    """Labels the parts of a face."""

    def __call__(self, raw: Tensor, structure: StructureBatch) -> Tensor:
        """Label B faces.

        Args:
            raw: (B, 3, S, S) RGB 0-1.
            structure: of the same crops, from the mesh.

        Returns:
            (B, S, S) int64, the paper's 12 classes.
        """
        ...


class MeshParser(nn.Module):
    """The mesh's labels as they are: amodal; no hair, ears, neck or glasses."""

    def forward(self, raw: Tensor, structure: StructureBatch) -> Tensor:
        """See :class:`Parser`; the picture is not looked at."""
        return structure.labels


class LearnedParser(nn.Module):
    """A small U-Net, trained on CelebAMask-HQ faces with nothing in front of them.

    It has never seen glasses (class 10): its training set has none.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(conv(a, b, 2), *(Residual(b) for _ in range(n)))
            for a, b, n in zip((3, *WIDTHS), WIDTHS, (0, 1, 1, 1), strict=False)
        )
        self.lift = nn.ModuleList(conv(b, a, kernel=1) for a, b in pairwise(WIDTHS))
        self.mix = nn.ModuleList(conv(w, w) for w in WIDTHS[:-1])
        self.classes = nn.Conv2d(WIDTHS[0], len(CLASSES), 1)

    def logits(self, raw: Tensor) -> Tensor:
        """(B, 3, 192, 192) RGB 0-1 -> (B, 12, 96, 96)."""
        x, features = raw * 4 - 2, []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        for level in (2, 1, 0):
            up = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.mix[level](features[level] + self.lift[level](up))
        scores: Tensor = self.classes(x)
        return scores

    def forward(self, raw: Tensor, structure: StructureBatch) -> Tensor:
        """See :class:`Parser`; the structure is not looked at."""
        scores = self.logits(resize(raw, PARSER_PX))
        return resize(scores, raw.shape[-1]).argmax(1)


def _learned(folder: str) -> Parser:
    parser = LearnedParser()
    weights.fill(parser, "parser", folder)
    return parser.eval()


parsers: dict[str, Callable[[str], Parser]] = {"mesh": lambda _: MeshParser(), "learned": _learned}
"""Parsers by name, built from a folder of weights ("" is the package's)."""


def confusion(guess: Tensor, truth: Tensor) -> Tensor:
    """(12, 12) counts of pixels, row = truth, column = guess, of label maps of any shape."""
    count = len(CLASSES)
    pairs = truth.flatten().long() * count + guess.flatten().long()
    return torch.bincount(pairs, minlength=count * count).reshape(count, count)


def class_iou(counts: Tensor) -> Tensor:
    """(12,) intersection over union of each class; nan for one that never occurs."""
    hits = counts.diagonal().float()
    return hits / (counts.sum(0) + counts.sum(1) - hits).float()
