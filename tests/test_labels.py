"""The 12 classes: their order, the tables, and a label map drawn from a mesh."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s3pot.labels import CLASSES, COLOURS, FACIAL, draw_labels, facial, from_celebamask, show
from trackers.mesh import PARTS, mean_face

SIZE = 192
MEAN = mean_face()
MAP = draw_labels(MEAN.points_px(SIZE), MEAN.parts, SIZE)


def at(point: int) -> str:
    """The class at a landmark of the mean face."""
    x, y = np.round(MEAN.points_px(SIZE)[point]).astype(int)
    return CLASSES[MAP[y, x]]


def test_the_order_is_the_papers() -> None:
    named = [CLASSES[i] for i in FACIAL]
    assert named == ["lips", "brows", "eyes", "nose", "skin", "inner mouth", "glasses"]
    assert len(CLASSES) == len(COLOURS) == len(set(map(tuple, COLOURS.tolist()))) == 12


@pytest.mark.parametrize(
    ("point", "part"),
    [(4, "nose"), (50, "skin"), (280, "skin"), (152, "skin"), (12, "lips"), (16, "lips"), (52, "brows"), (282, "brows")],
)  # fmt: skip
def test_a_landmark_lies_in_its_part(point: int, part: str) -> None:
    assert at(point) == part


@pytest.mark.parametrize("ends", [(33, 133), (263, 362)])
def test_an_eye_lies_between_its_corners(ends: tuple[int, int]) -> None:
    x, y = np.round(MEAN.points_px(SIZE)[list(ends)].mean(0)).astype(int)
    assert CLASSES[MAP[y - 1, x]] == "eyes"


def test_off_the_face_is_background() -> None:
    assert {CLASSES[MAP[y, x]] for y in (0, SIZE - 1) for x in (0, SIZE - 1)} == {"background"}
    assert 0.25 < facial(MAP).mean() < 0.6


def test_the_map_is_symmetric() -> None:
    unlike = (MAP[:, ::-1] != MAP).mean()
    assert unlike < 0.005


@pytest.mark.parametrize("part", PARTS)
def test_the_rings_are_their_own_mirror_images(part: str) -> None:
    points = {i for ring in PARTS[part] for i in ring}
    assert {int(MEAN.mirror[i]) for i in points} == points


def test_the_map_moves_with_the_mesh_to_a_sixteenth_of_a_pixel() -> None:
    moved = draw_labels(MEAN.points_px(SIZE) + np.float32(5), MEAN.parts, SIZE)
    np.testing.assert_array_equal(moved[5:, 5:], MAP[:-5, :-5])


def test_an_open_mouth_shows_its_inside() -> None:
    points = MEAN.points_px(SIZE).copy()
    lower = [14, 87, 178, 88, 317, 402, 318, 17, 84, 181, 314, 405]
    points[lower, 1] += 15
    opened = draw_labels(points, MEAN.parts, SIZE)
    assert (opened == CLASSES.index("inner mouth")).sum() > 2 * (MAP == 9).sum()


def test_a_part_that_is_no_class_is_named() -> None:
    with pytest.raises(ValueError, match="'beard'"):
        draw_labels(MEAN.points_px(SIZE), {"beard": ((1, 2, 3),)}, SIZE)


def test_celebamask_classes() -> None:
    """method.md 1.3, third column: what is not in the table is background."""
    names = [
        "background",
        "skin",
        "nose",
        "glasses",
        "eyes",
        "eyes",
        "brows",
        "brows",
        "ears",
        "ears",
        "inner_mouth",
        "lips",
        "lips",
        "hair",
        "background",
        "ear-rings",
        "background",
        "neck",
        "background",
    ]
    got = [CLASSES[i] for i in from_celebamask(np.arange(19, dtype=np.uint8))]
    assert got == [name.replace("_", " ") for name in names]
    with pytest.raises(ValueError, match="19"):
        from_celebamask(np.array([19], np.uint8))


def test_the_facial_area_of_arrays_and_tensors() -> None:
    labels = np.arange(12, dtype=np.uint8)
    assert np.flatnonzero(facial(labels)).tolist() == list(FACIAL)
    assert torch.equal(facial(torch.from_numpy(labels)), torch.from_numpy(facial(labels)))


def test_shown_in_its_colours() -> None:
    np.testing.assert_array_equal(show(np.array([[6]], np.uint8))[0, 0], COLOURS[6])
