"""Look over a whole frame for a face that is half hidden: BlazeFace, down to low scores.

The model file is the detector's own short-range one, run by OpenCV.  MediaPipe reports nothing below
a score of 0.5; a hand over two thirds of a face leaves it 0.4, and where several windows of the frame
agree on the place that is enough for a face which is known to be somewhere.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.align import cut
from trackers.boxes import iou, suppress
from trackers.faces import FaceDetection
from trackers.landmarks import mediapipe_file

INPUT_SIZE_PX = 128
GRIDS = ((16, 2), (8, 6))
"""Cells a side, and anchors in each cell, of the model's two output maps."""

SAME_IOU = 0.4
"""Boxes of different windows that overlap so much are of one face, and are averaged."""

AGREE_SCORE, ALONE_SCORE = 0.25, 0.6
"""Least score of a second window that agrees, and score of a window that needs none."""

WINDOWS = 4
"""Squares of the frame's shorter side, evenly along the longer one."""


class FaceSearch:
    """Finds faces of at least a sixth of the frame; remembers nothing. Not thread-safe.

    Args:
        min_score: 0-1, least score of a face.
    """

    def __init__(self, min_score: float = 0.4) -> None:
        path = mediapipe_file("face_detection/face_detection_short_range.tflite")
        self._net = cv2.dnn.readNetFromTFLite(str(path))
        self._anchors = anchors()
        self._min_score = min_score

    def __call__(self, image: NDArray[np.uint8]) -> list[FaceDetection]:
        """Faces of an (H, W, 3) uint8 RGB picture on whose place windows agree, best score first."""
        boxes, points, scores = [], [], []
        for x, y, side in windows(*image.shape[:2]):
            found = self._look(image, x, y, side)
            for index in suppress(found[0], found[2])[:3]:
                boxes.append(found[0][index])
                points.append(found[1][index])
                scores.append(found[2][index])
        if not boxes:
            return []
        return self._agreed(np.stack(boxes), np.stack(points), np.array(scores, np.float32))

    def _agreed(
        self, boxes: NDArray[np.float32], points: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> list[FaceDetection]:
        """One detection for each face, the mean of its windows' weighted by their scores."""
        faces = []
        for index in suppress(boxes, scores):
            same = iou(boxes[index : index + 1], boxes)[0] > SAME_IOU
            sure = scores[index] >= ALONE_SCORE or same.sum() > 1
            if scores[index] < self._min_score or not sure:
                continue
            box, spots = (np.average(v[same], 0, scores[same]) for v in (boxes, points))
            score = float(scores[index])
            faces.append(FaceDetection(box.astype(np.float32), spots.astype(np.float32), score))
        return faces

    def _look(
        self, image: NDArray[np.uint8], x: float, y: float, side: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Boxes (N, 4), points (N, 6, 2), scores (N,) of a square of the frame; px of the frame."""
        scale = INPUT_SIZE_PX / side
        # Pixel centres lie at integers, the model counts from the edge of the first pixel.
        matrix = np.array([[scale, 0, 0.5 * scale - 0.5 - scale * x],
                           [0, scale, 0.5 * scale - 0.5 - scale * y]], np.float64)  # fmt: skip
        patch = cut(image, matrix, INPUT_SIZE_PX)
        self._net.setInput(cv2.dnn.blobFromImage(patch, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        logits, places = self._net.forward(["classificators", "regressors"])
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -30, 30)))
        kept = scores >= AGREE_SCORE
        spots = places[0][kept].reshape(-1, 8, 2) / INPUT_SIZE_PX
        centres = spots[:, :1] + self._anchors[kept][:, None]
        half = spots[:, 1:2] / 2
        boxes = np.concatenate([centres - half, centres + half], 1)
        points = spots[:, 2:] + self._anchors[kept][:, None]
        boxes, points = (np.asarray(v * side + [x, y], np.float32) for v in (boxes, points))
        return boxes.reshape(-1, 4), points, np.asarray(scores[kept], np.float32)


def anchors() -> NDArray[np.float32]:
    """(896, 2) float32, x y of each anchor in shares of the window."""
    rows = [
        np.repeat(((np.indices((side, side))[::-1] + 0.5) / side).reshape(2, -1).T, count, 0)
        for side, count in GRIDS
    ]
    return np.concatenate(rows).astype(np.float32)


def windows(height: int, width: int) -> list[tuple[float, float, float]]:
    """x, y, side in px of the squares looked at: all of the frame, then overlapping parts of it."""
    short, long = min(height, width), max(height, width)
    whole = ((width - long) / 2, (height - long) / 2, float(long))
    if long < 1.2 * short:
        return [whole]
    starts = np.linspace(0, long - short, WINDOWS)
    return [whole, *((s, 0.0, short) if width == long else (0.0, s, short) for s in starts)]
