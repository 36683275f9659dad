"""PS and the whole: against a slow, obvious version, and on faces drawn so that the answer is known."""

from __future__ import annotations

from dataclasses import replace
from statistics import median_low
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from s3pot.adapter import Adapter
from s3pot.contrast import Contrast, at_centres
from s3pot.paper import (
    LEAST_DEVIATION,
    NOTHING,
    SURE,
    Paper,
    PaperOptions,
    as_released,
    beyond,
    leaning,
    thinned,
)
from s3pot.prompts import FACE, OCCLUDER, PADDING
from s3pot.sam import FaceSam
from tests.point_sam import PointSam

SIZE, GRID, STRIDE = 64, 8, 8
MENDED = PaperOptions(screen=False, threshold=1.5)
BOTH = pytest.mark.parametrize("polarity", ["occluder", "face"])


def draw(batch: int = 2, seed: int = 0) -> Tensor:
    """A face as its reference: another colour in each token."""
    colours = torch.rand(batch, 3, GRID, GRID, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(colours * 0.6 + 0.3, scale_factor=STRIDE, mode="nearest")


def region(batch: int = 2) -> Tensor:
    area = torch.zeros(batch, 1, SIZE, SIZE)
    area[:, :, 8:56, 8:56] = 1
    return area


def cover(image: Tensor, *, where: tuple[slice, slice]) -> tuple[Tensor, Tensor]:
    """Something dark blue in front, a little noise all over; and where it is, (B, 1, S, S) bool."""
    target = torch.zeros_like(image[:, :1]).bool()
    target[:, :, where[0], where[1]] = True
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(9)) * 0.01
    blue = torch.tensor([0.0, 0.05, 0.35]).view(1, 3, 1, 1)
    return (torch.where(target, blue, image) + noise).clamp(0, 1), target


def scene(paper: Paper, batch: int = 2) -> tuple[Contrast, Tensor]:
    reference = draw(batch)
    raw, target = cover(reference, where=(slice(24, 48), slice(16, 32)))
    return paper.enhance(raw, reference, torch.ones(batch, 1, SIZE, SIZE)), target


# points that stay


def test_evidence_leans_to_what_was_known_and_no_further() -> None:
    excess = torch.tensor([[[0.3, 0.6, -0.3, -0.6], [0.3, -0.3, 3.9, -SURE]]])
    face = torch.ones(1, 2, 4, dtype=torch.bool)
    face[0, 1, 3] = False
    was = torch.tensor([[-1.0, -1, 1, 1], [0, 0, 1, 1]])[None, None]
    carried = F.interpolate(0.5 * was, (4, 8), mode="nearest")
    square = torch.cat([excess, excess], 1)
    leaned = leaning(square, torch.cat([face, face], 1), torch.cat([carried, carried], 2))
    expected = torch.tensor([[-0.2, 0.1, 0.2, -0.1], [0.3, -0.3, SURE, -SURE]])
    torch.testing.assert_close(leaned[0], torch.cat([expected, expected]))


def test_a_point_stays_where_the_last_mask_was() -> None:
    """Half covered tokens are near the threshold: the frame before decides."""
    paper = Paper(PointSam(), replace(MENDED, sticky=SURE), None)
    contrast, _ = scene(paper)
    area, was = region(), torch.zeros(2, 1, SIZE, SIZE)
    alone = paper.select(contrast, area)
    assert torch.equal(paper.select(contrast, area, was).excess, alone.excess)
    was[:, :, 24:48, 32:40] = 1  # one column of tokens beside the occluder
    stays = paper.select(contrast, area, was).excess
    assert (alone.excess[:, 3:6, 4] < 0).all()
    assert (stays[:, 3:6, 4] > alone.excess[:, 3:6, 4] + SURE / 2).all()
    elsewhere = torch.ones_like(stays, dtype=torch.bool)
    elsewhere[:, 3:6, 4] = False
    assert torch.equal(stays[elsewhere], alone.excess[elsewhere])
    more = paper.logits(contrast, area, was) > 0
    assert more.sum() > (paper.logits(contrast, area) > 0).sum()


@pytest.mark.parametrize("options", [PaperOptions(released=True), replace(MENDED, threshold=0.0)])
def test_as_released_each_frame_is_alone(options: PaperOptions) -> None:
    paper = Paper(PointSam(), replace(options, screen=False), None)
    contrast, _ = scene(paper)
    alone = paper.select(contrast, region()).excess
    carried = paper.select(contrast, region(), torch.ones(2, 1, SIZE, SIZE)).excess
    assert torch.equal(alone, carried)


# the whole


@BOTH
def test_the_mask_is_what_is_in_front(polarity: str) -> None:
    paper = Paper(PointSam(), replace(MENDED, polarity=polarity), None)
    contrast, target = scene(paper)
    logits = paper.logits(contrast, region())
    assert logits.shape == (2, 1, SIZE, SIZE)
    on = logits > 0
    assert (on & target).sum() / (on | target).sum() > 0.95
    assert (logits[region() == 0] == NOTHING).all()


@BOTH
def test_with_nothing_in_front_nothing_is_found(polarity: str) -> None:
    sam = PointSam()
    paper = Paper(sam, replace(MENDED, polarity=polarity), None)
    reference = draw()
    noise = torch.randn(reference.shape, generator=torch.Generator().manual_seed(1)) * 0.004
    contrast = paper.enhance(reference + noise, reference, torch.ones(2, 1, SIZE, SIZE))
    prompts = paper.prompts(contrast, region())
    assert (prompts.labels == FACE).all()
    assert prompts.labels.shape == (2, 36)
    assert (paper.logits(contrast, region()) == NOTHING).all()


@BOTH
def test_polarity_is_what_sam_is_asked_for(polarity: str) -> None:
    sam = PointSam()
    paper = Paper(sam, replace(MENDED, polarity=polarity), None)
    contrast, target = scene(paper, batch=1)
    paper.logits(contrast, region(1))
    points, labels, mask = sam.asked[0]
    assert mask is None
    on_target = torch.stack([target[0, 0, int(y), int(x)] for x, y in points[0].tolist()])
    wanted = on_target if polarity == "occluder" else ~on_target
    assert torch.equal(labels[0] == 1, wanted)
    assert set(labels.flatten().tolist()) == {0, 1}
    assert on_target.sum() == 6


def test_where_the_reference_is_unknown_no_point_goes() -> None:
    sam = PointSam()
    paper = Paper(sam, MENDED, None)
    reference = draw(1)
    raw, _ = cover(reference, where=(slice(24, 48), slice(16, 32)))
    known = torch.ones(1, 1, SIZE, SIZE)
    known[..., :32] = 0
    contrast = paper.enhance(raw, reference * known, known)
    prompts = paper.prompts(contrast, region(1))
    assert prompts.points[..., 0].min() > 32
    assert (prompts.labels == FACE).all()  # the occluder lies in the unknown half
    nothing = paper.enhance(raw, reference, torch.zeros_like(known))
    assert paper.prompts(nothing, region(1)).labels.numel() == 0
    assert (paper.logits(nothing, region(1)) == NOTHING).all()


def test_without_a_face_there_is_nothing() -> None:
    for options in (MENDED, replace(MENDED, released=True), replace(MENDED, points=4)):
        paper = Paper(PointSam(), options, None)
        contrast, _ = scene(paper)
        assert (paper.logits(contrast, torch.zeros(2, 1, SIZE, SIZE)) == NOTHING).all()


@pytest.mark.parametrize("build", [PointSam, FaceSam])
@pytest.mark.parametrize("released", [False, True])
def test_a_batch_is_its_faces(build: Any, released: bool) -> None:
    torch.manual_seed(0)
    sam = build().eval()
    paper = Paper(sam, PaperOptions(released=released), Adapter(sam.width).eval()).eval()
    side = sam.size_px
    raw, reference = torch.rand(2, 3, side, side), torch.rand(2, 3, side, side)
    area, known = torch.zeros(2, 1, side, side), torch.ones(2, 1, side, side)
    area[0, :, side // 4 : -side // 4, side // 4 : -side // 4] = 1
    area[1, :, side // 8 : -side // 8, side // 3 : -side // 3] = 1
    with torch.inference_mode():
        both = paper.logits(paper.enhance(raw, reference, known), area)
        for i in range(2):
            one = slice(i, i + 1)
            alone = paper.logits(paper.enhance(raw[one], reference[one], known[one]), area[one])
            torch.testing.assert_close(both[one], alone, rtol=1e-3, atol=1e-3)
    assert both.isfinite().all()


# what is selected, against a slow version


def slow_likeness(
    a_y: Tensor, a_x: Tensor, face: Tensor, options: PaperOptions
) -> dict[int, float]:
    """Of one picture: raw token -> similarity to its partner; the walk of method.md 3.2."""
    flat = face.flatten()
    own = F.cosine_similarity(a_y, a_x, dim=0).flatten()
    if not options.match:
        return {j: float(own[j]) for j in range(64) if flat[j]}
    pairs = []
    for i in range(64):
        for j in range(64):
            near = max(abs(i // 8 - j // 8), abs(i % 8 - j % 8)) <= options.window
            if flat[i] and ((flat[j] and near) if options.window else True):
                value = F.cosine_similarity(a_y.flatten(1)[:, i], a_x.flatten(1)[:, j], dim=0)
                pairs.append((-float(value), i, j))
    rows, columns = set(), {}
    for value, i, j in sorted(pairs):
        if i not in rows and j not in columns:
            rows.add(i)
            columns[j] = -value
    found = {j: value for j, value in columns.items() if flat[j]}
    if options.threshold:
        found |= {j: float(own[j]) for j in range(64) if flat[j] and j not in found}
    return found


def slow_occluders(found: dict[int, float], face: Tensor, threshold: float) -> set[int]:
    tokens = {j for j in range(64) if face.flatten()[j]}
    if not threshold:
        return tokens - found.keys()
    middle = median_low(found.values())
    deviation = 1.4826 * median_low([abs(v - middle) for v in found.values()])
    bound = middle - threshold * max(deviation, LEAST_DEVIATION)
    return {j for j, value in found.items() if value < bound}


@pytest.mark.parametrize(
    "options",
    [
        MENDED,
        replace(MENDED, window=1),
        replace(MENDED, window=2, threshold=1.0),
        replace(MENDED, match=False, threshold=1.5),
        replace(MENDED, window=0, threshold=1.0),
        replace(MENDED, window=0, threshold=0.0),
        replace(MENDED, window=1, threshold=0.0),
        replace(MENDED, released=True),
    ],
)
def test_the_points_are_those_of_the_slow_version(options: PaperOptions) -> None:
    paper = Paper(PointSam(), options, None)
    options = paper.options
    generator = torch.Generator().manual_seed(4)
    a_y = torch.randn(3, 4, GRID, GRID, generator=generator)
    a_x = a_y + torch.randn(3, 4, GRID, GRID, generator=generator)
    contrast = Contrast(a_x, a_y, torch.ones(3, GRID, GRID).bool())
    area = region(3)
    area[1, :, :, 30:] = 0
    prompts = paper.prompts(contrast, area)
    some = 0
    for n in range(3):
        face = at_centres(area, GRID)[n] > 0
        found = slow_likeness(a_y[n], a_x[n], face, options)
        occluders = slow_occluders(found, face, options.threshold)
        some += len(occluders)
        expected = [
            (8 * (j % 8) + 3.5, 8 * (j // 8) + 3.5, OCCLUDER if j in occluders else FACE)
            for j in range(64)
            if face.flatten()[j]
        ]
        real = prompts.labels[n] != PADDING
        seen = [
            (x, y, label)
            for (x, y), label in zip(
                prompts.points[n, real].tolist(), prompts.labels[n, real].tolist(), strict=True
            )
        ]
        assert seen == expected
    assert some > 0
    assert prompts.labels.shape[1] == max((prompts.labels != PADDING).sum(1).tolist())


def test_released_as_many_points_are_negative_as_partners_lie_off_the_face() -> None:
    """method.md 3.3's identity: there would be none if the columns were the face's."""
    paper = Paper(PointSam(), replace(MENDED, released=True), None)
    assert paper.options == as_released(PaperOptions())
    reference = draw(1)
    beside = reference.clone()
    beside[..., :8] = reference[..., 8:16]  # off the face, what the face looks like
    contrast = paper.enhance(beside, reference, torch.ones(1, 1, SIZE, SIZE))
    assert (paper.prompts(contrast, region(1)).labels == OCCLUDER).sum() > 0
    same = paper.enhance(reference, reference, torch.ones(1, 1, SIZE, SIZE))
    assert (paper.prompts(same, region(1)).labels == FACE).all()
    windowed = Paper(PointSam(), MENDED, None)
    assert (windowed.prompts(contrast, region(1)).labels == FACE).all()


def test_released_the_mask_is_the_face_mask_turned_round() -> None:
    sam = PointSam()
    paper = Paper(sam, PaperOptions(released=True), Adapter(4))
    contrast, _ = scene(paper, 1)
    logits = paper.logits(contrast, region(1))
    points, labels, mask = sam.asked[0]
    assert mask is None
    face_mask = F.interpolate(
        sam.decode(contrast.raw, points, labels, None), (SIZE, SIZE), mode="bilinear",
        align_corners=True,
    )  # fmt: skip
    expected = torch.where(region(1) > 0, -face_mask, NOTHING)
    torch.testing.assert_close(logits, expected)


def test_attention_is_asked_for_unless_it_is_off() -> None:
    for attend, calls in ((True, 1), (False, 0)):
        sam = PointSam()
        paper = Paper(sam, replace(MENDED, attend=attend), None)
        paper.logits(scene(paper)[0], region())
        assert len(sam.attended) == calls


# prompts


def test_points_are_capped_and_spread() -> None:
    paper = Paper(PointSam(), replace(MENDED, points=3), None)
    contrast, target = scene(paper)
    every, few = (
        Paper(PointSam(), o, None).prompts(contrast, region()) for o in (MENDED, paper.options)
    )
    assert every.labels.shape == (2, 36)
    assert (few.labels == FACE).sum(1).tolist() == [3, 3]
    assert (few.labels == OCCLUDER).sum(1).tolist() == [2, 2]  # a third would be too near
    for (x, y), label in zip(few.points[0].tolist(), few.labels[0].tolist(), strict=True):
        assert bool(target[0, 0, int(y), int(x)]) == (label == OCCLUDER)
    faces = few.points[0][few.labels[0] == FACE]
    assert torch.pdist(faces).min() > 2 * STRIDE


@BOTH
def test_the_dense_prompt_says_the_same_as_the_points(polarity: str) -> None:
    sam = PointSam()
    paper = Paper(sam, replace(MENDED, polarity=polarity, mask=True), None)
    contrast, target = scene(paper, 1)
    prompts = paper.prompts(contrast, region(1))
    assert prompts.mask.shape == (1, 1, sam.mask_side, sam.mask_side)
    paper.logits(contrast, region(1))
    sent = sam.asked[0][2]
    assert sent is not None
    torch.testing.assert_close(sent, prompts.mask)
    inside = F.avg_pool2d(target.float(), 4) == 1
    face = F.avg_pool2d(region(1), 4) == 1
    middle = torch.zeros_like(inside)
    middle[..., 7:11, 5:7] = True  # away from the border of the occluder
    assert (inside | ~middle).all()
    on = sent > 0 if polarity == "occluder" else sent < 0
    assert on[middle].all()
    far = torch.zeros_like(inside)
    far[..., 3:13, 10:13] = True
    assert (far & ~face).sum() == 0
    assert not on[far].any()
    assert (sent[..., 0, :] == NOTHING).all()
    without = Paper(PointSam(), replace(MENDED, polarity=polarity), None)
    assert not without.prompts(contrast, region(1)).mask.any()


class Turn(Adapter):
    """A screen that turns every prompt into its opposite."""

    def forward(self, sparse: Tensor, padding: Tensor) -> Tensor:
        assert not padding.any()
        return -sparse


def test_the_adapter_screens_what_is_asked() -> None:
    plain = Paper(PointSam(), MENDED, Turn(4))
    contrast, _ = scene(plain)
    prompts = plain.prompts(contrast, region())
    answers = [
        Paper(PointSam(), replace(MENDED, screen=screen), adapter).decode(contrast.raw, prompts)
        for screen, adapter in ((False, None), (False, Turn(4)), (True, None), (True, Turn(4)))
    ]
    torch.testing.assert_close(answers[0], answers[1])
    torch.testing.assert_close(answers[0], answers[2])
    torch.testing.assert_close(answers[0], -answers[3])


def test_evidence_is_measured_in_the_faces_own_deviations() -> None:
    """By hand: median 0.8, median absolute deviation 0.1."""
    values = torch.tensor([[0.7, 0.8, 0.9], [0.7, 0.9, -0.5], [0.8, -torch.inf, 0.3]])[None]
    face = torch.ones(1, 3, 3, dtype=torch.bool)
    face[0, 2, 2] = False
    out = beyond(values, face, 2.0)[0]
    unit = 1.4826 * 0.1
    torch.testing.assert_close(out[0], torch.tensor([0.1, 0.0, -0.1]) / unit - 2)
    assert out[1, 2] == SURE  # 1.3 / 0.148 - 2 = 6.8, held
    assert out[2, 1] == SURE  # nobody took it
    assert out[2, 2] == -SURE  # off the face


def test_rounding_on_a_face_that_is_its_own_reference_is_no_evidence() -> None:
    values = 1 - torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1)) * 1e-6
    assert (beyond(values, torch.ones(1, 8, 8).bool(), 2.5) < 0).all()


def test_thinned_keeps_some_of_what_is_there() -> None:
    score = torch.zeros(1, 8, 8)
    score[0, 1:7, 1:7] = 1
    kept = thinned(score, 4)
    assert kept.sum() == 4
    assert not (kept & (score == 0)).any()
    assert not thinned(torch.zeros(1, 8, 8), 4).any()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"polarity": "hand"}, "unknown polarity 'hand'"),
        ({"window": -1}, "must be 0 or more"),
        ({"threshold": -0.5}, "must be 0 or more"),
        ({"points": -2}, "must be 0 or more"),
    ],
)
def test_options_out_of_range_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Paper(PointSam(), replace(MENDED, **change), None)
