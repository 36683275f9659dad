"""Our batched call of SAM's modules must be SAM's own, and its checkpoints must load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from s3pot.sam import FaceSam, PromptedDecoder, builders, segment_anything
from s3pot.vit import VitSam


def toy_sam() -> Any:
    """A SAM of the official classes, small enough for a test: 64 px, 4 x 4 tokens."""
    m = segment_anything("modeling")
    torch.manual_seed(0)
    encoder = m.ImageEncoderViT(
        img_size=64, patch_size=16, embed_dim=32, depth=1, num_heads=2, out_chans=32, qkv_bias=True
    )
    prompts = m.PromptEncoder(
        embed_dim=32, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=16
    )
    transformer = m.TwoWayTransformer(depth=2, embedding_dim=32, mlp_dim=64, num_heads=4)
    decoder = m.MaskDecoder(transformer_dim=32, transformer=transformer)
    return m.Sam(encoder, prompts, decoder).eval()


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


@pytest.mark.parametrize("build", [FaceSam, lambda: VitSam(toy_sam(), FaceSam(), 128)])
def test_every_variant_keeps_the_contract(build: Any) -> None:
    sam = build().eval()
    size = sam.size_px
    with torch.inference_mode():
        evidence = sam.enhance(*(torch.rand(2, c, size, size) for c in (3, 3, 1)))
        assert evidence.logits.shape == (2, 1, size, size)
        points, labels = torch.rand(2, 5, 2) * size, torch.tensor([[1, 0, -1, 2, 3]] * 2)
        side = sam.mask_side
        logits = sam.decode(evidence.tokens, points, labels, torch.zeros(2, 1, side, side))
    assert logits.shape == (2, 1, side, side)
    assert logits.isfinite().all()


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


def test_an_official_checkpoint_loads_by_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = segment_anything("build_sam").sam_model_registry
    monkeypatch.setitem(registry, "vit_b", toy_sam)
    path = tmp_path / "sam.pth"
    trained = toy_sam()
    with torch.no_grad():
        trained.mask_decoder.iou_token.weight.fill_(7)
    torch.save(trained.state_dict(), path)
    sam: Any = builders["vit_b"](FaceSam(), path, 192)
    assert sam.decoder.mask_decoder.iou_token.weight[0, 0] == 7


def test_a_checkpoint_of_another_variant_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = segment_anything("build_sam").sam_model_registry
    monkeypatch.setitem(registry, "vit_l", toy_sam)
    path = tmp_path / "other.pth"
    torch.save({"image_encoder.pos_embed": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"other\.pth: no checkpoint of SAM vit_l"):
        builders["vit_l"](FaceSam(), path, 192)
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        builders["vit_l"](FaceSam(), tmp_path / "none.pth", 192)
