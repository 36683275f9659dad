"""The linear model of faces: its fit against what was put in, gaps and lies included."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from s3pot.pca import ATLAS_PX, PcaGenerator, fit_light, grid_sample_px, load_pca, unrolled
from s3pot.reference import stack
from s3pot.training.train_pca import atlas_inside, linear_model, train_pca
from s3pot.weights import WeightsError, export
from tests.faces_without_shape import MEAN, SIZE, astronaut, cheek, guides, structure
from tests.training_folder import write_faces

COMPONENTS = 6


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> PcaGenerator:
    """A smooth random mean and basis on the mesh: no face, but known."""
    inside = atlas_inside(MEAN.points_px(SIZE), MEAN.triangles, SIZE)
    pixels = int(inside.sum())
    made = PcaGenerator(pixels, COMPONENTS)
    torch.manual_seed(0)
    coarse = torch.randn(COMPONENTS + 1, 3, 8, 8)
    smooth = torch.nn.functional.interpolate(coarse, (ATLAS_PX,) * 2, mode="bicubic")
    rows = smooth.flatten(2)[..., inside.flatten()].transpose(1, 2)
    orthogonal = torch.linalg.qr(rows[1:].flatten(1).T).Q.T.reshape(COMPONENTS, pixels, 3)
    made.load_state_dict(
        {
            "inside": inside, "mean": 0.5 + 0.05 * rows[0], "basis": orthogonal,
            "spread": torch.full((COMPONENTS,), 6.0), "noise": torch.tensor(0.01),
        }
    )  # fmt: skip
    return made.eval()


def face_of(model: PcaGenerator, seed: int = 3) -> Tensor:
    """(1, P, 3): a face made of the model's own basis, 0.25 around grey."""
    code = torch.randn(1, COMPONENTS, generator=torch.Generator().manual_seed(seed)) * 3
    return model.mean + torch.einsum("bk,kpc->bpc", code, model.basis)


def corrupted(model: PcaGenerator, face: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """A flat red block over so much of the face from below; and which pixels those are."""
    rows = torch.nonzero(model.inside)[:, 0]
    cut = rows.float().quantile(1 - share)
    hit = rows > cut
    spoiled = face.clone()
    spoiled[:, hit] = torch.tensor([0.95, 0.05, 0.05])
    return spoiled, hit


def test_a_face_of_its_own_is_found_again(model: PcaGenerator) -> None:
    face = face_of(model)
    fit = model.fit(face, torch.ones(face.shape[:2]))
    assert (fit.faces - face).abs().max() < 0.02


def test_an_occluder_that_nobody_declared_is_repaired(model: PcaGenerator) -> None:
    """30 % of the pixels are red and called visible; least squares alone is far off."""
    face = face_of(model)
    spoiled, hit = corrupted(model, face, 0.3)
    assert 0.25 < hit.float().mean() < 0.35
    seen = torch.ones(face.shape[:2])
    fit = model.fit(spoiled, seen)
    assert (fit.faces - face).abs().max() < 0.02
    assert fit.trust[:, hit].mean() < 0.01 < fit.trust[:, ~hit].mean()
    plain = PcaGenerator(face.shape[1], COMPONENTS, rounds=0)
    plain.load_state_dict(model.state_dict())
    least_squares = plain._solve(spoiled, seen)
    assert (least_squares - face).abs().max() > 0.1


def test_a_declared_gap_is_filled(model: PcaGenerator) -> None:
    face = face_of(model)
    spoiled, hit = corrupted(model, face, 0.6)
    fit = model.fit(spoiled, (~hit).float()[None])
    assert (fit.faces - face).abs().max() < 0.05


def test_the_light_is_fitted_with_it(model: PcaGenerator) -> None:
    face = face_of(model)
    lit = face * torch.tensor([0.6, 0.5, 0.4]) + torch.tensor([0.1, 0.0, 0.05])
    spoiled, _ = corrupted(model, lit, 0.3)
    fit = model.fit(spoiled, torch.ones(face.shape[:2]))
    assert (fit.faces - lit).abs().max() < 0.08


def test_gain_and_bias_of_each_channel() -> None:
    torch.manual_seed(0)
    face = torch.rand(2, 500, 3)
    gain, bias = torch.tensor([[[0.5, 1.0, 2.0]]]), torch.tensor([[[0.1, 0.0, -0.2]]])
    weights = torch.ones(2, 500)
    weights[:, :100] = 0
    seen = face * gain + bias
    seen[:, :100] = 9
    found = fit_light(face, seen, weights)
    torch.testing.assert_close(found[0], gain.expand(2, 1, 3), atol=0.02, rtol=0)
    torch.testing.assert_close(found[1], bias.expand(2, 1, 3), atol=0.02, rtol=0)


def test_nothing_seen_gives_the_mean(model: PcaGenerator) -> None:
    face = face_of(model)
    fit = model.fit(face, torch.zeros(face.shape[:2]))
    assert fit.faces.isfinite().all()
    spread = (fit.faces - model.mean).std(1)
    assert spread.max() < 0.01


# to the atlas and back


def test_a_picture_is_sampled_at_pixel_centres() -> None:
    picture = torch.arange(16.0).reshape(1, 1, 4, 4)
    maps = torch.tensor([[[[0.0, 0.0], [3.0, 1.0], [1.5, 2.0], [-9.0, 0.0]]]])
    assert grid_sample_px(picture, maps).flatten().tolist() == [0, 7, 9.5, 0]


def test_what_is_hidden_or_behind_is_not_seen() -> None:
    _, bare = unrolled(astronaut(), torch.zeros_like(cheek()), guides())
    _, covered = unrolled(astronaut(), cheek(), guides())
    inside = atlas_inside(MEAN.points_px(SIZE), MEAN.triangles, SIZE)
    assert bare[0, 0][inside].mean() > 0.9
    assert bare[0, 0][~inside].mean() < 0.05
    assert covered[0, 0, 50:65, 30:40].max() == 0
    turned = structure(turned_head())
    _, seen = unrolled(astronaut(), torch.zeros_like(cheek()), stack([turned]))
    halves = [float(part[part >= 0].mean()) for part in (seen[..., :48], seen[..., 48:])]
    assert abs(halves[0] - halves[1]) > 0.05


def turned_head() -> NDArray[np.float32]:
    """The mean face, 45 degrees to the side."""

    points = np.hstack([MEAN.points_px(SIZE), MEAN.template[:, 2:] * np.float32(0.7 * SIZE)])
    center, angle = points.mean(0), np.pi / 4
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    return ((points - center) @ matrix.T + center).astype(np.float32)


def test_a_crop_goes_to_the_atlas_and_back(model: PcaGenerator) -> None:
    """A face of the model, rolled into a crop, is found in it again, with a patch on its cheek."""
    face = face_of(model)
    raw = model._rolled(face, torch.zeros(1, 3, SIZE, SIZE), guides())
    assert (raw[0, :, 95, 95] > 0.1).all()
    spoiled = torch.where(cheek() > 0, torch.tensor([0.0, 0.0, 1.0])[:, None, None], raw)
    painted = model(spoiled, torch.zeros_like(cheek()), guides())
    assert (painted - raw).abs()[cheek().expand_as(raw) > 0].mean() < 0.02
    assert (painted - raw).abs()[..., 70:120, 70:120].mean() < 0.02


# training


def test_a_linear_model_of_faces_that_are_one() -> None:
    torch.manual_seed(0)
    code, basis = torch.randn(40, 2) * torch.tensor([3.0, 1.0]), torch.randn(2, 300)
    basis = torch.linalg.qr(basis.T).Q.T
    mean = 0.5 + 0.3 * torch.rand(100, 3)
    faces = mean + (code @ basis).reshape(40, 100, 3)
    seen = (torch.rand(40, 100) > 0.1).float()
    state = linear_model(torch.where(seen[..., None] > 0, faces, 7.0), seen, 2)
    assert state["basis"].shape == (2, 100, 3)
    assert state["spread"][0] > state["spread"][1] > 0.5
    assert state["noise"] < 0.2
    gram = state["basis"].flatten(1) @ state["basis"].flatten(1).T
    torch.testing.assert_close(gram, torch.eye(2), atol=1e-4, rtol=0)


def test_trained_on_a_folder_it_paints_its_faces(tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces")
    state = train_pca(faces, MEAN.points_px(224), MEAN.triangles, components=4)
    export("pca", state, tmp_path / "weights")
    generator = load_pca(str(tmp_path / "weights")).eval()
    raw = astronaut()
    spoiled = torch.where(cheek() > 0, torch.tensor([0.0, 0.0, 1.0])[:, None, None], raw)
    painted = generator(spoiled, torch.zeros_like(cheek()), guides())
    inside = cheek().expand_as(raw) > 0
    assert (painted - raw)[inside].abs().mean() < 0.06 < (spoiled - raw)[inside].abs().mean()


def test_too_few_faces_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="60 components"):
        train_pca(write_faces(tmp_path / "f"), MEAN.points_px(224), MEAN.triangles, count=20)


def test_weights_of_something_else_are_named(tmp_path: Path) -> None:
    export("pca", {"weight": torch.zeros(3)}, tmp_path)
    with pytest.raises(WeightsError, match="no basis"):
        load_pca(str(tmp_path))
