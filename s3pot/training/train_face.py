"""Train the embedded network's evidence (FE) on composites: ``s3pot train encoder``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot import weights
from s3pot.network import GRID, Evidence, FaceNet
from s3pot.sam import FaceSam
from s3pot.training.loop import Batch, Figures, Schedule, fit
from s3pot.training.losses import evidence_loss, kind_loss, region_iou
from s3pot.training.samples import CompositeSource


def batch_loss(net: nn.Module, batch: Batch) -> Tensor:
    """Loss at full size, and a smaller one read off the tokens, so that they mean something."""
    evidence = Evidence(*(t.float() for t in net(batch["raw"], batch["reference"], batch["known"])))
    loss = evidence_loss(evidence.logits, batch["target"], batch["region"], batch["judged"])
    target = F.interpolate(batch["target"], (GRID, GRID), mode="area")
    judged = F.interpolate(batch["judged"], (GRID, GRID), mode="area")
    loss = loss + 0.2 * F.binary_cross_entropy_with_logits(evidence.coarse, target, judged)
    return loss + 0.15 * kind_loss(evidence.kinds, batch["kinds"], batch["region"])


@torch.inference_mode()
def validate(logits_of: Callable[[Batch], Tensor], batches: list[Batch]) -> Figures:
    """Occlusion IoU with a reference and without, and false alarms, on held-out composites.

    These rank runs; composites of cut-outs are not accuracy on real frames.
    """
    ious, alarms, known = [], [], []
    for batch in batches:
        iou, alarm = region_iou(logits_of(batch), batch["target"], batch["region"])
        ious.append(iou)
        alarms.append(alarm)
        known.append(batch["known"].amax((1, 2, 3)) > 0)
    iou, alarm, has = torch.cat(ious), torch.cat(alarms), torch.cat(known)
    clean = iou.isnan()
    return {
        "iou": float(iou[has].nanmean()), "iou_cold": float(iou[~has].nanmean()),
        "false_alarm": float(alarm[clean & has].mean()),
        "false_alarm_cold": float(alarm[clean & ~has].mean()),
    }  # fmt: skip


def train_face(
    source: CompositeSource, run: Path, schedule: Schedule, say: Callable[[str], None], *,
    start: Path | str | None = None, held_out_batches: int = 8,
) -> Path:  # fmt: skip
    """Train from scratch, fine-tune, or resume; returns the checkpoint, see :func:`s3pot.training.loop.fit`.

    Args:
        source: of composites.
        run: folder of checkpoint and log.
        schedule: how long and how fast.
        say: takes each line of the log.
        start: folder of the weights to start from, "" for the package's; None starts from scratch.
        held_out_batches: of 32 samples, to validate on.
    """
    torch.manual_seed(schedule.seed)
    net = FaceNet()
    if start is not None:
        sam = FaceSam()
        weights.fill(sam, "face", str(start))
        net = sam.net
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub omits it
    held_out = source.held_out(held_out_batches)

    def figures(mean: nn.Module) -> Figures:
        return validate(lambda b: mean(b["raw"], b["reference"], b["known"]).logits, held_out)

    return fit(
        net, lambda step: source.batches(schedule.batch, schedule.seed * 1000 + step),
        batch_loss, figures, run=run, schedule=schedule, say=say,
    )  # fmt: skip
