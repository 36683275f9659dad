"""A talking head made from one photograph: its mesh is turned in depth and drags the picture along.

Convention: points are (x, y), pixel centres at integers; a backward map holds, for each pixel of the
picture that is made, the (x, y) of the photograph to sample, as ``cv2.remap`` takes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.repose import mesh_map
from trackers import MediaPipeDetector, make_tracker
from trackers.mesh import mean_face

Points = NDArray[np.float32]
Image = NDArray[np.uint8]

NECK = 0.35
"""The head turns about a point so far behind its middle, in face heights."""

HELD = 0.9
"""Face heights from the face at which the picture moves half as much as the face's edge."""

LOWER_LIP, UPPER_LIP, CHIN = 14, 13, 152
"""Points of the mesh."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How the head is held: yaw, pitch and roll in degrees, see :class:`trackers.AlignedFace`; jaw 0-1
    of a face height / 12.
    """

    yaw_degrees: float = 0.0
    pitch_degrees: float = 0.0
    roll_degrees: float = 0.0
    jaw: float = 0.0


class Portrait:
    """A photograph of one face that can be posed.

    Args:
        photo: (H, W, 3) uint8 RGB, square.
        landmarks: (468, 3) float32 px of it.

    Attributes:
        photo, landmarks: as given.
        height_px: of the face, brow to chin.
    """

    def __init__(self, photo: Image, landmarks: Points) -> None:
        self.photo, self.landmarks = photo, landmarks
        self.height_px = float(np.ptp(landmarks[:, 1]))
        self._triangles = mean_face().triangles

    def way_back(self, pose: Pose) -> tuple[Points, Points]:
        """(H, W, 2) backward map of the photograph with the head held so, and where its landmarks
        (468, 3) are then.
        """
        landmarks = self._turned(pose)
        size = self.photo.shape[0]
        inside, facing = mesh_map(landmarks, self.landmarks, self._triangles, size)
        grid = np.stack(np.meshgrid(*[np.arange(size, dtype=np.float32)] * 2), -1)
        moved = np.where((facing > 0)[..., None], inside - grid, 0)
        shift = spread(moved, facing > 0, HELD * self.height_px)
        return grid + shift, landmarks

    def _turned(self, pose: Pose) -> Points:
        points = self.landmarks.astype(np.float64)
        lip, chin = points[UPPER_LIP], points[CHIN]
        # The jaw drops from the lips on: what lies lower moves more, and the cheeks less.
        down = np.clip((points[:, 1] - lip[1]) / (chin[1] - lip[1]), 0, 1)
        near = np.exp(-(((points[:, 0] - lip[0]) / (0.35 * self.height_px)) ** 2))
        points[:, 1] += pose.jaw * self.height_px / 12 * np.sqrt(down) * near
        centre = points.mean(0) + [0, 0, NECK * self.height_px]
        return np.asarray((points - centre) @ rotation(pose).T + centre, np.float32)


def rotation(pose: Pose) -> NDArray[np.float64]:
    """(3, 3), x right, y down, z away: roll, then pitch, then yaw."""
    yaw, pitch, roll = np.radians([pose.yaw_degrees, pose.pitch_degrees, pose.roll_degrees])
    about_y = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
    )
    about_z = np.array(
        [[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    )
    return np.asarray(about_y @ about_x @ about_z)


def spread(shift: Points, known: NDArray[np.bool_], reach_px: float) -> Points:
    """Carry a (S, S, 2) field on from where it is known: the nearest known value, smoother and weaker
    with distance; half of it at ``reach_px``.
    """
    distance, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    values = np.zeros((labels.max() + 1, 2), np.float32)
    values[labels[known]] = shift[known]
    nearest = values[labels]
    coarse = cv2.resize(nearest, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(coarse, (0, 0), reach_px / 24)
    smooth = cv2.resize(coarse, nearest.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    far = np.clip(distance / (reach_px / 4), 0, 1)[..., None]
    weaker = 1 / (1 + (distance / reach_px) ** 2)[..., None]
    return np.asarray((nearest * (1 - far) + smooth * far) * weaker, np.float32)


def find_landmarks(photo: Image) -> Points:
    """(468, 3) float32 px, the mesh of the surest face of a picture.

    Raises:
        ValueError: there is none.
    """
    detector, tracker = MediaPipeDetector(), make_tracker("byte", detect_every=1)
    try:
        for _ in range(4):  # the mesh settles in a face's first frames
            faces = tracker.update(photo, detector(photo))
    finally:
        detector.close()
    if not faces:
        raise ValueError(f"no face in a picture of {photo.shape[:2]} px")
    return max(faces, key=lambda face: face.score).landmarks
