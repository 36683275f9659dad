"""PS: from evidence to what SAM's decoder is asked.

Prompts are the evidence itself as dense mask prompt, its box, and a few well-spread points; trials
found points beside finger edges worse than none, so a point needs confident cells all round it.
Everything is of fixed shape and stays on the device.  (Paper: section on prompt selection; its
one-to-one matching comes as a setting of its own.)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

CELLS = 48
"""Side of the grid on which points are chosen."""

OCCLUDER, FACE, PADDING = 1, 0, -1
BOX_CORNERS = (2, 3)
"""Labels; their meaning is stated in :class:`s3pot.types.Prompts`."""


class PromptBatch(NamedTuple):
    """Prompts of B faces: points (B, N, 2) px of the crop, labels (B, N), mask (B, 1, L, L)."""

    points: Tensor
    labels: Tensor
    mask: Tensor


def select_prompts(
    logits: Tensor, region: Tensor, *, positive: int = 4, negative: int = 4, box: bool = True,
    mask_scale: float = 1.0, mask_side: int = 96, min_area: float = 0.004,
) -> PromptBatch:  # fmt: skip
    """Choose prompts for each face.

    Args:
        logits: (B, 1, S, S) evidence, positive = occluder.
        region: (B, 1, S, S) 0 or 1, the amodal face.
        positive: points on the occluder.
        negative: points on the face.
        box: also the occluder's box.
        mask_scale: factor on the dense prompt.
        mask_side: L.
        min_area: share of the face below which the evidence sends neither box nor positive points.
    """
    size = logits.shape[-1]
    belief = F.adaptive_avg_pool2d(torch.sigmoid(logits) * region, CELLS)
    face = F.adaptive_avg_pool2d(region, CELLS)
    something = (belief.sum((1, 2, 3)) > min_area * face.sum((1, 2, 3)))[:, None]
    sure = F.avg_pool2d(belief, 3, 1, 1)
    on = spread(torch.where(sure > 0.8, sure, 0.0)[:, 0], positive)
    bare = F.avg_pool2d((face > 0.9) * (1 - belief), 5, 1, 2)
    off = spread(torch.where(bare > 0.95, bare, 0.0)[:, 0], negative)
    cells = torch.cat([on.cells, off.cells], 1)
    labels = torch.cat(
        [
            torch.where(on.found & something, OCCLUDER, PADDING),
            torch.where(off.found, FACE, PADDING),
        ],
        1,
    )
    points = (cells + 0.5) * (size / CELLS) - 0.5
    if box:
        corners = bounding_box(belief[:, 0] > 0.5) * (size / CELLS) - 0.5
        corner_labels = torch.tensor(BOX_CORNERS, device=labels.device).expand(len(labels), 2)
        usable = something & (belief > 0.5).any((2, 3))
        labels = torch.cat([labels, torch.where(usable, corner_labels, PADDING)], 1)
        points = torch.cat([points, corners], 1)
    # Off the face the evidence is no prompt: the decoder is asked about the face.
    mask = F.interpolate(
        torch.where(region > 0, logits, -8.0).clamp(-8, 8), (mask_side, mask_side),
        mode="bilinear", align_corners=False, antialias=mask_side < size,
    )  # fmt: skip
    return PromptBatch(points, labels, mask * mask_scale)


class Spread(NamedTuple):
    """Chosen cells (B, n, 2) x y, and whether each was really found (B, n)."""

    cells: Tensor
    found: Tensor


def spread(score: Tensor, count: int) -> Spread:
    """Farthest-point sampling over the cells with score above 0.

    Args:
        score: (B, G, G); the first point is the highest, each next maximises score times distance
            to the points so far.
        count: n.
    """
    side = score.shape[-1]
    flat = score.flatten(1)
    ys, xs = torch.meshgrid(
        torch.arange(side, device=score.device),
        torch.arange(side, device=score.device),
        indexing="ij",
    )
    grid = torch.stack([xs, ys], -1).reshape(-1, 2).to(score.dtype)
    reach = torch.ones_like(flat)
    cells, found = [], []
    for step in range(count):
        value, index = (flat * reach).max(1)
        cells.append(grid[index])
        # a second point within two cells of the first says nothing new
        found.append(value > (0 if step == 0 else 2 / side * 0.8))
        distance = (grid[None] - grid[index][:, None]).norm(dim=-1) / side
        reach = distance if step == 0 else torch.minimum(reach, distance)
    if not cells:
        nothing = torch.zeros(len(score), 0, device=score.device)
        return Spread(nothing[..., None].expand(-1, -1, 2), nothing.bool())
    return Spread(torch.stack(cells, 1), torch.stack(found, 1))


def bounding_box(cells: Tensor) -> Tensor:
    """(B, G, G) bool -> (B, 2, 2) x y of the top-left and (exclusive) bottom-right corner."""
    side = cells.shape[-1]
    index = torch.arange(side, device=cells.device)

    def ends(line: Tensor) -> tuple[Tensor, Tensor]:
        low = torch.where(line, index, side).amin(1)
        high = torch.where(line, index + 1, 0).amax(1)
        return low, high

    (x0, x1), (y0, y1) = ends(cells.any(1)), ends(cells.any(2))
    return torch.stack([torch.stack([x0, y0], -1), torch.stack([x1, y1], -1)], 1).float()
