"""Who is in front of the camera: a photograph that moves, or a clip of one uncovered face."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.bench.portrait import Portrait, Pose, find_landmarks
from trackers.detect import quiet_stderr

Image = NDArray[np.uint8]
Alpha = NDArray[np.float32]
Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pictured:
    """An actor at a moment.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        matte: (H, W) float32 0-1, where the person is; None where nobody asked to cut it out.
        landmarks: (468, 3) float32 px of it.
    """

    image: Image
    matte: Alpha | None
    landmarks: Points


class Rest(NamedTuple):
    """Where an actor's face is at rest, and how large, in px of its picture."""

    x: float
    y: float
    width: float
    height: float


def at_rest(landmarks: Points) -> Rest:
    """The box around (468, 3) landmarks."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    (x, y), (width, height) = (low + high) / 2, high - low
    return Rest(float(x), float(y), float(width), float(height))


class Actor(Protocol):
    """A face that moves, and is uncovered.

    Attributes:
        name: of the file it is from.
        rest: where the face is.
    """

    name: str
    rest: Rest

    def at(self, time: Fraction, *, cut_out: bool) -> Pictured:
        """How it looks at a time in seconds; the same at every call. ``cut_out``: with a matte."""
        ...


class Sitter:
    """A photograph that nods, turns and talks a little.

    Args:
        portrait: the photograph.
        matte: (H, W) float32 0-1, where the person is.
        seed: of the movement.
    """

    def __init__(self, portrait: Portrait, matte: Alpha, seed: tuple[int, ...], name: str) -> None:
        self.name, self._portrait, self._matte = name, portrait, matte
        self.rest = at_rest(portrait.landmarks)
        rng = np.random.default_rng([*seed, 1])
        self._phases = rng.uniform(0, 2 * np.pi, (4, 3))
        self._most = np.array([9.0, 5.0, 4.0, 1.0]) * rng.uniform(0.6, 1.2, 4)

    def at(self, time: Fraction, *, cut_out: bool) -> Pictured:
        """See :class:`Actor`."""
        rates = 2 * np.pi * np.array([[0.2, 0.43, 0.9]] * 3 + [[1.3, 2.1, 3.1]])
        waves = (np.sin(rates * float(time) + self._phases) @ [0.55, 0.3, 0.15]) * self._most
        yaw, pitch, roll, jaw = (float(v) for v in waves)
        pose = Pose(yaw, pitch, roll, max(jaw, 0.0))
        spots, landmarks = self._portrait.way_back(pose)
        image = cv2.remap(
            self._portrait.photo, spots, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        if not cut_out:
            return Pictured(image, None, landmarks)
        matte = cv2.remap(
            self._matte, spots, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return Pictured(image, np.asarray(matte, np.float32), landmarks)


def person_matte(image: Image) -> Alpha:
    """(H, W) float32 0-1, where the person is, by MediaPipe's selfie segmentation."""
    with quiet_stderr():
        from mediapipe.python.solutions.selfie_segmentation import (  # noqa: PLC0415
            SelfieSegmentation,
        )

        model = SelfieSegmentation(model_selection=0)
        try:
            return np.asarray(model.process(image).segmentation_mask, np.float32)
        finally:
            model.close()


def astronaut() -> tuple[Portrait, Alpha]:
    """NASA's portrait of Eileen Collins, public domain, from scikit-image."""
    from skimage import data  # noqa: PLC0415

    photo: Image = data.astronaut()  # type: ignore[no-untyped-call]
    return Portrait(photo, find_landmarks(photo)), person_matte(photo)
