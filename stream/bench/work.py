"""What a stage does, counted: operations, bytes in and out, copies, trips between host and device.

Counted from outside and apart from the timing, which the counting would slow down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Array = NDArray[Any] | Tensor

COPIES = {"_to_copy", "copy_", "clone"}
"""Torch's operations that copy and do nothing else."""


@dataclass(slots=True)
class Work:
    """Of one stage, summed over its calls.

    Attributes:
        calls: counted.
        flops: of torch's products and convolutions; two for a multiplication with its addition.
        bytes_in: of the arrays that the stage was given.
        bytes_out: of the arrays that it handed on and that are not those, or views of those.
        weights: address -> bytes of each weight that it read.
        copied: bytes that torch copied, from one place to another.
        trips: how often a tensor went from the host to the device, or back.
    """

    calls: int = 0
    flops: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    weights: dict[int, int] = field(default_factory=dict)
    copied: int = 0
    trips: int = 0

    @property
    def moved(self) -> int:
        """Bytes that must pass the memory at least: what comes in, what goes out, all weights a call."""
        return self.bytes_in + self.bytes_out + self.calls * sum(self.weights.values())


class Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts for the stages that :func:`stream.bench.stages.watched` names, while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.stages: dict[str, Work] = {}
        self._running: list[Work] = [Work()]

    @contextmanager
    def stage(self, name: str) -> Iterator[Work]:
        """What is done within counts for this stage, and for none around it."""
        self._running.append(self.stages.setdefault(name, Work()))
        try:
            yield self._running[-1]
        finally:
            self._running.pop()

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same callable, counted; the name is the one of a clock's."""

        def run(*args: Any, **kwargs: Any) -> Any:
            with self.stage(name) as work:
                result = call(*args, **kwargs)
                given, made = arrays((args, kwargs)), arrays(result)
                work.calls += 1
                work.bytes_in += sum(array.nbytes for array in given)
                places = {place(array) for array in given}
                work.bytes_out += sum(a.nbytes for a in made if place(a) not in places)
                return result

        return run

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # fmt: skip
        """Count one operation of torch."""
        kwargs = kwargs or {}
        work, packet = self._running[-1], func._overloadpacket
        if packet not in flop_registry:  # in inference mode a convolution may hide in a larger one
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        result = func(*args, **kwargs)
        if packet in flop_registry:
            work.flops += flop_registry[packet](*args, **kwargs, out_val=result)
            work.weights |= {place(a): a.nbytes for a in args if isinstance(a, nn.Parameter)}
        if packet.__name__ in COPIES:
            work.copied += result.nbytes
            there = next(a for a in reversed(args) if isinstance(a, Tensor))
            work.trips += there.device.type != result.device.type
        return result


def arrays(content: Any) -> list[Array]:
    """Every array within containers and dataclasses."""
    if isinstance(content, np.ndarray | Tensor):
        return [content]
    if isinstance(content, dict):
        return [a for value in content.values() for a in arrays(value)]
    if isinstance(content, list | tuple):
        return [a for value in content for a in arrays(value)]
    if is_dataclass(content) and not isinstance(content, type):
        return [a for entry in fields(content) for a in arrays(getattr(content, entry.name, None))]
    return []


def place(array: Array) -> int:
    """Address of the memory that an array lies in, the same for all its views."""
    if isinstance(array, Tensor):
        return array.untyped_storage().data_ptr()
    while isinstance(array.base, np.ndarray):
        array = array.base
    return int(array.__array_interface__["data"][0])


def busy_share(device: torch.device, work: Callable[[], float]) -> float | None:
    """Share of ``work``'s seconds (which it returns) in which the card computes; None on a CPU."""
    if device.type != "cuda":
        return None
    kinds = [torch.profiler.ProfilerActivity.CUDA]
    profile: AbstractContextManager[Any] = torch.profiler.profile(activities=kinds)
    with profile as seen:
        seconds = work()
        torch.cuda.synchronize(device)
    return sum(event.self_device_time_total for event in seen.key_averages()) / 1e6 / seconds
