"""FE: what is contrasted with what, where the first point goes, and what SAM is asked."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from s3pot.contrast import (
    Contrast,
    Seed,
    at_centres,
    attended,
    centres_px,
    encode_pair,
    foreground,
    position_contrast,
    seed,
)
from s3pot.prompts import FACE, OCCLUDER, PADDING
from s3pot.sam import FaceSam
from tests.point_sam import PointSam


def tokens(number: int, grid: int = 8) -> Tensor:
    return torch.randn(2, 4, grid, grid, generator=torch.Generator().manual_seed(number))


def everywhere(grid: int = 8) -> Tensor:
    return torch.ones(2, grid, grid, dtype=torch.bool)


def pair(a: Tensor, b: Tensor) -> Contrast:
    return Contrast(a, b, torch.ones_like(a[:, 0]).bool())


def test_the_token_mask_is_the_published_samples() -> None:
    """Rows and columns 8, 24, 40, ... of a picture of 1024 px (method.md 2.2)."""
    field = torch.rand(1, 1, 1024, 1024, generator=torch.Generator().manual_seed(1))
    expected = field[0, 0, 8::16, 8::16]
    torch.testing.assert_close(at_centres(field, 64)[0], expected)


def test_a_tokens_centre_is_sampled_whatever_the_stride() -> None:
    ramp = torch.arange(192.0).expand(1, 1, 192, 192)
    assert at_centres(ramp, 24)[0, 0].tolist() == [8 * i + 4 for i in range(24)]
    assert at_centres(ramp, 64)[0, 0].tolist() == [3 * i + 1 for i in range(64)]


def test_a_tokens_centre_in_px_is_the_mean_of_its_pixels() -> None:
    cells = torch.tensor([[0, 0], [3, 5], [23, 23]])
    centre = centres_px(cells, 24, 192)
    expected = [[8 * x + 3.5, 8 * y + 3.5] for x, y in cells.tolist()]
    assert centre.tolist() == expected


def test_q_is_the_cosine_place_by_place() -> None:
    a, b = tokens(1), tokens(2)
    q = position_contrast(a, b)
    for y in range(8):
        for x in range(8):
            expected = F.cosine_similarity(a[:, :, y, x], b[:, :, y, x], dim=1)
            torch.testing.assert_close(q[:, y, x], expected)


def test_the_seed_is_the_face_token_that_changed_least() -> None:
    a, b = tokens(1), tokens(2)
    b[0, :, 2, 5], b[1, :, 6, 1] = 3 * a[0, :, 2, 5], a[1, :, 6, 1]
    found = seed(PointSam(), pair(a, b), everywhere())
    assert found.point.tolist() == [[[8 * 5 + 3.5, 8 * 2 + 3.5]], [[8 * 1 + 3.5, 8 * 6 + 3.5]]]
    assert found.label.tolist() == [[FACE], [FACE]]


def test_the_seed_stays_on_a_face_that_changed_everywhere() -> None:
    """Q2: times 0 the background would win against a face of negative cosines."""
    a = tokens(1)
    b = a.clone()
    face = torch.zeros_like(everywhere())
    face[:, 4:6, 4:6] = True
    b[face[:, None].expand_as(b)] *= -1
    b[:, :, 5, 4] += 0.5 * a[:, :, 5, 4]  # still against, but never mind
    mended = seed(PointSam(), pair(a, b), face)
    released = seed(PointSam(), pair(a, b), face, released=True)
    for x, y in mended.point[:, 0].tolist():
        assert face[0, int(y) // 8, int(x) // 8]
    assert released.point[:, 0].tolist() == [[-0.5, -0.5]] * 2  # token 0, its corner


def test_released_the_seed_is_the_argmax_of_q_times_m_without_the_half_token() -> None:
    a, b = tokens(3), tokens(4)
    face = torch.zeros_like(everywhere())
    face[:, 1:7, 2:6] = True
    q = F.cosine_similarity(a, b, dim=1) * face
    found = seed(PointSam(), pair(a, b), face, released=True)
    for i in range(2):
        y, x = divmod(int(q[i].argmax()), 8)
        assert found.point[i, 0].tolist() == [8 * x - 0.5, 8 * y - 0.5]


def test_without_a_face_there_is_no_seed() -> None:
    found = seed(PointSam(), pair(tokens(1), tokens(2)), ~everywhere())
    assert found.label.tolist() == [[PADDING], [PADDING]]


def test_both_crops_attend_to_the_same_face_point() -> None:
    """As SAM's transformer does it on each, asked with its foreground label."""
    sam = FaceSam().eval()
    a, b = (torch.randn(2, 64, 24, 24, generator=torch.Generator().manual_seed(i)) for i in (1, 2))
    first = Seed(torch.tensor([[[50.0, 60]], [[100, 20]]]), torch.tensor([[FACE], [FACE]]))
    with torch.inference_mode():
        a_x, a_y = attended(sam, pair(a, b), first)
        one = torch.ones(1, 1, dtype=torch.int64)
        for i in range(2):
            alone = sam.attend(a[i : i + 1], first.point[i : i + 1], one)
            torch.testing.assert_close(a_x[i : i + 1], alone, rtol=1e-4, atol=1e-4)
            alone = sam.attend(b[i : i + 1], first.point[i : i + 1], one)
            torch.testing.assert_close(a_y[i : i + 1], alone, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(a_x, a)


def test_what_is_unknown_is_shown_as_the_raw_crop_and_marked() -> None:
    sam = PointSam()
    raw = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    known = torch.zeros(2, 1, 64, 64)
    known[:, :, :32] = 0.4
    contrast = encode_pair(sam, raw, torch.zeros_like(raw), known)
    torch.testing.assert_close(contrast.raw, sam.encode(raw))
    torch.testing.assert_close(contrast.reference[:, :, 4:], contrast.raw[:, :, 4:])
    assert not torch.allclose(contrast.reference[:, :, :4], contrast.raw[:, :, :4])
    assert contrast.known[:, :4].all()
    assert not contrast.known[:, 4:].any()


def test_labels_are_turned_round_when_sam_is_asked_for_the_face() -> None:
    labels = torch.tensor([[OCCLUDER, FACE, PADDING, 2, 3]])
    assert foreground(labels, "occluder") is labels
    assert foreground(labels, "face").tolist() == [[FACE, OCCLUDER, PADDING, 2, 3]]
