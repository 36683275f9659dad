"""Train SAM's prompt encoder and mask decoder on the embedded tokens: ``s3pot train head``.

The encoder is frozen.  Prompts are chosen from its own evidence, made worse at random, so that the
decoder learns to mend and not to copy.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot import weights
from s3pot.network import Evidence
from s3pot.prompts import select_prompts
from s3pot.sam import FaceSam, resize
from s3pot.training.loop import Batch, Figures, Schedule, fill, fit, mean_weights
from s3pot.training.losses import evidence_loss
from s3pot.training.samples import CompositeSource
from s3pot.training.train_face import validate

POINTS_ONLY = 0.25
"""So many batches are asked by points alone."""


def spoil(logits: Tensor) -> Tensor:
    """Evidence as it is on worse days: scaled, shifted, blotched, blurred; (B, 1, S, S)."""
    batch, side = len(logits), logits.shape[-1]
    scale = torch.empty(batch, 1, 1, 1).uniform_(0.5, 1.2)
    shift = torch.randn(batch, 1, 1, 1) * 0.7
    blotch = resize(torch.randn(batch, 1, 8, 8), side) * torch.rand(batch, 1, 1, 1) * 3
    blurred = F.avg_pool2d(logits, 5, 1, 2)
    pick = torch.rand(batch, 1, 1, 1) < 0.3
    return torch.where(pick, blurred, logits) * scale + shift + blotch


def decoded(
    sam: FaceSam, evidence: Evidence, logits: Tensor, region: Tensor, *, points: int = 0
) -> Tensor:
    """The decoder's logits at the crop's size, prompted by ``logits``.

    Args:
        sam: whose decoder answers.
        evidence: of the faces.
        logits: (B, 1, S, S) what the prompts are chosen from.
        region: (B, 1, S, S) 0 or 1.
        points: 0 asks as method "evidence" does; else so many points of each kind and nothing more,
            as method "paper" asks.
    """
    if points:
        prompts = select_prompts(logits, region, positive=points, negative=points, box=False)
        coarse = sam.decode(evidence.tokens, prompts.points, prompts.labels, None)
    else:
        prompts = select_prompts(logits, region, mask_side=sam.mask_side)
        coarse = sam.decode(evidence.tokens, prompts.points, prompts.labels, prompts.mask)
    return resize(coarse, logits.shape[-1])


def train_head(
    source: CompositeSource,
    encoder: Path,
    run: Path,
    schedule: Schedule,
    say: Callable[[str], None],
    *,
    start: Path | str | None = None,
    held_out_batches: int = 8,
) -> Path:
    """Train the decoder of a trained encoder.

    Args:
        source: of composites.
        encoder: checkpoint of ``train_face``.
        run: folder of checkpoint and log, see :func:`s3pot.training.loop.fit`.
        schedule: how long and how fast.
        say: takes each line of the log.
        start: folder of the weights whose decoder to start from, "" for the package's; None starts
            from scratch.
        held_out_batches: of 32 samples, to validate on.

    Returns:
        The checkpoint; its ``mean`` is a whole :class:`~s3pot.sam.FaceSam`.
    """
    torch.manual_seed(schedule.seed)
    sam = FaceSam()
    if start is not None:
        weights.fill(sam, "face", str(start))
    fill(sam.net, mean_weights(encoder), encoder)
    sam.net.requires_grad_(False)
    held_out = source.held_out(held_out_batches)

    def loss_of(net: nn.Module, batch: Batch) -> Tensor:
        assert isinstance(net, FaceSam)
        net.net.eval()
        with torch.no_grad():
            evidence = net.enhance(batch["raw"], batch["reference"], batch["known"])
        # Now and then as the paper asks, or SAM's embedding of "no mask" would stay as it was drawn.
        points = int(torch.randint(4, 33, ())) if torch.rand(()) < POINTS_ONLY else 0
        answer = decoded(net, evidence, spoil(evidence.logits), batch["region"], points=points)
        mixed = (answer + evidence.logits) / 2
        truth = batch["target"], batch["region"], batch["judged"]
        return evidence_loss(answer, *truth) + evidence_loss(mixed, *truth)

    def figures(mean: nn.Module) -> Figures:
        return compare(mean, held_out)

    return fit(
        sam, lambda step: source.batches(schedule.batch, schedule.seed * 2000 + step),
        loss_of, figures, run=run, schedule=schedule, say=say,
    )  # fmt: skip


@torch.inference_mode()
def compare(net: nn.Module, batches: list[Batch]) -> Figures:
    """Figures of evidence alone, of the decoder alone and of their mean, side by side."""
    assert isinstance(net, FaceSam)
    sam = net.eval()

    def share(weight: float) -> Callable[[Batch], Tensor]:
        def logits_of(batch: Batch) -> Tensor:
            evidence = sam.enhance(batch["raw"], batch["reference"], batch["known"])
            answer = decoded(sam, evidence, evidence.logits, batch["region"])
            return evidence.logits * (1 - weight) + answer * weight

        return logits_of

    names = {"evidence": 0.0, "mixed": 0.5, "decoder": 1.0}
    return {
        f"{name}_{key}": value
        for name, weight in names.items()
        for key, value in validate(share(weight), batches).items()
    }
