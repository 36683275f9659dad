"""Make-up: where it is painted, and that it is face."""

from __future__ import annotations

import numpy as np
import pytest

from s3pot.training import composite
from s3pot.training.composite import Faces, compose
from s3pot.training.makeup import make_up
from s3pot.training.occluders import Occluders
from s3pot.training.references import LIPS, RIGHT_EYE
from s3pot.training.samples import load_faces
from tests.training_folder import write_faces
from trackers.mesh import mean_face

FOREHEAD = 151


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    folder = write_faces(tmp_path_factory.mktemp("makeup") / "faces")
    return load_faces(folder, mean_face().triangles, held_out=False)


def test_lips_are_painted_and_the_forehead_is_not(faces: Faces) -> None:
    photo = faces.photo(0)
    for seed in range(8):
        painted = make_up(photo, np.random.default_rng(seed)).image.astype(int)
        changed = np.abs(painted - photo.image).sum(-1)
        x, y = photo.landmarks[LIPS, :2].mean(0).astype(int)
        assert changed[y - 2 : y + 3, x - 5 : x + 6].mean() > 15
        x, y = photo.landmarks[FOREHEAD, :2].astype(int)
        assert changed[y - 4 : y + 5, x - 4 : x + 5].max() <= 3


def test_lids_are_painted_and_eyes_are_not(faces: Faces) -> None:
    photo = faces.photo(0)
    x, y = photo.landmarks[RIGHT_EYE, :2].mean(0).astype(int)
    eyes, lids = [], []
    for seed in range(12):
        painted = make_up(photo, np.random.default_rng(seed)).image.astype(int)
        changed = np.abs(painted - photo.image).sum(-1)
        eyes.append(changed[y, x - 2 : x + 3].mean())
        lids.append(changed[y - 7, x - 3 : x + 4].mean())
    assert np.mean(np.array(lids) > 15) > 0.25
    assert np.mean(eyes) < np.mean(lids)


def test_most_lips_are_red(faces: Faces) -> None:
    photo = faces.photo(1)
    x, y = photo.landmarks[LIPS, :2].mean(0).astype(int)
    colours = [
        make_up(photo, np.random.default_rng(i)).image[y - 1 : y + 2, x - 3 : x + 4].mean((0, 1))
        for i in range(30)
    ]
    assert np.mean([c[0] > 1.2 * max(c[1], c[2]) for c in colours]) > 0.6


def test_in_the_dark_the_bare_face_is_as_dark(
    faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Generators learn to paint it: they must not learn to brighten."""
    monkeypatch.setattr(composite, "LOW_LIGHT_SHARE", 1.0)
    for seed in range(6):
        sample = compose(faces, Occluders({}, {"hair": 1.0}), 0, 192, np.random.default_rng(seed))
        bare = sample.region & (sample.kinds == 255)
        ratio = sample.raw[bare].mean() / sample.clean[bare].mean()
        assert 0.85 < ratio < 1.15


def test_make_up_and_hard_shadows_are_face(faces: Faces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(composite, "MAKE_UP_SHARE", 1.0)
    monkeypatch.setattr(composite, "HARD_SHADOW_SHARE", 1.0)
    for seed in range(6):
        strands = Occluders({}, {"hair": 1.0})
        assert not compose(faces, strands, 0, 192, np.random.default_rng(seed)).target.any()
