"""What the evidence is taught: the occluder's alpha, most of all at its edge and on the face."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

OFF_FACE_WEIGHT = 0.2
EDGE_WEIGHT = 3.0


def evidence_loss(
    logits: Tensor, target: Tensor, region: Tensor, judged: Tensor | None = None
) -> Tensor:
    """Edge-weighted cross-entropy plus soft dice, over the face's amodal region.

    Args:
        logits: (B, 1, S, S), positive = occluder.
        target: (B, 1, S, S) alpha 0-1.
        region: (B, 1, S, S) 0 or 1.
        judged: (B, 1, S, S) 0 where nobody knows what is seen; None: everywhere known.

    Returns:
        Scalar. Pixels off the face weigh OFF_FACE_WEIGHT: no mask leaves the face, but what comes
        in from outside is easier to know with the outside learned.
    """
    wide = F.max_pool2d(target, 7, 1, 3) + F.max_pool2d(-target, 7, 1, 3)
    weight = (OFF_FACE_WEIGHT + (1 - OFF_FACE_WEIGHT) * region) * (1 + EDGE_WEIGHT * wide)
    if judged is not None:
        weight, region = weight * judged, region * judged
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    guess = torch.sigmoid(logits) * region
    truth = target * region
    overlap = (guess * truth).sum((1, 2, 3))
    total = guess.sum((1, 2, 3)) + truth.sum((1, 2, 3))
    dice = 1 - (2 * overlap + 50) / (total + 50)  # 50 px: a clean face with a speck is no disaster
    return (entropy * weight).sum() / weight.sum() + 0.5 * dice.mean()


def painting_loss(painted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """L1 on colours and on their slopes, for generators.

    Args:
        painted: (B, 3, s, s) RGB 0-1.
        truth: the same.
        weight: (B, 1, s, s).
    """
    loss = ((painted - truth).abs() * weight).mean()
    for dim in (2, 3):
        slope = (painted.diff(dim=dim) - truth.diff(dim=dim)).abs()
        loss = loss + (slope * weight.narrow(dim, 1, slope.shape[dim])).mean()
    return loss


def kind_loss(logits: Tensor, kinds: Tensor, region: Tensor) -> Tensor:
    """Cross-entropy of the kinds, at the middle of each cell, on the face.

    Args:
        logits: (B, K, S/4, S/4).
        kinds: (B, S, S) int64, 255 where nobody has said.
        region: (B, 1, S, S) 0 or 1.
    """
    step = kinds.shape[-1] // logits.shape[-1]
    middle = slice(step // 2, None, step)
    truth = torch.where(region[:, 0, middle, middle] > 0, kinds[:, middle, middle], 255)
    total = F.cross_entropy(logits, truth, ignore_index=255, reduction="sum")
    return total / (truth != 255).sum().clamp(min=1)


def region_iou(logits: Tensor, target: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """Per sample: occlusion IoU inside the region, nan where the face is clean; and the share of
    the region that is a false alarm. Shapes as above; both (B,).
    """
    guess, truth, region = logits > 0, target > 0.5, region > 0.5
    inside = (guess & truth & region).sum((1, 2, 3)).float()
    union = ((guess | truth) & region).sum((1, 2, 3)).float()
    covered = (truth & region).sum((1, 2, 3)) > 20
    iou = torch.where(covered, inside / union, torch.nan)
    return iou, (guess & ~truth & region).sum((1, 2, 3)) / region.sum((1, 2, 3))
