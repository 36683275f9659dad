"""PS: points where the evidence is sure, a box round it, padding where there is nothing."""

from __future__ import annotations

import torch

from s3pot.prompts import FACE, OCCLUDER, PADDING, bounding_box, select_prompts, spread

REGION = torch.ones(1, 1, 192, 192)


def evidence(*boxes: tuple[int, int, int, int]) -> torch.Tensor:
    """Logits that are sure of occluders in boxes x0 y0 x1 y1."""
    logits = torch.full((1, 1, 192, 192), -6.0)
    for x0, y0, x1, y1 in boxes:
        logits[..., y0:y1, x0:x1] = 6.0
    return logits


def test_points_lie_well_inside_what_they_name() -> None:
    prompts = select_prompts(evidence((64, 80, 128, 160)), REGION, box=False)
    for (x, y), label in zip(prompts.points[0].tolist(), prompts.labels[0].tolist(), strict=True):
        inside = 64 + 4 <= x <= 128 - 4 and 80 + 4 <= y <= 160 - 4
        outside = not (64 - 6 <= x <= 128 + 6 and 80 - 6 <= y <= 160 + 6)
        assert inside if label == OCCLUDER else outside
    assert set(prompts.labels[0].tolist()) == {OCCLUDER, FACE}


def test_points_are_spread() -> None:
    prompts = select_prompts(evidence((64, 32, 96, 176)), REGION, positive=3, negative=0, box=False)
    ys = sorted(prompts.points[0, :, 1].tolist())
    assert ys[0] < 60
    assert ys[-1] > 140


def test_two_occluders_both_get_a_point() -> None:
    two = evidence((16, 16, 64, 64), (128, 128, 176, 176))
    points = select_prompts(two, REGION, positive=2, negative=0, box=False).points[0]
    assert sorted(bool(p[0] > 96) for p in points) == [False, True]


def test_the_box_holds_the_occluder() -> None:
    prompts = select_prompts(evidence((64, 80, 128, 160)), REGION, positive=0, negative=0)
    assert prompts.labels[0].tolist() == [2, 3]
    torch.testing.assert_close(prompts.points[0], torch.tensor([[63.5, 79.5], [127.5, 159.5]]))


def test_a_clean_face_sends_no_positive_point_and_no_box() -> None:
    labels = select_prompts(evidence(), REGION).labels[0].tolist()
    assert labels == [PADDING] * 4 + [FACE] * 4 + [PADDING] * 2


def test_a_speck_is_not_worth_a_prompt() -> None:
    labels = select_prompts(evidence((90, 90, 98, 98)), REGION, min_area=0.01).labels[0].tolist()
    assert OCCLUDER not in labels
    assert 2 not in labels


def test_evidence_off_the_face_is_no_prompt() -> None:
    region = torch.zeros(1, 1, 192, 192)
    region[..., 96:] = 1
    prompts = select_prompts(evidence((0, 0, 90, 192)), region)
    assert OCCLUDER not in prompts.labels[0].tolist()
    assert prompts.mask[..., :40].max() < 0


def test_the_dense_prompt_is_the_evidence_at_its_own_size() -> None:
    prompts = select_prompts(evidence((64, 80, 128, 160)), REGION, mask_side=96, mask_scale=0.5)
    assert prompts.mask.shape == (1, 1, 96, 96)
    assert prompts.mask[0, 0, 60, 48] == 3
    assert prompts.mask[0, 0, 4, 4] == -3


def test_faces_of_a_batch_do_not_touch_each_other() -> None:
    one, other = evidence((64, 80, 128, 160)), evidence()
    both = select_prompts(torch.cat([one, other]), REGION.expand(2, -1, -1, -1))
    for i, single in enumerate((one, other)):
        alone = select_prompts(single, REGION)
        torch.testing.assert_close(both.points[i], alone.points[0])
        assert both.labels[i].tolist() == alone.labels[0].tolist()


def test_spread_says_what_it_did_not_find() -> None:
    score = torch.zeros(1, 8, 8)
    score[0, 2, 5] = 1
    chosen = spread(score, 2)
    assert chosen.cells[0, 0].tolist() == [5, 2]
    assert chosen.found[0].tolist() == [True, False]


def test_bounding_box_is_exclusive_at_its_end() -> None:
    cells = torch.zeros(1, 8, 8, dtype=torch.bool)
    cells[0, 2:4, 5:8] = True
    assert bounding_box(cells)[0].tolist() == [[5, 2], [8, 4]]
