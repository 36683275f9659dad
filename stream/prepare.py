"""``s3pot train prepare``: photographs of faces -> aligned crops with landmarks to train on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from trackers.align import align_landmarks, cut
from trackers.detect import MediaPipeDetector
from trackers.landmarks import FaceMesh, RegionOfInterest, roi_from_landmarks

CROP_PX, FACE_PX = 224, 192
"""Side of a crop, and of the aligned square in its middle: the rest is room for jitter."""

MIN_SCORE = 0.9
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
UNKNOWN = 255
"""In ``labels.npy``: nobody has said what the pixel is."""


def prepare(folders: list[Path], out: Path, on_photo: Callable[[Path], None]) -> int:
    """Find the largest face of each photograph and write ``images.npy`` and the rest.

    Args:
        folders: searched for pictures, one identity a file name; ``Name_0001.jpg`` and
            ``Name_0002.jpg`` are two photographs of one person. A folder ``images`` may have a
            folder ``masks`` beside it, with a PNG of CelebAMask-HQ's 19 classes for each picture.
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
    names, images, landmarks, labels = zip(*faces, strict=True)
    np.save(out / "images.npy", np.stack(images))
    np.save(out / "landmarks.npy", np.stack(landmarks))
    np.save(out / "labels.npy", np.stack(labels))
    (out / "index.json").write_text(json.dumps({"identity": names}), encoding="utf-8")
    return len(faces)


def _faces(
    paths: list[Path], on_photo: Callable[[Path], None]
) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]]:
    detector, mesh = MediaPipeDetector(), FaceMesh()
    try:
        for path in paths:
            on_photo(path)
            picture = cv2.imread(str(path))
            if picture is None:
                continue
            image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
            found = largest(image, detector, mesh)
            if found is not None:
                matrix, landmarks = found
                labels = _labels(path, image.shape[:2], matrix)
                yield (
                    re.sub(r"_\d+$", "", path.stem), cut(image, matrix, CROP_PX), landmarks, labels
                )  # fmt: skip
    finally:
        detector.close()


def _labels(path: Path, size: tuple[int, int], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """(224, 224) the 19 classes of a picture's mask, cut like it; UNKNOWN where there is none.

    Raises:
        ValueError: the mask has other proportions than the picture.
    """
    place = path.parent.with_name("masks") / f"{path.stem}.png"
    if path.parent.name != "images" or not place.is_file():
        return np.full((CROP_PX, CROP_PX), UNKNOWN, np.uint8)
    mask = np.asarray(Image.open(place))  # OpenCV would turn a palette's indices into colours
    if mask.shape != size or mask.dtype != np.uint8:
        raise ValueError(f"{place}: an index mask of {size} was expected, got {mask.shape}")
    flags = cv2.INTER_NEAREST
    return cv2.warpAffine(mask, matrix, (CROP_PX,) * 2, flags=flags, borderValue=UNKNOWN)


def crop_largest(
    image: NDArray[np.uint8], detector: MediaPipeDetector, mesh: FaceMesh
) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
    """The largest face of a picture: (224, 224, 3) RGB crop, (468, 3) landmarks in px of it."""
    found = largest(image, detector, mesh)
    return None if found is None else (cut(image, found[0], CROP_PX), found[1])


def largest(
    image: NDArray[np.uint8], detector: MediaPipeDetector, mesh: FaceMesh
) -> tuple[NDArray[np.float64], NDArray[np.float32]] | None:
    """Where the largest face is: (2, 3) picture px -> crop px, (468, 3) landmarks in crop px."""
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
    return matrix, landmarks
