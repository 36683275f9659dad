"""The method on batches of aligned faces: FE, PS, SAM's decoder. The only home of the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from s3pot import reference, sam, weights
from s3pot.network import Evidence
from s3pot.prompts import PromptBatch, select_prompts
from s3pot.types import Prompts, Reference, Structure

Image = NDArray[np.uint8]
Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """Attributes: as in :func:`s3pot.prompts.select_prompts`; ``decoder_weight`` is the decoder's
    share of the final logits, the evidence has the rest.
    """

    positive: int = 4
    negative: int = 4
    box: bool = True
    mask_scale: float = 1.0
    min_area: float = 0.004
    decoder_weight: float = 0.5


def pick_device(name: str) -> torch.device:
    """The device for "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        ValueError: the name is unknown, or no such device is here.
    """
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if cards else "cpu")
    allowed = ["auto", "cpu", *(["cuda"] if cards else []), *(f"cuda:{i}" for i in range(cards))]
    if name not in allowed:
        raise ValueError(f"device {name!r} is not to be had here; allowed: {allowed}")
    return torch.device(name)


def fold_norms(module: nn.Module) -> None:
    """Fold each batch norm that follows a convolution into it, in place; for inference only."""
    for child in module.children():
        fold_norms(child)
    if isinstance(module, nn.Sequential):
        for i in range(len(module) - 1):
            first, second = module[i], module[i + 1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[i], module[i + 1] = fuse_conv_bn_eval(first, second), nn.Identity()


def nowhere(size: int) -> Structure:
    """The structure of a crop of which nothing is known."""
    maps = np.full((size, size, 2), -1, np.float32)
    return Structure(np.zeros((size, size), np.uint8), maps, maps)


class S3POT:
    """Evidence, prompts and masks for batches of faces.

    Args:
        name: "face", or "vit_b", "vit_l", "vit_h" with ``checkpoint``.
        checkpoint: path of an official SAM checkpoint.
        generator: "unet" or "none".
        device: "auto", "cpu", "cuda", "cuda:N".
        size: S, side of the crops in px; "face" works on 192.
        folder: of the weights; empty means those in the package.
        threads: of torch on the CPU, for the whole process; 0 leaves it to torch.
        prompts: see :class:`PromptOptions`.

    Raises:
        ValueError: unknown name, no such device, a size that the model does not take, bad weights.
        FileNotFoundError: no such checkpoint.
    """

    def __init__(
        self, *, name: str = "face", checkpoint: str = "", generator: str = "unet",
        device: str = "auto", size: int = 192, folder: str = "", threads: int = 0,
        prompts: PromptOptions | None = None,
    ) -> None:  # fmt: skip
        if name not in sam.builders:
            raise ValueError(f"unknown model {name!r}; allowed: {sorted(sam.builders)}")
        if generator not in reference.builders:
            raise ValueError(
                f"unknown generator {generator!r}; allowed: {sorted(reference.builders)}"
            )
        self.device = pick_device(device)
        if threads > 0:
            torch.set_num_threads(threads)
        self.options = prompts or PromptOptions()
        face = sam.FaceSam()
        weights.fill(face, "face", folder)
        face.eval()
        fold_norms(face)
        self.sam = sam.builders[name](face, Path(checkpoint), size)
        if self.sam.size_px != size:
            raise ValueError(f"model {name!r} takes crops of {self.sam.size_px} px, got {size}")
        self._settle(self.sam)
        painter = reference.builders[generator](reference.GeneratorOptions(folder))
        if painter is not None:
            self._settle(painter)
        self._painter: Any = painter

    def _settle(self, module: Any) -> None:
        module.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    @property
    def generates(self) -> bool:
        """Whether a generator can invent what was never seen."""
        return self._painter is not None

    @torch.inference_mode()
    def enhance(self, crops: Sequence[Image], references: Sequence[Reference]) -> Evidence:
        """FE for B faces: (S, S, 3) uint8 RGB crops and their references -> evidence, tokens."""
        raw = self._up(np.stack(crops))
        painted = self._up(np.stack([r.image for r in references]))
        known = torch.from_numpy(np.stack([r.known for r in references])).to(self.device)[:, None]
        return self.sam.enhance(raw, painted, known)

    @torch.inference_mode()
    def decode(self, evidence: Evidence, regions: Sequence[NDArray[np.bool_]]) -> Field:
        """PS and SAM's decoder for B faces -> (B, S, S) float32 logits, positive = occluder.

        The decoder's logits, brought to the crop's size, are mixed with the evidence's: its grid is
        half as fine, and what it adds and what the evidence keeps is measured in the README.
        """
        region = torch.from_numpy(np.stack(regions)).to(self.device).float()[:, None]
        prompts = self._select(evidence.logits, region)
        share = self.options.decoder_weight
        logits = evidence.logits
        if share > 0:
            coarse = self.sam.decode(evidence.tokens, prompts.points, prompts.labels, prompts.mask)
            logits = logits * (1 - share) + sam.resize(coarse, logits.shape[-1]) * share
        down: Field = logits[:, 0].float().cpu().numpy()
        return down

    @torch.inference_mode()
    def prompts(self, evidence: Evidence, regions: Sequence[NDArray[np.bool_]]) -> list[Prompts]:
        """What the decoder would be asked, to look at; one for each face."""
        region = torch.from_numpy(np.stack(regions)).to(self.device).float()[:, None]
        batch = self._select(evidence.logits, region)
        return [
            Prompts(p.cpu().numpy(), k.cpu().numpy(), m[0].cpu().numpy())
            for p, k, m in zip(*batch, strict=True)
        ]

    def _select(self, logits: Tensor, region: Tensor) -> PromptBatch:
        o = self.options
        return select_prompts(
            logits, region, positive=o.positive, negative=o.negative, box=o.box,
            mask_scale=o.mask_scale, mask_side=self.sam.mask_side, min_area=o.min_area,
        )  # fmt: skip

    @torch.inference_mode()
    def generate(
        self,
        crops: Sequence[Image],
        hidden: Sequence[Field],
        structures: Sequence[Structure] | None = None,
    ) -> list[Image]:
        """RF by the generator: (S, S, 3) crops and (S, S) probability of an occluder -> faces.

        Args:
            crops: uint8 RGB.
            hidden: 0-1.
            structures: the generator's guidance; None guides by nothing.

        Raises:
            RuntimeError: the model was built with generator "none".
        """
        if self._painter is None:
            raise RuntimeError("this model has no generator; build it with generator='unet'")
        mask = torch.from_numpy(np.stack(hidden)).to(self.device)[:, None]
        raw = self._up(np.stack(crops))
        guides = structures or [nowhere(raw.shape[-1])] * len(raw)
        painted = self._painter(raw, mask, reference.stack(guides, self.device))
        pixels = (painted * 255).round().clamp(0, 255).to(torch.uint8)
        return list(pixels.permute(0, 2, 3, 1).cpu().numpy())

    def _up(self, images: Image) -> Tensor:
        """(B, S, S, 3) uint8 on the host -> (B, 3, S, S) float 0-1 on the device."""
        return torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255
