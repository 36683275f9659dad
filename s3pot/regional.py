"""The generator "regional": the paper's regional inversion in small (method.md 1.4).

A label map says where each region is; one short style vector for each region says what it looks like.
Beside them goes the light: the visible skin's colour at a few knots of the face, smooth between
them.  The network never sees the picture's own pixels, so an occluder that nobody declared can survive
as a tint and as nothing else.  The paper's encoder pools 1280 learned features a region into StyleGAN2;
ours pools colours and their spread into a small U-Net at 128 px.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot.labels import CLASSES, facial
from s3pot.reference import StructureBatch
from s3pot.sam import resize
from s3pot.unet import one_step, small_unet

REGIONAL_PX = 128
"""Side of what is painted."""

STYLE_WIDTH = 10
"""Mean RGB, coarse spread RGB, fine spread RGB, share of the region that was seen."""

BLUR_PX = 9
"""What a box of this side smooths away is fine, the rest is coarse."""


KNOTS = 5
"""Knots of the light a side, over the whole atlas; a face covers about three by four of them."""

SKIN = tuple(CLASSES.index(name) for name in ("skin", "nose"))


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


def atlas_places(structure: StructureBatch, size: int) -> Tensor:
    """(B, 2, size, size): for each pixel x y of the atlas, 0-1; -1 off the mesh."""
    side = structure.roll.shape[1]
    roll = F.interpolate(structure.roll.permute(0, 3, 1, 2), (size, size), mode="nearest-exact")
    return torch.where(roll < 0, -1.0, (roll + 0.5) / side)


def light_field(face: Tensor, skin: Tensor, places: Tensor) -> Tensor:
    """The visible skin's colour, smooth over the face; the hidden borrows from what is near.

    Args:
        face: (B, 3, s, s) RGB 0-1.
        skin: (B, 1, s, s) 0-1, skin that is seen.
        places: of :func:`atlas_places`.

    Returns:
        (B, 4, s, s): RGB, 0 where no skin is seen near, and 0-1 how much of it is.
    """
    knots = torch.arange(KNOTS, device=face.device).view(1, KNOTS, 1, 1)
    near_x, near_y = (
        (1 - (places[:, i : i + 1] * (KNOTS - 1) - knots).abs()).clamp(min=0) for i in (0, 1)
    )
    near = (near_y[:, :, None] * near_x[:, None]).flatten(1, 2) * (places[:, :1] >= 0)
    seen = torch.einsum("bkhw,bchw->bk", near, skin)
    sums = torch.einsum("bkhw,bchw->bkc", near, face * skin)
    weight = torch.einsum("bk,bkhw->bhw", seen, near)[:, None]
    colour = torch.einsum("bkc,bkhw->bchw", sums, near) / weight.clamp(min=1e-2)
    whole = torch.einsum("bk,bkhw->bhw", near.sum((2, 3)), near)[:, None]
    return torch.cat([colour * (weight > 1e-2), weight / whole.clamp(min=1e-2)], 1)


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
        self.unet: Any = small_unet(len(CLASSES) + STYLE_WIDTH + 4, (16, 32, 64, 64))

    def forward(self, raw: Tensor, hidden: Tensor, structure: StructureBatch) -> Tensor:
        """See :class:`s3pot.reference.ReferenceGenerator`."""
        regions = one_hot(structure.labels, REGIONAL_PX)
        visible = torch.ones_like(hidden) if self.pool_hidden else 1 - hidden
        small, seen = resize(raw, REGIONAL_PX), resize(visible, REGIONAL_PX)
        face = self.paint(small, seen, regions, atlas_places(structure, REGIONAL_PX))
        return torch.where(facial(structure.labels)[:, None], resize(face, raw.shape[-1]), raw)

    def paint(self, face: Tensor, visible: Tensor, regions: Tensor, places: Tensor) -> Tensor:
        """One step at the generator's own size; see :func:`pool_styles` and :func:`light_field`."""
        styles = pool_styles(face, visible, regions)
        painted = torch.einsum("brhw,brc->bchw", regions, styles)
        light = light_field(face, visible * regions[:, SKIN].sum(1, keepdim=True), places)
        return one_step(self.unet, torch.cat([regions, painted, light], 1))
