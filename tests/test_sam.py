"""Our batched call of SAM's modules must be SAM's own, and its checkpoints must load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from s3pot.decoder import PromptedDecoder, segment_anything
from s3pot.sam import FaceSam, builders
from s3pot.vit import VitSam, variant_of
from tests.toy_sams import toy_sam


def test_a_batch_equals_sam_one_by_one() -> None:
    sam = toy_sam()
    ours = PromptedDecoder(sam.prompt_encoder, sam.mask_decoder).eval()
    tokens, mask = torch.randn(3, 32, 4, 4), torch.randn(3, 1, 16, 16)
    points = torch.rand(3, 2, 2) * 63
    boxes = torch.tensor([[[5.0, 6], [30, 40]], [[1, 2], [60, 50]], [[20, 20], [40, 44]]])
    asked = [(2, True), (1, True), (2, False)]  # so many points, and a box
    labels = torch.tensor([[1, 0, 2, 3], [1, -1, 2, 3], [0, 1, -1, -1]])
    with torch.inference_mode():
        for masked in (True, False):
            batch = ours(tokens, torch.cat([points, boxes], 1), labels, mask if masked else None)
            for i, (count, boxed) in enumerate(asked):
                expected, _ = sam.mask_decoder(
                    tokens[i : i + 1],
                    sam.prompt_encoder.get_dense_pe(),
                    *sam.prompt_encoder(
                        points=(points[i : i + 1, :count], labels[i : i + 1, :count]),
                        boxes=boxes[i : i + 1] if boxed else None,
                        masks=mask[i : i + 1] if masked else None,
                    ),
                    False,
                )
                torch.testing.assert_close(batch[i : i + 1], expected, rtol=1e-4, atol=1e-4)


def test_attended_features_are_the_keys_of_sams_transformer() -> None:
    sam = toy_sam()
    kept: list[torch.Tensor] = []
    sam.mask_decoder.transformer.register_forward_hook(lambda _m, _i, out: kept.append(out[1]))
    tokens, points = torch.randn(1, 32, 4, 4), torch.tensor([[[20.0, 30.0]]])
    with torch.inference_mode():
        sparse, dense = sam.prompt_encoder((points, torch.ones(1, 1).long()), None, None)
        sam.mask_decoder(tokens, sam.prompt_encoder.get_dense_pe(), sparse, dense, False)
        ours = PromptedDecoder(sam.prompt_encoder, sam.mask_decoder).eval()
        attended = ours.attend(tokens, points, torch.ones(1, 1).long())
    expected = kept[0].reshape(1, 4, 4, 32).permute(0, 3, 1, 2)
    torch.testing.assert_close(attended, expected, rtol=1e-4, atol=1e-5)


def test_the_package_can_still_be_imported_by_others() -> None:
    import sys

    segment_anything("modeling")
    shell = sys.modules.get("segment_anything")
    assert shell is None or shell.__file__ is not None


def test_a_point_in_the_crop_is_the_same_point_in_sams_input() -> None:
    sam = VitSam(toy_sam(), FaceSam(), 128)
    seen = []
    sam.decoder.embed = lambda points, labels: seen.append(points) or torch.zeros(1, 1, 32)  # type: ignore
    sam.eval().decode(
        torch.zeros(1, 32, 4, 4),
        torch.tensor([[[63.5, 127.5]]]),
        torch.ones(1, 1).long(),
        torch.zeros(1, 1, 16, 16),
    )
    torch.testing.assert_close(seen[0], torch.tensor([[[31.5, 63.5]]]))


def test_a_picture_of_sams_mean_is_nothing_to_its_encoder() -> None:
    sam = VitSam(toy_sam(), FaceSam(), 128).eval()
    seen: list[torch.Tensor] = []
    sam.image_encoder.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    mean = torch.tensor([123.675, 116.28, 103.53]).view(1, 3, 1, 1) / 255
    std = torch.tensor([58.395, 57.12, 57.375]).view(1, 3, 1, 1) / 255
    with torch.inference_mode():
        for deviations in (0.0, 1.0):
            sam.encode((mean + deviations * std).expand(2, 3, 128, 128))
            expected = torch.full((2, 3, 64, 64), deviations)
            torch.testing.assert_close(seen.pop(), expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry's variants, small."""
    registry = segment_anything("build_sam").sam_model_registry
    monkeypatch.setitem(registry, "vit_b", toy_sam)
    monkeypatch.setitem(registry, "vit_l", lambda: toy_sam(128))
    monkeypatch.setattr("s3pot.vit.VARIANT_WIDTHS", {32: "vit_b"})


@pytest.mark.usefixtures("toys")
def test_an_official_checkpoint_loads_by_path(tmp_path: Path) -> None:
    path = tmp_path / "sam.pth"
    trained = toy_sam(seed=7)
    torch.save(trained.state_dict(), path)
    sam: Any = builders["vit_b"](FaceSam(), path, 192)
    assert sam.size_px == 192
    for name, tensor in sam.state_dict().items():
        assert not tensor.is_meta, name
    for name, tensor in trained.mask_decoder.state_dict().items():
        assert torch.equal(sam.decoder.mask_decoder.state_dict()[name], tensor)
    raw = torch.rand(1, 3, 192, 192)
    with torch.inference_mode():
        expected = VitSam(trained, FaceSam(), 192).eval().encode(raw)
        torch.testing.assert_close(sam.eval().encode(raw), expected)


@pytest.mark.usefixtures("toys")
def test_half_floats_are_loaded_as_full_ones(tmp_path: Path) -> None:
    torch.save({k: v.half() for k, v in toy_sam().state_dict().items()}, tmp_path / "sam.pth")
    sam: Any = builders["vit_b"](FaceSam(), tmp_path / "sam.pth", 192)
    assert {v.dtype for v in sam.state_dict().values() if v.is_floating_point()} == {torch.float32}


@pytest.mark.usefixtures("toys")
def test_a_checkpoint_of_another_variant_is_told_which(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(toy_sam().state_dict(), path)
    with pytest.raises(ValueError, match=r"other\.pth: no checkpoint of SAM vit_l: .* vit_b"):
        builders["vit_l"](FaceSam(), path, 192)


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_the_official_variants_are_known_by_their_shapes(name: str) -> None:
    with torch.device("meta"):
        sam = segment_anything("build_sam").sam_model_registry[name]()
    assert variant_of(sam.state_dict()) == name


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize(
    ("held", "words"),
    [
        ({"vision_encoder.pos_embed": torch.zeros(1)}, "Missing key"),
        ({"image_encoder.pos_embed": torch.zeros(1)}, "Missing key"),
        ({"model": {"image_encoder.pos_embed": torch.zeros(1)}}, "no table of tensors"),
        ([torch.zeros(3)], "no table of tensors"),
        (torch.zeros(3), "no table of tensors"),
    ],
)
def test_what_is_no_sam_is_named(tmp_path: Path, held: Any, words: str) -> None:
    torch.save(held, tmp_path / "it.pth")
    with pytest.raises(ValueError, match=rf"it\.pth: no checkpoint of SAM vit_b: .*{words}"):
        builders["vit_b"](FaceSam(), tmp_path / "it.pth", 192)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("keep", [0, 1, 30, 5000, -30])
@pytest.mark.parametrize("legacy", [False, True])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, keep: int, legacy: bool) -> None:
    path = tmp_path / "sam.pth"
    torch.save(toy_sam().state_dict(), path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"sam\.pth: no checkpoint of SAM vit_b: damaged"):
        builders["vit_b"](FaceSam(), path, 192)


def test_a_missing_checkpoint_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3POT_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"none\.pth: .*weights download vit_l"):
        builders["vit_l"](FaceSam(), tmp_path / "none.pth", 192)


@pytest.mark.usefixtures("toys")
@pytest.mark.parametrize("checkpoint", [Path(), Path("sam_vit_b_01ec64.pth")])
def test_a_checkpoint_in_the_cache_needs_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3POT_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match=r"sam_vit_b_01ec64\.pth"):
        builders["vit_b"](FaceSam(), checkpoint, 192)
    (tmp_path / "cache").mkdir()
    torch.save(toy_sam().state_dict(), tmp_path / "cache" / "sam_vit_b_01ec64.pth")
    assert builders["vit_b"](FaceSam(), checkpoint, 192).grid == 4
