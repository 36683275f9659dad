"""The method on batches of aligned faces: FE, PS, SAM's decoder. The only home of the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from s3pot import reference, sam, weights
from s3pot.adapter import find_adapter
from s3pot.evidence import EvidenceMethod, PromptOptions
from s3pot.paper import Paper, PaperOptions
from s3pot.parse import parsers
from s3pot.prompts import PromptBatch
from s3pot.sam import Sam
from s3pot.types import Prompts, Reference, Structure

Image = NDArray[np.uint8]
Field = NDArray[np.float32]


class Method(Protocol):
    """RF's picture in, logits out: one way through FE, PS and SAM's decoder. Registry: METHODS."""

    cold: bool
    """Whether it finds anything without a reference."""

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Any:
        """FE: (B, 3, S, S) RGB 0-1 twice, (B, 1, S, S) 0-1 -> whatever the method goes on with."""
        ...

    def logits(self, features: Any, region: Tensor, carried: Tensor | None = None) -> Tensor:
        """PS and decoder: (B, 1, S, S) face -> (B, 1, S, S) logits, positive = occluder.

        ``carried``, (B, 1, S, S) from -1 to 1, is what is known from the frame before; see
        :meth:`s3pot.paper.Paper.logits`.
        """
        ...

    def prompts(self, features: Any, region: Tensor) -> PromptBatch:
        """PS alone: what SAM is asked."""
        ...


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Sections [model] and [reference], as far as they are the model's.

    Attributes:
        method: "evidence" (ours), "paper" or "released".
        name: of the SAM: "face", or "vit_b", "vit_l", "vit_h", "onnx" with ``checkpoint``.
        checkpoint: path of an official SAM checkpoint; of "onnx" a folder.
        generator: a name of :data:`s3pot.reference.builders`.
        source, controlnet: see :class:`s3pot.reference.GeneratorOptions`.
        parser: "mesh" or "learned", see :mod:`s3pot.parse`.
        device: "auto", "cpu", "cuda", "cuda:N".
        size: S, side of the crops in px; "face" works on 192.
        folder: of the weights; empty means those in the package.
        threads: of torch on the CPU, for the whole process; 0 leaves it to torch.
    """

    method: str = "evidence"
    name: str = "face"
    checkpoint: str = ""
    generator: str = "unet"
    source: str = ""
    controlnet: str = ""
    parser: str = "mesh"
    device: str = "auto"
    size: int = 192
    folder: str = ""
    threads: int = 0


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


def chosen(kind: str, name: str, allowed: Iterable[str]) -> None:
    """Refuse a name that no registry has.

    Raises:
        ValueError: the name and what is allowed.
    """
    if name not in allowed:
        raise ValueError(f"unknown {kind} {name!r}; allowed: {sorted(allowed)}")


class S3POT:
    """References, evidence, prompts and masks for batches of faces.

    Args:
        options: see :class:`ModelOptions`.
        prompts: of method "evidence".
        paper: of method "paper".
        adapter: weights of the paper's screening; empty: those of the package for this SAM.

    Raises:
        ValueError: unknown name, no such device, a size that the model does not take, bad weights.
        FileNotFoundError: no such checkpoint.
    """

    def __init__(
        self, options: ModelOptions | None = None, *, prompts: PromptOptions | None = None,
        paper: PaperOptions | None = None, adapter: str = "",
    ) -> None:  # fmt: skip
        o = options or ModelOptions()
        chosen("method", o.method, METHODS)
        chosen("model", o.name, sam.builders)
        chosen("generator", o.generator, reference.builders)
        chosen("parser", o.parser, parsers)
        self.device = pick_device(o.device)
        if o.threads > 0:
            torch.set_num_threads(o.threads)
        face = sam.FaceSam()
        weights.fill(face, "face", o.folder)
        face.eval()
        fold_norms(face)
        self.sam = sam.builders[o.name](face, Path(o.checkpoint), o.size)
        if self.sam.size_px != o.size:
            raise ValueError(f"model {o.name!r} takes crops of {self.sam.size_px} px, got {o.size}")
        setup = MethodOptions(
            prompts or PromptOptions(), paper or PaperOptions(), adapter, o.folder
        )
        self.method: Method = self._settle(METHODS[o.method](self.sam, setup))
        guide = reference.GeneratorOptions(o.folder, o.source, o.controlnet)
        self._painter = self._settle(reference.builders[o.generator](guide))
        self._parser = self._settle(parsers[o.parser](o.folder))

    def _settle(self, module: Any) -> Any:
        if module is not None:
            module.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        return module

    @property
    def generates(self) -> bool:
        """Whether a generator can invent what was never seen."""
        return self._painter is not None

    @property
    def paints_whole(self) -> bool:
        """Whether the generator paints the whole face, not only what is hidden."""
        return self._painter is not None and self._painter.whole

    @torch.inference_mode()
    def enhance(self, crops: Sequence[Image], references: Sequence[Reference]) -> Any:
        """FE for B faces: (S, S, 3) uint8 RGB crops and their references -> features, which stay on
        the device and which only the method can read.
        """
        raw = self._up(np.stack(crops))
        painted = self._up(np.stack([r.image for r in references]))
        known = torch.from_numpy(np.stack([r.known for r in references])).to(self.device)[:, None]
        return self.method.enhance(raw, painted, known)

    @torch.inference_mode()
    def decode(
        self, features: Any, regions: Sequence[NDArray[np.bool_]],
        carried: Sequence[Field] | None = None,
    ) -> Field:  # fmt: skip
        """PS and SAM's decoder for B faces -> (B, S, S) float32 logits, positive = occluder.

        Args:
            features: of :meth:`enhance`.
            regions: (S, S) bool, the faces.
            carried: (S, S) from -1, face, to 1, occluder: what the mask of the frame before says,
                brought here; 0 where it says nothing.
        """
        known = None if carried is None else self._on_device(carried)
        logits = self.method.logits(features, self._on_device(regions), known)
        down: Field = logits[:, 0].float().cpu().numpy()
        return down

    @torch.inference_mode()
    def prompts(self, features: Any, regions: Sequence[NDArray[np.bool_]]) -> list[Prompts]:
        """What the decoder would be asked, to look at; one for each face."""
        batch = self.method.prompts(features, self._on_device(regions))
        return [
            Prompts(p.cpu().numpy(), k.cpu().numpy(), m[0].cpu().numpy())
            for p, k, m in zip(*batch, strict=True)
        ]

    def _on_device(self, fields: Sequence[NDArray[np.bool_]] | Sequence[Field]) -> Tensor:
        return torch.from_numpy(np.stack(fields)).to(self.device).float()[:, None]

    @torch.inference_mode()
    def generate(
        self, crops: Sequence[Image], hidden: Sequence[Field], structures: Sequence[Structure]
    ) -> list[Image]:
        """RF by the generator, for B faces.

        Args:
            crops: (S, S, 3) uint8 RGB.
            hidden: (S, S) 0-1, how much something is thought to be in front.
            structures: from the mesh; the parser has the last word on the labels.

        Raises:
            RuntimeError: the model was built with generator "none".
        """
        if self._painter is None:
            raise RuntimeError("this model has no generator; build it with generator='unet'")
        raw = self._up(np.stack(crops))
        mask = torch.from_numpy(np.stack(hidden)).to(self.device)[:, None]
        guide = reference.stack(structures, self.device)
        painted = self._painter(raw, mask, guide._replace(labels=self._parser(raw, guide)))
        pixels = (painted * 255).round().clamp(0, 255).to(torch.uint8)
        return list(pixels.permute(0, 2, 3, 1).cpu().numpy())

    def _up(self, images: Image) -> Tensor:
        """(B, S, S, 3) uint8 on the host -> (B, 3, S, S) float 0-1 on the device."""
        return torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2).float() / 255


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """What a method is built from: the options of each, and where its weights lie."""

    prompts: PromptOptions
    paper: PaperOptions
    adapter: str
    folder: str


def _paper(sam: Sam, options: MethodOptions) -> Paper:
    return Paper(sam, options.paper, find_adapter(options.adapter, options.folder, sam.width))


def _evidence(sam: Sam, options: MethodOptions) -> EvidenceMethod:
    joins = (
        options.prompts.contrast_weight > 0
    )  # else nobody needs the paper's part, or its weights
    return EvidenceMethod(sam, options.prompts, _paper(sam, options) if joins else None)


def _released(sam: Sam, options: MethodOptions) -> Paper:
    return Paper(sam, replace(options.paper, released=True), None)


METHODS: dict[str, Callable[[Sam, MethodOptions], Method]] = {
    "evidence": _evidence,
    "paper": _paper,
    "released": _released,
}
"""Ways through FE and PS by name."""
