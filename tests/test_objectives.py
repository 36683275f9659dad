"""The three objectives against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from s3pot.objectives import MENDED, PUBLISHED, ObjectiveOptions, Objectives, at_points, objectives
from s3pot.prompts import FACE, OCCLUDER, PADDING

SIZE = 4


def picture(face_logits: list[list[float]]) -> Tensor:
    """Logits of the face, as the paper writes them -> ours, positive = occluder."""
    return -torch.tensor(face_logits)[None, None]


Z = [[0.2, -0.1, 0.0, 0.0], [0.1, 5.0, 0.0, 0.0], [0.0] * 4, [0.0] * 4]
POINTS = torch.tensor([[[0.0, 0], [1, 0], [0, 1], [1, 1]]])  # the logits 0.2, -0.1, 0.1, 5.0
LABELS = torch.tensor([[FACE, FACE, OCCLUDER, PADDING]])
ONES = torch.ones(1, 4)


def losses(
    options: ObjectiveOptions, confidence: Tensor = ONES, labels: Tensor = LABELS
) -> Objectives:
    return objectives(
        picture(Z), POINTS, labels, confidence, size_px=SIZE, options=options
    )  # fmt: skip


def test_as_published_by_hand() -> None:
    """sigmoid(2) = 0.880797, sigmoid(-1) = 0.268941, sigmoid(1) = 0.731059."""
    out = losses(PUBLISHED)
    assert out.face.item() == pytest.approx(-(0.880797 + 0.268941) / 2, abs=1e-5)
    assert out.occluder.item() == pytest.approx(0.731059, abs=1e-5)
    assert out.margin.item() == pytest.approx((0.5 - 0.268941) / 2, abs=1e-5)
    assert out.total.item() == pytest.approx(-0.574869 + 0.731059 + 0.5 * 0.115530, abs=1e-5)


def test_mended_by_hand() -> None:
    """sigmoid(0.2) = 0.549834, sigmoid(-0.1) = 0.475021, sigmoid(0.1) = 0.524979; weights 1, 3, 2."""
    options = replace(MENDED, least=0.0)
    out = losses(options, torch.tensor([[1.0, 3.0, 2.0, 9.0]]))
    assert out.face.item() == pytest.approx(-(0.549834 + 3 * 0.475021) / 4, abs=1e-5)
    assert out.occluder.item() == pytest.approx(0.524979, abs=1e-5)
    assert out.margin.item() == pytest.approx(3 * (0.5 - 0.475021) / 4, abs=1e-5)


def test_a_few_points_weigh_less_than_a_face() -> None:
    """One point of confidence 0.5 of the 6 that make a full set: a twelfth."""
    confidence = torch.tensor([[1.0, 1.0, 0.5, 1.0]])
    assert losses(MENDED, confidence).occluder.item() == pytest.approx(0.524979 / 12, abs=1e-5)
    published = losses(PUBLISHED, confidence).occluder.item()
    assert published == pytest.approx(0.731059, abs=1e-5)


@pytest.mark.parametrize("options", [PUBLISHED, MENDED])
def test_a_missing_set_counts_as_0(options: ObjectiveOptions) -> None:
    nothing = losses(options, labels=torch.full((1, 4), PADDING))
    assert [x.item() for x in nothing] == [0.0] * 4
    clean = losses(options, labels=torch.tensor([[FACE, FACE, PADDING, PADDING]]))
    assert clean.occluder.item() == 0
    assert clean.face.item() < 0


@pytest.mark.parametrize("name", ["face", "occluder", "margin"])
def test_each_loss_can_be_switched_off(name: str) -> None:
    whole, without = losses(PUBLISHED), losses(replace(PUBLISHED, **{name: 0.0}))
    weight = getattr(PUBLISHED, name)
    expected = whole.total - weight * getattr(whole, name)
    torch.testing.assert_close(without.total, expected)
    assert getattr(whole, name).item() != 0


def test_each_picture_has_its_own_losses() -> None:
    logits = torch.cat([picture(Z), -picture(Z)])
    out = objectives(
        logits, POINTS.repeat(2, 1, 1), LABELS.repeat(2, 1), ONES.repeat(2, 1), size_px=SIZE,
        options=PUBLISHED,
    )  # fmt: skip
    torch.testing.assert_close(out.total[:1], losses(PUBLISHED).total)
    assert out.occluder[1].item() == pytest.approx(1 - 0.731059, abs=1e-5)


@pytest.mark.parametrize("options", [PUBLISHED, MENDED])
def test_going_down_the_slope_parts_face_and_occluder(options: ObjectiveOptions) -> None:
    logits = torch.zeros(1, 1, SIZE, SIZE, requires_grad=True)
    out = objectives(logits, POINTS, LABELS, ONES, size_px=SIZE, options=options)
    torch.autograd.backward(out.total.sum())
    slope = at_points(logits.grad, POINTS, SIZE)[0]  # type: ignore[arg-type]
    assert slope[0] > 0  # the occluder's logit falls on the face
    assert slope[1] > 0
    assert slope[2] < 0  # and rises on the occluder
    assert slope[3] == 0  # padding


def test_with_the_published_slope_a_sure_mistake_hardly_pulls() -> None:
    """Q7: at one logit on the wrong side 4.5e-4 against 0.197 of the mended form."""
    slopes = []
    for options in (PUBLISHED, replace(MENDED, least=0.0)):
        logits = torch.full((1, 1, SIZE, SIZE), -1.0, requires_grad=True)
        labels = torch.tensor([[OCCLUDER] + [PADDING] * 3])
        out = objectives(logits, POINTS, labels, ONES, size_px=SIZE, options=options)
        torch.autograd.backward(out.total.sum())
        slopes.append(logits.grad.abs().sum().item())  # type: ignore[union-attr]
    assert slopes == pytest.approx([10 * 4.5396e-5, 0.196612], rel=1e-3)


def test_points_are_read_where_they_lie() -> None:
    """A mask of half the side: pixel centres of the crop fall between its cells."""
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    points = torch.tensor([[[0.5, 3.0], [2.5, 3], [1.5, 0], [6.5, 6.5]]])
    torch.testing.assert_close(at_points(ramp, points, 8), torch.tensor([[0.0, 1.0, 0.5, 3.0]]))
