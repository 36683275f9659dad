"""The types that say which face is where. Arrays are read-only by convention."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


def check_picture(image: NDArray[np.uint8]) -> None:
    """Raise ValueError unless ``image`` is (H, W, 3) uint8 of at least 16 x 16."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    if min(image.shape[:2]) < 16:
        raise ValueError(f"image must be at least 16 x 16, got {image.shape[:2]}")


@dataclass(frozen=True, slots=True)
class FaceDetection:
    """One face as a detector reports it.

    Attributes:
        box_px: (4,) float32, x0 y0 x1 y1 in px of the frame, x1 and y1 exclusive.
        landmarks: (K, 2) float32 px of the frame; MediaPipe's six: right eye, left eye, nose tip,
            mouth centre, right ear, left ear ("right" is the person's).
        score: 0-1.
    """

    box_px: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    score: float


class TrackState(StrEnum):
    """``seen``: the mesh found the face in this frame. ``coasting``: it did not (something covers
    the face, or it left) and optical flow carries the landmarks. ``lost``: given up.
    """

    SEEN = "seen"
    COASTING = "coasting"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class TrackedFace:
    """One face of one frame, with a memory.

    Attributes:
        track_id: from 1 upward, never given to two faces by one tracker; a face that comes back and
            is known again has the one it had.
        identity: whose face; equal for tracks of one person once re-identified.
        landmarks: (468, 3) float32, x y in px of the frame, z in the same unit (smaller is nearer);
            where ``trust`` is low they come from the face's own remembered shape, not from the mesh.
        trust: (468,) float32, 0 (covered, guessed) to 1 (seen).
        box_px: (4,) float32, x0 y0 x1 y1 around the landmarks.
        score: 0-1, the mesh's belief that a face is there.
        age: frames since the track began or the face came back, 0 in its first frame.
        state: see :class:`TrackState`.
        behind: track_ids of the faces that are in front of this one.
        support: 0-1, share of the landmarks tried that flow could follow into this frame.
        adrift: the picture leapt away from under a hidden face, and nobody knows where it went.
    """

    track_id: int
    identity: int
    landmarks: NDArray[np.float32]
    trust: NDArray[np.float32]
    box_px: NDArray[np.float32]
    score: float
    age: int
    state: TrackState
    behind: tuple[int, ...] = ()
    support: float = 0.0
    adrift: bool = False


@dataclass(frozen=True, slots=True)
class AlignedFace:
    """A face brought to the upright square in which the method works.

    Attributes:
        track_id, identity: as in :class:`TrackedFace`.
        image: (S, S, 3) uint8 RGB, the crop; black outside the frame.
        region: (S, S) bool, the *amodal* face area: what the face would fill were nothing in front.
        inside: (S, S) bool, the crop's pixels that lie in the frame.
        landmarks: (468, 3) float32 in px of the crop.
        trust: (468,) float32, see :class:`TrackedFace`.
        frame_to_face: (2, 3) float64 similarity, frame px -> crop px, pixel centres at integers.
        pose_degrees: yaw, pitch, roll of the head; positive yaw turns to the picture's right,
            positive pitch looks down, positive roll is clockwise in the picture.
    """

    track_id: int
    identity: int
    image: NDArray[np.uint8]
    region: NDArray[np.bool_]
    inside: NDArray[np.bool_]
    landmarks: NDArray[np.float32]
    trust: NDArray[np.float32]
    frame_to_face: NDArray[np.float64]
    pose_degrees: tuple[float, float, float]
