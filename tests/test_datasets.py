"""Folders of pictures and clips with masks, good and bad."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.datasets import Case, clean_cases, find_cases
from stream.truth import MaskValues, RefusedError, Shot, read_mask, read_picture
from tests.clips import cut, write_clip

PLAIN = MaskValues()
SIZE = (24, 32)


def picture(path: Path, size: tuple[int, int] = SIZE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((*size, 3), 90, np.uint8)
    image[: size[0] // 2] = (10, 20, 200)  # BGR: red above
    cv2.imwrite(str(path), image)
    return path


def mask(path: Path, *values: int, size: tuple[int, int] = SIZE) -> Path:
    """Columns of values from left to right, each as wide."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), striped(size, *values))
    return path


def striped(size: tuple[int, int], *values: int) -> NDArray[np.uint8]:
    columns = np.repeat(np.array(values, np.uint8), -(-size[1] // len(values)))[: size[1]]
    return np.repeat(columns[None], size[0], 0)


def shots(case: Case) -> list[Shot]:
    return list(case.shots())


def only(folder: Path, values: MaskValues = PLAIN) -> Case:
    cases, refused = find_cases(folder, values)
    assert not refused
    (case,) = cases
    return case


@pytest.mark.parametrize("ending", ["gt", "mask", "hand", "anything"])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_mask_beside_its_picture(tmp_path: Path, ending: str, suffix: str) -> None:
    picture(tmp_path / f"01{suffix}")
    mask(tmp_path / f"01_{ending}.png", 0, 255)
    case = only(tmp_path)
    assert (case.name, case.kind, case.clip) == (f"01{suffix}", ending, False)
    (shot,) = shots(case)
    assert shot.truth[:, 16:].all()
    assert not shot.truth[:, :16].any()
    assert shot.visible is None
    assert shot.hides
    assert shot.image[0, 0, 0] > 150 > shot.image[0, 0, 2]  # RGB


def test_the_sub_folder_is_the_kind(tmp_path: Path) -> None:
    for kind in ("cup", "hand"):
        picture(tmp_path / kind / "a.jpg")
        mask(tmp_path / kind / "a_gt.png", 0, 1)
    cases, refused = find_cases(tmp_path, PLAIN)
    assert [(case.name, case.kind) for case in cases] == [
        ("cup/a.jpg", "cup"),
        ("hand/a.jpg", "hand"),
    ]
    assert not refused
    assert all(shots(case)[0].truth.mean() == 0.5 for case in cases)


def test_pictures_and_masks_in_two_folders(tmp_path: Path) -> None:
    picture(tmp_path / "mug" / "images" / "x.jpg")
    mask(tmp_path / "mug" / "masks" / "x.png", 0, 255)
    case = only(tmp_path)
    assert (case.name, case.kind) == ("mug/images/x.jpg", "mug")
    assert shots(case)[0].truth.mean() == 0.5
    assert only(tmp_path / "mug").kind == "mask"


def test_the_folder_of_pictures_itself_is_given(tmp_path: Path) -> None:
    """Its masks lie beside it, in a folder that nobody named."""
    picture(tmp_path / "set" / "images" / "a.jpg")
    mask(tmp_path / "set" / "masks" / "a.PNG", 0, 255)  # as some cameras and tools write it
    case = only(tmp_path / "set" / "images")
    assert (case.name, case.kind) == ("a.jpg", "mask")
    (shot,) = shots(case)
    assert shot.truth.any()


def test_names_that_begin_alike(tmp_path: Path) -> None:
    for name in ("a", "a_1", "a[2]"):
        picture(tmp_path / f"{name}.png")
        mask(tmp_path / f"{name}_gt.png", 0, 255)
    cases, refused = find_cases(tmp_path, PLAIN)
    assert [case.name for case in cases] == ["a.png", "a[2].png", "a_1.png"]
    assert not refused


def test_what_has_no_mask_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "good.jpg")
    mask(tmp_path / "good_gt.png", 0, 255)
    picture(tmp_path / "bare.jpg")
    picture(tmp_path / "images" / "single.jpg")
    (tmp_path / "clip.mp4").write_bytes(b"")
    cases, refused = find_cases(tmp_path, PLAIN)
    assert [case.name for case in cases] == ["good.jpg"]
    assert len(refused) == 3
    for text, words in zip(
        refused, ("bare.jpg: no mask beside", "no folder clip_masks", "single.jpg: no mask in masks/"),
        strict=True,
    ):  # fmt: skip
        assert words in text


def test_two_masks_and_no_telling_which(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    for ending in ("left", "right"):
        mask(tmp_path / f"a_{ending}.png", 0, 255)
    cases, refused = find_cases(tmp_path, PLAIN)
    assert not cases
    assert refused == [f"{tmp_path / 'a.jpg'}: which is its mask? a_left.png, a_right.png"]


def test_a_mask_without_its_picture_is_named(tmp_path: Path) -> None:
    mask(tmp_path / "gone_gt.png", 0, 255)
    cases, refused = find_cases(tmp_path, PLAIN)
    assert not cases
    assert "gone_gt.png: no mask" in refused[0]


def test_no_folder_and_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        find_cases(tmp_path / "gone", PLAIN)
    with pytest.raises(FileNotFoundError, match="gone"):
        clean_cases(tmp_path / "gone")
    assert find_cases(tmp_path, PLAIN) == ([], [])
    assert clean_cases(tmp_path) == []


@pytest.mark.parametrize("values", [(0, 38, 75), (0, 1, 255), (0, 38), tuple(range(0, 256, 15))])
def test_an_ambiguous_mask_names_its_values(tmp_path: Path, values: tuple[int, ...]) -> None:
    path = mask(tmp_path / "a_gt.png", *values)
    with pytest.raises(RefusedError, match="which value is the occluder") as error:
        read_mask(path, PLAIN, SIZE)
    assert ", ".join(map(str, values[:8])) in str(error.value)
    assert "--occluder-value" in str(error.value)


def test_the_values_are_told(tmp_path: Path) -> None:
    path = mask(tmp_path / "a_gt.png", 0, 38, 75, 75)
    truth, visible = read_mask(path, MaskValues(75, 38), SIZE)
    np.testing.assert_array_equal(truth, striped(SIZE, 0, 0, 1, 1) > 0)
    assert visible is not None
    np.testing.assert_array_equal(visible, striped(SIZE, 0, 1, 0, 0) > 0)
    # A face with nothing in front, in such a set:
    truth, _ = read_mask(mask(tmp_path / "b_gt.png", 0, 38), MaskValues(75, 38), SIZE)
    assert not truth.any()
    # A set of black and white masks, told together with the other, needs no value.
    truth, visible = read_mask(mask(tmp_path / "c_gt.png", 0, 255), MaskValues(75, 38), SIZE)
    assert truth.mean() == 0.5
    assert visible is None  # not: that no face is visible
    # Black on white is told, too.
    truth, _ = read_mask(mask(tmp_path / "d_gt.png", 0, 255, 255, 255), MaskValues(0), SIZE)
    assert truth.mean() == 0.25


def test_a_coloured_mask_is_read_as_grey(tmp_path: Path) -> None:
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[:, 8:16, 2], colours[:, 16:, 1] = 128, 128  # BGR: dark red, dark green
    cv2.imwrite(str(tmp_path / "a_gt.png"), colours)
    truth, visible = read_mask(tmp_path / "a_gt.png", MaskValues(75, 38), SIZE)
    assert truth[:, 16:].all()
    assert truth.mean() == 0.5
    assert visible is not None
    assert visible.mean() == 0.25


def test_the_folder_tells_its_values(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    mask(tmp_path / "a_gt.png", 0, 38, 75, 75)
    (tmp_path / "dataset.toml").write_text("occluder = 75\nface = 38\n")
    (shot,) = shots(only(tmp_path))
    assert shot.truth.mean() == 0.5
    assert shot.visible is not None
    (shot,) = shots(only(tmp_path, MaskValues(occluder=38)))  # the command line comes first
    assert shot.truth.mean() == 0.25


@pytest.mark.parametrize("text", ["occluder = 300", "occluder = true", "hand = 1", "occluder ="])
def test_a_wrong_dataset_toml(tmp_path: Path, text: str) -> None:
    (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(ValueError, match=r"dataset\.toml"):
        find_cases(tmp_path, PLAIN)


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_that_is_all_occluder_is_refused(tmp_path: Path, value: int) -> None:
    with pytest.raises(RefusedError, match=rf"all of it is occluder \(one value, {value}\)"):
        read_mask(mask(tmp_path / "a_gt.png", value), PLAIN, SIZE)


def test_a_mask_of_nothing_is_a_clean_face(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    mask(tmp_path / "a_gt.png", 0)
    (shot,) = shots(only(tmp_path))
    assert not shot.truth.any()
    assert not shot.hides


def test_masks_and_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(RefusedError, match=r"a\.jpg: not a picture"):
        read_picture(tmp_path / "a.jpg")
    (tmp_path / "a_gt.png").write_bytes(b"no mask")
    with pytest.raises(RefusedError, match=r"a_gt\.png: not a mask"):
        read_mask(tmp_path / "a_gt.png", PLAIN, SIZE)
    deep = np.zeros(SIZE, np.uint16)
    deep[0] = 1
    cv2.imwrite(str(tmp_path / "deep_gt.png"), deep)
    with pytest.raises(RefusedError, match="8 bits, this one is uint16"):
        read_mask(tmp_path / "deep_gt.png", PLAIN, SIZE)


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    mask(tmp_path / "a_gt.png", 0, 255, size=(12, 16))
    with pytest.raises(
        RefusedError, match=r"a_gt\.png: the mask is \(12, 16\), its picture \(24, 32\)"
    ):
        shots(only(tmp_path))


@pytest.mark.parametrize("place", ["take", "take_masks"])
def test_a_clip_with_a_mask_for_each_frame(tmp_path: Path, place: str) -> None:
    write_clip(tmp_path / "take.mp4", range(3), size=SIZE)
    for i in range(3):
        mask(tmp_path / place / f"{i:03}.png", *([0] if i == 0 else [0, 255]))
    case = only(tmp_path)
    assert (case.name, case.kind, case.clip) == ("take.mp4", "clip", True)
    assert [shot.truth.mean() for shot in shots(case)] == [0, 0.5, 0.5]


@pytest.mark.parametrize("count", [2, 4])
def test_a_clip_with_too_few_or_too_many_masks(tmp_path: Path, count: int) -> None:
    write_clip(tmp_path / "take.mp4", range(3), size=SIZE)
    for i in range(count):
        mask(tmp_path / "take" / f"{i}.png", 0, 255)
    with pytest.raises(RefusedError, match=rf"take\.mp4: 3 frames, but {count} masks in take/"):
        shots(only(tmp_path))


def test_a_damaged_clip(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", range(12))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(cut(whole, 0.3).read_bytes())
    (case,) = clean_cases(tmp_path / "in")
    with pytest.raises(RefusedError, match=r"a\.mp4"):
        shots(case)


def test_clean_pictures_and_clips(tmp_path: Path) -> None:
    picture(tmp_path / "people" / "a.jpg")
    write_clip(tmp_path / "b.mp4", range(3), size=SIZE)
    cases = clean_cases(tmp_path)
    assert [(case.name, case.kind, case.clip) for case in cases] == [
        ("b.mp4", "clean", True), ("people/a.jpg", "clean", False),
    ]  # fmt: skip
    assert [len(shots(case)) for case in cases] == [3, 1]
    assert not any(shot.truth.any() or shot.hides for case in cases for shot in shots(case))
