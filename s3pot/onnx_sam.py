"""SAM from two ONNX files: any image encoder of SAM's interface, and SAM's own exported decoder.

The encoder runs in ONNX Runtime.  The decoder's tensors are taken out of its graph and loaded into
stock ``segment_anything`` modules, so that features can be attended and prompts be screened.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from s3pot.decoder import segment_anything
from s3pot.sam import FaceSam
from s3pot.vit import VitSam, first_fault

HEADS = 8
"""Of every attention in SAM's decoder; no tensor tells."""

Tensors = dict[str, NDArray[np.float32]]


class MissingExtraError(ModuleNotFoundError, ValueError):
    """A package of an extra is not installed: bad input, to whoever chose the model."""


class OnnxSam(VitSam):
    """A SAM from a folder that holds ``encoder.onnx`` and ``sam.onnx``.

    ``encoder.onnx`` takes (B, 3, I, I) pictures with SAM's mean and std, I = 1024 in SAM, to
    (B, C, G, G) tokens.  ``sam.onnx`` is what segment-anything's exporter writes.

    Args:
        folder: of the two files.
        face: the embedded network, for the evidence.
        size_px: S, the side of the crops.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is damaged, or not what it should be.
        MissingExtraError: the extra "onnx" is not installed.
    """

    def __init__(self, folder: Path, face: FaceSam, size_px: int) -> None:
        encoder = OnnxEncoder(folder / "encoder.onnx")
        prompt_encoder, mask_decoder = load_decoder(folder / "sam.onnx", encoder.img_size)
        side = prompt_encoder.image_embedding_size[0]
        made, wanted = encoder.token_shape, (prompt_encoder.embed_dim, side, side)
        if made != wanted:
            raise ValueError(
                f"{folder}: encoder.onnx makes tokens of shape {made}, sam.onnx takes {wanted}"
            )
        modeling = segment_anything("modeling")
        super().__init__(modeling.Sam(encoder, prompt_encoder, mask_decoder), face, size_px)


class OnnxEncoder(nn.Module):
    """An image encoder in ONNX Runtime, on the CPU, with torch's number of threads.

    Attributes:
        img_size: I, the side of its pictures in px.
        token_shape: (C, G, G).
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = read(path).graph
        pictures, tokens = shape_of(graph.input[0]), shape_of(graph.output[0])
        if len(pictures) != 4 or pictures[1] != 3 or pictures[2] != pictures[3] or not pictures[3]:
            raise ValueError(f"{path}: takes {pictures}, an encoder of SAM's takes (1, 3, I, I)")
        if len(tokens) != 4 or tokens[2] != tokens[3] or not all(tokens[1:]):
            raise ValueError(f"{path}: makes {tokens}, an encoder of SAM's makes (1, C, G, G)")
        self.img_size = pictures[3]
        self.token_shape = tokens[1:]
        self._input = graph.input[0].name
        self._session = session_of(path)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, I, I) float, normalised -> (B, C, G, G) on the same device; one at a time."""
        host = pictures.detach().float().cpu().contiguous().numpy()
        tokens = [self._session.run(None, {self._input: one[None]})[0] for one in host]
        return torch.from_numpy(np.concatenate(tokens)).to(pictures.device)


def load_decoder(path: Path, input_px: int) -> tuple[Any, Any]:
    """SAM's prompt encoder and mask decoder with the tensors of an exported file.

    Args:
        path: of ``sam.onnx``.
        input_px: I, the side of the encoder's pictures.

    Returns:
        Stock ``PromptEncoder`` and ``MaskDecoder``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or does not hold SAM's decoder.
    """
    graph = read(path).graph
    tensors = {name: torch.from_numpy(array) for name, array in tensors_of(graph).items()}
    try:
        grid = shape_of(next(i for i in graph.input if i.name == "image_embeddings"))[-1]
        prompt_encoder, mask_decoder = stock_modules(tensors, grid, input_px)
        prompt_encoder.load_state_dict(under("prompt_encoder.", tensors))
        mask_decoder.load_state_dict(under("mask_decoder.", tensors))
    except (KeyError, StopIteration, RuntimeError, IndexError) as error:
        reason = "no input image_embeddings" if isinstance(error, StopIteration) else str(error)
        reason = " ".join(reason.split())[:200]
        raise ValueError(f"{path}: not SAM's exported decoder: lacks or misfits {reason}") from None
    return prompt_encoder, mask_decoder


def stock_modules(tensors: dict[str, Tensor], grid: int, input_px: int) -> tuple[Any, Any]:
    """Stock modules of the widths that the tensors tell."""
    modeling = segment_anything("modeling")
    block = "mask_decoder.transformer.layers."
    width = tensors["prompt_encoder.not_a_point_embed.weight"].shape[1]
    inner = tensors[f"{block}0.cross_attn_token_to_image.q_proj.bias"].shape[0]
    prompt_encoder = modeling.PromptEncoder(
        embed_dim=width, image_embedding_size=(grid, grid), input_image_size=(input_px, input_px),
        mask_in_chans=tensors["prompt_encoder.mask_downscaling.3.weight"].shape[0],
    )  # fmt: skip
    transformer = modeling.TwoWayTransformer(
        depth=len({name.split(".")[3] for name in tensors if name.startswith(block)}),
        embedding_dim=width, mlp_dim=tensors[f"{block}0.mlp.lin1.bias"].shape[0],
        num_heads=HEADS, attention_downsample_rate=width // inner,
    )  # fmt: skip
    mask_decoder = modeling.MaskDecoder(
        transformer_dim=width, transformer=transformer,
        num_multimask_outputs=len(tensors["mask_decoder.mask_tokens.weight"]) - 1,
        iou_head_hidden_dim=tensors["mask_decoder.iou_prediction_head.layers.0.bias"].shape[0],
    )  # fmt: skip
    return prompt_encoder, mask_decoder


def under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those whose name starts with the prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def tensors_of(graph: Any) -> Tensors:
    """Tensors of SAM's exported prompt encoder and decoder under segment-anything's own names.

    The exporter folds constants, which costs a part of them their names.  Those are known by where
    they stand: a linear layer's weight is multiplied (transposed) before its bias is added; a
    LayerNorm2d scales what the convolution before it made; the no-mask embedding has one pixel; the
    output tokens are the IoU token and the mask tokens, in this order.
    """
    from onnx import numpy_helper  # noqa: PLC0415 - an extra

    held = {i.name: np.array(numpy_helper.to_array(i)) for i in graph.initializer}
    named = {k.removeprefix("model."): v for k, v in held.items() if not k.startswith("onnx::")}
    return linear_weights(graph, held) | norms_2d(graph, held) | embeddings(held) | named


def linear_weights(graph: Any, held: Tensors) -> Tensors:
    """``X.weight`` for each matrix whose product is added to ``X.bias``; ONNX has it transposed."""
    products = {n.output[0]: n.input[1] for n in graph.node if n.op_type == "MatMul"}
    found = {}
    for node in graph.node:
        bias = next((i for i in node.input if i in held and i.endswith(".bias")), None)
        matrix = next((products[i] for i in node.input if products.get(i) in held), None)
        if node.op_type == "Add" and bias is not None and matrix is not None:
            name = bias.removeprefix("model.").removesuffix("bias") + "weight"
            found[name] = np.ascontiguousarray(held[matrix].T)
    return found


def norms_2d(graph: Any, held: Tensors) -> Tensors:
    """Weight and bias, (c, 1, 1) in the graph, of the LayerNorm2d after each (de)convolution."""
    found, layer = {}, ""
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            stem, _, index = node.input[1].removesuffix(".weight").rpartition(".")
            layer = f"{stem.removeprefix('model.')}.{int(index) + 1}" if index.isdigit() else ""
        constant = next((i for i in node.input if i in held and held[i].shape[1:] == (1, 1)), None)
        if constant is not None and layer and node.op_type in ("Mul", "Add"):
            kind = "weight" if node.op_type == "Mul" else "bias"
            found[f"{layer}.{kind}"] = held[constant].reshape(-1)
    return found


def embeddings(held: Tensors) -> Tensors:
    """The no-mask embedding (1, C, 1, 1) and the output tokens (1, 1 + masks, C)."""
    found = {}
    for name, array in held.items():
        if array.ndim == 4 and array.shape[0] == 1 and array.shape[2:] == (1, 1):
            found["prompt_encoder.no_mask_embed.weight"] = array.reshape(1, -1)
        if array.ndim == 3 and array.shape[0] == 1 and name.startswith("onnx::"):
            found["mask_decoder.iou_token.weight"] = array[0, :1]
            found["mask_decoder.mask_tokens.weight"] = array[0, 1:]
    return found


def shape_of(value: Any) -> tuple[int, ...]:
    """Of an input or output; 0 where the file leaves a size open."""
    return tuple(d.dim_value for d in value.type.tensor_type.shape.dim)


def read(path: Path) -> Any:
    """An ONNX file, parsed.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or no ONNX file.
        MissingExtraError: the extra "onnx" is not installed.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: missing; for model onnx, model.checkpoint names a folder with encoder.onnx"
            " and sam.onnx"
        )
    require("onnx")
    import onnx  # noqa: PLC0415 - an extra
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with it

    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        raise ValueError(f"{path}: damaged, or no ONNX file: {first_fault(error)}") from None
    return model


def session_of(path: Path) -> Any:
    """An ONNX Runtime session on the CPU, with as many threads as torch has.

    Raises:
        ValueError: ONNX Runtime cannot run the file.
        MissingExtraError: the extra "onnx" is not installed.
    """
    require("onnxruntime")
    import onnxruntime  # noqa: PLC0415 - an extra
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; a warning on stderr is no one's to read
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except (state.Fail, state.InvalidGraph, state.InvalidArgument, state.NotImplemented) as error:
        raise ValueError(f"{path}: ONNX Runtime cannot run it: {first_fault(error)}") from None


def require(package: str) -> None:
    """Raise MissingExtraError, with what to do, if a package of the extra is not installed."""
    from importlib.util import find_spec  # noqa: PLC0415

    if find_spec(package) is None:
        raise MissingExtraError(
            f"model onnx needs {package}; pip install 's3pot-stream[onnx]'", name=package
        )
