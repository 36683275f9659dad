"""The SAM variants: what the pipeline asks of one, the embedded one, and the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot.decoder import PromptedDecoder, Screen, segment_anything
from s3pot.network import GRID, INPUT_SIZE_PX, TOKEN_WIDTH, Evidence, FaceNet


class Sam(Protocol):
    """What the pipeline asks of a SAM variant. Crops are (B, 3, S, S) float RGB 0-1.

    Points are (B, N, 2) x y in px of the crop, pixel centres at integers; labels are (B, N) as in
    :class:`s3pot.types.Prompts`.
    """

    size_px: int
    """S, the side of the crops."""

    mask_side: int
    """L, the side of the dense mask prompt and of the decoded logits."""

    grid: int
    """G, the tokens a side; one covers S / G px of the crop."""

    width: int
    """C, the channels of a token and of an embedded prompt."""

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Evidence:
        """Our FE: contrast raw with reference (known is (B, 1, S, S)) -> logits (B, 1, S, S), tokens."""
        ...

    def encode(self, raw: Tensor) -> Tensor:
        """(B, 3, S, S) crops -> (B, C, G, G) tokens of SAM's image encoder (method.md 2.1)."""
        ...

    def attend(self, tokens: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        """FE's attended features (method.md 2.4) -> (B, C, G, G).

        The image side ("keys") of SAM's two-way transformer after its last block, with the learned
        no-mask embedding as dense prompt.
        """
        ...

    def decode(
        self, tokens: Tensor, points: Tensor, labels: Tensor, mask: Tensor | None,
        screen: Screen | None = None,
    ) -> Tensor:  # fmt: skip
        """SAM's mask decoder, its single mask (method.md 3.5).

        Args:
            tokens: (B, C, G, G), of :meth:`encode` or :meth:`enhance`.
            points: (B, N, 2).
            labels: (B, N).
            mask: (B, 1, L, L) logits as dense prompt; None is SAM's learned no-mask embedding.
            screen: changes the embedded prompts before they are asked (method.md 3.4).

        Returns:
            (B, 1, L, L) logits, positive = what the positive points lie on.
        """
        ...


def small_decoder() -> PromptedDecoder:
    """SAM's own modules, built for the 24 x 24 grid of the embedded network."""
    modeling = segment_anything("modeling")
    prompt_encoder = modeling.PromptEncoder(
        embed_dim=TOKEN_WIDTH, image_embedding_size=(GRID, GRID),
        input_image_size=(INPUT_SIZE_PX, INPUT_SIZE_PX), mask_in_chans=16,
    )  # fmt: skip
    transformer = modeling.TwoWayTransformer(
        depth=2, embedding_dim=TOKEN_WIDTH, mlp_dim=4 * TOKEN_WIDTH, num_heads=4
    )
    mask_decoder = modeling.MaskDecoder(
        num_multimask_outputs=3, transformer=transformer, transformer_dim=TOKEN_WIDTH,
        iou_head_hidden_dim=TOKEN_WIDTH,
    )  # fmt: skip
    return PromptedDecoder(prompt_encoder, mask_decoder, slots=True)


class FaceSam(nn.Module):
    """The embedded default: :class:`~s3pot.network.FaceNet` and a small SAM decoder on its tokens."""

    size_px = INPUT_SIZE_PX
    mask_side = 4 * GRID
    grid = GRID
    width = TOKEN_WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.net = FaceNet()
        self.decoder = small_decoder()

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Evidence:
        """See :class:`Sam`."""
        evidence: Evidence = self.net(raw, reference, known)
        return evidence

    def encode(self, raw: Tensor) -> Tensor:
        """See :class:`Sam`: the tokens of a crop about whose reference nothing is known."""
        evidence: Evidence = self.net(raw, torch.zeros_like(raw), torch.zeros_like(raw[:, :1]))
        return evidence.tokens

    def attend(self, tokens: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Sam`."""
        return self.decoder.attend(tokens, points, labels)

    def decode(
        self, tokens: Tensor, points: Tensor, labels: Tensor, mask: Tensor | None,
        screen: Screen | None = None,
    ) -> Tensor:  # fmt: skip
        """See :class:`Sam`."""
        logits: Tensor = self.decoder(tokens, points, labels, mask, screen)
        return logits


def resize(image: Tensor, side: int) -> Tensor:
    """(B, C, H, H) -> (B, C, side, side): bilinear, half-pixel centres, averaged when shrinking."""
    if image.shape[-1] == side:
        return image
    return F.interpolate(
        image, (side, side), mode="bilinear", align_corners=False, antialias=image.shape[-1] > side
    )


def _vit(name: str) -> Callable[[FaceSam, Path, int], Sam]:
    def build(face: FaceSam, checkpoint: Path, size_px: int) -> Sam:
        from s3pot.official import find_checkpoint  # noqa: PLC0415 - only who asks for it pays
        from s3pot.vit import VitSam, load_sam  # noqa: PLC0415 - it builds on this module

        return VitSam(load_sam(name, find_checkpoint(name, checkpoint)), face, size_px)

    return build


def _onnx(face: FaceSam, checkpoint: Path, size_px: int) -> Sam:
    from s3pot.onnx_sam import OnnxSam  # noqa: PLC0415 - it builds on this module

    return OnnxSam(checkpoint, face, size_px)


builders: dict[str, Callable[[FaceSam, Path, int], Sam]] = {
    "face": lambda face, _checkpoint, _size_px: face,
    "vit_b": _vit("vit_b"),
    "vit_l": _vit("vit_l"),
    "vit_h": _vit("vit_h"),
    "onnx": _onnx,
}
"""SAM variants by name: (embedded network, checkpoint, size_px) -> variant. To add one: a builder
and a line here. The checkpoint is a file, of "onnx" a folder; "face" takes none.
"""
