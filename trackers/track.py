"""One face's memory: where it is, how it moves, what it looks like in 3-D, how covered it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trackers.align import fit_similarity
from trackers.boxes import box_around
from trackers.faces import FaceDetection, TrackedFace, TrackState
from trackers.flow import Motion, face_motion, shift
from trackers.kalman import BoxKalman
from trackers.shape import RememberedShape, at_detection, size_px, steady
from trackers.texture import Texture, portrait

DAMPING = 0.85
"""Of the velocity, per frame in which nothing of the face is seen to move."""

UNSUPPORTED_COST = 3
"""A coasting frame counts so often where neither flow nor a cover speaks for a face."""

HOLD_SHARE = 0.3
"""The detector's points shake by some percent of the face, so they are followed slowly."""

REGAIN_REACH, REGAIN_SSIM = 0.8, 0.25
"""Distance in face sizes, and likeness, within which a hidden face is taken to have moved. The
likeness only rules nonsense out: half covered, a face is as unlike itself as another one is."""

COASTING_TRUST = 0.25
"""A carried landmark is a guess even where nothing covers it."""


@dataclass(slots=True, eq=False)
class Track:
    """A face from its first frame to its last; see :class:`TrackedFace` for what is shown of it.

    Attributes:
        covered: (468,) float32 0-1, how covered each landmark was in the frame before.
        cover_known: somebody reports covers for this track.
        changed: (468,) bool, landmarks that did not look like this face in the frame before.
        coasted: frames coasted, those without support counted UNSUPPORTED_COST times.
    """

    track_id: int
    landmarks: NDArray[np.float32]
    score: float
    kalman: BoxKalman
    texture: Texture = field(default_factory=Texture)
    shape: RememberedShape = field(default_factory=RememberedShape)
    covered: NDArray[np.float32] = field(default_factory=lambda: np.zeros(468, np.float32))
    cover_known: bool = False
    changed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(468, bool))
    motion: Motion = field(default_factory=lambda: shift(0, 0))
    state: TrackState = TrackState.SEEN
    age: int = 0
    coasted: int = 0

    @property
    def box_px(self) -> NDArray[np.float32]:
        """(4,) float32 around the landmarks."""
        return box_around(self.landmarks)

    def predict(
        self, before: NDArray[np.uint8], now: NDArray[np.uint8], others: list[NDArray[np.float32]]
    ) -> None:
        """Carry the landmarks to this frame by flow, or by the last velocity, damped.

        Args:
            before: (H, W) uint8 grey frame the landmarks stand in.
            now: (H, W) uint8 grey frame they are carried to.
            others: boxes of seen faces; what lies in them is theirs while this one coasts.
        """
        usable = (self.covered < 0.5) & ~self.changed
        if self.state is TrackState.COASTING:
            spots = self.landmarks[:, :2]
            for box in others:
                usable &= ~((spots > box[:2]) & (spots < box[2:])).all(1)
        flow = face_motion(before, now, self.landmarks, usable)
        move = self.kalman.predict(1.0 if self.state is TrackState.SEEN else DAMPING)
        self.motion = shift(*move) if flow is None else flow
        self.landmarks = self.motion.carry(self.landmarks)
        self.age += 1

    def jump(self) -> None:
        """One frame on, across a cut: no motion is known."""
        self.motion, self.age = shift(0, 0), self.age + 1

    def agrees(self, landmarks: NDArray[np.float32]) -> bool:
        """Whether observed (468, 3) landmarks may be this face, one frame on.

        Size, turn and place are bounded; the place less tightly the longer the face was hidden.
        """
        here, there = self.landmarks[:, :2].astype(float), landmarks[:, :2].astype(float)
        scale, turn, _ = fit_similarity(here, there, np.ones(len(here)))
        jump = np.linalg.norm(here.mean(0) - there.mean(0)) / size_px(self.landmarks)
        degrees = abs(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))
        slack = min(0.2 + 0.02 * self.coasted, 0.8)
        return bool(1 / 1.4 < scale < 1.4 and degrees < 30 and jump < slack)

    def regains(self, landmarks: NDArray[np.float32], now: NDArray[np.uint8]) -> bool:
        """Whether a face that came up beside this hidden one is this one.

        A head that moves while it is covered leaves the place to which flow carried its landmarks.

        Args:
            landmarks: (468, 3) float32 px of the face that came up.
            now: (H, W) uint8 grey frame it stands in.
        """
        size = size_px(self.landmarks)
        away = np.linalg.norm(landmarks[:, :2].mean(0) - self.landmarks[:, :2].mean(0)) / size
        alike = 1 / 1.6 < size_px(landmarks) / size < 1.6
        if self.state is not TrackState.COASTING or away > REGAIN_REACH or not alike:
            return False
        return self.texture.likeness(portrait(now, landmarks)) > REGAIN_SSIM

    def observe(self, landmarks: NDArray[np.float32], score: float) -> None:
        """The mesh found the face: (468, 3) float32 px."""
        trust = 1 - self.covered
        self.shape.learn(landmarks, trust)
        placed = self.shape.complete(landmarks, trust)
        followed = self.state is TrackState.SEEN and self.motion.support > 0
        self.landmarks = steady(self.landmarks, placed, trust) if followed else placed
        self.state, self.score, self.coasted = TrackState.SEEN, score, 0
        self.kalman.update(self.box_px)

    def coast(self, score: float) -> None:
        """The mesh did not find it: the carried landmarks stand."""
        followed = self.motion.support > 0
        hidden = self.covered.mean() > 0.3 if self.cover_known else followed
        self.coasted += 1 if hidden else UNSUPPORTED_COST
        self.state, self.score = TrackState.COASTING, score
        if followed:
            self.kalman.update(self.box_px)

    def hold(self, detection: FaceDetection) -> None:
        """Only the detector finds it: a face is there, and where nothing better is known, so placed.

        A face which the mesh once found is carried more truly than a detector sees it when covered.
        """
        self.coasted = 0
        if self.shape.looks:
            return
        target = at_detection(detection)
        ones = np.ones(len(target))
        here = self.landmarks.astype(np.float64)
        scale, rotation, move = fit_similarity(here, target.astype(np.float64), ones)
        placed = (scale * here @ rotation.T + move).astype(np.float32)
        self.landmarks = (self.landmarks + HOLD_SHARE * (placed - self.landmarks)).astype(
            np.float32
        )
        self.kalman.update(self.box_px)

    def remember(self, now: NDArray[np.uint8]) -> None:
        """After the landmarks of (H, W) grey ``now`` stand: compare and learn the face's look."""
        picture = portrait(now, self.landmarks)
        self.changed = self.texture.changed(picture)
        if self.state is TrackState.SEEN:
            self.texture.learn(picture)

    def face(self) -> TrackedFace:
        """What is known of the face in this frame."""
        trust = (1 - self.covered) * (1 if self.state is TrackState.SEEN else COASTING_TRUST)
        return TrackedFace(
            track_id=self.track_id, identity=self.track_id, landmarks=self.landmarks,
            trust=trust.astype(np.float32), box_px=self.box_px, score=self.score,
            age=self.age, state=self.state,
        )  # fmt: skip
