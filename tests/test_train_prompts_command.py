"""``s3pot train prompts``: from folders of several kinds to an adapter, or to a refusal in one line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typer.testing import CliRunner, Result

from s3pot import reference
from s3pot.adapter import load_adapter
from s3pot.objectives import MENDED, PUBLISHED
from s3pot.reference import StructureBatch
from stream.train import app
from stream.train_prompts import find_shots, leave_out
from tests.covered_face import covered_photo
from tests.training_folder import write_cutouts, write_faces

COMMON = [
    "--set",
    "reference.generator='blur'",
    "--set",
    "model.threads=1",
    "--set",
    "align.size=192",
]


class Blur(nn.Module):
    """Paints the whole face as a blur of itself."""

    whole = True

    def forward(self, raw: Tensor, hidden: Tensor, structure: StructureBatch) -> Tensor:
        return F.avg_pool2d(raw, 31, 1, 15, count_include_pad=False)


@pytest.fixture(autouse=True)
def blur(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(reference.builders, "blur", lambda _options: Blur())


@pytest.fixture
def covered(tmp_path: Path) -> Path:
    """Two covered astronauts with masks, and a picture without a face."""
    folder = tmp_path / "covered"
    folder.mkdir()
    for kind in ("hand", "ball"):
        photo, alpha = covered_photo(kind)
        picture = photo[:320, 60:400].round().astype(np.uint8)
        cv2.imwrite(str(folder / f"{kind}.png"), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        mask = (alpha[:320, 60:400] > 0.5).astype(np.uint8) * 255
        cv2.imwrite(str(folder / f"{kind}_mask.png"), mask)
    cv2.imwrite(str(folder / "wall.png"), np.full((100, 100, 3), 90, np.uint8))
    dot = np.zeros((100, 100), np.uint8)
    dot[:5, :5] = 255
    cv2.imwrite(str(folder / "wall_mask.png"), dot)
    return folder


def call(data: Path, run: Path, *more: str) -> Result:
    if not [c for c in app.registered_commands if c.callback and c.callback.__name__ == "prompts"]:
        raise AssertionError("the command is not registered")
    arguments = ["prompts", "--data", str(data), "--run", str(run), *COMMON, *more]
    return CliRunner().invoke(app, arguments)


def test_per_image_on_pictures_with_masks(covered: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    result = call(covered, run, "--per-image", "--iterations", "3")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (run / "pictures.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == ["ball.png", "hand.png"]
    assert all(len(row["losses"]) == 3 and 0 <= row["iou"] <= 1 for row in rows)
    assert "no face was found in 1 of 3 pictures" in result.output
    assert cv2.imread(str(run / "stills" / "0001.png")).shape == (384, 768, 3)
    again = call(covered, run, "--per-image", "--iterations", "3")
    assert again.exit_code == 0
    assert len((run / "pictures.jsonl").read_text().splitlines()) == 2


def test_general_on_composites_over_prepared_faces(tmp_path: Path) -> None:
    faces, cutouts = write_faces(tmp_path / "faces"), write_cutouts(tmp_path / "cutouts")
    run = tmp_path / "run"
    more = ["--occluders", str(cutouts), "--count", "3", "--steps", "2", "--cooldown", "1"]
    result = call(faces, run, *more)
    assert result.exit_code == 0, result.output
    adapter = load_adapter(run / "adapter.safetensors", 64)
    assert torch.isfinite(adapter.norm.weight).all()
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert steps == [0, 2]
    assert (run / "stills.png").is_file()
    first, second = (
        next(find_shots(faces, cutouts, 3, print)) for _ in range(2)
    )  # the same chance, the same picture
    np.testing.assert_array_equal(first.image, second.image)
    assert first.truth is not None


def test_pictures_without_masks_have_no_truth(tmp_path: Path, covered: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (covered / "hand.png").rename(plain / "a.png")
    (covered / "ball.png").rename(plain / "b.png")
    shots = list(find_shots(plain, None, 1, print))
    assert [shot.name for shot in shots] == ["a.png", "b.png"]
    assert all(shot.truth is None for shot in shots)
    faces = list(find_shots(write_faces(tmp_path / "faces"), None, 1, print))
    assert len(faces) == 38
    assert faces[0].image.shape == (224, 224, 3)


def test_a_picture_without_its_mask_is_left_out_and_named(covered: Path) -> None:
    (covered / "ball_mask.png").unlink()
    told: list[str] = []
    shots = list(find_shots(covered, None, 1, told.append))
    assert [shot.name for shot in shots] == ["hand.png", "wall.png"]
    assert len(told) == 1
    assert "ball.png" in told[0]


def test_a_picture_whose_mask_does_not_fit_is_left_out_and_the_others_stay(covered: Path) -> None:
    cv2.imwrite(str(covered / "ball_mask.png"), np.full((20, 30), 255, np.uint8))
    told: list[str] = []
    shots = list(find_shots(covered, None, 1, told.append))
    assert [shot.name for shot in shots] == ["hand.png", "wall.png"]
    assert len(told) == 1
    assert "ball_mask.png: the mask is (20, 30)" in told[0]


def test_bad_input_is_told_in_one_line(tmp_path: Path, covered: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    cases = [
        (tmp_path / "nowhere", [], "nowhere: no such folder"),
        (empty, [], "empty: no pictures"),
        (covered, ["--occluders", str(covered)], "no images.npy"),
        (covered, ["--config", "realtime"], "does not choose model.method = 'paper'"),
        (covered, ["--set", "paper.screen=false"], "paper.screen is off"),
        (covered, ["--set", "paper.adapter=gone.safetensors"], "gone.safetensors: no such adapter"),
    ]
    for data, more, text in cases:
        result = call(data, tmp_path / "run", *more)
        assert result.exit_code == 2, (text, result.output)
        assert text in result.output
        assert result.output.strip().count("\n") <= 1  # and perhaps the pictures without a face


def test_an_objective_may_be_left_out() -> None:
    options = leave_out(MENDED, ["margin"])
    assert (options.face, options.occluder, options.margin) == (MENDED.face, MENDED.occluder, 0)
    assert leave_out(PUBLISHED, []) == PUBLISHED
    with pytest.raises(ValueError, match=r"unknown objective 'edge'.*margin"):
        leave_out(MENDED, ["edge"])
    with pytest.raises(ValueError, match="nothing to learn from"):
        leave_out(MENDED, ["face", "occluder", "margin"])
