"""Random SAMs of the official classes, small enough for a test, as checkpoint or as ONNX files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from s3pot.decoder import segment_anything

WIDTH = 32


def toy_sam(side_px: int = 64, seed: int = 0) -> Any:
    """A SAM of ``side_px`` pictures, tokens of 16 px and 32 channels."""
    m = segment_anything("modeling")
    torch.manual_seed(seed)
    grid = (side_px // 16, side_px // 16)
    encoder = m.ImageEncoderViT(
        img_size=side_px, patch_size=16, embed_dim=32, depth=2, num_heads=2, out_chans=WIDTH,
        qkv_bias=True, use_rel_pos=True, window_size=2, global_attn_indexes=(1,),
    )  # fmt: skip
    prompts = m.PromptEncoder(
        embed_dim=WIDTH, image_embedding_size=grid, input_image_size=(side_px, side_px),
        mask_in_chans=16,
    )  # fmt: skip
    transformer = m.TwoWayTransformer(depth=2, embedding_dim=WIDTH, mlp_dim=64, num_heads=8)
    decoder = m.MaskDecoder(transformer_dim=WIDTH, transformer=transformer)
    sam = m.Sam(encoder, prompts, decoder).eval()
    with torch.no_grad():  # norms and biases are made ones and zeros, which would hide a mix-up
        for parameter in sam.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return sam


def write_onnx(folder: Path, sam: Any, batch: int | str = 1) -> Path:
    """The folder that model "onnx" takes, with SAM's exporter's own ``sam.onnx``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_decoder(folder / "sam.onnx", sam)
    write_encoder(folder / "encoder.onnx", sam.image_encoder.img_size, batch=batch)
    return folder


def write_decoder(path: Path, sam: Any) -> None:
    """As segment-anything's ``export_onnx_model.py`` does it."""
    grid = sam.prompt_encoder.image_embedding_size[0]
    side = sam.image_encoder.img_size
    inputs = {
        "image_embeddings": torch.randn(1, WIDTH, grid, grid),
        "point_coords": torch.rand(1, 5, 2) * side,
        "point_labels": torch.tensor([[1.0, 0, 2, 3, -1]]),
        "mask_input": torch.randn(1, 1, 4 * grid, 4 * grid),
        "has_mask_input": torch.tensor([1.0]),
        "orig_im_size": torch.tensor([float(side), float(side)]),
    }
    model = segment_anything("utils.onnx").SamOnnxModel(sam, return_single_mask=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, tuple(inputs.values()), path, opset_version=17, dynamo=False,
            input_names=list(inputs), output_names=["masks", "iou_predictions", "low_res_masks"],
            dynamic_axes={"point_coords": {1: "num_points"}, "point_labels": {1: "num_points"}},
        )  # fmt: skip


def write_encoder(path: Path, side_px: int, *, width: int = WIDTH, batch: int | str = 1) -> None:
    """An image encoder of one convolution."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    grid = side_px // 16
    weight = numpy_helper.from_array(
        (rng.normal(size=(width, 3, 16, 16)) * 0.05).astype(np.float32), "weight"
    )
    node = helper.make_node(
        "Conv", ["pictures", "weight"], ["tokens"], strides=[16, 16], kernel_shape=[16, 16]
    )
    float32 = TensorProto.FLOAT
    graph = helper.make_graph(
        [node], "encoder",
        [helper.make_tensor_value_info("pictures", float32, [batch, 3, side_px, side_px])],
        [helper.make_tensor_value_info("tokens", float32, [batch, width, grid, grid])],
        [weight],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
