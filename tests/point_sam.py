"""A SAM small enough to reason about: tokens are mean colours, its mask goes to the nearest point."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot.network import Evidence
from s3pot.sam import Screen


class PointSam(nn.Module):
    """Keeps :class:`s3pot.sam.Sam`. Each token is the mean colour of its square about grey, and a
    constant, so that cosine sees lightness too.

    ``decode`` gives every place the label of the nearest point: +1 for foreground, -1 for
    background; ``screen`` is shown each point's embedding, four numbers whose mean that is, and
    moves the answer by what it adds. ``asked`` keeps what it was asked.
    """

    size_px, grid, width = 64, 8, 4
    mask_side = 16

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Tensor, Tensor, Tensor | None]] = []
        self.attended: list[tuple[Tensor, Tensor]] = []

    def encode(self, raw: Tensor) -> Tensor:
        colour = F.adaptive_avg_pool2d(raw, self.grid) * 2 - 1
        return torch.cat([colour, torch.full_like(colour[:, :1], 0.5)], 1)

    def attend(self, tokens: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        self.attended.append((points, labels))
        return tokens

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Evidence:
        raise NotImplementedError("the paper's method has an FE of its own")

    def decode(
        self, tokens: Tensor, points: Tensor, labels: Tensor, mask: Tensor | None,
        screen: Screen | None = None,
    ) -> Tensor:  # fmt: skip
        assert (labels >= 0).all(), "padding was sent"
        self.asked.append((points, labels, mask))
        batch, side = len(tokens), self.mask_side
        if labels.shape[1] == 0:
            return torch.zeros(batch, 1, side, side)
        sparse = (labels * 2.0 - 1)[..., None] * torch.tensor([0.5, 1.5, 1.0, 1.0])
        if screen is not None:
            sparse = screen(sparse, labels < 0)
        at = (torch.arange(side) + 0.5) * (self.size_px / side) - 0.5
        places = torch.cartesian_prod(at, at).flip(1)  # row by row, x y
        nearest = torch.cdist(places.expand(batch, -1, -1), points).argmin(2)
        return sparse.mean(2).gather(1, nearest).view(batch, 1, side, side)
