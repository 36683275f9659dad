"""What MediaPipe alone gives: its face mesh, its hands as filled shapes, its person mask.

No product does quite this; it is what can be built in a day from parts that everybody has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.bench.entrants import Answer
from stream.frame import Frame
from trackers.boxes import box_around
from trackers.detect import quiet_stderr
from trackers.mesh import mean_face

MOST_FACES, MOST_HANDS = 4, 4

PALM = (0, 1, 5, 9, 13, 17)
"""Landmarks around the palm, of the hand's 21."""

FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))

FINGER_WIDTH = 0.28
"""Of a finger, over the distance from the first to the last knuckle."""


class MediaPipeOnly:
    """Within each face's mesh: hands, and what is no person; see :class:`stream.bench.entrants.Entrant`."""

    def __init__(self) -> None:
        self.name = "mediapipe"
        self.fingerprint = f"mediapipe {version('mediapipe')} {MOST_FACES} {MOST_HANDS}"
        with quiet_stderr():
            from mediapipe.python.solutions.face_mesh import FaceMesh  # noqa: PLC0415
            from mediapipe.python.solutions.hands import Hands  # noqa: PLC0415
            from mediapipe.python.solutions.selfie_segmentation import (  # noqa: PLC0415
                SelfieSegmentation,
            )

            self._faces: Any = FaceMesh(max_num_faces=MOST_FACES)
            self._hands: Any = Hands(max_num_hands=MOST_HANDS)
            self._person: Any = SelfieSegmentation(model_selection=0)
            for model in (
                self._faces,
                self._hands,
                self._person,
            ):  # the first run is the one that talks
                model.process(np.zeros((64, 64, 3), np.uint8))

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        """See :class:`stream.bench.entrants.Entrant`."""
        with quiet_stderr():
            for model in (self._faces, self._hands):
                model.reset()
        for frame in frames:
            with quiet_stderr():  # it talks whenever it first sees something
                answers = self._answers(np.ascontiguousarray(frame.image))
            yield answers

    def _answers(self, image: NDArray[np.uint8]) -> list[Answer]:
        faces = points_px(self._faces.process(image).multi_face_landmarks, image)
        if not faces:
            return []
        covers = 1 - np.asarray(self._person.process(image).segmentation_mask, np.float32)
        for hand in points_px(self._hands.process(image).multi_hand_landmarks, image):
            covers[drawn_hand(hand, image.shape[:2])] = 1
        return [answer(face, covers) for face in faces]

    def close(self) -> None:
        """Let the graphs go."""
        for model in (self._faces, self._hands, self._person):
            model.close()


def answer(face: NDArray[np.float32], covers: NDArray[np.float32]) -> Answer:
    """What is in front of one face, of (468, 2) landmarks and (H, W) 0-1 of all that is in front."""
    region = inside(face, covers.shape)
    box = box_around(np.c_[face, np.zeros(len(face))].astype(np.float32))
    share = float((covers > 0.5)[region].mean()) if region.any() else 0.0
    return Answer(np.where(region, covers, 0).astype(np.float32), box, coverage=share)


def points_px(found: Any, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """(N, 2) x y in px of each thing that MediaPipe found."""
    size = np.array(image.shape[1::-1], np.float32)
    return [
        np.array([(p.x, p.y) for p in thing.landmark], np.float32) * size for thing in found or ()
    ]


def inside(face: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W) bool within the outline of (468, 2) landmarks."""
    area = np.zeros(shape, np.uint8)
    cv2.fillPoly(area, [np.rint(face[mean_face().oval]).astype(np.int32)], 1)
    return area > 0


def drawn_hand(hand: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(H, W) bool: the palm filled, the fingers as thick lines through (21, 2) landmarks."""
    area = np.zeros(shape, np.uint8)
    width = max(1, round(FINGER_WIDTH * float(np.linalg.norm(hand[5] - hand[17]))))
    points = np.rint(hand).astype(np.int32)
    cv2.fillPoly(area, [points[list(PALM)]], 1)
    for finger in FINGERS:
        cv2.polylines(area, [points[list(finger)]], False, 1, width)
    return area > 0
