"""The generator "regional": the paper's regional inversion in small (method.md 1.4).

A label map says where each region is; one short style vector for each region says what it looks like.
The network never sees the picture's own pixels, so an occluder can survive as a tint of its region
and as nothing else.  The paper's encoder pools 1280 learned features a region into StyleGAN2; ours
pools colours and their spread into a small U-Net at 96 px.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot.labels import CLASSES, facial
from s3pot.reference import StructureBatch
from s3pot.sam import resize
from s3pot.unet import GENERATOR_PX, one_step, small_unet

STYLE_WIDTH = 10
"""Mean RGB, coarse spread RGB, fine spread RGB, share of the region that was seen."""

BLUR_PX = 7
"""What a box of this side smooths away is fine, the rest is coarse."""


def one_hot(labels: Tensor, size: int) -> Tensor:
    """(B, S, S) int64 labels -> (B, 12, size, size) float 0 or 1, nearest."""
    small = F.interpolate(labels[:, None].float(), (size, size), mode="nearest-exact").long()
    return F.one_hot(small[:, 0], len(CLASSES)).permute(0, 3, 1, 2).float()


def pool_styles(face: Tensor, visible: Tensor, regions: Tensor) -> Tensor:
    """One style vector a region, over the pixels that are visible.

    Args:
        face: (B, 3, s, s) RGB 0-1.
        visible: (B, 1, s, s) 0-1, weight of each pixel.
        regions: (B, 12, s, s) one-hot.

    Returns:
        (B, 12, STYLE_WIDTH); a region of which nothing is seen is all 0, as in the paper.
    """
    weight = regions * visible
    area = weight.sum((2, 3))

    def mean(field: Tensor) -> Tensor:
        return torch.einsum("brhw,bchw->brc", weight, field) / area.clamp(min=1e-3)[..., None]

    half = BLUR_PX // 2
    near = F.avg_pool2d(visible, BLUR_PX, 1, half).clamp(min=1e-3)
    coarse = F.avg_pool2d(face * visible, BLUR_PX, 1, half) / near
    colour = mean(face)
    spread = (mean(coarse**2) - mean(coarse) ** 2).clamp(min=0)
    fine = mean((face - coarse) ** 2)
    seen = area / regions.sum((2, 3)).clamp(min=1)
    # The root of 0 has no slope, hence the small number; it also says "nothing" for both spreads.
    styles = torch.cat([colour, (spread + 1e-6).sqrt(), (fine + 1e-6).sqrt(), seen[..., None]], 2)
    return styles * (area > 0.5)[..., None]


class RegionalGenerator(nn.Module):
    """Label map and one style a region in, face out.

    Args:
        pool_hidden: also pool what is hidden, as published: the occluder then tints its region
            (method.md Q12).
    """

    whole = True

    def __init__(self, pool_hidden: bool = False) -> None:
        super().__init__()
        self.pool_hidden = pool_hidden
        self.unet: Any = small_unet(len(CLASSES) + STYLE_WIDTH, (16, 32, 64, 64))

    def forward(self, raw: Tensor, hidden: Tensor, structure: StructureBatch) -> Tensor:
        """See :class:`s3pot.reference.ReferenceGenerator`."""
        regions = one_hot(structure.labels, GENERATOR_PX)
        visible = torch.ones_like(hidden) if self.pool_hidden else 1 - hidden
        face = self.paint(resize(raw, GENERATOR_PX), resize(visible, GENERATOR_PX), regions)
        return torch.where(facial(structure.labels)[:, None], resize(face, raw.shape[-1]), raw)

    def paint(self, face: Tensor, visible: Tensor, regions: Tensor) -> Tensor:
        """One step at the generator's own size, shapes as in :func:`pool_styles`."""
        styles = pool_styles(face, visible, regions)
        painted = torch.einsum("brhw,brc->bchw", regions, styles)
        return one_step(self.unet, torch.cat([regions, painted], 1))
