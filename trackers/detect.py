"""Find faces in one picture: MediaPipe's two detectors, and tiles for the small ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trackers.boxes import suppress
from trackers.faces import FaceDetection, check_picture

TILE_PX = 360
"""Side of a tile. A face of 20 px there is 11 px of the model's input, about the least it finds."""

TILE_ROWS = 3
"""At most so many rows of tiles: a larger frame gets larger tiles, not ever more of them."""

OVERLAP = 0.25
"""Share of a tile that the next one sees again; a face smaller than it is whole in one of them."""

SHORT_RANGE, FULL_RANGE = 0, 1


class Detector(Protocol):
    """Finds faces in one picture; remembers nothing."""

    def __call__(self, image: NDArray[np.uint8]) -> list[FaceDetection]:
        """Faces of an (H, W, 3) uint8 RGB picture of at least 16 x 16, best score first."""
        ...

    def close(self) -> None:
        """Release the models; may be called twice."""
        ...


class MediaPipeDetector:
    """BlazeFace (Bazarevsky et al. 2019), short and full range, merged by score.

    The short-range model is the surer one on faces from about a sixth of the frame, the full-range
    one on smaller ones.  Make detectors in one thread at a time: while the models load, what they
    write to the process's standard error is dropped.

    Args:
        min_score: 0-1, least score of a face.  MediaPipe 0.10.21 itself reports none below 0.5,
            whatever it is told.
        small_faces: look at overlapping square tiles too, where the frame is larger than a tile.
        max_faces: the best so many are returned, at least 1.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(
        self, *, min_score: float = 0.5, small_faces: bool = True, max_faces: int = 16
    ) -> None:
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score must be from 0 to 1, got {min_score}")
        if max_faces < 1:
            raise ValueError(f"max_faces must be at least 1, got {max_faces}")
        self._min_score, self._small_faces, self._max_faces = min_score, small_faces, max_faces
        with quiet_stderr():
            from mediapipe.python.solutions.face_detection import FaceDetection as Model  # noqa: PLC0415

            self._models: list[Any] = [Model(min_score, which) for which in (0, 1)]
            for model in self._models:  # the first run is the one that talks
                model.process(np.zeros((64, 64, 3), np.uint8))

    def __call__(self, image: NDArray[np.uint8]) -> list[FaceDetection]:
        """See :class:`Detector`.

        Raises:
            ValueError: the picture is not (H, W, 3) uint8 of at least 16 x 16.
            RuntimeError: the detector is closed.
        """
        check_picture(image)
        if not self._models:
            raise RuntimeError("this detector is closed")
        found = self._look(SHORT_RANGE, image) + self._look(FULL_RANGE, image)
        if self._small_faces:
            for x, y, side in tiles(*image.shape[:2]):
                found += self._look(FULL_RANGE, image[y : y + side, x : x + side], x, y)
        if not found:
            return []
        boxes = np.stack([face.box_px for face in found])
        scores = np.array([face.score for face in found], np.float32)
        return [found[k] for k in suppress(boxes, scores)[: self._max_faces]]

    def close(self) -> None:
        """Release the models."""
        models, self._models = self._models, []
        for model in models:
            model.close()

    def _look(
        self, which: int, part: NDArray[np.uint8], x: int = 0, y: int = 0
    ) -> list[FaceDetection]:
        """Faces of one part of the frame whose corner is at x, y."""
        result = self._models[which].process(np.ascontiguousarray(part))
        size, corner = np.array(part.shape[1::-1], np.float32), np.array([x, y], np.float32)
        faces = []
        for found in result.detections or ():
            box = found.location_data.relative_bounding_box
            low = np.array([box.xmin, box.ymin], np.float32) * size
            high = low + np.array([box.width, box.height], np.float32) * size
            points = [(p.x, p.y) for p in found.location_data.relative_keypoints]
            landmarks = np.array(points, np.float32) * size + corner
            box_px = np.concatenate([low + corner, high + corner])
            faces.append(FaceDetection(box_px, landmarks, float(min(found.score[0], 1.0))))
        return [face for face in faces if face.score >= self._min_score]


def tiles(height: int, width: int) -> list[tuple[int, int, int]]:
    """x, y, side in px of overlapping squares that cover a frame; none where one would do."""
    side = max(TILE_PX, int(np.ceil(height / (1 + (TILE_ROWS - 1) * (1 - OVERLAP)))))
    if max(height, width) <= side:
        return []
    xs, ys = (_starts(length, min(side, length)) for length in (width, height))
    return [(x, y, side) for y in ys for x in xs]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles of ``side`` begin along a length, evenly, overlapping by OVERLAP at least."""
    count = 1 + int(np.ceil((length - side) / (side * (1 - OVERLAP))))
    return [int(v) for v in np.round(np.linspace(0, length - side, count))]


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send file descriptor 2 nowhere: MediaPipe's C++ side cannot be told to keep quiet."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
