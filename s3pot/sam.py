"""SAM's prompt encoder and two-way mask decoder, batched over faces, on any encoder's tokens.

The modules are ``segment_anything``'s own.  Its package cannot be imported where torchvision is
missing (it wants it for code we do not use), so its ``modeling`` is imported past its ``__init__``.
"""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot.network import GRID, INPUT_SIZE_PX, TOKEN_WIDTH, Evidence, FaceNet

PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def segment_anything(module: str) -> ModuleType:
    """A module of segment-anything, such as "modeling", without running the package's __init__.

    Raises:
        ModuleNotFoundError: segment-anything is not installed.
    """
    name = f"segment_anything.{module}"
    if "segment_anything" in sys.modules or name in sys.modules:
        return importlib.import_module(name)
    spec = importlib.util.find_spec("segment_anything")
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError("segment-anything is not installed; pip install segment-anything")
    shell = ModuleType("segment_anything")
    shell.__path__ = list(spec.submodule_search_locations)
    sys.modules["segment_anything"] = shell
    try:
        return importlib.import_module(name)
    finally:  # who imports the package later gets the real one
        del sys.modules["segment_anything"]


class Sam(Protocol):
    """What the pipeline asks of a SAM variant. Crops are (B, 3, S, S) float RGB 0-1."""

    size_px: int
    """S, the side of the crops."""

    mask_side: int
    """L, the side of the dense mask prompt and of the decoded logits."""

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Evidence:
        """FE: contrast raw with reference (known is (B, 1, S, S)) -> logits (B, 1, S, S), tokens."""
        ...

    def decode(self, tokens: Tensor, points: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """SAM's decoder: (B, C, G, G) tokens, (B, N, 2) points in px of the crop, (B, N) labels as
        in :class:`s3pot.types.Prompts`, (B, 1, L, L) mask prompt -> (B, 1, L, L) logits.
        """
        ...


class PromptedDecoder(nn.Module):
    """SAM's prompt encoder and mask decoder for several images, each with prompts of its own."""

    def __init__(self, prompt_encoder: nn.Module, mask_decoder: nn.Module) -> None:
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    def embed(self, points: Tensor, labels: Tensor) -> Tensor:
        """(B, N, 2) points in px of SAM's input and (B, N) labels -> (B, N, C) sparse embeddings."""
        encoder: Any = self.prompt_encoder
        place = encoder.pe_layer.forward_with_coords(points + 0.5, encoder.input_image_size)
        kinds = torch.cat(
            [encoder.not_a_point_embed.weight, *(e.weight for e in encoder.point_embeddings)]
        )
        return torch.where(labels[..., None] < 0, 0.0, place) + kinds[labels + 1]

    def forward(self, tokens: Tensor, points: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """See :meth:`Sam.decode`; stock ``predict_masks`` takes one image with many prompts."""
        decoder: Any = self.mask_decoder
        encoder: Any = self.prompt_encoder
        batch, width, height = tokens.shape[0], tokens.shape[1], tokens.shape[2]
        outputs = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        queries = torch.cat([outputs.expand(batch, -1, -1), self.embed(points, labels)], 1)
        image = tokens + encoder.mask_downscaling(mask)
        place = encoder.get_dense_pe().expand(batch, -1, -1, -1)
        answers, keys = decoder.transformer(image, place, queries)
        keys = keys.transpose(1, 2).reshape(batch, width, height, height)
        fine = decoder.output_upscaling(keys)
        weights = decoder.output_hypernetworks_mlps[0](answers[:, 1])
        return torch.einsum("bc,bchw->bhw", weights, fine)[:, None]


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
    return PromptedDecoder(prompt_encoder, mask_decoder)


class FaceSam(nn.Module):
    """The embedded default: :class:`~s3pot.network.FaceNet` and a small SAM decoder on its tokens."""

    size_px = INPUT_SIZE_PX
    mask_side = 4 * GRID

    def __init__(self) -> None:
        super().__init__()
        self.net = FaceNet()
        self.decoder = small_decoder()

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Evidence:
        """See :class:`Sam`."""
        evidence: Evidence = self.net(raw, reference, known)
        return evidence

    def decode(self, tokens: Tensor, points: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """See :class:`Sam`."""
        logits: Tensor = self.decoder(tokens, points, labels, mask)
        return logits


class VitSam(nn.Module):
    """An official SAM: its ViT gives the tokens and its decoder the mask; the embedded network
    still gives the evidence that becomes the prompts.
    """

    mask_side = 256
    mean: Tensor
    std: Tensor

    def __init__(self, sam: Any, face: FaceSam, size_px: int) -> None:
        super().__init__()
        self.image_encoder = sam.image_encoder
        self.decoder = PromptedDecoder(sam.prompt_encoder, sam.mask_decoder)
        self.face = face
        self.size_px = size_px
        self.input_px = int(sam.image_encoder.img_size)
        self.mask_side = self.input_px // 4
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1) / 255)
        self.register_buffer("std", torch.tensor(PIXEL_STD).view(1, 3, 1, 1) / 255)

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Evidence:
        """See :class:`Sam`."""
        small = [resize(x, INPUT_SIZE_PX) for x in (raw, reference, known)]
        evidence = self.face.enhance(*small)
        image = (resize(raw, self.input_px) - self.mean) / self.std
        tokens = self.image_encoder(image)
        return Evidence(resize(evidence.logits, self.size_px), tokens, evidence.coarse)

    def decode(self, tokens: Tensor, points: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
        """See :class:`Sam`; points are scaled from the crop to SAM's input."""
        scale = self.input_px / self.size_px
        logits: Tensor = self.decoder(tokens, (points + 0.5) * scale - 0.5, labels, mask)
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
        if not checkpoint.is_file():
            raise FileNotFoundError(
                f"{checkpoint}: no such checkpoint; model {name} needs SAM's file"
            )
        try:
            tensors = torch.load(checkpoint, map_location="cpu", weights_only=True)
            sam = segment_anything("build_sam").sam_model_registry[name]()
            sam.load_state_dict(tensors)
        except (RuntimeError, EOFError, ValueError, TypeError, pickle.UnpicklingError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ValueError(f"{checkpoint}: no checkpoint of SAM {name}: {reason}") from None
        return VitSam(sam, face, size_px)

    return build


builders: dict[str, Callable[[FaceSam, Path, int], Sam]] = {
    "face": lambda face, _checkpoint, _size_px: face,
    "vit_b": _vit("vit_b"),
    "vit_l": _vit("vit_l"),
    "vit_h": _vit("vit_h"),
}
"""SAM variants by name. To add one: a builder and a line here."""
