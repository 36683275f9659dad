"""SAM's prompt encoder and two-way mask decoder, batched over faces, on any encoder's tokens.

The modules are ``segment_anything``'s own.  Its package cannot be imported where torchvision is
missing (it wants it for code we do not use), so its ``modeling`` is imported past its ``__init__``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from s3pot.prompts import BOX_CORNERS

Screen = Callable[[Tensor, Tensor], Tensor]
"""Sparse embeddings (B, N, C) and padding (B, N) bool (True = padding) -> new embeddings."""


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


class PromptedDecoder(nn.Module):
    """SAM's prompt encoder and mask decoder for several images, each with prompts of its own.

    Args:
        prompt_encoder: ``segment_anything``'s.
        mask_decoder: the same.
        slots: padding is a prompt of its own, as the embedded decoder was trained; False asks each
            image with its real prompts only, and as SAM does with one padding where it has no box.
    """

    def __init__(
        self, prompt_encoder: nn.Module, mask_decoder: nn.Module, *, slots: bool = False
    ) -> None:
        super().__init__()
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.slots = slots

    def embed(self, points: Tensor, labels: Tensor) -> Tensor:
        """(B, N, 2) points in px of SAM's input and (B, N) labels -> (B, N, C) sparse embeddings."""
        encoder: Any = self.prompt_encoder
        place = encoder.pe_layer.forward_with_coords(points + 0.5, encoder.input_image_size)
        kinds = torch.cat(
            [encoder.not_a_point_embed.weight, *(e.weight for e in encoder.point_embeddings)]
        )
        return torch.where(labels[..., None] < 0, 0.0, place) + kinds[labels + 1]

    def embed_mask(self, mask: Tensor | None) -> Tensor:
        """(B, 1, L, L) logits -> (B, C, G, G); None -> (1, C, 1, 1), the learned no-mask embedding."""
        encoder: Any = self.prompt_encoder
        dense: Tensor = (
            encoder.no_mask_embed.weight[..., None, None]
            if mask is None
            else encoder.mask_downscaling(mask)
        )
        return dense

    def attend(self, tokens: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`s3pot.sam.Sam.attend`."""
        _, keys = self._transform(
            tokens + self.embed_mask(None), self.embed(points, labels), labels
        )
        return keys

    def forward(
        self, tokens: Tensor, points: Tensor, labels: Tensor, mask: Tensor | None,
        screen: Screen | None = None,
    ) -> Tensor:  # fmt: skip
        """See :meth:`s3pot.sam.Sam.decode`; stock ``predict_masks`` takes one image with many prompts."""
        decoder: Any = self.mask_decoder
        sparse = self.embed(points, labels)
        if screen is not None:
            sparse = screen(sparse, labels < 0)
        answer, keys = self._transform(tokens + self.embed_mask(mask), sparse, labels)
        weights = decoder.output_hypernetworks_mlps[0](answer)
        return torch.einsum("bc,bchw->bhw", weights, decoder.output_upscaling(keys))[:, None]

    def _transform(self, image: Tensor, sparse: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Image with its dense prompt (B, C, G, G) and sparse prompts (B, N, C) through the two-way
        transformer -> what it says of the single mask (B, C), and the keys (B, C, G, G).
        """
        if self.slots:
            return self._two_way(image, sparse)
        asked = self._as_sam_asks(sparse, labels)
        groups: dict[int, list[int]] = {}
        for row, prompts in enumerate(asked):
            groups.setdefault(len(prompts), []).append(row)
        parts = [
            self._two_way(image[rows], torch.stack([asked[row] for row in rows]))
            for rows in groups.values()
        ]
        order = torch.tensor([row for rows in groups.values() for row in rows]).argsort()
        answers, keys = (torch.cat(x)[order.to(image.device)] for x in zip(*parts, strict=True))
        return answers, keys

    def _as_sam_asks(self, sparse: Tensor, labels: Tensor) -> list[Tensor]:
        """The real prompts of each image, (n, C); and one padding where there is no box."""
        encoder: Any = self.prompt_encoder
        padding = encoder.not_a_point_embed.weight
        boxed = torch.isin(labels, torch.tensor(BOX_CORNERS, device=labels.device)).any(1)
        return [
            row[real] if box else torch.cat([row[real], padding])
            for row, real, box in zip(sparse, labels >= 0, boxed.tolist(), strict=True)
        ]

    def _two_way(self, image: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        decoder: Any = self.mask_decoder
        encoder: Any = self.prompt_encoder
        batch, width, height = image.shape[:3]
        outputs = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        queries = torch.cat([outputs.expand(batch, -1, -1), sparse], 1)
        place = encoder.get_dense_pe().expand(batch, -1, -1, -1)
        answers, keys = decoder.transformer(image, place, queries)
        return answers[:, 1], keys.transpose(1, 2).reshape(batch, width, height, height)
