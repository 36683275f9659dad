"""A SAM from ONNX files must be the SAM that was exported; what is no SAM is named."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from s3pot.decoder import PromptedDecoder
from s3pot.onnx_sam import (
    MissingExtraError,
    OnnxEncoder,
    OnnxSam,
    load_decoder,
    read,
    session_of,
    tensors_of,
)
from s3pot.sam import FaceSam, builders
from tests.toy_sams import WIDTH, toy_sam, write_encoder, write_onnx


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_onnx(tmp_path_factory.mktemp("onnx"), toy_sam())


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A folder that a test may spoil."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_the_tensors_are_those_that_were_exported(folder: Path) -> None:
    loaded, exported = load_decoder(folder / "sam.onnx", 64), toy_sam()
    parts = (exported.prompt_encoder, exported.mask_decoder)
    for ours, theirs in zip(loaded, parts, strict=True):
        tensors = ours.state_dict()
        assert len(tensors) > 10
        for name, tensor in theirs.state_dict().items():
            torch.testing.assert_close(tensors[name], tensor, msg=name)


@pytest.mark.parametrize("kinds", [(1, 0, 1, -1), (1, 2, 3), (1, 1, 0, 0, 2, 3)])
@pytest.mark.parametrize("has_mask", [0.0, 1.0])
def test_the_exported_graph_answers_the_same(
    folder: Path, kinds: tuple[int, ...], has_mask: float
) -> None:
    torch.manual_seed(5)
    tokens, mask = torch.randn(1, WIDTH, 4, 4), torch.randn(1, 1, 16, 16)
    points, labels = torch.rand(1, len(kinds), 2) * 63, torch.tensor([kinds])
    inputs = {
        "image_embeddings": tokens, "point_coords": points, "point_labels": labels.float(),
        "mask_input": mask, "has_mask_input": torch.tensor([has_mask]),
        "orig_im_size": torch.tensor([64.0, 64.0]),
    }  # fmt: skip
    taken = session_of(folder / "sam.onnx")
    names = {i.name for i in taken.get_inputs()}
    theirs = taken.run(["low_res_masks"], {k: v.numpy() for k, v in inputs.items() if k in names})[
        0
    ]
    ours = PromptedDecoder(*load_decoder(folder / "sam.onnx", 64)).eval()
    with torch.inference_mode():
        answer = ours(tokens, points, labels, mask if has_mask else None).numpy()
    np.testing.assert_allclose(answer, theirs, atol=1e-4)


def test_the_encoder_gets_sams_pictures(folder: Path) -> None:
    sam: Any = builders["onnx"](FaceSam(), folder, 192)
    mean = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1) / 255
    assert sam.encode(mean.expand(1, 3, 192, 192)).abs().max() < 1e-5
    bright = (mean + torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1) / 255).expand(
        1, 3, 192, 192
    )
    weight = torch.from_numpy(tensors_of(read(folder / "encoder.onnx").graph)["weight"])
    expected = weight.sum((1, 2, 3))[None, :, None, None].expand(1, WIDTH, 4, 4)
    torch.testing.assert_close(sam.encode(bright), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("batch", [1, "batch"])
def test_a_fixed_and_an_open_batch_give_the_same(tmp_path: Path, batch: int | str) -> None:
    write_encoder(tmp_path / "encoder.onnx", 64, batch=batch)
    encoder = OnnxEncoder(tmp_path / "encoder.onnx")
    pictures = torch.rand(3, 3, 64, 64)
    weight = torch.from_numpy(tensors_of(read(tmp_path / "encoder.onnx").graph)["weight"])
    expected = torch.nn.functional.conv2d(pictures, weight, stride=16)
    torch.testing.assert_close(encoder(pictures), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["encoder.onnx", "sam.onnx"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}: missing; .* folder"):
        OnnxSam(copy, FaceSam(), 192)


@pytest.mark.parametrize("name", ["encoder.onnx", "sam.onnx"])
@pytest.mark.parametrize("keep", [0, 5, 700, -9])
def test_a_damaged_file_is_named(copy: Path, name: str, keep: int) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:keep])
    with pytest.raises(ValueError, match=rf"{name}: "):
        OnnxSam(copy, FaceSam(), 192)


def test_files_in_each_others_place_are_named(copy: Path) -> None:
    content = (copy / "sam.onnx").read_bytes()
    (copy / "sam.onnx").write_bytes((copy / "encoder.onnx").read_bytes())
    with pytest.raises(ValueError, match=r"sam\.onnx: not SAM's exported decoder"):
        OnnxSam(copy, FaceSam(), 192)
    (copy / "encoder.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"encoder\.onnx: takes \(1, 32, 4, 4\), .*\(1, 3, I, I\)"):
        OnnxSam(copy, FaceSam(), 192)


@pytest.mark.parametrize(("side_px", "width"), [(128, WIDTH), (64, 16)])
def test_an_encoder_of_another_sam_is_named(copy: Path, side_px: int, width: int) -> None:
    write_encoder(copy / "encoder.onnx", side_px, width=width)
    made = rf"\({width}, {side_px // 16}, {side_px // 16}\)"
    with pytest.raises(ValueError, match=rf"makes tokens of shape {made}, .*\({WIDTH}, 4, 4\)"):
        OnnxSam(copy, FaceSam(), 192)


def test_a_decoder_that_lacks_a_tensor_is_named(copy: Path) -> None:
    import onnx

    model = onnx.load(copy / "sam.onnx")
    for held in model.graph.initializer:  # the graph stays whole, SAM's name is gone
        if held.name.endswith("not_a_point_embed.weight"):
            old = held.name
            held.name = "other"
    for node in model.graph.node:
        node.input[:] = ["other" if i == old else i for i in node.input]
    onnx.save(model, copy / "sam.onnx")
    with pytest.raises(ValueError, match=r"sam\.onnx: .*not_a_point_embed"):
        OnnxSam(copy, FaceSam(), 192)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_extra_it_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == package else found(name, *a)
    )
    with pytest.raises(MissingExtraError, match=rf"{package}; pip install 's3pot-stream\[onnx\]'"):
        OnnxSam(folder, FaceSam(), 192)
