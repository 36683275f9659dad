"""The label policy: what counts as in front of the face."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from s3pot.policy import check, judge
from s3pot.types import KINDS, PART_OF_FACE

TAUGHT = {k: "face" if k in PART_OF_FACE else "occlusion" for k in KINDS[1:]}


def scene() -> tuple[Tensor, Tensor]:
    """A face of 8 x 8 cells: columns 0-1 a hand, 2-3 a mask, 4-5 hair, 6-7 bare."""
    kinds = torch.zeros(1, len(KINDS), 8, 8)
    logits = torch.full((1, 1, 32, 32), -5.0)
    for column, kind in enumerate(["hand", "mask", "hair", "face"]):
        kinds[:, KINDS.index(kind), :, 2 * column : 2 * column + 2] = 12
    logits[..., :16] = 5
    return logits, kinds


def columns(logits: Tensor) -> list[bool]:
    """Which of the four stripes count as in front, read in their middles."""
    return (logits[0, 0, 16, 4::8] > 0).tolist()


def test_the_policy_that_was_taught_changes_no_bit() -> None:
    logits, kinds = scene()
    assert judge(logits, kinds, TAUGHT) is logits
    assert judge(logits, kinds, {}) is logits


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"hand": "face"}, [False, True, False, False]),
        ({"mask": "face"}, [True, False, False, False]),
        ({"hair": "occlusion"}, [True, True, True, False]),
        ({"hand": "face", "mask": "face", "hair": "occlusion"}, [False, False, True, False]),
        ({"sunglasses": "face"}, [True, True, False, False]),
    ],
)
def test_a_kind_changes_sides(changed: dict[str, str], expected: list[bool]) -> None:
    logits, kinds = scene()
    assert columns(judge(logits, kinds, TAUGHT | changed)) == expected


def test_where_the_kind_is_in_doubt_the_answer_is() -> None:
    logits, kinds = scene()
    kinds[:] = 0
    kinds[:, KINDS.index("hand")] = kinds[:, KINDS.index("mask")] = 20  # as much one as the other
    judged = torch.sigmoid(judge(logits, kinds, {"hand": "face"}))
    half = torch.sigmoid(torch.tensor(5.0)).item() / 2
    assert judged[0, 0, 16, 8].item() == pytest.approx(half, abs=1e-3)


def test_unknown_kinds_and_treatments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown kind 'beard'.*hair"):
        check({"beard": "face"})
    with pytest.raises(ValueError, match=r"treat\.hair must be one of .*'skin'"):
        check({"hair": "skin"})
    check(TAUGHT)
