"""``s3pot train prepare``: photographs of faces -> aligned crops with landmarks to train on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.align import align_landmarks, cut
from trackers.detect import MediaPipeDetector
from trackers.landmarks import FaceMesh, RegionOfInterest, roi_from_landmarks

CROP_PX, FACE_PX = 224, 192
"""Side of a crop, and of the aligned square in its middle: the rest is room for jitter."""

MIN_SCORE = 0.9
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def prepare(folders: list[Path], out: Path, on_photo: Callable[[Path], None]) -> int:
    """Find the largest face of each photograph and write ``images.npy`` and the rest.

    Args:
        folders: searched for pictures, one identity a file name; ``Name_0001.jpg`` and
            ``Name_0002.jpg`` are two photographs of one person.
        out: folder to write to; made if missing.
        on_photo: called before each photograph.

    Returns:
        How many faces were written.

    Raises:
        FileNotFoundError: the folders hold no pictures.
        ValueError: no face was found in any of them.
    """
    paths = sorted(
        p for folder in folders for p in folder.iterdir() if p.suffix.lower() in SUFFIXES
    )
    if not paths:
        raise FileNotFoundError(f"no pictures ({', '.join(sorted(SUFFIXES))}) in {folders}")
    faces = list(_faces(paths, on_photo))
    if not faces:
        raise ValueError(f"no face was found in {len(paths)} pictures of {folders}")
    out.mkdir(parents=True, exist_ok=True)
    names, images, landmarks = zip(*faces, strict=True)
    np.save(out / "images.npy", np.stack(images))
    np.save(out / "landmarks.npy", np.stack(landmarks))
    (out / "index.json").write_text(json.dumps({"identity": names}), encoding="utf-8")
    return len(faces)


def _faces(
    paths: list[Path], on_photo: Callable[[Path], None]
) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.float32]]]:
    detector, mesh = MediaPipeDetector(), FaceMesh()
    try:
        for path in paths:
            on_photo(path)
            picture = cv2.imread(str(path))
            if picture is None:
                continue
            found = crop_largest(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), detector, mesh)
            if found is not None:
                yield re.sub(r"_\d+$", "", path.stem), *found
    finally:
        detector.close()


def crop_largest(
    image: NDArray[np.uint8], detector: MediaPipeDetector, mesh: FaceMesh
) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
    """The largest face of a picture: (224, 224, 3) RGB crop, (468, 3) landmarks in px of it."""
    detections = detector(image)
    if not detections:
        return None
    x0, y0, x1, y1 = max(
        (d.box_px for d in detections), key=lambda b: (b[2] - b[0]) * (b[3] - b[1])
    )
    roi = RegionOfInterest(((x0 + x1) / 2, (y0 + y1) / 2), 1.5 * max(x1 - x0, y1 - y0))
    for _ in range(3):
        landmarks, score = mesh(image, roi)
        roi = roi_from_landmarks(landmarks)
    if score < MIN_SCORE:
        return None
    matrix = align_landmarks(landmarks, np.ones(len(landmarks), np.float32), FACE_PX)
    matrix[:, 2] += (CROP_PX - FACE_PX) / 2
    landmarks[:, :2] = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    landmarks[:, 2] *= np.hypot(matrix[0, 0], matrix[1, 0])
    return cut(image, matrix, CROP_PX), landmarks
