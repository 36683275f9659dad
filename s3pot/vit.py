"""SAM's official variants: ViT-B, ViT-L and ViT-H by checkpoint."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from s3pot.decoder import PromptedDecoder, Screen, segment_anything
from s3pot.network import INPUT_SIZE_PX, Evidence
from s3pot.sam import FaceSam, resize

PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of SAM's pictures, RGB 0-255 (method.md 2.1)."""

VARIANT_WIDTHS = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}
"""Width of the ViT -> variant."""

UNREADABLE = (
    RuntimeError, EOFError, ValueError, TypeError, LookupError, AttributeError, OverflowError,
    OSError, pickle.UnpicklingError, struct.error,
)  # fmt: skip
"""What ``torch.load`` raises for a file that is none of its own, or a part of one."""


class VitSam(nn.Module):
    """An official SAM: its ViT gives the tokens and its decoder the mask; the embedded network
    still gives the evidence that becomes the prompts.

    Args:
        sam: ``segment_anything.modeling.Sam``; any module may be its image encoder that takes
            (B, 3, ``img_size``, ``img_size``) normalised pictures to (B, C, G, G).
        face: the embedded network.
        size_px: S, the side of the crops.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, sam: Any, face: FaceSam, size_px: int) -> None:
        super().__init__()
        self.image_encoder = sam.image_encoder
        self.decoder = PromptedDecoder(sam.prompt_encoder, sam.mask_decoder)
        self.face = face
        self.size_px = size_px
        self.input_px = int(sam.image_encoder.img_size)
        self.grid = int(sam.prompt_encoder.image_embedding_size[0])
        self.width = int(sam.prompt_encoder.embed_dim)
        self.mask_side = 4 * self.grid
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1) / 255)
        self.register_buffer("std", torch.tensor(PIXEL_STD).view(1, 3, 1, 1) / 255)

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Evidence:
        """See :class:`s3pot.sam.Sam`."""
        small = [resize(x, INPUT_SIZE_PX) for x in (raw, reference, known)]
        evidence = self.face.enhance(*small)
        return evidence._replace(
            logits=resize(evidence.logits, self.size_px), tokens=self.encode(raw)
        )

    def encode(self, raw: Tensor) -> Tensor:
        """See :class:`s3pot.sam.Sam`; the crop is brought to SAM's input, with SAM's mean and std."""
        tokens: Tensor = self.image_encoder((resize(raw, self.input_px) - self.mean) / self.std)
        return tokens

    def attend(self, tokens: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        """See :class:`s3pot.sam.Sam`."""
        return self.decoder.attend(tokens, self._scaled(points), labels)

    def decode(
        self, tokens: Tensor, points: Tensor, labels: Tensor, mask: Tensor | None,
        screen: Screen | None = None,
    ) -> Tensor:  # fmt: skip
        """See :class:`s3pot.sam.Sam`."""
        logits: Tensor = self.decoder(tokens, self._scaled(points), labels, mask, screen)
        return logits

    def _scaled(self, points: Tensor) -> Tensor:
        """Points of the crop -> of SAM's input; pixel centres at integers in both."""
        return (points + 0.5) * (self.input_px / self.size_px) - 0.5


def load_sam(name: str, checkpoint: Path) -> Any:
    """An official SAM with the weights of its file.

    Args:
        name: "vit_b", "vit_l" or "vit_h".
        checkpoint: of that variant, as Meta ships it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, no checkpoint of SAM, or of another variant.
    """
    tensors = read_checkpoint(name, checkpoint)
    seen = variant_of(tensors)
    with torch.device("meta"):  # no time and no memory for weights that are not kept
        sam = segment_anything("build_sam").sam_model_registry[name]()
    try:
        sam.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        looks = f"it looks like SAM's {seen}" if seen not in ("", name) else first_fault(error)
        raise ValueError(f"{checkpoint}: no checkpoint of SAM {name}: {looks}") from None
    return sam


def read_checkpoint(name: str, checkpoint: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, as full floats.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or holds something else.
    """
    if not checkpoint.is_file():
        raise FileNotFoundError(f"{checkpoint}: no such checkpoint; model {name} needs SAM's file")
    with checkpoint.open("rb") as file:
        try:
            tensors = torch.load(file, map_location="cpu", weights_only=True)
        except UNREADABLE as error:
            raise ValueError(
                f"{checkpoint}: no checkpoint of SAM {name}: damaged, or no file of torch's:"
                f" {first_fault(error)}"
            ) from None
    if not isinstance(tensors, dict) or not all(isinstance(v, Tensor) for v in tensors.values()):
        raise ValueError(f"{checkpoint}: no checkpoint of SAM {name}: it holds no table of tensors")
    return {k: v.float() for k, v in tensors.items()}


def variant_of(tensors: dict[str, Tensor]) -> str:
    """The variant that the tensors' shapes tell; empty if none."""
    place = tensors.get("image_encoder.pos_embed")
    return VARIANT_WIDTHS.get(place.shape[-1] if place is not None and place.ndim else 0, "")


def first_fault(error: BaseException) -> str:
    """What an error says, in a line that is not too long."""
    return " ".join((str(error) or type(error).__name__).split())[:160]
