"""Dense face landmarks: MediaPipe's 468-point mesh, run by OpenCV on any region of interest.

The model file lies inside the mediapipe package (Apache-2.0), so nothing is downloaded.  OpenCV's
TFLite reader runs it in about 2 ms, and unlike ``mediapipe.solutions.face_mesh`` it takes *our*
region: one mesh per track, also while the face is covered.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.align import cut
from trackers.faces import FaceDetection

INPUT_SIZE_PX = 192
ROI_SCALE = 1.5
"""Side of the region over the longer side of the face's box (MediaPipe's own figure)."""

RIGHT_EYE, LEFT_EYE = 33, 263
"""Outer eye corners of the mesh; "right" is the person's right, on the left of the picture."""


def mediapipe_file(relative: str) -> Path:
    """Path of a model inside the installed mediapipe package, found without importing it.

    Raises:
        FileNotFoundError: the package is missing, or ships no such file.
    """
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the mediapipe package is not installed; it holds the face models")
    path = Path(spec.origin).parent / "modules" / relative
    if not path.is_file():
        raise FileNotFoundError(f"mediapipe ships no {relative}; versions up to 0.10.21 do")
    return path


@dataclass(frozen=True, slots=True)
class RegionOfInterest:
    """A rotated square of the frame.

    Attributes:
        center: x, y in px of the frame.
        side_px: length of a side.
        angle_radians: clockwise turn of the square's x axis in the picture.
    """

    center: tuple[float, float]
    side_px: float
    angle_radians: float = 0.0

    def to_frame(self) -> NDArray[np.float64]:
        """(2, 3) affine: point of the INPUT_SIZE_PX square -> point of the frame (pixel centres)."""
        scale = self.side_px / INPUT_SIZE_PX
        cos, sin = scale * np.cos(self.angle_radians), scale * np.sin(self.angle_radians)
        half = (INPUT_SIZE_PX - 1) / 2
        x, y = self.center
        return np.array(
            [[cos, -sin, x - half * (cos - sin)], [sin, cos, y - half * (sin + cos)]], np.float64
        )


def roi_from_landmarks(landmarks: NDArray[np.float32]) -> RegionOfInterest:
    """Region for the next look at a face, from its (468, 2 or 3) landmarks in px of the frame."""
    dx, dy = landmarks[LEFT_EYE, :2] - landmarks[RIGHT_EYE, :2]
    angle = float(np.arctan2(dy, dx))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    upright = landmarks[:, :2] @ turn.T
    low, high = upright.min(0), upright.max(0)
    x, y = ((low + high) / 2) @ turn
    return RegionOfInterest((float(x), float(y)), float((high - low).max()) * ROI_SCALE, angle)


def roi_from_detection(detection: FaceDetection) -> RegionOfInterest:
    """Region for the first look at a detected face: around its box, turned by the eye line."""
    low, high = detection.box_px[:2], detection.box_px[2:]
    x, y = (low + high) / 2
    dx, dy = detection.landmarks[1] - detection.landmarks[0]
    side = float((high - low).max()) * ROI_SCALE
    return RegionOfInterest((float(x), float(y)), side, float(np.arctan2(dy, dx)))


class FaceMesh:
    """The landmark model. Not thread-safe: one per tracker."""

    def __init__(self) -> None:
        path = mediapipe_file("face_landmark/face_landmark.tflite")
        self._net = cv2.dnn.readNetFromTFLite(str(path))
        self._outputs = self._net.getUnconnectedOutLayersNames()

    def __call__(
        self, image: NDArray[np.uint8], roi: RegionOfInterest
    ) -> tuple[NDArray[np.float32], float]:
        """Landmarks of the face in a region.

        Args:
            image: (H, W, 3) uint8 RGB.
            roi: where to look; it may leave the picture. A large one is averaged down: sampled
                bare, the noise of a 4K close-up shook the landmarks five times as much.

        Returns:
            (468, 3) float32: x, y in px of the frame, z in the same unit, smaller is nearer; and
            the score, 0-1, that a face is there.
        """
        to_frame = roi.to_frame()
        patch = cut(image, cv2.invertAffineTransform(to_frame), INPUT_SIZE_PX)
        self._net.setInput(cv2.dnn.blobFromImage(patch, 1 / 255.0))
        by_size = {out.size: out.ravel() for out in self._net.forward(self._outputs)}
        points = by_size[468 * 3].reshape(468, 3)
        landmarks = np.empty((468, 3), np.float32)
        # The model counts from the left edge of the first pixel, OpenCV from its centre.
        landmarks[:, :2] = (points[:, :2] - 0.5) @ to_frame[:, :2].T + to_frame[:, 2]
        landmarks[:, 2] = points[:, 2] * (roi.side_px / INPUT_SIZE_PX)
        return landmarks, float(1 / (1 + np.exp(-np.clip(by_size[1][0], -30, 30))))
