"""Train the reference generator to uncover faces: ``s3pot train reference``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot.sam import resize
from s3pot.training.loop import Batch, Figures, Schedule, fit
from s3pot.training.losses import painting_loss
from s3pot.training.samples import CompositeSource
from s3pot.unet import GENERATOR_PX, UNetGenerator


def guess_hidden(target: Tensor) -> Tensor:
    """The occluder as cold-start evidence sees it: too large, too small, partly missed.

    Args:
        target: (B, 1, s, s) true alpha 0-1.
    """
    batch, side = len(target), target.shape[-1]
    wide = F.max_pool2d(target, 7, 1, 3)
    thin = -F.max_pool2d(-target, 5, 1, 2)
    draw = torch.rand(batch, 1, 1, 1)
    hidden = torch.where(draw < 0.45, wide, torch.where(draw < 0.65, thin, target))
    missed = (resize(torch.randn(batch, 1, 4, 4), side) > 0.9) & (torch.rand(batch, 1, 1, 1) < 0.5)
    invented = (resize(torch.randn(batch, 1, 5, 5), side) > 1.2) & (
        torch.rand(batch, 1, 1, 1) < 0.5
    )
    return torch.where(invented, 1.0, hidden * ~missed)


def painted_loss(net: nn.Module, batch: Batch) -> Tensor:
    """L1 on colours and on their slopes, most of all on the face and where it was hidden."""
    assert isinstance(net, UNetGenerator)
    raw, clean, target, region = (
        resize(batch[name], GENERATOR_PX) for name in ("raw", "clean", "target", "region")
    )
    painted = net.paint(raw, guess_hidden(target))
    weight = 0.2 + region * (0.8 + 3 * target)
    return painting_loss(painted, clean, weight)


def train_reference(
    source: CompositeSource, run: Path, schedule: Schedule, say: Callable[[str], None], *,
    held_out_batches: int = 2,
) -> Path:  # fmt: skip
    """Train from scratch or resume; returns the checkpoint, see :func:`s3pot.training.loop.fit`.

    Args:
        source: of composites.
        run: folder of checkpoint and log.
        schedule: how long and how fast.
        say: takes each line of the log.
        held_out_batches: of 32 samples, to validate on.
    """
    torch.manual_seed(schedule.seed)
    held_out = source.held_out(held_out_batches)

    @torch.inference_mode()
    def figures(mean: nn.Module) -> Figures:
        torch.manual_seed(0)
        losses = [painted_loss(mean.eval(), batch).item() for batch in held_out]
        return {"held_out_loss": sum(losses) / len(losses)}

    return fit(
        UNetGenerator(), lambda step: source.batches(schedule.batch, schedule.seed * 3000 + step),
        painted_loss, figures, run=run, schedule=schedule, say=say,
    )  # fmt: skip
