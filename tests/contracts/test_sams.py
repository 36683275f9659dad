"""What every SAM variant promises. A new variant is tested by a line in ``VARIANTS``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from s3pot.onnx_sam import OnnxSam
from s3pot.sam import FaceSam, builders
from s3pot.vit import VitSam
from tests.toy_sams import toy_sam, write_onnx

VARIANTS: dict[str, Callable[[Path], Any]] = {
    "face": lambda _folder: FaceSam(),
    "vit": lambda _folder: VitSam(toy_sam(128), FaceSam(), 192),
    "onnx": lambda folder: OnnxSam(write_onnx(folder, toy_sam(64)), FaceSam(), 192),
}


@pytest.fixture(scope="module", params=VARIANTS)
def sam(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    torch.manual_seed(1)
    return VARIANTS[request.param](tmp_path_factory.mktemp("sam")).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tokens(sam: Any) -> Tensor:
    return sam.encode(crops(sam))


def crops(sam: Any, count: int = 2) -> Tensor:
    return torch.rand(
        count, 3, sam.size_px, sam.size_px, generator=torch.Generator().manual_seed(2)
    )


def ask(*kinds: int) -> tuple[Tensor, Tensor]:
    """The same labels for two faces, at points of their own."""
    points = torch.rand(2, len(kinds), 2, generator=torch.Generator().manual_seed(3)) * 191
    return points, torch.tensor([kinds, kinds]).reshape(2, len(kinds))


def test_every_variant_of_the_registry_is_tested_here() -> None:
    assert {name.split("_")[0] for name in builders} == set(VARIANTS)


def test_shapes(sam: Any, tokens: Tensor) -> None:
    assert tokens.shape == (2, sam.width, sam.grid, sam.grid)
    assert tokens.dtype == torch.float32
    points, labels = ask(1, 0, -1, 2, 3)
    assert sam.attend(tokens, points, labels).shape == tokens.shape
    side = sam.mask_side
    for mask in (None, torch.zeros(2, 1, side, side)):
        logits = sam.decode(tokens, points, labels, mask)
        assert logits.shape == (2, 1, side, side)
        assert logits.isfinite().all()


def test_evidence_comes_at_the_size_of_the_crop(sam: Any) -> None:
    raw = crops(sam)
    evidence = sam.enhance(raw, raw * 0.5, torch.ones_like(raw[:, :1]))
    assert evidence.logits.shape == (2, 1, sam.size_px, sam.size_px)
    assert evidence.tokens.shape == (2, sam.width, sam.grid, sam.grid)


def test_a_batch_of_two_is_two_singles(sam: Any, tokens: Tensor) -> None:
    points, _ = ask(1, 0, 1, 2, 3)
    labels = torch.tensor([[1, 0, 1, 2, 3], [0, 1, -1, -1, -1]])
    mask = torch.randn(2, 1, sam.mask_side, sam.mask_side)
    raw = crops(sam)
    for i in (0, 1):
        one = slice(i, i + 1)
        alone = (tokens[one], points[one], labels[one])
        for batch, single in (
            (tokens, sam.encode(raw[one])),
            (sam.attend(tokens, points, labels), sam.attend(*alone)),
            (sam.decode(tokens, points, labels, None), sam.decode(*alone, None)),
            (sam.decode(tokens, points, labels, mask), sam.decode(*alone, mask[one])),
        ):
            torch.testing.assert_close(batch[one], single, rtol=1e-3, atol=1e-4)


def test_tokens_lie_where_the_picture_changes(sam: Any) -> None:
    raw = crops(sam, 1)
    other = raw.clone()
    cell = sam.size_px // 4
    other[..., :cell, 3 * cell :] = 0  # top right
    change = (sam.encode(raw) - sam.encode(other)).abs().sum(1)[0]
    row, column = divmod(int(change.argmax()), sam.grid)
    assert row < sam.grid / 2 <= column


def test_a_point_moved_by_one_token_moves_the_answer(sam: Any, tokens: Tensor) -> None:
    points, labels = ask(1)
    points = points * 0.5 + 20
    moved = points + torch.tensor([sam.size_px / sam.grid, 0])
    for answer in (sam.attend, lambda *asked: sam.decode(*asked, None)):
        difference = answer(tokens, moved, labels) - answer(tokens, points, labels)
        assert difference.abs().amax((1, 2, 3)).min() > 1e-4


def test_every_label_is_a_prompt_of_its_own(sam: Any, tokens: Tensor) -> None:
    points, _ = ask(1, 1)
    answers = [
        sam.decode(tokens, points, torch.tensor([kinds] * 2), None)
        for kinds in ((1, 1), (0, 1), (2, 3), (3, 2), (1, -1))
    ]
    for i, one in enumerate(answers):
        for other in answers[i + 1 :]:
            assert (one - other).abs().amax((1, 2, 3)).min() > 1e-4


def test_no_mask_is_not_a_mask_of_zeros(sam: Any, tokens: Tensor) -> None:
    asked = (tokens, *ask(1, 0))
    zeros = torch.zeros(2, 1, sam.mask_side, sam.mask_side)
    assert (sam.decode(*asked, None) - sam.decode(*asked, zeros)).abs().max() > 1e-3


def test_attended_features_are_asked_without_a_mask_and_say_what_was_asked(
    sam: Any, tokens: Tensor
) -> None:
    points, labels = ask(1, -1)
    attended = sam.attend(tokens, points, labels)
    assert (attended - tokens).abs().max() > 1e-2
    assert (attended - sam.attend(tokens, points, 1 - labels.clamp(0))).abs().max() > 1e-4


def test_where_a_padding_point_lies_changes_nothing(sam: Any, tokens: Tensor) -> None:
    points, labels = ask(1, 0, -1)
    moved = points.clone()
    moved[:, 2] = 150
    for answer in (sam.attend, lambda *asked: sam.decode(*asked, None)):
        assert torch.equal(answer(tokens, points, labels), answer(tokens, moved, labels))


def test_how_many_padding_points_there_are_changes_nothing(sam: Any, tokens: Tensor) -> None:
    if isinstance(sam, FaceSam):
        pytest.skip("the embedded decoder was trained with a fixed number of slots")
    few, many = ask(1, 0), ask(1, 0, -1, -1, -1)
    few = (many[0][:, :2], few[1])
    torch.testing.assert_close(sam.attend(tokens, *few), sam.attend(tokens, *many))
    torch.testing.assert_close(sam.decode(tokens, *few, None), sam.decode(tokens, *many, None))


def test_nothing_may_be_asked(sam: Any, tokens: Tensor) -> None:
    points, labels = torch.zeros(2, 0, 2), torch.zeros(2, 0, dtype=torch.int64)
    assert sam.attend(tokens, points, labels).isfinite().all()
    assert sam.decode(tokens, points, labels, None).isfinite().all()


def test_a_screen_sees_the_prompts_and_changes_the_answer(sam: Any, tokens: Tensor) -> None:
    points, labels = ask(1, 0, -1, 2, 3)
    seen: list[Tensor] = []

    def look(sparse: Tensor, padding: Tensor) -> Tensor:
        seen.extend((sparse, padding))
        return sparse

    asked = (tokens, points, labels, None)
    plain = sam.decode(*asked)
    assert torch.equal(sam.decode(*asked, look), plain)
    assert seen[0].shape == (2, 5, sam.width)
    assert torch.equal(seen[1], labels == -1)
    assert (sam.decode(*asked, lambda sparse, _: sparse * 0) - plain).abs().max() > 1e-3


def test_a_screen_can_be_trained(sam: Any, tokens: Tensor) -> None:
    scale = nn.Parameter(torch.ones(sam.width))
    points, labels = ask(1, 0, -1)
    logits = sam.decode(tokens, points, labels, None, lambda sparse, _: sparse * scale)
    logits.sum().backward()
    assert scale.grad is not None
    assert scale.grad.abs().max() > 0


def test_the_same_asked_twice_is_answered_the_same(sam: Any, tokens: Tensor) -> None:
    asked = (tokens, *ask(1, 0, 2, 3))
    assert torch.equal(sam.encode(crops(sam)), tokens)
    assert torch.equal(sam.decode(*asked, None), sam.decode(*asked, None))
