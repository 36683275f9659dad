"""What is believed of photographs without truth, and what training makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from typer.testing import CliRunner

from s3pot import weights
from s3pot.network import INPUT_SIZE_PX as SIZE
from s3pot.sam import FaceSam
from s3pot.training.agree import Looker, agree, look
from s3pot.training.composite import COVERED, FACE, UNSURE, Faces, compose
from s3pot.training.found import cut_out, found_in
from s3pot.training.invented import load_inventors
from s3pot.training.losses import evidence_loss
from s3pot.training.occluders import Occluders
from s3pot.training.samples import load_faces, to_tensors
from stream.cli import app
from tests.training_folder import write_faces
from trackers.mesh import mean_face

TRIANGLES = mean_face().triangles
BALL = (slice(110, 150), slice(90, 130))
"""Where the ball lies on a crop of 192 px."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def boxed(value: float, inside: tuple[slice, slice] = BALL, outside: float = -6.0) -> Tensor:
    """(1, 1, S, S) logits: ``value`` in a box."""
    logits = torch.full((1, 1, SIZE, SIZE), outside)
    logits[0, 0, inside[0], inside[1]] = value
    return logits


@dataclass(frozen=True)
class Said(Looker):
    """A looker that says what it is told to."""

    plain: Tensor = field(default_factory=lambda: boxed(5))
    mirrored: Tensor = field(default_factory=lambda: boxed(5))
    closer_looks: Tensor = field(default_factory=lambda: torch.stack([boxed(5), boxed(5)]))
    again: Tensor = field(default_factory=lambda: boxed(-6))

    def bare(self, raw: Tensor, region: Tensor) -> Tensor:
        return torch.stack([self.plain, self.mirrored])

    def closer(
        self, raw: Tensor, region: Tensor, found: Tensor, landmarks: NDArray[np.float32]
    ) -> tuple[Tensor, Tensor]:
        return self.closer_looks, self.again


def labels_of(**said: Tensor) -> NDArray[np.uint8]:
    looker = Said(None, None, **said)  # type: ignore[arg-type]
    raw, region = torch.zeros(1, 3, SIZE, SIZE), torch.ones(1, 1, SIZE, SIZE)
    labels: NDArray[np.uint8] = look(looker, raw, region, np.zeros((1, 468, 3), np.float32))[0]
    return labels


def test_what_all_looks_find_is_covered() -> None:
    labels = labels_of()
    assert (labels[BALL] == COVERED).all()
    assert (labels != COVERED).sum() == SIZE**2 - 40 * 40
    assert labels[10, 10] == FACE


def test_beside_what_is_found_nothing_is_taught() -> None:
    """The hand that a ball is held by was not found: it must not be called face."""
    labels = labels_of()
    assert labels[105, 110] == UNSURE
    assert labels[BALL[0].stop + 5, 110] == UNSURE


def test_a_place_of_a_covered_face_that_is_nearly_found_is_unsure() -> None:
    doubtful = boxed(5)
    doubtful[0, 0, 20:40, 20:40] = -1.0
    assert (labels_of(plain=doubtful)[20:40, 20:40] == UNSURE).all()


@pytest.mark.parametrize("who", ["plain", "mirrored", "closer_looks", "again"])
def test_where_one_look_differs_nobody_knows(who: str) -> None:
    nothing = boxed(-6)
    differs = {
        "plain": nothing, "mirrored": nothing,
        "closer_looks": torch.stack([boxed(5), nothing]),
        "again": boxed(5),  # found again once it was painted away: it is the face itself
    }[who]  # fmt: skip
    labels = labels_of(**{who: differs})
    assert not (labels == COVERED).any()
    assert (labels[BALL] == UNSURE).all()


def test_nobody_finds_anything() -> None:
    nothing = boxed(-6)
    assert (labels_of(plain=nothing, mirrored=nothing) == FACE).all()


def test_a_speck_is_nothing_to_believe() -> None:
    speck = boxed(5, (slice(100, 104), slice(100, 104)))
    labels = labels_of(plain=speck, mirrored=speck)
    assert not (labels == COVERED).any()
    assert (labels[100:104, 100:104] == UNSURE).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up people; the first holds a ball before the cheek."""
    folder = write_faces(tmp_path_factory.mktemp("agree") / "faces")
    images = np.load(folder / "images.npy")[:8]
    cv2.circle(images[0], (150, 140), 26, (40, 220, 60), -1, cv2.LINE_AA)
    np.save(folder / "images.npy", images)
    np.save(folder / "landmarks.npy", np.load(folder / "landmarks.npy")[:8])
    names = ["held by nobody", "b", "b", "c", "d", "e", "f", "g"]
    (folder / "index.json").write_text(json.dumps({"identity": names}))
    return folder


@pytest.fixture(scope="module")
def agreed(folder: Path) -> NDArray[np.uint8]:
    sam, mean = FaceSam().eval(), mean_face()
    weights.fill(sam, "face", "")
    template = mean.points_px(SIZE)
    painters = load_inventors(["pca"], "", template, mean.triangles, mean.parts)
    told: list[int] = []
    assert agree(folder, Looker(sam, painters), told.append) == 1
    assert sum(told) == 8
    return np.asarray(np.load(folder / "agreed.npy"))


def test_a_ball_before_a_cheek_is_found_and_bare_faces_are_left_alone(
    agreed: NDArray[np.uint8],
) -> None:
    assert agreed.shape == (8, 224, 224)
    assert (agreed[0, 125:150, 135:160] == COVERED).mean() > 0.9
    assert not (agreed[1:] == COVERED).any()


def test_covered_photographs_are_trained_on_only_when_asked_for(
    folder: Path, agreed: NDArray[np.uint8]
) -> None:
    bare = load_faces(folder, TRIANGLES, held_out=False)
    every = load_faces(folder, TRIANGLES, held_out=False, covered=True)
    assert len(every.images) == len(bare.images) + 1
    assert every.covered.tolist() == [0]
    assert len(bare.covered) == 0
    assert all(0 not in siblings for siblings in every.siblings)


@pytest.fixture(scope="module")
def covered(folder: Path, agreed: NDArray[np.uint8]) -> Faces:
    return load_faces(folder, TRIANGLES, held_out=False, covered=True)


def test_a_photographs_own_cover_is_taught(covered: Faces) -> None:
    """The ball is the target, and its surroundings are not judged."""
    nothing = Occluders({}, {"drawn_hand": 1.0})
    samples = [compose(covered, nothing, 0, SIZE, np.random.default_rng(i)) for i in range(12)]
    plain = [s for s in samples if (s.kinds == 255).all()]
    assert plain  # half of them have nothing else in front
    for sample in plain:
        ball = sample.target > 127
        ring = cv2.dilate(ball.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~ball
        assert not sample.judged[ring].all()
        assert sample.judged[ball].mean() > 0.95
        assert sample.judged.mean() > 0.5
        assert ball.mean() > 0.01


def test_what_was_covered_is_not_remembered(covered: Faces) -> None:
    """Its own photograph would show the occluder in the reference, too."""
    nothing = Occluders({}, {"drawn": 1.0})
    for seed in range(12):
        sample = compose(covered, nothing, 0, SIZE, np.random.default_rng(seed))
        own = sample.target > 200
        green = (sample.reference[..., 1].astype(int) - sample.reference[..., 0]) > 60
        assert not (green & own & (sample.known > 0)).any()


def test_the_loss_looks_away_where_nobody_knows() -> None:
    target = torch.zeros(1, 1, 16, 16)
    region, judged = torch.ones_like(target), torch.ones_like(target)
    judged[..., :8] = 0
    right, wrong = torch.full_like(target, -4), torch.full_like(target, -4)
    wrong[..., :8] = 4
    assert float(evidence_loss(wrong, target, region, judged)) == pytest.approx(
        float(evidence_loss(right, target, region, judged))
    )
    assert evidence_loss(wrong, target, region) > evidence_loss(right, target, region)


def test_samples_say_where_they_are_judged(covered: Faces) -> None:
    drawn = Occluders({}, {"drawn": 1.0})
    batch = to_tensors([compose(covered, drawn, 1, SIZE, np.random.default_rng(1))])
    assert batch["judged"].shape == (1, 1, SIZE, SIZE)
    assert set(batch["judged"].unique().tolist()) <= {0.0, 1.0}
    assert float(batch["judged"].mean()) > 0.9


def test_what_was_found_is_cut_out_to_lay_on_others(covered: Faces) -> None:
    (ball,) = found_in(covered)
    assert ball.shape[2] == 4
    solid = ball[..., 3] > 0.9
    assert solid.sum() > 500
    assert (ball[solid][:, 1] > ball[solid][:, 0]).mean() > 0.95  # green, the face left off
    assert ball[0, 0, 3] < 0.5


def test_specks_are_not_cut_out(covered: Faces) -> None:
    photo = covered.photo(0)
    agreed = np.zeros((224, 224), np.uint8)
    agreed[100:110, 100:110] = COVERED
    assert cut_out(replace(photo, agreed=agreed)) == []
    assert cut_out(replace(photo, agreed=None)) == []


def test_the_command_takes_one_folder_of_data(folder: Path, agreed: NDArray[np.uint8]) -> None:
    (folder / "agreed.npy").unlink()
    done = CliRunner().invoke(app, ["train", "agree", "--data", str(folder.parent), "--bf16"])
    assert done.exit_code == 0, done.output
    assert "something before 1 faces" in done.output
    again = np.load(folder / "agreed.npy")
    assert ((again == COVERED) == (agreed == COVERED)).mean() > 0.99


@pytest.mark.parametrize("step", ["agree", "encoder", "head", "kinds", "reference", "regional"])
def test_without_data_the_options_are_named(step: str) -> None:
    done = CliRunner().invoke(app, ["train", step])
    assert done.exit_code == 2
    assert "--faces" in done.output
    assert "--data" in done.output


def test_what_a_folder_of_data_lacks_is_named(tmp_path: Path) -> None:
    write_faces(tmp_path / "faces")
    words = ["train", "encoder", "--data", str(tmp_path), "--run", str(tmp_path / "run")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert str(tmp_path / "occluders") in done.output
