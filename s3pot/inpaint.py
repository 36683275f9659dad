"""The generator "diffusers": any inpainting pipeline of that library, by folder or hub name.

With a ControlNet it is guided by the structure map, shown in the colours of
:data:`s3pot.labels.COLOURS`.  Pipelines that read text need the extra packages of
``pip install "s3pot-stream[diffusion]"``; those of pure pictures (RePaint) need none.
"""

from __future__ import annotations

import inspect
import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot.labels import show
from s3pot.reference import StructureBatch
from s3pot.sam import resize

PROMPT = "a close portrait photograph of a bare face, nothing in front of it"
WIDEN_PX = 7
"""The pipeline repaints so much more than what is hidden: an occluder's rim is a hint of it."""

MASK_BLACK_IS_PAINTED = ("RePaintPipeline",)
"""Pipelines that paint where the mask is black; all others paint where it is white."""


class PipelineError(ValueError):
    """What was named is no inpainting pipeline that can be used here."""


class InpaintGenerator(nn.Module):
    """Asks a pipeline, a face at a time, always from the same seed; keeps what is not hidden.

    Args:
        pipeline: its call takes ``image`` and ``mask_image``.
        steps: of denoising.
        strength: 0-1, how much noise it starts from, where the pipeline asks; below 1 the occluder
            shines through.
        seed: of the noise.

    Raises:
        PipelineError: the pipeline does not inpaint.
    """

    whole = False

    def __init__(
        self, pipeline: Any, *, steps: int = 12, strength: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        self._takes = set(inspect.signature(type(pipeline).__call__).parameters)
        if not {"image", "mask_image"} <= self._takes:
            raise PipelineError(
                f"a {type(pipeline).__name__} does not inpaint: its call takes no image with a mask"
            )
        self.pipeline, self._seed = pipeline, seed
        self._options = {"num_inference_steps": steps, "strength": strength, "prompt": PROMPT}
        self.side = working_side(pipeline)
        # Registered, so that they move to a device with this module.
        self.parts = nn.ModuleList(
            part for part in pipeline.components.values() if isinstance(part, nn.Module)
        )

    def forward(self, raw: Tensor, hidden: Tensor, structure: StructureBatch) -> Tensor:
        """See :class:`s3pot.reference.ReferenceGenerator`."""
        wide = F.max_pool2d((hidden > 0).float(), 2 * WIDEN_PX + 1, 1, WIDEN_PX)
        maps = structure.labels.to(torch.uint8).cpu().numpy()
        painted = [
            self._paint(face, mask, labels) if bool(mask.any()) else face
            for face, mask, labels in zip(raw, wide, maps, strict=True)
        ]
        return raw * (1 - hidden) + torch.stack(painted) * hidden

    def _paint(self, face: Tensor, mask: Tensor, labels: NDArray[np.uint8]) -> Tensor:
        """(3, S, S) RGB 0-1, (1, S, S) 0 or 1, (S, S) -> (3, S, S) RGB 0-1."""
        if type(self.pipeline).__name__ in MASK_BLACK_IS_PAINTED:
            mask = 1 - mask
        square = (self.side, self.side)
        given: dict[str, Any] = {
            **self._options,
            "image": _picture(face).resize(square, Image.Resampling.BICUBIC),
            "mask_image": _picture(mask).resize(square, Image.Resampling.NEAREST),
            "control_image": Image.fromarray(show(labels)).resize(square, Image.Resampling.NEAREST),
            "height": self.side, "width": self.side, "output_type": "np",
            "generator": torch.Generator("cpu").manual_seed(self._seed),
        }  # fmt: skip
        answer = self.pipeline(**{k: v for k, v in given.items() if k in self._takes})
        painted = torch.from_numpy(np.asarray(answer.images[0], np.float32)).to(face.device)
        return resize(painted.permute(2, 0, 1)[None], face.shape[-1])[0].clamp(0, 1)


def _picture(field: Tensor) -> Image.Image:
    """(1 or 3, S, S) 0-1 -> an 8-bit picture, grey or RGB."""
    pixels = (field * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def working_side(pipeline: Any) -> int:
    """The side in px at which a pipeline was trained, rounded up to what its strides take."""
    model = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    config = getattr(model, "config", {})
    stride = int(getattr(pipeline, "vae_scale_factor", 1))
    levels = len(config.get("block_out_channels", (0,)))
    native = config.get("sample_size") or 512 // stride
    multiple = math.lcm(32, stride * 2 ** (levels - 1))
    return math.ceil(int(native) * stride / multiple) * multiple


def load_inpainting(source: str, controlnet: str = "") -> InpaintGenerator:
    """The generator of a pipeline by folder or hub name.

    Args:
        source: of the pipeline.
        controlnet: of a ControlNet to guide it; empty for none.

    Raises:
        FileNotFoundError: no such folder.
        PipelineError: no name was given, there is no pipeline there, it does not inpaint, it cannot
            be guided, or the hub cannot be reached.
    """
    if not source:
        raise PipelineError(
            'generator "diffusers" needs reference.source: a folder or the hub name of an'
            " inpainting pipeline"
        )
    options: dict[str, Any] = {}
    if controlnet:
        from diffusers import ControlNetModel  # noqa: PLC0415 - slow

        options["controlnet"] = _load(ControlNetModel, controlnet, "config.json")
    pipeline = _load(_pipeline_class(source), source, "model_index.json", **options)
    pipeline.set_progress_bar_config(disable=True)
    generator = InpaintGenerator(pipeline)
    if controlnet and "control_image" not in inspect.signature(type(pipeline).__call__).parameters:
        raise PipelineError(
            f"{source}: a {type(pipeline).__name__} cannot be guided; leave reference.controlnet empty"
        )
    return generator


def _pipeline_class(source: str) -> Any:
    """Who loads it: a folder's own class if that inpaints, else the one that diffusers finds for it.

    Finding needs ``transformers``, which every pipeline that diffusers knows how to turn into an
    inpainting one needs too.
    """
    from diffusers import DiffusionPipeline  # noqa: PLC0415 - slow

    index = Path(source) / "model_index.json"
    if find_spec("transformers") is None:
        return DiffusionPipeline
    if index.is_file() and "RePaint" in str(_read(index).get("_class_name")):
        return DiffusionPipeline
    from diffusers import AutoPipelineForInpainting  # noqa: PLC0415 - slow

    return AutoPipelineForInpainting


def _read(path: Path) -> dict[str, Any]:
    """A JSON object of a file.

    Raises:
        PipelineError: it is none.
    """
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path}: damaged: {error}") from None
    if not isinstance(table, dict):
        raise PipelineError(f"{path}: damaged: no JSON object")
    return table


def _load(kind: Any, source: str, index: str, **options: Any) -> Any:
    """``kind.from_pretrained`` with its many errors told in one line."""
    folder = Path(source)
    local = folder.is_dir()
    if not local and (folder.is_absolute() or source.startswith(".") or source.count("/") != 1):
        raise FileNotFoundError(f"{source}: no such folder, and no hub name, which is owner/name")
    if local:
        if not (folder / index).is_file():
            raise PipelineError(f"{source}: holds no {index}, so it is not what diffusers saves")
        _read(folder / index)
    options["low_cpu_mem_usage"] = find_spec("accelerate") is not None
    try:
        return kind.from_pretrained(source, local_files_only=local, **options)
    except ImportError as error:
        raise PipelineError(f"{source}: {_first_line(error)}; see the extra [diffusion]") from error
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RuntimeError) as error:
        if local:
            raise PipelineError(f"{source}: cannot be loaded: {_first_line(error)}") from error
        raise PipelineError(
            f"{source}: not to be had from the hub, nor from its cache here; where there is no network,"
            f" name a folder that holds it ({type(error).__name__})"
        ) from error


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
