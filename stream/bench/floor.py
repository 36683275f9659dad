"""The least time that a machine could need for what a stage does: its roofline, and how far we are."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from stream.bench.work import Work

SIDE = 1536
"""Of the matrices whose product measures the operations."""

COPY_BYTES = 128 * 2**20
"""More than any cache holds."""

TRIES = 7


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What this machine reached, at best, just now.

    Attributes:
        flops: a second, float32, product of matrices on the model's device and threads.
        bytes: a second, read and written, of a copy in the host's memory.
    """

    flops: float
    bytes: float

    def seconds(self, work: Work) -> float:
        """The least that a stage's work can take (Williams et al., Roofline, CACM 2009)."""
        return max(work.flops / self.flops, work.moved / self.bytes)


def ceilings(device: torch.device) -> Ceilings:
    """Measure them; a second or two."""
    left = torch.rand(SIDE, SIDE, device=device)

    def product() -> None:
        # Read back, so that a card has done it.
        (left @ left)[0, 0].item()

    source = np.ones(COPY_BYTES, np.uint8)
    target = np.empty_like(source)
    return Ceilings(
        2 * SIDE**3 / best(product), 2 * COPY_BYTES / best(lambda: np.copyto(target, source))
    )


def best(work: Callable[[], None]) -> float:
    """Seconds of the fastest of some tries, the first not counted."""
    work()
    spent = []
    for _ in range(TRIES):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)
