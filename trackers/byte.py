"""ByteTracker: a dense mesh on every face in every frame, ByteTrack's association for detections.

Read :meth:`ByteTracker.update` first.  A track is *seen* while the mesh finds its face where motion
says it must be, and *coasts* on optical flow while it does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.boxes import box_around, grow, iou, match, overlap, visible_share, within
from trackers.faces import FaceDetection, TrackedFace, TrackState, check_picture
from trackers.flow import leapt, scene_cut, shift
from trackers.gallery import Gallery, most_alike
from trackers.kalman import BoxKalman
from trackers.landmarks import RegionOfInterest, roi_from_detection, roi_from_landmarks
from trackers.lookup import SAME_IOU, WAKE_SCORE, Look, Lookup
from trackers.overlaps import heads, in_sight, sort_by_depth
from trackers.search import FaceSearch
from trackers.shape import at_detection
from trackers.texture import portrait, similarity
from trackers.track import Track

MATCH_IOU, LOW_MATCH_IOU = 0.3, 0.5
"""Least overlap of a detection, of high or of low score, with the track it belongs to."""

DETECT_EVERY_COASTING = 2
"""Frames between detections while a face is hidden: it may come back elsewhere."""

WAKE_IOU = 0.35
"""A hidden face is not back while the mesh puts it so far into a seen one: that one hides it."""

FLEDGLING_FRAMES = 12
"""A track whose face the mesh never found lives so long without the detector."""

SAME_PLACE_SSIM = 0.5
"""Mean likeness of two portraits of one place, across a cut, from which they are of one face."""

LEAPT_SHARE = 0.7
"""Of a head's picture, what must change at once for a cut.  Measured on the benchmark's scenes: 0.85
across a cut, at most 0.5 of a head that goes behind another one, 0.3 behind the fastest hand."""

NEW_SHARE = 0.5
"""Of the picture of a half hidden face that is found after a cut, what was not there before it."""

SEARCH_FRAMES, SEARCH_AT_ONCE = 45, 4
"""Frames in which faces are searched for after a cut, and of these the first in which always."""


class ByteTracker:
    """Tracks faces through occlusion.

    Association as in Zhang et al. 2022 (ByteTrack): detections of high score first, those of low
    score with the tracks left over; new tracks from high scores only.  Between detections, and
    while a face is covered, the mesh and optical flow carry the track.

    Args:
        detect_every: frames between two detections while all goes well, at least 1.
        high_score, low_score: 0-1, what ByteTrack calls a high and a low detection score.
        birth_score: 0-1, a detection of this score begins a track even where the mesh finds no
            face, as behind a large mask; the track coasts until it does.
        mesh_score: 0-1, least belief of the mesh that its face is one.
        max_coast_frames: a hidden face is given up after so many frames; where nothing speaks for
            a hidden face, after a third of them.

    Raises:
        ValueError: a setting is out of its range.
    """

    def __init__(
        self, *, detect_every: int = 5, high_score: float = 0.6, low_score: float = 0.1,
        birth_score: float = 0.7, mesh_score: float = 0.5, max_coast_frames: int = 120,
    ) -> None:  # fmt: skip
        if detect_every < 1 or max_coast_frames < 0:
            raise ValueError(
                "detect_every must be at least 1 and max_coast_frames at least 0, "
                f"got {detect_every} and {max_coast_frames}"
            )
        in_range = all(0 <= score <= 1 for score in (birth_score, mesh_score))
        if not 0 <= low_score <= high_score <= 1 or not in_range:
            raise ValueError(
                "scores must be from 0 to 1 and low_score at most high_score, got "
                f"low {low_score}, high {high_score}, birth {birth_score}, mesh {mesh_score}"
            )
        self._detect_every, self._max_coast_frames = detect_every, max_coast_frames
        self._high_score, self._low_score = high_score, low_score
        self._birth_score, self._mesh_score = birth_score, mesh_score
        self._lookup, self._search, self._gallery = Lookup(mesh_score), FaceSearch(), Gallery()
        self.reset()

    def reset(self) -> None:
        """Forget every face and start counting ids at 1 again."""
        self._tracks: list[Track] = []
        self._before: NDArray[np.uint8] | None = None
        self._leapt_from: NDArray[np.uint8] | None = None
        self._last_id = 0
        self._since_detection = self._since_search = 0
        self._searching = 0
        self._gallery.forget()

    @property
    def wants_detections(self) -> bool:
        """Whether the detector should run on the next frame."""
        if not self._tracks:
            return True
        coasting = any(track.state is TrackState.COASTING for track in self._tracks)
        every = min(DETECT_EVERY_COASTING, self._detect_every) if coasting else self._detect_every
        return self._since_detection + 1 >= every

    def update(
        self, image: NDArray[np.uint8], detections: Sequence[FaceDetection] | None
    ) -> list[TrackedFace]:
        """Go one frame on; call once per frame, also with nothing detected.

        Args:
            image: (H, W, 3) uint8 RGB, at least 16 x 16.
            detections: faces of this frame; None if the detector was not run on it.

        Returns:
            The faces seen or coasting in this frame, by track_id.

        Raises:
            ValueError: the picture is not (H, W, 3) uint8 of at least 16 x 16.
        """
        check_picture(image)
        now = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        for track in self._tracks:
            track.learn()
        if self._tracks and self._before is not None:
            boxes = np.stack([track.box_px for track in self._tracks])
            if scene_cut(self._before, now, boxes):
                self._cross_cut(image, self._before, now)
            else:
                self._follow(image, self._before, now)
        self._since_detection += 1
        if detections is not None:
            self._since_detection = 0
            self._associate(image, now, detections)
        self._search_for_lost(image, now)
        self._end(*now.shape)
        self._before = now
        return self._shown(now)

    def _shown(self, now: NDArray[np.uint8]) -> list[TrackedFace]:
        """The faces of this frame, and what is remembered of them for the next one."""
        for track in self._tracks:
            track.remember(now)
        sort_by_depth(self._tracks)
        faces = [track.face() for track in self._tracks]
        for track in self._tracks:
            track.fade()
        return faces

    def cover(self, track_id: int, covered: NDArray[np.float32]) -> None:
        """Say how covered a face was in the frame just updated; unknown ids are ignored.

        Args:
            track_id: of a face that :meth:`update` returned.
            covered: (468,) 0-1 for each landmark.

        Raises:
            ValueError: ``covered`` is not (468,).
        """
        if covered.shape != (468,):
            raise ValueError(f"covered must be (468,), got {covered.shape}")
        for track in self._tracks:
            if track.track_id == track_id:
                track.cover(covered)

    def _follow(
        self, image: NDArray[np.uint8], before: NDArray[np.uint8], now: NDArray[np.uint8]
    ) -> None:
        """Predict every track, then look for its face where it should be."""
        was = [track.landmarks for track in self._tracks]
        theirs = [heads(self._tracks, track) for track in self._tracks]
        for track, boxes in zip(self._tracks, theirs, strict=True):
            track.predict(before, now, boxes)
        looks = [self._lookup.follow(image, track) for track in self._tracks]
        predicted = np.stack([track.box_px for track in self._tracks])
        found = np.stack([box_around(landmarks) for landmarks, _ in looks])
        nearest = iou(found, predicted).argmax(1)
        for k, (track, (landmarks, score)) in enumerate(zip(self._tracks, looks, strict=True)):
            # A mesh that slipped onto the face in front: it fits that one's prediction better.
            stolen = nearest[k] != k and looks[nearest[k]][1] >= self._mesh_score
            if not stolen and self._is_back(track, landmarks, score, now):
                track.observe(landmarks, score)
                continue
            track.coast(score)
            alone = not within(was[k], theirs[k]).any()  # else the other head is what changed
            lost = alone and track.motion.support == 0 and not track.adrift
            if lost and leapt(before, now, was[k], track.motion) > LEAPT_SHARE:
                self._lose(track, before)

    def _is_back(
        self, track: Track, landmarks: NDArray[np.float32], score: float, now: NDArray[np.uint8]
    ) -> bool:
        """Whether what the mesh found is the track's face; of a hidden one more is asked."""
        if track.state is TrackState.SEEN:
            return score >= self._mesh_score and track.agrees(landmarks)
        visible = in_sight(landmarks, heads(self._tracks, track), now.shape)
        return (
            score >= WAKE_SCORE
            and self._is_free(landmarks, track, WAKE_IOU)
            and track.agrees(landmarks)
            and track.resembles(landmarks, now, visible)
        )

    def _lose(self, track: Track, before: NDArray[np.uint8]) -> None:
        """The picture leapt and the face is not where it was: search."""
        track.adrift, self._searching, self._leapt_from = True, SEARCH_FRAMES, before

    def _cross_cut(
        self, image: NDArray[np.uint8], before: NDArray[np.uint8], now: NDArray[np.uint8]
    ) -> None:
        """After a cut a track lives on only where the same face is still in the same place."""
        tracks, self._tracks, self._searching = self._tracks, [], SEARCH_FRAMES
        found: list[Look] = []
        for track in tracks:
            landmarks, score = self._lookup.once(image, track.landmarks)
            was, there = portrait(before, track.landmarks), portrait(now, landmarks)
            known = track.state is TrackState.SEEN and score >= self._mesh_score
            if known and similarity(was, there).mean() > SAME_PLACE_SSIM:
                track.jump(landmarks, score)
                self._tracks.append(track)
                continue
            self._gallery.keep(track)
            if score >= self._mesh_score:
                found.append(self._settle(image, roi_from_landmarks(landmarks)))
        for landmarks, score in found:
            if score >= self._mesh_score:
                self._come_up(now, landmarks, score)

    def _associate(
        self, image: NDArray[np.uint8], now: NDArray[np.uint8], detections: Sequence[FaceDetection]
    ) -> None:
        """Detections wake coasting tracks; those that belong to none begin new ones."""
        high = [d for d in detections if d.score >= self._high_score]
        low = [d for d in detections if self._low_score <= d.score < self._high_score]
        pairs = _match(self._tracks, high, MATCH_IOU)
        rest = [track for k, track in enumerate(self._tracks) if k not in pairs]
        for k, d in pairs.items():
            self._wake(image, now, self._tracks[k], high[d])
        for k, d in _match(rest, low, LOW_MATCH_IOU).items():
            self._wake(image, now, rest[k], low[d])
        for d in sorted(set(range(len(high))) - set(pairs.values())):
            self._place(image, now, high[d])

    def _wake(
        self, image: NDArray[np.uint8], now: NDArray[np.uint8], track: Track,
        detection: FaceDetection,
    ) -> None:  # fmt: skip
        """Look for a coasting track's face where the detector saw one."""
        if track.state is TrackState.COASTING:
            landmarks, score = self._settle(image, roi_from_detection(detection))
            visible = in_sight(landmarks, heads(self._tracks, track), now.shape)
            # Half hidden, a face is found smaller, in what is left of it: size and place must fit.
            alike = most_alike([track], now, landmarks, visible) is not None
            sure = track.agrees(landmarks) or (score >= WAKE_SCORE and alike)
            sure = sure or track.by_detector and score >= WAKE_SCORE
            if score >= self._mesh_score and sure and self._is_free(landmarks, track, WAKE_IOU):
                track.observe(landmarks, score)
            elif track.adrift:
                track.put(detection)
            elif detection.score >= self._high_score or track.by_detector:
                track.hold(detection)

    def _place(
        self, image: NDArray[np.uint8], now: NDArray[np.uint8], detection: FaceDetection
    ) -> None:
        """A face where no track is: one that was lost, one that is back, or a new one."""
        landmarks, score = self._settle(image, roi_from_detection(detection))
        adrift = [track for track in self._tracks if track.adrift]
        if score >= self._mesh_score:
            self._come_up(now, landmarks, score)
        elif len(adrift) == 1:  # half hidden, but who else should it be
            if self._is_new(now, detection):
                adrift[0].put(detection)
        elif detection.score >= self._birth_score:
            self._begin(at_detection(detection), score)

    def _is_new(self, now: NDArray[np.uint8], detection: FaceDetection) -> bool:
        """Whether where a face may be is another picture than before the leap, and no wall."""
        if self._leapt_from is None or self._leapt_from.shape != now.shape:
            return True
        change = leapt(self._leapt_from, now, at_detection(detection), shift(0, 0))
        return change > NEW_SHARE

    def _come_up(
        self, now: NDArray[np.uint8], landmarks: NDArray[np.float32], score: float
    ) -> None:
        """The mesh found a face where no track is."""
        visible = in_sight(landmarks, heads(self._tracks, None), now.shape)
        if score >= WAKE_SCORE and self._is_free(landmarks, None, WAKE_IOU):
            hidden = [t for t in self._tracks if t.state is TrackState.COASTING]
            moved = [t for t in hidden if t.regains(landmarks, now, visible)]
            track = most_alike(hidden, now, landmarks, visible) or (moved[0] if moved else None)
            if track is not None:
                track.jump(landmarks, score)
                return
        self._begin(landmarks, score, self._gallery.who(now, landmarks, visible))

    def _search_for_lost(self, image: NDArray[np.uint8], now: NDArray[np.uint8]) -> None:
        """After a cut look over the whole frame, for faces that a detector would leave out too."""
        self._searching -= 1
        lost = any(track.adrift or track.by_detector for track in self._tracks)
        fresh = self._searching > SEARCH_FRAMES - SEARCH_AT_ONCE - 1
        self._since_search += 1
        if not (lost or fresh) or self._since_search < (1 if fresh else DETECT_EVERY_COASTING):
            return
        self._since_search = 0
        for detection in self._search(image):
            boxes = [track for track in self._tracks if not track.adrift]
            pairs = _match(boxes, [detection], MATCH_IOU)
            for k in pairs:
                if boxes[k].by_detector:
                    self._wake(image, now, boxes[k], detection)
            if not pairs:
                self._place(image, now, detection)

    def _begin(
        self, landmarks: NDArray[np.float32], score: float, known: Track | None = None
    ) -> None:
        """A track where there is none yet, of a face that is back or new; it coasts where the mesh
        finds no face.
        """
        if not self._is_free(landmarks, None, SAME_IOU):
            return
        if score < WAKE_SCORE and any(overlap(landmarks, t.landmarks) > 0.1 for t in self._tracks):
            return  # more likely the rest of a hidden face than a face before it
        if any(track.holds(landmarks) for track in self._tracks):
            return
        if known is not None:
            self._gallery.release(known)
            known.age = -1
            known.jump(landmarks, score)
            self._tracks = sorted([*self._tracks, known], key=lambda track: track.track_id)
            return
        self._last_id += 1
        track = Track(self._last_id, landmarks, score, BoxKalman(box_around(landmarks)))
        if score >= self._mesh_score:
            track.observe(landmarks, score)
        else:
            track.state, track.by_detector = TrackState.COASTING, True
        self._tracks.append(track)

    def _settle(self, image: NDArray[np.uint8], region: RegionOfInterest) -> Look:
        return self._lookup.settle(image, region)

    def _is_free(
        self, landmarks: NDArray[np.float32], track: Track | None, most_iou: float
    ) -> bool:
        """Whether no track but ``track`` sees its face there."""
        others = (t for t in self._tracks if t is not track and t.state is TrackState.SEEN)
        return all(overlap(landmarks, other.landmarks) <= most_iou for other in others)

    def _end(self, height: int, width: int) -> None:
        """Drop tracks hidden too long, gone from the picture, or doubled (the younger goes)."""
        kept: list[Track] = []
        for track in self._tracks:  # in order of birth
            if track.state is TrackState.COASTING:
                limit = FLEDGLING_FRAMES if track.by_detector else self._max_coast_frames
                gone = visible_share(track.box_px, height, width) < 0.5
                if not gone and track.coasted <= limit:
                    kept.append(track)
                else:
                    self._gallery.keep(track)
            elif all(
                other.state is TrackState.COASTING
                or overlap(track.landmarks, other.landmarks) <= SAME_IOU
                for other in kept
            ):
                kept.append(track)
        self._tracks = kept


def _match(
    tracks: Sequence[Track], detections: Sequence[FaceDetection], least: float
) -> dict[int, int]:
    """Index of a track -> index of its detection.

    Boxes of a coasting track are grown, the longer the more (buffered IoU, Yang et al. 2023).
    """
    if not tracks or not detections:
        return {}
    boxes = np.stack([grow(t.box_px, min(0.02 * t.coasted, 0.4)) for t in tracks])
    return match(boxes, np.stack([d.box_px for d in detections]), least)
