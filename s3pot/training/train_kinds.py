"""Train what tells the kinds of cover apart, and nothing else: ``s3pot train kinds``.

The evidence stays as it is, bit for bit; rare kinds are laid on more often than in life.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from s3pot import weights
from s3pot.sam import FaceSam
from s3pot.training.loop import Batch, Figures, Schedule, fit
from s3pot.training.losses import kind_loss
from s3pot.training.samples import CompositeSource
from s3pot.types import KINDS

MIX = {
    "hand": 0.16, "drawn_hand": 0.07, "drawn": 0.1, "object": 0.07, "mask": 0.1, "scarf": 0.04,
    "sunglasses": 0.12, "glasses": 0.14, "hat": 0.12, "hair": 0.08,
}  # fmt: skip


def kinds_loss(net: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy of the kinds; only their last layer has a gradient."""
    assert isinstance(net, FaceSam)
    net.eval()  # its norms keep their statistics
    evidence = net.enhance(batch["raw"], batch["reference"], batch["known"])
    return kind_loss(evidence.kinds, batch["kinds"], batch["region"])


@torch.inference_mode()
def recalls(net: nn.Module, batches: list[Batch]) -> Figures:
    """Of each kind the share of its pixels, at the middle of the cells, that are called so."""
    assert isinstance(net, FaceSam)
    hits, all_of = torch.zeros(len(KINDS)), torch.zeros(len(KINDS))
    for batch in batches:
        logits = net.enhance(batch["raw"], batch["reference"], batch["known"]).kinds
        truth = torch.where(batch["region"][:, 0] > 0, batch["kinds"], 255)[:, 2::4, 2::4]
        guess = logits.argmax(1)
        for kind in range(len(KINDS)):
            all_of[kind] += (truth == kind).sum()
            hits[kind] += ((truth == kind) & (guess == kind)).sum()
    return {f"recall_{name}": float(h / n) for name, h, n in zip(KINDS, hits, all_of, strict=True)}


def train_kinds(
    source: CompositeSource, run: Path, schedule: Schedule, say: Callable[[str], None], *,
    start: Path | str = "", held_out_batches: int = 6,
) -> Path:  # fmt: skip
    """Train or resume; returns the checkpoint, see :func:`s3pot.training.loop.fit`.

    Args:
        source: of composites; its mix is replaced by one in which no kind is rare.
        run: folder of checkpoint and log.
        schedule: how long and how fast.
        say: takes each line of the log.
        start: folder of the weights; "" is the package's.
        held_out_batches: of 32 samples, to validate on.
    """
    torch.manual_seed(schedule.seed)
    source = replace(source, mix=MIX)
    sam = FaceSam()
    weights.fill(sam, "face", str(start))
    sam.requires_grad_(False)
    sam.net.kinds.requires_grad_(True)
    held_out = source.held_out(held_out_batches)
    return fit(
        sam, lambda step: source.batches(schedule.batch, schedule.seed * 4000 + step),
        kinds_loss, lambda mean: recalls(mean, held_out), run=run, schedule=schedule, say=say,
    )  # fmt: skip
