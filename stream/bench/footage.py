"""Actors from a folder of clips, each of one uncovered face."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from stream.bench.actors import Alpha, Image, Pictured, Points, Rest, at_rest, person_matte
from stream.truth import RefusedError, read_clip
from trackers import MediaPipeDetector, make_tracker

MOST_FRAMES = 240
"""Of a clip; it is played there and back."""

SIDE_PX = 720
"""A clip whose lower side is longer is halved: scenes are not drawn larger."""


class Footage:
    """A clip of one face, played there and back.

    Its landmarks are our own tracker's on the uncovered clip: where the mesh is wrong there, so is
    the region that is scored, for all entrants alike.

    Args:
        path: of the clip.
        rate: frames a second at which it is played.

    Raises:
        RefusedError: it cannot be read, or a frame shows no face.
    """

    def __init__(self, path: Path, rate: Fraction = Fraction(30)) -> None:
        self.name, self._rate = path.stem, rate
        self._images: list[Image] = [smaller(p) for p in islice(read_clip(path), MOST_FRAMES)]
        self._landmarks = followed(self._images, path)
        self._mattes: dict[int, Alpha] = {}
        middle = np.median(np.stack(self._landmarks), 0)
        self.rest: Rest = at_rest(middle)
        self.size = self._images[0].shape[:2]

    def at(self, time: Fraction, *, cut_out: bool) -> Pictured:
        """See :class:`stream.bench.actors.Actor`."""
        count = len(self._images)
        turn = int(time * self._rate) % max(1, 2 * count - 2)
        index = min(turn, 2 * count - 2 - turn) if count > 1 else 0
        image = self._images[index]
        if cut_out and index not in self._mattes:  # a frame comes again on the way back
            self._mattes[index] = person_matte(image)
        matte = self._mattes[index] if cut_out else None
        return Pictured(image, matte, self._landmarks[index])


def smaller(image: Image) -> Image:
    """Halved until its lower side is at most SIDE_PX."""
    while min(image.shape[:2]) > SIDE_PX:
        height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
        quads = image[:height, :width].reshape(height // 2, 2, width // 2, 2, 3).astype(np.uint16)
        image = ((quads.sum((1, 3)) + 2) // 4).astype(np.uint8)
    return image


def followed(images: list[Image], path: Path) -> list[Points]:
    """(468, 3) landmarks of the face in each picture.

    Raises:
        RefusedError: a picture shows no face.
    """
    detector, tracker = MediaPipeDetector(), make_tracker("byte", detect_every=1)
    found: list[Points] = []
    try:
        for index, image in enumerate(images):
            faces = tracker.update(image, detector(image))
            if not faces:
                raise RefusedError(f"{path}: no face in frame {index}: it cannot be a true one")
            found.append(max(faces, key=lambda face: face.score).landmarks)
    finally:
        detector.close()
    return found
