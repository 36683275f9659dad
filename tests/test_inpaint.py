"""The generator "diffusers": tiny random pipelines of the real classes, offline."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from s3pot.inpaint import InpaintGenerator, PipelineError, load_inpainting, working_side
from s3pot.reference import StructureBatch
from tests.tiny_pipelines import (
    SIDE_PX,
    write_controlnet,
    write_ddpm,
    write_repaint,
    write_stable_diffusion,
)

pytestmark = pytest.mark.filterwarnings(  # diffusers and the libraries it loads warn each other
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
)
SIZE = 64


def structure(label: int, batch: int = 1) -> StructureBatch:
    maps = torch.zeros(batch, SIZE, SIZE, 2)
    return StructureBatch(torch.full((batch, SIZE, SIZE), label), maps, maps)


def face() -> tuple[Tensor, Tensor]:
    """A grey ramp and a square in its middle that is hidden."""
    raw = torch.linspace(0.2, 0.8, SIZE).expand(1, 3, SIZE, SIZE).clone()
    hidden = torch.zeros(1, 1, SIZE, SIZE)
    hidden[..., 20:44, 20:44] = 1
    return raw, hidden


@pytest.fixture(scope="module")
def repaint(tmp_path_factory: pytest.TempPathFactory) -> InpaintGenerator:
    return load_inpainting(str(write_repaint(tmp_path_factory.mktemp("pipe") / "repaint")))


def test_it_works_at_the_size_of_the_pipeline(repaint: InpaintGenerator) -> None:
    assert repaint.side == SIDE_PX


def test_it_paints_where_hidden_and_nowhere_else(repaint: InpaintGenerator) -> None:
    raw, hidden = face()
    painted = repaint(raw, hidden, structure(6))
    kept = hidden.expand_as(raw) == 0
    assert torch.equal(painted[kept], raw[kept])
    assert (painted - raw)[~kept].abs().mean() > 0.05


def test_the_occluder_itself_is_not_seen_by_it(repaint: InpaintGenerator) -> None:
    """RePaint's mask has the other polarity: the wrong way round it would keep the occluder."""
    raw, hidden = face()
    red, blue = raw.clone(), raw.clone()
    red[:, 0, 20:44, 20:44], blue[:, 2, 20:44, 20:44] = 1, 1
    assert torch.equal(repaint(red, hidden, structure(6)), repaint(blue, hidden, structure(6)))


def test_its_parts_move_with_it(repaint: InpaintGenerator) -> None:
    repaint.to(torch.float64)
    assert next(repaint.pipeline.unet.parameters()).dtype == torch.float64
    repaint.to(torch.float32)


def test_the_side_is_a_multiple_of_the_strides() -> None:
    unet = SimpleNamespace(config={"sample_size": 65, "block_out_channels": (8, 8, 8)})
    assert working_side(SimpleNamespace(unet=unet, vae_scale_factor=8)) == 544


# what is no such pipeline


@pytest.mark.parametrize(
    ("source", "error", "told"),
    [
        ("", PipelineError, "reference.source"),
        ("./nowhere", FileNotFoundError, "no such folder"),
        ("nowhere", FileNotFoundError, "owner/name"),
    ],
)
def test_a_source_that_is_none(source: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        load_inpainting(source)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"holds no model_index\.json"):
        load_inpainting(str(tmp_path))
    (tmp_path / "model_index.json").write_text("{")
    with pytest.raises(PipelineError, match="damaged"):
        load_inpainting(str(tmp_path))
    (tmp_path / "model_index.json").write_text('{"_class_name": "NoSuchPipeline"}')
    with pytest.raises(PipelineError, match="cannot be loaded"):
        load_inpainting(str(tmp_path))


def test_a_pipeline_that_does_not_inpaint(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"does not inpaint|cannot be loaded"):
        load_inpainting(str(write_ddpm(tmp_path / "ddpm")))


def test_a_pipeline_with_a_part_missing(tmp_path: Path) -> None:
    folder = write_repaint(tmp_path / "repaint")
    for weights in (folder / "unet").iterdir():
        weights.unlink()
    with pytest.raises(PipelineError, match="cannot be loaded"):
        load_inpainting(str(folder))


def test_a_hub_name_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(PipelineError, match="name a folder that holds it"):
        load_inpainting("nobody/such-a-pipeline")


# pipelines that read text


@pytest.fixture(scope="module")
def stable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers", reason="the extra [diffusion] is not installed")
    return write_stable_diffusion(tmp_path_factory.mktemp("stable") / "pipe")


def test_a_text_pipeline_inpaints(stable: Path) -> None:
    generator = load_inpainting(str(stable))
    raw, hidden = face()
    painted = generator(raw, hidden, structure(6))
    assert torch.equal(painted, generator(raw, hidden, structure(6)))
    assert (painted - raw)[hidden.expand_as(raw) > 0].abs().mean() > 0.02


def test_a_controlnet_is_shown_the_structure(stable: Path, tmp_path: Path) -> None:
    generator = load_inpainting(str(stable), str(write_controlnet(tmp_path / "control")))
    raw, hidden = face()
    skin, lips = (generator(raw, hidden, structure(label)) for label in (6, 1))
    assert (skin - lips).abs().max() > 1e-3


def test_a_pipeline_that_takes_no_controlnet(tmp_path: Path) -> None:
    source, guide = write_repaint(tmp_path / "pipe"), write_controlnet(tmp_path / "control")
    with pytest.raises(PipelineError, match="cannot be guided"):
        load_inpainting(str(source), str(guide))
