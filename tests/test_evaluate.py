"""``s3pot eval``: the figures, the composites, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from configs import load_settings
from s3pot.metrics import FrameScore
from s3pot.types import OcclusionMask
from stream.drawn import drawn_occluder
from stream.evaluate import (
    Row,
    average,
    eval_clips,
    eval_photos,
    lay,
    score_result,
    summarize,
)
from stream.frame import Frame, FrameResult
from stream.pipeline import Pipeline
from tests.clips import write_clip
from tests.covered_face import HEIGHT, WIDTH, panned
from trackers.faces import FaceDetection

NAN = float("nan")
SIDE = 64


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def mask_of(
    truth: NDArray[np.bool_], shift: tuple[float, float] = (0, 0), scale: float = 1
) -> OcclusionMask:
    """A mask that says just this, in a face of 64 px moved and enlarged in the frame."""
    region = np.zeros((SIDE, SIDE), bool)
    region[4:60, 4:60] = True
    to_face = np.array([[1 / scale, 0, -shift[0] / scale], [0, 1 / scale, -shift[1] / scale]])
    return OcclusionMask(1, (truth & region).astype(np.float32), region, to_face, 0.3, 1.0)


def result_of(*masks: OcclusionMask, size: int = SIDE) -> FrameResult:
    frame = Frame(np.zeros((size, size, 3), np.uint8), 0, Fraction(0), "drawn")
    return FrameResult(frame, (), masks)


def disc(x: float, y: float, radius: float, size: int = SIDE) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:size, :size]
    return np.asarray(np.hypot(columns - x, rows - y) < radius)


def test_a_perfect_mask_scores_1() -> None:
    truth = disc(30, 40, 18)  # it leaves the face below: only what is on the face counts
    figures = score_result(result_of(mask_of(truth)), truth)
    assert figures is not None
    assert (figures.iou, figures.boundary_f, figures.false_alarm) == (1, 1, 0)


def test_an_empty_or_a_wrong_mask_scores_less() -> None:
    truth = disc(30, 30, 12)
    nothing = score_result(result_of(mask_of(disc(0, 0, 0))), truth)
    wrong = score_result(result_of(mask_of(disc(50, 50, 6))), truth)
    assert nothing is not None
    assert wrong is not None
    assert nothing.iou == wrong.iou == 0
    assert nothing.false_alarm == 0 < wrong.false_alarm


def test_the_largest_face_is_scored() -> None:
    truth = np.zeros((200, 200), bool)
    truth[:, :110] = disc(60, 60, 30, 200)[:, :110]
    large = mask_of(disc(30, 30, 15), scale=2)
    small = mask_of(np.ones((SIDE, SIDE), bool), shift=(130, 130))
    for masks in ((large, small), (small, large)):
        figures = score_result(result_of(*masks, size=200), truth)
        assert figures is not None
        assert figures.iou > 0.95


def test_no_face_no_score() -> None:
    assert score_result(result_of(), disc(30, 30, 9)) is None
    away = mask_of(disc(30, 30, 9), shift=(500, 500))
    assert score_result(result_of(away), disc(30, 30, 9)) is None


def test_a_summary_tells_covered_from_clean_frames() -> None:
    row = summarize(
        "clip",
        [
            FrameScore(0.8, 0.6, 0.5, 0.2),
            FrameScore(0.4, 0.2, 0.5, 0.3),
            FrameScore(NAN, NAN, 0.02, 0.0),
            FrameScore(NAN, NAN, 0.04, 0.0),
            FrameScore(NAN, NAN, 0.90, 0.005),  # barely touched: neither covered nor clean
        ],
    )
    assert (row.iou, row.boundary_f) == pytest.approx((0.6, 0.4))
    assert row.false_alarm == pytest.approx(0.03)
    assert row.missed == 0


def test_frames_without_a_face_are_counted() -> None:
    row = summarize("clip", [None, FrameScore(0.5, 0.5, 0, 0.2), None])
    assert row.missed == 2
    assert row.iou == 0.5
    assert np.isnan(row.false_alarm)
    assert np.isnan(summarize("clip", [None]).iou)


def test_a_covered_face_that_is_lost_scores_0() -> None:
    row = summarize("clip", [None, FrameScore(0.5, 0.25, 0, 0.2), None], lost_covered=1)
    assert (row.iou, row.boundary_f, row.missed) == (0.25, 0.125, 2)
    assert np.isnan(row.false_alarm)


def test_the_mean_of_rows_leaves_out_what_was_not_measured() -> None:
    mean = average(
        [Row("a", 0.5, NAN, 0.01, 1), Row("b", 0.7, 0.4, NAN, 2), Row("c", NAN, NAN, NAN, 0)]
    )
    assert mean.name == "mean of 3"
    assert (mean.iou, mean.boundary_f, mean.false_alarm) == pytest.approx((0.6, 0.4, 0.01))
    assert mean.missed == 3
    assert np.isnan(average([]).iou)
    assert "0.600" in str(mean)
    assert "1.00 %" in str(mean)


BOX = np.array([100, 60, 180, 160], np.float32)
PICTURE = np.full((240, 320, 3), 90, np.uint8)


def block(height: int, width: int) -> NDArray[np.float32]:
    """A green opaque occluder."""
    return np.broadcast_to(np.array([0, 1, 0, 1], np.float32), (height, width, 4)).copy()


def test_an_occluder_lies_where_it_is_said() -> None:
    image, truth = lay(PICTURE, block(20, 40), (150, 100, 0.0), BOX, "object")
    # An object is as long as the face's box is wide, its middle at x y.
    rows, columns = np.nonzero(truth)
    assert (columns.min(), columns.max()) == pytest.approx((110, 190), abs=2.5)
    assert (rows.min(), rows.max()) == pytest.approx((80, 120), abs=2.5)
    away = cv2.dilate(truth.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    np.testing.assert_array_equal(image[away], PICTURE[away])
    inside = cv2.erode(truth.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert (image[inside] == (0, 255, 0)).all()


def test_a_hand_enters_from_where_it_is_said() -> None:
    for angle, side in [(0.0, "right"), (np.pi / 2, "below"), (np.pi, "left")]:
        _, truth = lay(PICTURE, block(20, 40), (150, 100, angle), BOX, "hand")
        y, x = np.argwhere(truth).mean(0)
        beyond = {"right": x - 150, "left": 150 - x, "below": y - 100}[side]
        assert beyond > 30
        # Its leading edge is at x y; an arm is twice as long as the face is wide.
        edge = np.array([150 + 6 * np.cos(angle), 100 + 6 * np.sin(angle)]).round().astype(int)
        assert truth[edge[1], edge[0]]
        assert not truth[int(100 - 6 * np.sin(angle)), int(150 - 6 * np.cos(angle))]


def test_half_transparent_is_no_truth() -> None:
    faint = block(30, 30)
    faint[..., 3] = 0.4
    image, truth = lay(PICTURE, faint, (150, 100, 0.0), BOX, "object")
    assert not truth.any()
    assert image[100, 150] == pytest.approx([54, 156, 54], abs=1)


def test_no_occluder_no_change() -> None:
    image, truth = lay(PICTURE, block(9, 9), None, BOX, "hand")
    np.testing.assert_array_equal(image, PICTURE)
    assert truth.shape == (240, 320)
    assert not truth.any()


class Fake:
    """A pipeline that finds the face where it is told to and marks all of it."""

    made = 0

    def __init__(self, box_px: NDArray[np.float32] | None) -> None:
        Fake.made += 1
        self._box, self.closed = box_px, False

    def detector(self, _: NDArray[np.uint8]) -> list[FaceDetection]:
        if self._box is None:
            return []
        return [FaceDetection(self._box, np.zeros((6, 2), np.float32), 0.9)]

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        for frame in frames:
            everywhere = np.ones((SIDE, SIDE), bool)
            yield FrameResult(frame, (), (mask_of(everywhere, shift=(100, 60), scale=1.4),))

    def close(self) -> None:
        self.closed = True


def never() -> Any:
    raise AssertionError("no pipeline is wanted before the input is known to be good")


def write_photo(folder: Path, name: str, mask: NDArray[np.uint8] | None) -> None:
    cv2.imwrite(str(folder / f"{name}.jpg"), np.full((120, 160, 3), 90, np.uint8))
    if mask is not None:
        cv2.imwrite(str(folder / f"{name}_hand.png"), mask)


def test_a_folder_without_photographs(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.jpg"):
        next(eval_photos(tmp_path, never))


def test_a_photograph_without_a_mask(tmp_path: Path) -> None:
    write_photo(tmp_path, "01", None)
    with pytest.raises(FileNotFoundError, match=r"01\.jpg.*01_hand\.png"):
        next(eval_photos(tmp_path, never))


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    write_photo(tmp_path, "01", np.ones((60, 80), np.uint8))
    with pytest.raises(ValueError, match=r"01\.jpg.*\(60, 80\).*\(120, 160\)"):
        next(eval_photos(tmp_path, never))


def test_a_photograph_that_is_no_picture(tmp_path: Path) -> None:
    write_photo(tmp_path, "01", np.ones((120, 160), np.uint8))
    (tmp_path / "01.jpg").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"01\.jpg: not a picture"):
        next(eval_photos(tmp_path, never))


class Blind(Fake):
    """Knows where the face begins and never finds it again."""

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        return (FrameResult(frame, (), ()) for frame in frames)


def test_what_is_covered_and_not_found_counts(tmp_path: Path) -> None:
    truth = np.zeros((120, 160), np.uint8)
    truth[70:, 110:] = 1
    write_photo(tmp_path, "01", truth)
    (photo,) = eval_photos(tmp_path, lambda: Blind(BOX))  # type: ignore[arg-type, return-value]
    assert (photo.iou, photo.missed) == (0, 1)
    write_cutouts(tmp_path / "occluders")
    write_face_clip(tmp_path / "a.mp4", 24)
    (clip,) = eval_clips(
        tmp_path,
        tmp_path / "occluders",
        lambda: Blind(BOX),  # type: ignore[arg-type, return-value]
        per_clip=1,
        seed=8,
    )
    assert (clip.iou, clip.missed) == (0, 24)


def test_photographs_are_scored_with_a_fresh_pipeline_each(tmp_path: Path) -> None:
    truth = np.zeros((120, 160), np.uint8)
    truth[70:, 110:] = 1
    for name in ("02", "01"):
        write_photo(tmp_path, name, truth)
    before = Fake.made
    rows = list(eval_photos(tmp_path, lambda: Fake(BOX)))  # type: ignore[arg-type, return-value]
    assert Fake.made == before + 2
    assert [row.name for row in rows] == ["01", "02"]
    assert all(0 < row.iou <= 1 and row.missed == 0 for row in rows)


def write_cutouts(folder: Path) -> None:
    for place, kind in [("hands", "hand"), ("objects/object_train", "cup")]:
        (folder / place).mkdir(parents=True)
        for i in range(6):
            drawing = drawn_occluder(kind, 80, np.random.default_rng(i))
            turned = (
                np.rot90(drawing) if kind == "hand" else drawing
            )  # an arm enters from the right
            cv2.imwrite(str(folder / place / f"{i}.png"), cv2.cvtColor(turned, cv2.COLOR_RGBA2BGRA))


def write_face_clip(path: Path, count: int) -> None:
    frames, _ = panned("hand", [0] * count, count)
    write_clip(path, range(count), size=(HEIGHT, WIDTH), draw=lambda i, *_: frames[i].image)


def test_no_clips_or_no_cutouts(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.mp4"):
        next(eval_clips(tmp_path, tmp_path, never))
    write_clip(tmp_path / "a.mp4")
    with pytest.raises(FileNotFoundError, match="cut-outs"):
        next(eval_clips(tmp_path, tmp_path, never))


def test_a_clip_without_a_face(tmp_path: Path) -> None:
    write_cutouts(tmp_path / "occluders")
    write_clip(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match="no face"):
        next(eval_clips(tmp_path, tmp_path / "occluders", lambda: Fake(None)))  # type: ignore[arg-type, return-value]


def test_composites_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    write_cutouts(tmp_path / "occluders")
    write_face_clip(tmp_path / "a.mp4", 24)

    def rows(seed: int) -> list[Row]:
        def make() -> Pipeline:
            return Fake(BOX)  # type: ignore[return-value]

        return list(eval_clips(tmp_path, tmp_path / "occluders", make, per_clip=2, seed=seed))

    first, again, other = rows(8), rows(8), rows(2)
    assert [row.name.split()[0] for row in first] == ["a/0", "a/1"]
    assert not np.isnan(first[0].iou)
    assert repr(first) == repr(again)  # nan equals itself here
    assert repr(first) != repr(other)
    # All is marked: the whole face is a false alarm while it is clean.
    assert [row.false_alarm for row in first] == pytest.approx([1, 1])


def test_the_real_pipeline_on_a_composite(tmp_path: Path) -> None:
    write_cutouts(tmp_path / "occluders")
    write_face_clip(tmp_path / "a.mp4", 30)
    settings = load_settings("tiny", ["model.device=cpu"])
    (row,) = eval_clips(
        tmp_path,
        tmp_path / "occluders",
        lambda: Pipeline.from_settings(settings),
        per_clip=1,
        seed=8,  # a quick hand: 30 frames are enough for it
    )
    assert row.iou > 0.2
    assert row.false_alarm < 0.05
    assert row.missed == 0


def test_the_astronaut_as_a_photograph(tmp_path: Path) -> None:
    """Cold start: one frame, no history."""
    image, truth = data.astronaut()[:300], np.zeros((300, 512), np.uint8)
    image[135:185, 170:280], truth[135:185, 170:280] = (20, 60, 200), 1
    cv2.imwrite(str(tmp_path / "a.jpg"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(tmp_path / "a_hand.png"), truth)
    settings = load_settings("tiny", ["model.device=cpu"])
    (row,) = eval_photos(tmp_path, lambda: Pipeline.from_settings(settings))
    assert row.missed == 0
    assert row.iou > 0.2
