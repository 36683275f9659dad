"""The one training loop: warm up, hold the rate, cool down; averaged weights; resumable.

The rate is held until the cool-down, so a run can be stretched or cut short when it is resumed.
"""

from __future__ import annotations

import json
import math
import pickle
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

RETRIES = 3
"""So often training goes back to its last good checkpoint after a loss that is no number."""

Batch = dict[str, Tensor]
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Attributes:
    steps: in all.
    cooldown: steps at the end in which the rate falls to 0.
    warmup: steps at the start in which it rises.
    batch: samples a step.
    rate: AdamW's highest learning rate.
    seed: of the weights and of the samples.
    every: steps from one checkpoint and validation to the next.
    bf16: compute convolutions and products in bfloat16; on a CPU with AMX twice as fast. Weights,
        losses and averages stay float32.
    """

    steps: int = 6000
    cooldown: int = 1500
    warmup: int = 150
    batch: int = 16
    rate: float = 2e-3
    seed: int = 1
    every: int = 250
    bf16: bool = False

    def rate_at(self, step: int) -> float:
        """The learning rate at a step, counted from 0."""
        up = min(1.0, (step + 1) / max(1, self.warmup))
        down = min(1.0, max(0.0, (self.steps - step) / max(1, self.cooldown)))
        return self.rate * up * down


def fit(
    net: nn.Module,
    batches: Callable[[int], Iterator[Batch]],
    loss_of: Callable[[nn.Module, Batch], Tensor],
    validate: Callable[[nn.Module], Figures],
    *,
    run: Path,
    schedule: Schedule,
    say: Callable[[str], None],
) -> Path:
    """Train ``net``, going on from ``run/last.pt`` where there is one.

    Args:
        net: what is trained; parameters that need no gradient stay.
        batches: endless batches, given the step from which they are wanted.
        loss_of: scalar loss of a batch.
        validate: figures of the averaged network, for the log.
        run: folder of ``last.pt`` and ``log.jsonl``.
        schedule: how long and how fast.
        say: takes each line of the log.

    Returns:
        The checkpoint; ``mean`` in it are the averaged weights, which are the ones to use.

    Raises:
        FloatingPointError: the loss or its slope is no finite number, and going on from the last
            checkpoint with other samples did not help; it stays as it was.
        ValueError: the checkpoint is of another network, or is none.
    """
    run.mkdir(parents=True, exist_ok=True)
    mean = deepcopy(net).eval()
    trained = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, schedule.rate, weight_decay=0.02)
    last = run / "last.pt"
    step = _resume(last, net, mean, optimizer) if last.exists() else 0
    losses: list[float] = []
    stream, began, failures = batches(step), time.monotonic(), 0
    while step < schedule.steps:
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(step)
        net.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=schedule.bf16):
            loss = loss_of(net, next(stream))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        slope = nn.utils.clip_grad_norm_(trained, 1.0)
        # A finite loss may have a slope that is no number: one such step, and no weight is one.
        if not (math.isfinite(loss.item()) and math.isfinite(slope.item())):
            failures += 1
            step = _recover(last, net, mean, optimizer, step=step, failures=failures, say=say)
            stream = batches(step + failures)  # other samples than those that led there
            losses.clear()
            continue
        optimizer.step()
        average(mean, net, step)
        losses.append(loss.item())
        step += 1
        if step % schedule.every == 0 or step == schedule.steps:
            figures = {
                "step": step, "samples": step * schedule.batch,
                "loss": float(np.mean(losses)), "minutes": (time.monotonic() - began) / 60,
                **validate(mean),
            }  # fmt: skip
            losses.clear()
            _save(last, net, mean, optimizer, step=step, schedule=schedule)
            with (run / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(figures) + "\n")
            say(json.dumps(figures))
    return last


def _recover(
    last: Path, net: nn.Module, mean: nn.Module, optimizer: torch.optim.Optimizer, *, step: int,
    failures: int, say: Callable[[str], None],
) -> int:  # fmt: skip
    """Go back to the last good checkpoint, and say so; the step that it is of."""
    if failures > RETRIES or not last.exists():
        kept = f"{last} is as it was" if last.exists() else "there is no checkpoint yet"
        raise FloatingPointError(f"step {step}: the loss is no finite number; {kept}")
    good = _resume(last, net, mean, optimizer)
    say(json.dumps({"not_finite_at": step, "goes_on_from": good, "failure": failures}))
    return good


def average(mean: nn.Module, net: nn.Module, step: int) -> None:
    """Move the averaged weights towards the trained ones; the memory is short at the start."""
    keep = min(0.998, (1 + step) / (10 + step))
    with torch.no_grad():
        for a, b in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
            if a.dtype.is_floating_point:
                a.lerp_(b, 1 - keep)
            else:
                a.copy_(b)


def mean_weights(checkpoint: Path) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no checkpoint of :func:`fit`.
    """
    mean: dict[str, Tensor] = _load(checkpoint)["mean"]
    return mean


def fill(net: nn.Module, tensors: dict[str, Tensor], checkpoint: Path) -> None:
    """Give a network the tensors of a checkpoint.

    Raises:
        ValueError: the checkpoint is of another network.
    """
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{checkpoint}: of another network: {reason}") from None


def _load(checkpoint: Path) -> dict[str, Any]:
    try:
        state = torch.load(checkpoint, weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{checkpoint}: no checkpoint of a training run: {reason}") from None
    if not isinstance(state, dict) or not {"net", "mean", "optimizer", "step"} <= state.keys():
        raise ValueError(f"{checkpoint}: no checkpoint of a training run")
    return state


def _resume(last: Path, net: nn.Module, mean: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    state = _load(last)
    fill(net, state["net"], last)
    fill(mean, state["mean"], last)
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def _save(
    path: Path, net: nn.Module, mean: nn.Module, optimizer: torch.optim.Optimizer, *, step: int,
    schedule: Schedule,
) -> None:  # fmt: skip
    partial = path.with_suffix(".partial")
    torch.save(
        {"net": net.state_dict(), "mean": mean.state_dict(), "optimizer": optimizer.state_dict(),
         "step": step, "schedule": asdict(schedule)}, partial,
    )  # fmt: skip
    partial.replace(path)
