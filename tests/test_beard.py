"""Beards: where they grow, and that they are face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from s3pot.training import beard, composite
from s3pot.training.beard import grow
from s3pot.training.composite import Faces, compose
from s3pot.training.occluders import Occluders
from s3pot.training.references import LIPS, FacePhoto
from s3pot.training.samples import load_faces
from tests.training_folder import write_faces
from trackers.mesh import mean_face

SIZE = 192
FOREHEAD, CHEEKBONE, CHIN_HAIR = 151, 118, 175


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    folder: Path = write_faces(tmp_path_factory.mktemp("beard") / "faces")
    return load_faces(folder, mean_face().triangles, held_out=False)


def change(before: FacePhoto, after: FacePhoto, landmark: int) -> float:
    """Mean change of colour, 0-255, around a landmark."""
    x, y = before.landmarks[landmark, :2].astype(int)
    at = (slice(y - 3, y + 4), slice(x - 3, x + 4))
    return float(np.abs(after.image[at].astype(int) - before.image[at].astype(int)).mean())


def test_hair_grows_on_the_chin_and_not_on_the_forehead(faces: Faces) -> None:
    photo = faces.photo(0)
    changes = np.array(
        [
            [change(photo, grow(photo, np.random.default_rng(i)), at)
             for at in (FOREHEAD, CHEEKBONE, CHIN_HAIR)]
            for i in range(20)
        ]
    )  # fmt: skip
    assert changes[:, 0].max() == 0
    assert changes[:, 1].mean() < 2
    assert changes[:, 2].mean() > 10


def test_lips_stay_bare(faces: Faces) -> None:
    photo = faces.photo(0)
    centre = photo.landmarks[LIPS, :2].mean(0).astype(int)
    for seed in range(10):
        grown = grow(photo, np.random.default_rng(seed))
        x, y = centre
        before = photo.image[y - 2 : y + 3, x - 4 : x + 5].astype(int)
        assert np.abs(grown.image[y - 2 : y + 3, x - 4 : x + 5] - before).mean() < 4


def test_the_same_number_grows_the_same_beard(faces: Faces) -> None:
    photo = faces.photo(1)
    first, second = (grow(photo, np.random.default_rng(3)).image for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (grow(photo, np.random.default_rng(4)).image != first).any()


def test_many_beards_are_grey() -> None:
    colours = np.stack([beard.hair_colour(np.random.default_rng(i)) for i in range(200)])
    plain = (colours.max(1) - colours.min(1)) / colours.max(1) < 0.15
    assert 0.4 < plain.mean() < 0.8


def test_a_beard_is_face_and_its_own_photograph_remembers_it(
    faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composite, "BEARD_SHARE", 1.0)
    seen: list[NDArray[np.uint8]] = []

    def watched(photo: FacePhoto, rng: np.random.Generator) -> FacePhoto:
        grown = grow(photo, rng)
        seen.append(grown.image)
        return grown

    monkeypatch.setattr(composite, "grow", watched)
    clear = Occluders({}, {"hair": 1.0})
    for seed in range(4):
        sample = compose(faces, clear, 0, SIZE, np.random.default_rng(seed))
        assert not sample.target.any()
    assert len(seen) == 4
