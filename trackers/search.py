"""Look over a whole frame for a face that is half hidden: BlazeFace, down to low scores.

The model file is the detector's own short-range one, run by OpenCV.  MediaPipe reports nothing below
a score of 0.5; a hand over two thirds of a face leaves it 0.4, and where several windows of the frame
agree on the place that is enough for a face which is known to be somewhere.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.align import cut
from trackers.boxes import area, intersection, iou, suppress
from trackers.faces import FaceDetection
from trackers.landmarks import mediapipe_file

INPUT_SIZE_PX = 128
GRIDS = ((16, 2), (8, 6))
"""Cells a side, and anchors in each cell, of the model's two output maps."""

SAME_IOU = 0.4
"""Boxes of different windows that overlap so much are of one face, and are averaged."""

LEAST_SCORE = 0.2
"""What is less than this in a window is nothing."""

STEP = 0.25
"""Windows of the frame's shorter side begin so many sides apart, or a little less."""

HELD = 0.95
"""A window that holds so much of a face ought to see it."""

Found = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Boxes (N, 4) and points (N, 6, 2) in px of the frame, scores (N,)."""


class FaceSearch:
    """Finds faces of at least a sixth of the frame; remembers nothing. Not thread-safe.

    A score is the mean over the windows that hold the face, at least two of them where there are so
    many: a thing that is no face looks like one in this window or in that.

    Args:
        min_score: 0-1, least score of a face.  Of drawn grounds without a face none of 640 x 360
            reached 0.45, four in ten of 320 x 240 did: there windows hardly differ.  A hand over
            two thirds of a face left 0.46 to 0.62.
    """

    def __init__(self, min_score: float = 0.45) -> None:
        path = mediapipe_file("face_detection/face_detection_short_range.tflite")
        self._net = cv2.dnn.readNetFromTFLite(str(path))
        self._anchors = anchors()
        self._min_score = min_score

    def __call__(self, image: NDArray[np.uint8]) -> list[FaceDetection]:
        """Faces of an (H, W, 3) uint8 RGB picture on whose place windows agree, best score first."""
        places = windows(*image.shape[:2])
        looks = [self._look(image, *place) for place in places]
        boxes, points, scores = (np.concatenate(parts) for parts in zip(*looks, strict=True))
        faces = []
        for index in suppress(boxes, scores):
            box = boxes[index : index + 1]
            score, witnesses = mean_score(box, places, looks)
            if score < self._min_score or witnesses < min(2, len(places)):
                continue
            same = iou(box, boxes)[0] > SAME_IOU
            place, spots = (np.average(v[same], 0, scores[same]) for v in (boxes, points))
            faces.append(FaceDetection(place.astype(np.float32), spots.astype(np.float32), score))
        return sorted(faces, key=lambda face: -face.score)

    def _look(self, image: NDArray[np.uint8], x: float, y: float, side: float) -> Found:
        """Faces of a square of the frame."""
        scale = INPUT_SIZE_PX / side
        # Pixel centres lie at integers, the model counts from the edge of the first pixel.
        matrix = np.array([[scale, 0, 0.5 * scale - 0.5 - scale * x],
                           [0, scale, 0.5 * scale - 0.5 - scale * y]], np.float64)  # fmt: skip
        patch = cut(image, matrix, INPUT_SIZE_PX)
        self._net.setInput(cv2.dnn.blobFromImage(patch, 1 / 127.5, mean=(127.5, 127.5, 127.5)))
        logits, places = self._net.forward(["classificators", "regressors"])
        scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -30, 30)))
        kept = scores >= LEAST_SCORE
        spots = places[0][kept].reshape(-1, 8, 2) / INPUT_SIZE_PX
        centres = spots[:, :1] + self._anchors[kept][:, None]
        half = spots[:, 1:2] / 2
        boxes = np.concatenate([centres - half, centres + half], 1)
        points = spots[:, 2:] + self._anchors[kept][:, None]
        boxes, points = (np.asarray(v * side + [x, y], np.float32) for v in (boxes, points))
        return boxes.reshape(-1, 4), points, np.asarray(scores[kept], np.float32)


def mean_score(
    box: NDArray[np.float32], places: list[tuple[float, float, float]], looks: list[Found]
) -> tuple[float, int]:
    """Mean of the best scores at a box (1, 4) over the windows that hold it, and how many do."""
    best = []
    for (x, y, side), (boxes, _, scores) in zip(places, looks, strict=True):
        window = np.array([[x, y, x + side, y + side]], np.float32)
        if intersection(box, window)[0, 0] >= HELD * area(box)[0]:
            here = scores[iou(box, boxes)[0] > SAME_IOU]
            best.append(float(here.max()) if len(here) else 0.0)
    return (float(np.mean(best)), len(best)) if best else (0.0, 0)


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
    starts = np.linspace(0, long - short, 1 + math.ceil((long - short) / (STEP * short)))
    return [whole, *((s, 0.0, short) if width == long else (0.0, s, short) for s in starts)]
