"""ByteTracker: a dense mesh on every face in every frame, ByteTrack's association for detections.

Read :meth:`ByteTracker.update` first.  A track is *seen* while the mesh finds its face where motion
says it must be, and *coasts* on optical flow while it does not.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.aftermath import Aftermath
from trackers.boxes import box_around, iou
from trackers.faces import FaceDetection, TrackedFace, TrackState, check_picture
from trackers.flow import leapt, scene_cut
from trackers.gallery import most_alike
from trackers.landmarks import RegionOfInterest, roi_from_detection, roi_from_landmarks
from trackers.lookup import WAKE_SCORE, Look, Lookup
from trackers.overlaps import heads, sort_by_depth
from trackers.recognise import agrees
from trackers.roster import WAKE_IOU, Roster, pair
from trackers.search import FaceSearch
from trackers.shape import at_detection
from trackers.texture import portrait, similarity
from trackers.track import Track

MATCH_IOU, LOW_MATCH_IOU = 0.3, 0.5
"""Least overlap of a detection, of high or of low score, with the track it belongs to."""

DETECT_EVERY_COASTING = 2
"""Frames between detections while a face is hidden: it may come back elsewhere."""

SAME_PLACE_SSIM = 0.5
"""Mean likeness of two portraits of one place, across a cut, from which they are of one face."""

LEAPT_SHARE = 0.45
"""Of a head's picture, what must change at once for a cut.  Measured: 0.85 across the benchmark's cut,
0.55 across a small jump in a real clip, at most 0.3 behind the fastest hand of the benchmark."""


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
        birth_score: float = 0.7, mesh_score: float = 0.5, max_coast_frames: int = 200,
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
        self._detect_every = detect_every
        self._high_score, self._low_score = high_score, low_score
        self._birth_score, self._mesh_score = birth_score, mesh_score
        self._lookup, self._search = Lookup(mesh_score), FaceSearch()
        self._roster = Roster(mesh_score, max_coast_frames)
        self.reset()

    def reset(self) -> None:
        """Forget every face and start counting ids at 1 again."""
        self._roster.reset()
        self._aftermath = Aftermath()
        self._before: NDArray[np.uint8] | None = None
        self._since_detection = 0

    def interrupt(self) -> None:
        """Every face has left, as far as anybody knows; who comes back has the old id."""
        for track in self._tracks:
            self._roster.gallery.keep(track)
        self._roster.tracks, self._before = [], None

    @property
    def _tracks(self) -> list[Track]:
        return self._roster.tracks

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
        self._roster.end(*now.shape)
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

    def rest(self, track_id: int) -> None:
        """Say that in the next frame a face's landmarks may be carried by flow, where it follows well,
        and the mesh be spared; unknown ids are ignored.
        """
        for track in self._tracks:
            if track.track_id == track_id:
                track.may_rest = True

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
            if track.rested:
                continue
            # A mesh that slipped onto the face in front: it fits that one's prediction better.
            stolen = nearest[k] != k and looks[nearest[k]][1] >= self._mesh_score
            if not stolen and self._roster.is_back(track, landmarks, score, now):
                track.observe(landmarks, score, now)
                continue
            track.coast(score)
            lost = track.alone and track.motion.support == 0 and not track.adrift
            if lost and leapt(before, now, was[k], track.motion) > LEAPT_SHARE:
                track.adrift = True
                self._aftermath.begin(before)

    def _cross_cut(
        self, image: NDArray[np.uint8], before: NDArray[np.uint8], now: NDArray[np.uint8]
    ) -> None:
        """After a cut a track lives on only where the same face is still in the same place."""
        self._aftermath.begin(None)
        tracks, self._roster.tracks = self._tracks, []
        found: list[Look] = []
        for track in tracks:
            landmarks, score = self._lookup.once(image, track.landmarks)
            was, there = portrait(before, track.landmarks), portrait(now, landmarks)
            known = track.state is TrackState.SEEN and score >= self._mesh_score
            if known and similarity(was, there).mean() > SAME_PLACE_SSIM:
                track.jump(landmarks, score)
                track.age += 1
                self._tracks.append(track)
                continue
            self._roster.gallery.keep(track)
            if score >= self._mesh_score:
                found.append(self._settle(image, roi_from_landmarks(landmarks)))
        for landmarks, score in found:
            if score >= self._mesh_score:
                self._roster.come_up(now, landmarks, score)

    def _associate(
        self, image: NDArray[np.uint8], now: NDArray[np.uint8], detections: Sequence[FaceDetection]
    ) -> None:
        """Detections wake coasting tracks; those that belong to none begin new ones."""
        high = [d for d in detections if d.score >= self._high_score]
        low = [d for d in detections if self._low_score <= d.score < self._high_score]
        pairs = pair(self._tracks, high, MATCH_IOU)
        rest = [track for k, track in enumerate(self._tracks) if k not in pairs]
        for k, d in pairs.items():
            self._wake(image, now, self._tracks[k], high[d])
        for k, d in pair(rest, low, LOW_MATCH_IOU).items():
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
            visible = self._roster.visible(now, landmarks, track)
            # Half hidden, a face is found smaller, in what is left of it: size and place must fit.
            alike = most_alike([track], now, landmarks, visible) is not None
            sure = agrees(track, landmarks) or (score >= WAKE_SCORE and alike)
            sure = sure or (track.by_detector and score >= WAKE_SCORE)
            if (
                score >= self._mesh_score
                and sure
                and self._roster.is_free(landmarks, track, WAKE_IOU)
            ):
                track.observe(landmarks, score)
            elif detection.score >= self._high_score or track.by_detector:
                track.hold(detection)

    def _place(
        self, image: NDArray[np.uint8], now: NDArray[np.uint8], detection: FaceDetection
    ) -> None:
        """A face where no track is: one that was lost, one that is back, or a new one."""
        landmarks, score = self._settle(image, roi_from_detection(detection))
        adrift = [track for track in self._tracks if track.adrift]
        if score >= self._mesh_score:
            self._roster.come_up(now, landmarks, score)
        elif len(adrift) == 1:  # half hidden, but who else should it be
            if self._aftermath.is_new(now, detection) and not pair(adrift, [detection], MATCH_IOU):
                adrift[0].put(detection)
        elif detection.score >= self._birth_score:
            self._roster.begin(at_detection(detection), score)

    def _search_for_lost(self, image: NDArray[np.uint8], now: NDArray[np.uint8]) -> None:
        """After a cut look over the whole frame, for faces that a detector would leave out too."""
        if not self._aftermath.due(missing=any(t.adrift or t.by_detector for t in self._tracks)):
            return
        for detection in self._search(image):
            here = [track for track in self._tracks if not track.adrift]
            pairs = pair(here, [detection], MATCH_IOU)
            for k in pairs:
                if here[k].by_detector:
                    self._wake(image, now, here[k], detection)
            if not pairs:
                self._place(image, now, detection)

    def _settle(self, image: NDArray[np.uint8], region: RegionOfInterest) -> Look:
        return self._lookup.settle(image, region)
