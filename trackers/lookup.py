"""Look with the mesh where a face should be: once for a face in sight, twice for one that was hidden."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trackers.boxes import overlap
from trackers.faces import TrackState
from trackers.landmarks import FaceMesh, RegionOfInterest, roi_from_landmarks
from trackers.track import Track

SAME_IOU = 0.6
"""Two meshes that overlap so much are of one face."""

WAKE_SCORE = 0.9
"""Least belief of the mesh that a hidden face is back: on hands and cups it may say 0.8."""

Look = tuple[NDArray[np.float32], float]
"""(468, 3) landmarks in px of the frame, and the mesh's score."""


class Lookup:
    """The mesh, asked with care. Not thread-safe: one per tracker.

    Args:
        mesh_score: 0-1, least belief of the mesh that its face is one.
    """

    def __init__(self, mesh_score: float) -> None:
        self._mesh, self._mesh_score = FaceMesh(), mesh_score

    def once(self, image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> Look:
        """The mesh round where landmarks (468, 3) are believed, in an (H, W, 3) uint8 RGB frame."""
        return self._mesh(image, roi_from_landmarks(landmarks))

    def follow(self, image: NDArray[np.uint8], track: Track) -> Look:
        """The mesh where a track is predicted, unless it rests; a hidden face must be found twice."""
        if track.rested:
            return track.landmarks, track.score
        landmarks, score = self.once(image, track.landmarks)
        if track.state is TrackState.SEEN or score < WAKE_SCORE:
            return landmarks, score
        again, score_again = self.once(image, landmarks)
        return again, score_again if overlap(landmarks, again) > SAME_IOU else 0.0

    def settle(self, image: NDArray[np.uint8], region: RegionOfInterest) -> Look:
        """The mesh twice, the second time where the first found the face."""
        landmarks, score = self._mesh(image, region)
        if score < self._mesh_score:
            return landmarks, score
        return self.once(image, landmarks)
