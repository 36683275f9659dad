"""Occluders cut out of the photographs themselves, where all looks agreed (:mod:`s3pot.training.agree`).

Microphones, balls and parts of hands in the light of a real scene; laid over other faces their masks
are exact, whatever the looks missed of them.
"""

from __future__ import annotations

import cv2
import numpy as np

from s3pot.training.composite import COVERED, Faces
from s3pot.training.cutout import Rgba
from s3pot.training.references import FacePhoto

LEAST_PX = 300
"""Smaller pieces are not worth laying on anything."""


def cut_out(photo: FacePhoto) -> list[Rgba]:
    """The pieces that cover a photograph's face, each with soft edges, what is nearest them left off."""
    if photo.agreed is None:
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        (photo.agreed == COVERED).astype(np.uint8)
    )
    pieces = []
    for piece in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[piece])
        if area < LEAST_PX:
            continue
        at = (slice(y, y + height), slice(x, x + width))
        inner = cv2.erode((labels[at] == piece).astype(np.float32), np.ones((3, 3), np.uint8))
        alpha = cv2.GaussianBlur(inner, (0, 0), 0.8)
        pieces.append(np.dstack([photo.image[at].astype(np.float32) / 255, alpha]))
    return pieces


def found_in(faces: Faces) -> list[Rgba]:
    """The pieces of all covered photographs."""
    return [piece for index in faces.covered for piece in cut_out(faces.photo(int(index)))]
