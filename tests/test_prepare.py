"""``s3pot train prepare``: photographs in, aligned faces with landmarks out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from stream.prepare import CROP_PX, FACE_PX, crop_largest, prepare
from tests.pasted_faces import ground, scene
from trackers.detect import MediaPipeDetector
from trackers.landmarks import FaceMesh
from trackers.mesh import mean_face

MEAN_PX = mean_face().points_px(FACE_PX) + (CROP_PX - FACE_PX) / 2


@pytest.fixture(scope="module")
def detector() -> Iterator[MediaPipeDetector]:
    found = MediaPipeDetector(small_faces=False)
    yield found
    found.close()


def write(path: Path, image: NDArray[np.uint8]) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def test_the_largest_face_upright_in_the_middle(detector: MediaPipeDetector) -> None:
    turned = scene((100, 120, 100, False), (250, 60, 50, True))
    matrix = cv2.getRotationMatrix2D((160, 120), 12, 1)
    turned = cv2.warpAffine(turned, matrix, (320, 240), borderMode=cv2.BORDER_REFLECT_101)
    found = crop_largest(turned, detector, FaceMesh())
    assert found is not None
    image, landmarks = found
    assert image.shape == (CROP_PX, CROP_PX, 3)
    assert landmarks.shape == (468, 3)
    assert np.linalg.norm(landmarks[:, :2] - MEAN_PX, axis=1).mean() < 6
    # The picture went the same way as the points: cut again, the mesh is found at its place.
    again = crop_largest(image, detector, FaceMesh())
    assert again is not None
    assert np.abs(image.astype(int) - again[0])[40:184, 40:184].mean() < 12
    # Depth is in px of the crop as well, the nose's tip before the cheeks.
    assert landmarks[4, 2] < landmarks[[234, 454], 2].min() - 20


def test_no_face_no_crop(detector: MediaPipeDetector) -> None:
    assert crop_largest(ground(), detector, FaceMesh()) is None


def test_a_folder(tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "new" / "faces"
    photos.mkdir()
    write(photos / "Eileen_Collins_0001.png", data.astronaut())
    write(photos / "Eileen_Collins_0002.JPG", data.astronaut()[:, ::-1])
    write(photos / "wall.jpg", ground())
    (photos / "broken.jpg").write_bytes(b"no picture")
    (photos / "notes.txt").write_text("no picture either")
    seen: list[str] = []
    assert prepare([photos], out, lambda path: seen.append(path.name)) == 2
    assert seen == ["Eileen_Collins_0001.png", "Eileen_Collins_0002.JPG", "broken.jpg", "wall.jpg"]
    images, landmarks = np.load(out / "images.npy"), np.load(out / "landmarks.npy")
    assert images.shape == (2, CROP_PX, CROP_PX, 3)
    assert images.dtype == np.uint8
    assert landmarks.shape == (2, 468, 3)
    assert landmarks.dtype == np.float32
    assert json.loads((out / "index.json").read_text()) == {"identity": ["Eileen_Collins"] * 2}
    # RGB, not BGR: skin is more red than blue.
    red, _, blue = images[0][80:150, 80:150].reshape(-1, 3).mean(0)
    assert red > blue + 20


def test_folders_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no pictures \(\.jpeg, \.jpg, \.png"):
        prepare([tmp_path], tmp_path / "out", lambda _: None)
    assert not (tmp_path / "out").exists()


def test_pictures_without_faces(tmp_path: Path) -> None:
    write(tmp_path / "wall.png", ground())
    with pytest.raises(ValueError, match="no face was found in 1 pictures"):
        prepare([tmp_path], tmp_path / "out", lambda _: None)
    assert not (tmp_path / "out").exists()
