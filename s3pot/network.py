"""The embedded network ``face``: one siamese encoder, contrasted with the reference at four scales.

This is feature enhancement (FE) in our form: where the paper contrasts ViT-H tokens of raw and
reference at stride 16, a small shared encoder's features are contrasted at strides 2 to 16, so that
finger tips survive.  Its fused features at stride 8 are the tokens that SAM's decoder works on.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot.types import KINDS

INPUT_SIZE_PX = 192
TOKEN_STRIDE_PX = 8
GRID = INPUT_SIZE_PX // TOKEN_STRIDE_PX
WIDTHS = (16, 32, 64, 128)
DECODER_WIDTHS = (16, 40, 64, 96)


class Evidence(NamedTuple):
    """Attributes:
    logits: (B, 1, S, S), positive = something is in front of the face.
    tokens: (B, TOKEN_WIDTH, GRID, GRID), the enhanced features at stride 8.
    coarse: (B, 1, GRID, GRID), logits read off the tokens alone; used in training only.
    kinds: (B, K, S/4, S/4), logits of what covers each place, see :data:`s3pot.types.KINDS`.
    """

    logits: Tensor
    tokens: Tensor
    coarse: Tensor
    kinds: Tensor


TOKEN_WIDTH = DECODER_WIDTHS[2]


def conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU; the norm folds into the convolution for inference."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside a skip (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv(width, width)
        self.second = nn.Sequential(
            nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Encoder(nn.Module):
    """(B, 4, S, S) RGB and ``known`` -> features at strides 2, 4, 8, 16."""

    def __init__(self, blocks: tuple[int, ...] = (0, 1, 2, 2)) -> None:
        super().__init__()
        widths = (4, *WIDTHS)
        self.stages = nn.ModuleList(
            nn.Sequential(conv(a, b, 2), *(Residual(b) for _ in range(n)))
            for a, b, n in zip(widths, WIDTHS, blocks, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class FaceNet(nn.Module):
    """Raw crop and reference in, occlusion evidence and tokens out."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.contrast = nn.ModuleList(
            conv(3 * w, d, kernel=1) for w, d in zip(WIDTHS, DECODER_WIDTHS, strict=True)
        )
        self.lift = nn.ModuleList(
            conv(DECODER_WIDTHS[i + 1], DECODER_WIDTHS[i], kernel=1) for i in range(3)
        )
        self.mix = nn.ModuleList(conv(d, d) for d in DECODER_WIDTHS)
        self.coarse = nn.Conv2d(TOKEN_WIDTH, 1, 1)
        self.kinds = nn.Conv2d(DECODER_WIDTHS[1], len(KINDS), 1)
        self.fine = nn.Sequential(nn.Conv2d(DECODER_WIDTHS[0], 4, 3, padding=1), nn.PixelShuffle(2))

    def forward(self, raw: Tensor, reference: Tensor, known: Tensor) -> Evidence:
        """Contrast a raw face with its reference.

        Args:
            raw: (B, 3, S, S) float, RGB 0-1.
            reference: the same, 0 where unknown.
            known: (B, 1, S, S) float 0-1, how far the reference is to be believed.
        """
        both = torch.cat([raw, reference]) * 4 - 2
        trust = torch.cat([torch.ones_like(known), known])
        features = self.encoder(torch.cat([both * (trust > 0), trust], 1))
        fused: Tensor | None = None
        for level in (3, 2, 1, 0):
            x, r = features[level].chunk(2)
            now = self.contrast[level](torch.cat([x, (x - r).abs(), x * r], 1))
            if fused is not None:
                up = F.interpolate(fused, scale_factor=2.0, mode="bilinear", align_corners=False)
                now = now + self.lift[level](up)
            fused = self.mix[level](now)
            if level == 2:
                tokens = fused
            if level == 1:
                kinds = self.kinds(fused)
        return Evidence(self.fine(fused), tokens, self.coarse(tokens), kinds)
