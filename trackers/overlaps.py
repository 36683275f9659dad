"""Which of two faces that overlap is in front."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.align import face_region
from trackers.boxes import grow, within
from trackers.faces import AlignedFace, TrackedFace, TrackState
from trackers.track import Track

HEAD_MARGIN = 0.3
"""Of the face's box, at each side: so far its hair and ears may cover another face."""

CLEARLY = 0.15
"""The share of changed landmarks must differ by so much to say which face covers which."""


def heads(tracks: list[Track], but: Track | None) -> NDArray[np.float32]:
    """(N, 4) boxes of the heads of faces now seen, without one of them; None: all."""
    boxes = [t.box_px for t in tracks if t is not but and t.state is TrackState.SEEN]
    return grow(np.array(boxes, np.float32).reshape(-1, 4), HEAD_MARGIN)


def in_sight(
    landmarks: NDArray[np.float32], boxes: NDArray[np.float32], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    """(468,) bool, landmarks in a picture of ``shape`` (H, W) and in none of (N, 4) boxes."""
    spots = landmarks[:, :2]
    inside = ((spots >= 0) & (spots < (shape[1], shape[0]))).all(1)
    seen: NDArray[np.bool_] = inside & ~within(landmarks, boxes)
    return seen


def sort_by_depth(tracks: list[Track]) -> None:
    """Write down, in each track's ``behind``, the ids of the faces that are in front of it.

    What was known stays while the faces overlap: half hidden, both look changed.
    """
    behind: dict[int, set[int]] = {track.track_id: set() for track in tracks}
    for back, front in permutations(tracks, 2):
        shared = _under(back, front)
        if shared.any() and _covers(front, back, shared):
            behind[back.track_id].add(front.track_id)
    for track in tracks:
        track.behind = frozenset(behind[track.track_id])


def _covers(front: Track, back: Track, shared: NDArray[np.bool_]) -> bool:
    """Whether a face is before another, ``shared`` (468,) landmarks of which lie in its outline."""
    if front.state is not TrackState.SEEN:
        return False
    if back.state is TrackState.COASTING:
        return True
    own = _under(front, back)
    changed, kept = back.changed[shared].mean(), front.changed[own].mean() if own.any() else 0.0
    if front.track_id in back.behind:
        return bool(changed > kept - CLEARLY)
    return bool(changed > kept + CLEARLY)


def _under(back: Track, front: Track) -> NDArray[np.bool_]:
    """(468,) bool, landmarks of a face that lie in the outline of another."""
    hull = cv2.convexHull(front.landmarks[:, :2].astype(np.float32))
    spots = back.landmarks[:, :2].astype(float).tolist()
    return np.array([cv2.pointPolygonTest(hull, spot, measureDist=False) > 0 for spot in spots])


def faces_before(
    tracked: Sequence[TrackedFace], faces: Sequence[AlignedFace]
) -> dict[int, NDArray[np.bool_]]:
    """track_id -> (S, S) bool, where other faces are in front of it, in its square; of those that are
    behind any.

    Args:
        tracked: all faces of a frame.
        faces: the same, aligned.
    """
    by_id = {other.track_id: other for other in tracked}
    areas: dict[int, NDArray[np.bool_]] = {}
    for one, face in zip(tracked, faces, strict=True):
        size, matrix = len(face.region), face.frame_to_face
        for other in (by_id[track_id] for track_id in one.behind if track_id in by_id):
            points = other.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
            area = face_region(points.astype(np.float32), size)
            areas[one.track_id] = areas.get(one.track_id, np.zeros_like(area)) | area
    return areas
