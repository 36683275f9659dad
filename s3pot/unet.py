"""The generator "unet": a small UNet2DModel of diffusers that uncovers a face in one step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from s3pot.reference import StructureBatch
from s3pot.sam import resize

GENERATOR_PX = 96


def small_unet(channels_in: int, widths: tuple[int, ...]) -> nn.Module:
    """A UNet2DModel for 96 px without attention: ``channels_in`` -> RGB."""
    from diffusers import UNet2DModel  # noqa: PLC0415 - slow; most commands do not need it

    build: Any = UNet2DModel  # its constructor has no types
    model: nn.Module = build(
        sample_size=GENERATOR_PX, in_channels=channels_in, out_channels=3, layers_per_block=1,
        block_out_channels=widths, norm_num_groups=8,
        down_block_types=("DownBlock2D",) * len(widths), up_block_types=("UpBlock2D",) * len(widths),
        add_attention=False,
    )  # fmt: skip
    return model


def one_step(unet: Any, picture: Tensor) -> Tensor:
    """(B, C, 96, 96) -> (B, 3, 96, 96) RGB 0-1, the model asked once, at time 0."""
    step = torch.zeros(len(picture), device=picture.device)
    return ((unet(picture, step).sample + 1) / 2).clamp(0, 1)


class UNetGenerator(nn.Module):
    """Masked face and mask in, face out; what is not hidden is kept as it is."""

    whole = False

    def __init__(self) -> None:
        super().__init__()
        self.unet: Any = small_unet(4, (24, 48, 96, 128))

    def forward(self, raw: Tensor, hidden: Tensor, structure: StructureBatch) -> Tensor:
        """See :class:`s3pot.reference.ReferenceGenerator`; the structure is not looked at."""
        size = raw.shape[-1]
        face, mask = resize(raw, GENERATOR_PX), resize(hidden, GENERATOR_PX)
        painted = resize(self.paint(face, mask), size)
        return raw * (1 - hidden) + painted * hidden

    def paint(self, face: Tensor, mask: Tensor) -> Tensor:
        """One step at the generator's own size; both (B, ., 96, 96), 0-1 in and out."""
        return one_step(self.unet, torch.cat([(face * 2 - 1) * (1 - mask), mask], 1))
