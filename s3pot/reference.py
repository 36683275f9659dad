"""Reference generators: the face without the occluder, from nothing but the covered face.

One contract, :class:`ReferenceGenerator`; a registry of builders at the bottom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from s3pot.sam import resize

GENERATOR_PX = 96


class ReferenceGenerator(Protocol):
    """Paints what an occluder hides."""

    def __call__(self, raw: Tensor, hidden: Tensor) -> Tensor:
        """(B, 3, S, S) RGB 0-1 and (B, 1, S, S) probability that something is in front ->
        (B, 3, S, S) RGB 0-1, the whole face uncovered.
        """
        ...


def small_unet() -> nn.Module:
    """A small UNet2DModel of diffusers: masked RGB and the mask in, RGB out, in one step."""
    from diffusers import UNet2DModel  # noqa: PLC0415 - slow; most commands do not need it

    build: Any = UNet2DModel  # its constructor has no types
    model: nn.Module = build(
        sample_size=GENERATOR_PX, in_channels=4, out_channels=3, layers_per_block=1,
        block_out_channels=(24, 48, 96, 128), norm_num_groups=8,
        down_block_types=("DownBlock2D",) * 4, up_block_types=("UpBlock2D",) * 4,
        add_attention=False,
    )  # fmt: skip
    return model


class UNetGenerator(nn.Module):
    """A UNet2DModel that answers in one step at 96 px; the visible part is kept as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.unet: Any = small_unet()

    def forward(self, raw: Tensor, hidden: Tensor) -> Tensor:
        """See :class:`ReferenceGenerator`."""
        size = raw.shape[-1]
        face, mask = resize(raw, GENERATOR_PX), resize(hidden, GENERATOR_PX)
        painted = resize(self.paint(face, mask), size)
        return raw * (1 - hidden) + painted * hidden

    def paint(self, face: Tensor, mask: Tensor) -> Tensor:
        """One step at the generator's own size; both (B, ., 96, 96), 0-1 in and out."""
        masked = torch.cat([(face * 2 - 1) * (1 - mask), mask], 1)
        step = torch.zeros(len(face), device=face.device)
        return ((self.unet(masked, step).sample + 1) / 2).clamp(0, 1)


builders: dict[str, Callable[[], nn.Module | None]] = {"unet": UNetGenerator, "none": lambda: None}
"""Generators by name. To add one: a builder and a line here; "none" invents nothing."""
