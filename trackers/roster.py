"""The faces now followed, and those that left: who begins, who is back, who is given up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trackers.boxes import area, box_around, grow, intersection, match, overlap, visible_share
from trackers.faces import FaceDetection, TrackState
from trackers.gallery import Gallery, most_alike
from trackers.kalman import BoxKalman
from trackers.lookup import SAME_IOU, WAKE_SCORE
from trackers.overlaps import heads, in_sight
from trackers.recognise import WITHIN_SHARE, agrees, holds, near, regains, resembles
from trackers.track import Track

WAKE_IOU = 0.35
"""A hidden face is not back while the mesh puts it so far into a seen one: that one hides it."""

COVERED_SHARE = 0.1
"""A face of which more was covered is not known by its looks."""

FLEDGLING_FRAMES = 12
"""A track whose face the mesh does not find lives so long without the detector; one that it found in
fewer frames, and that another face covers, coasts no longer than this."""


class Roster:
    """Not thread-safe: one per tracker.

    Args:
        mesh_score: 0-1, least belief of the mesh that its face is one.
        max_coast_frames: a hidden face is given up after so many frames.

    Attributes:
        tracks: by their ids.
        gallery: of those that ended.
    """

    def __init__(self, mesh_score: float, max_coast_frames: int) -> None:
        self._mesh_score, self._max_coast_frames = mesh_score, max_coast_frames
        self.gallery = Gallery()
        self.tracks: list[Track] = []
        self._last_id = 0

    def reset(self) -> None:
        """Forget every face; ids begin at 1 again."""
        self.tracks, self._last_id = [], 0
        self.gallery.forget()

    def visible(
        self, now: NDArray[np.uint8], landmarks: NDArray[np.float32], track: Track | None
    ) -> NDArray[np.bool_]:
        """(468,) bool, landmarks in the (H, W) picture that no other head than the track's hides."""
        return in_sight(landmarks, heads(self.tracks, track), now.shape)

    def is_free(self, landmarks: NDArray[np.float32], track: Track | None, most_iou: float) -> bool:
        """Whether no track but ``track`` sees its face there."""
        others = (t for t in self.tracks if t is not track and t.state is TrackState.SEEN)
        return all(overlap(landmarks, other.landmarks) <= most_iou for other in others)

    def is_back(
        self, track: Track, landmarks: NDArray[np.float32], score: float, now: NDArray[np.uint8]
    ) -> bool:
        """Whether what the mesh found is the track's face; of a hidden one more is asked."""
        if track.state is TrackState.SEEN:
            return score >= self._mesh_score and agrees(track, landmarks)
        visible = self.visible(now, landmarks, track)
        return (
            score >= WAKE_SCORE
            and self.is_free(landmarks, track, WAKE_IOU)
            and agrees(track, landmarks)
            and resembles(track, landmarks, now, visible)
        )

    def come_up(self, now: NDArray[np.uint8], landmarks: NDArray[np.float32], score: float) -> None:
        """The mesh found a face where no track is: one that was hidden, that had left, or a new one.

        Args:
            now: (H, W) uint8 grey frame.
            landmarks: (468, 3) float32 px.
            score: of the mesh.
        """
        visible = self.visible(now, landmarks, None)
        if score >= WAKE_SCORE and self.is_free(landmarks, None, WAKE_IOU):
            hidden = [t for t in self.tracks if t.state is TrackState.COASTING]
            moved = [t for t in hidden if regains(t, landmarks, now, visible)]
            track = most_alike(hidden, now, landmarks, visible) or (moved[0] if moved else None)
            track = track or the_one_adrift(hidden, landmarks)
            if track is not None:
                track.jump(landmarks, score)
                return
        if self._is_nobodys(landmarks, score):
            known = self.gallery.who(now, landmarks, visible)
            if known is None:
                self._add(landmarks, score)
            else:
                self._welcome(known, landmarks, score)

    def begin(self, landmarks: NDArray[np.float32], score: float) -> None:
        """A new track, unless there is one; it coasts where the mesh finds no face."""
        if self._is_nobodys(landmarks, score):
            self._add(landmarks, score)

    def end(self, height: int, width: int) -> None:
        """Drop tracks hidden too long, gone from the picture, or doubled (the younger goes)."""
        kept: list[Track] = []
        for track in self.tracks:  # in order of birth
            if any(mistaken(track, other) for other in kept):
                continue
            if track.state is TrackState.COASTING:
                limit = FLEDGLING_FRAMES if self._is_doubtful(track) else self._max_coast_frames
                gone = visible_share(track.box_px, height, width) < 0.5
                if not gone and track.coasted <= limit:
                    kept.append(track)
                else:
                    self.gallery.keep(track)
            elif all(
                other.state is TrackState.COASTING
                or overlap(track.landmarks, other.landmarks) <= SAME_IOU
                for other in kept
            ):
                kept.append(track)
        self.tracks = kept

    def _is_nobodys(self, landmarks: NDArray[np.float32], score: float) -> bool:
        if not self.is_free(landmarks, None, SAME_IOU) or self._is_a_part(landmarks):
            return False
        if score < WAKE_SCORE and any(overlap(landmarks, t.landmarks) > 0.1 for t in self.tracks):
            return False  # more likely the rest of a hidden face than a face before it
        return not any(holds(track, landmarks) for track in self.tracks)

    def _is_doubtful(self, track: Track) -> bool:
        """Whether a hidden face may never have been one."""
        young = track.seen < FLEDGLING_FRAMES
        return track.by_detector or (young and not self.is_free(track.landmarks, track, 0.1))

    def _is_a_part(self, landmarks: NDArray[np.float32]) -> bool:
        """Whether it lies within a larger face that is in sight: the mesh finds faces in a face's part."""
        box = box_around(landmarks)[None]
        seen = [t.box_px for t in self.tracks if t.state is TrackState.SEEN]
        if not seen:
            return False
        boxes = np.stack(seen)
        inside = intersection(box, boxes)[0] / max(float(area(box)[0]), 1e-6)
        return bool(((inside > WITHIN_SHARE) & (area(boxes) > area(box)[0])).any())

    def _welcome(self, known: Track, landmarks: NDArray[np.float32], score: float) -> None:
        self.gallery.release(known)
        known.age = 0
        known.jump(landmarks, score)
        self.tracks = sorted([*self.tracks, known], key=lambda track: track.track_id)

    def _add(self, landmarks: NDArray[np.float32], score: float) -> None:
        self._last_id += 1
        track = Track(self._last_id, landmarks, score, BoxKalman(box_around(landmarks)))
        hidden = (t.track_id for t in self.tracks if t.state is TrackState.COASTING)
        track.hidden_then = frozenset(hidden)
        if score >= self._mesh_score:
            track.observe(landmarks, score)
        else:
            track.state, track.by_detector = TrackState.COASTING, True
        self.tracks.append(track)


def the_one_adrift(hidden: Sequence[Track], landmarks: NDArray[np.float32]) -> Track | None:
    """After a leap, the one face that is missing: while it is covered nobody can say who a face within
    reach is, but who else should it be.

    Args:
        hidden: tracks.
        landmarks: (468, 3) float32 px of a face that came up.
    """
    adrift = [track for track in hidden if track.adrift]
    if len(adrift) != 1 or not near(adrift[0], landmarks):
        return None
    return adrift[0] if adrift[0].covered.mean() > COVERED_SHARE else None


def mistaken(younger: Track, older: Track) -> bool:
    """Whether a hidden face is one that was taken for new while ``older``, now seen there, was hidden."""
    return (
        younger.state is TrackState.COASTING
        and older.state is TrackState.SEEN
        and older.track_id in younger.hidden_then
        and overlap(younger.landmarks, older.landmarks) > WAKE_IOU
    )


def pair(
    tracks: Sequence[Track], detections: Sequence[FaceDetection], least: float
) -> dict[int, int]:
    """Index of a track -> index of its detection.

    Boxes of a coasting track are grown, the longer the more (buffered IoU, Yang et al. 2023).

    Args:
        tracks: with their predicted boxes.
        detections: of this frame.
        least: IoU.
    """
    if not tracks or not detections:
        return {}
    boxes = np.stack([grow(t.box_px, min(0.02 * t.coasted, 0.4)) for t in tracks])
    return match(boxes, np.stack([d.box_px for d in detections]), least)
