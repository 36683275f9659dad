"""The three objectives that train the screening without any truth (method.md 4.1).

Their labels are what the matching itself found: the points on the face and on the occluder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from s3pot.prompts import FACE, OCCLUDER


@dataclass(frozen=True, slots=True)
class ObjectiveOptions:
    """How the objectives are weighed; 0 switches one off.

    Attributes:
        face: weight of face recall: points on the face shall come out as face.
        occluder: weight of occlusion removal: points on the occluder shall not.
        margin: weight of the face margin: a face point on the wrong side costs by how much.
        slope: p = sigmoid(slope * logit of the face). 10 as published has nearly no gradient but
            within half a logit of the boundary (Q7).
        confident: weigh each point by the matching's confidence in it (Q8).
        least: a set whose weights sum to less than this many sure points counts as much less
            (Q8: a few noisy points would else weigh as much as the whole face); 0 as published.
    """

    face: float = 1.0
    occluder: float = 1.0
    margin: float = 0.5
    slope: float = 1.0
    confident: bool = True
    least: float = 6.0


PUBLISHED = ObjectiveOptions(slope=10.0, confident=False, least=0.0)
MENDED = ObjectiveOptions()


class Objectives(NamedTuple):
    """The losses of each picture, (B,) each; ``total`` is weighed, the others are not."""

    face: Tensor
    occluder: Tensor
    margin: Tensor
    total: Tensor


def objectives(
    logits: Tensor, points: Tensor, labels: Tensor, confidence: Tensor, *, size_px: int,
    options: ObjectiveOptions = MENDED,
) -> Objectives:  # fmt: skip
    """The losses of a mask at the points that asked for it.

    With z the logit *of the face* and p = sigmoid(slope * z): face = -mean p over face points,
    occluder = +mean p over occluder points, margin = mean max(0, 0.5 - p) over face points.

    Args:
        logits: (B, 1, L, L), positive = occluder, whatever SAM was asked for.
        points: (B, N, 2) x y in px of the crop.
        labels: (B, N) as in :class:`s3pot.types.Prompts`; others than 0 and 1 take no part.
        confidence: (B, N) 0-1 of each point.
        size_px: S, side of the crop that the points are in.
        options: weights and form.

    Returns:
        Losses; a picture without points of a kind has 0 there.
    """
    p = torch.sigmoid(-options.slope * at_points(logits, points, size_px))
    weight = confidence if options.confident else torch.ones_like(p)
    on_face = weight * (labels == FACE)
    on_occluder = weight * (labels == OCCLUDER)
    face = -_mean(p, on_face, options.least)
    occluder = _mean(p, on_occluder, options.least)
    margin = _mean((0.5 - p).clamp(min=0), on_face, options.least)
    total = options.face * face + options.occluder * occluder + options.margin * margin
    return Objectives(face, occluder, margin, total)


def _mean(value: Tensor, weight: Tensor, least: float) -> Tensor:
    """(B, N) -> (B,) weighted mean; weights summing below ``least`` count as if they summed to it."""
    return (value * weight).sum(1) / weight.sum(1).clamp(min=max(least, 1e-6))


def at_points(logits: Tensor, points: Tensor, size_px: int) -> Tensor:
    """Read a mask at points.

    Args:
        logits: (B, 1, L, L), laid over the crop edge to edge.
        points: (B, N, 2) x y in px of the crop, pixel centres at integers.
        size_px: S.

    Returns:
        (B, N), bilinear.
    """
    spots = (points + 0.5) * (2 / size_px) - 1
    values = F.grid_sample(
        logits, spots[:, None].to(logits.dtype), align_corners=False, padding_mode="border"
    )
    return values[:, 0, 0]
