"""The teacher in ../shared, where it is: our modules with its tensors answer as its own graph does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data

from s3pot.onnx_sam import OnnxSam, session_of
from s3pot.sam import FaceSam, resize

FOLDER = Path(__file__).parents[2] / "shared/weights/sam_tiny_teacher"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="there is no ../shared here")


@pytest.fixture(scope="module")
def teacher() -> Any:
    return OnnxSam(FOLDER, FaceSam(), 192).eval()


@pytest.fixture(scope="module")
def graph() -> Any:
    return session_of(FOLDER / "sam.onnx")


@pytest.mark.parametrize("has_mask", [0.0, 1.0])
@pytest.mark.parametrize("kinds", [(1, 0, 1, -1), (1, 2, 3), (1, 1, 0, 0, 2, 3)])
def test_random_embeddings_decode_as_in_onnxruntime(
    teacher: Any, graph: Any, kinds: tuple[int, ...], has_mask: float
) -> None:
    torch.manual_seed(len(kinds))
    tokens, mask = torch.randn(1, 256, 64, 64) * 0.3, torch.randn(1, 1, 256, 256) * 4
    points, labels = torch.rand(1, len(kinds), 2) * 191, torch.tensor([kinds])
    theirs = graph.run(
        ["low_res_masks"],
        {
            "image_embeddings": tokens.numpy(),
            "point_coords": ((points + 0.5) * 1024 / 192 - 0.5).numpy(),
            "point_labels": labels.float().numpy(),
            "mask_input": mask.numpy(),
            "has_mask_input": np.array([has_mask], np.float32),
            "orig_im_size": np.array([1024, 1024], np.float32),
        },
    )[0]
    with torch.inference_mode():
        ours = teacher.decode(tokens, points, labels, mask if has_mask else None).numpy()
    assert np.abs(theirs).max() > 1
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_a_box_round_a_face_finds_it(teacher: Any) -> None:
    """Encoder and decoder agree: an astronaut's face, asked for by box, is what comes back."""
    crop = np.ascontiguousarray(data.astronaut()[0:192, 128:320])
    raw = torch.from_numpy(crop).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        tokens = teacher.encode(raw)
        points, labels = torch.tensor([[[50.0, 65], [145, 188]]]), torch.tensor([[2, 3]])
        mask = resize(teacher.decode(tokens, points, labels, None), 192)[0, 0] > 0
    assert tokens.shape == (1, 256, 64, 64)
    assert mask[75:165, 70:130].float().mean() > 0.9  # from brow to chin
    assert mask[:60].float().mean() < 0.02
    assert mask[:, :40].float().mean() < 0.02
