"""One face's memory: where it is, how it moves, what it looks like in 3-D, how covered it is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trackers.align import fit_similarity
from trackers.boxes import box_around, within
from trackers.faces import FaceDetection, TrackedFace, TrackState
from trackers.flow import Motion, clear_of, face_motion, shift
from trackers.kalman import BoxKalman
from trackers.shape import RememberedShape, at_detection, steady
from trackers.texture import Texture, portrait

DAMPING = 0.85
"""Of the velocity, per frame in which nothing of the face is seen to move."""

ENOUGH_CLEAR = 0.3
"""With more of the landmarks clear of what is hidden, flow follows only these; while coasting every
landmark in sight is needed."""

TURNS_FROM = 0.4
"""Share of the landmarks that must be followed for a turn or a growth to be believed: from a corner
of the face both are mostly noise, and add up."""

DOUBTED_FROM, DOUBTED_GAIN, FOLLOWED_WELL = 0.05, 0.05, 0.4
"""Share of the face covered from which the mesh may be doubted, what of its step is taken then, and
the support that flow must have."""

BEHIND_SHARE = 0.3
"""A hidden face of which so much lies behind another face's head is passing behind it."""

UNSUPPORTED_COST = 3
"""A coasting frame counts so often where neither flow nor a cover speaks for a face."""

HOLD_SHARE = 0.3
"""The detector's points shake by some percent of the face, so they are followed slowly."""

LEAST_IN_SIGHT = 0.2
"""Of a face that is not behind another one, for it to be taken for one that was hidden."""

LONGEST_REST, WELL_FOLLOWED = 3, 0.9
"""Frames in a row without the mesh, and the support that flow must have in them: where so many points
all over the face keep to one similarity, nothing comes and the face makes no other expression."""

COASTING_TRUST = 0.25
"""A carried landmark is a guess even where nothing covers it."""


@dataclass(slots=True, eq=False)
class Track:
    """A face from its first frame to its last; see :class:`TrackedFace` for what is shown of it.

    Attributes:
        identity: whose face; the id of the first track of that person.
        by_detector: the landmarks stand where the detector saw the face, not where the mesh did.
        covered: (468,) float32 0-1, how covered each landmark was in the frame before.
        cover_known: somebody reports covers for this track.
        told: somebody did for the frame before.
        changed: (468,) bool, landmarks that did not look like this face in the frame before.
        adrift: the picture leapt and nobody knows yet where to the face went, if it is there at all.
        behind: ids of the tracks whose faces are in front of this one.
        picture: the portrait of the frame before, if the face was seen in it.
        coasted: frames coasted, those without support counted UNSUPPORTED_COST times.
        seen: frames in which the mesh found it.
        alone: no other head lay over the face in the frame before.
        may_rest: somebody said that the mesh may be spared in the next frame.
        rested: frames in a row, up to this one, in which it was.
        hidden_then: ids of the faces that were hidden when this one came up.
    """

    track_id: int
    landmarks: NDArray[np.float32]
    score: float
    kalman: BoxKalman
    texture: Texture = field(default_factory=Texture)
    shape: RememberedShape = field(default_factory=RememberedShape)
    covered: NDArray[np.float32] = field(default_factory=lambda: np.zeros(468, np.float32))
    cover_known: bool = False
    told: bool = False
    changed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(468, bool))
    motion: Motion = field(default_factory=lambda: shift(0, 0))
    state: TrackState = TrackState.SEEN
    age: int = 0
    coasted: int = 0
    seen: int = 0
    alone: bool = True
    may_rest: bool = False
    rested: int = 0
    hidden_then: frozenset[int] = frozenset()
    identity: int = 0
    by_detector: bool = False
    adrift: bool = False
    behind: frozenset[int] = frozenset()
    picture: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        self.identity = self.identity or self.track_id

    @property
    def box_px(self) -> NDArray[np.float32]:
        """(4,) float32 around the landmarks."""
        return box_around(self.landmarks)

    def predict(
        self, before: NDArray[np.uint8], now: NDArray[np.uint8], heads: NDArray[np.float32]
    ) -> None:
        """Carry the landmarks to this frame by flow, or by the last velocity, damped.

        Args:
            before: (H, W) uint8 grey frame the landmarks stand in.
            now: (H, W) uint8 grey frame they are carried to.
            heads: (N, 4) boxes of other faces that are seen; what lies in them is theirs while this
                one coasts, and a face that goes behind another goes on as it went.
        """
        hidden, behind = (self.covered > 0.5) | self.changed, 0.0
        theirs = within(self.landmarks, heads)
        self.alone = not theirs.any()
        clear = clear_of(hidden)
        spared = self.state is TrackState.SEEN and clear.mean() > ENOUGH_CLEAR
        usable = clear if spared else ~hidden
        if self.state is TrackState.COASTING:
            usable, behind = usable & ~theirs, float(theirs.mean())
        flow = face_motion(before, now, self.landmarks, usable)
        steady_going = self.state is TrackState.SEEN or behind > BEHIND_SHARE
        move = self.kalman.predict(1.0 if steady_going else DAMPING)
        if flow is not None and usable.mean() < TURNS_FROM:
            flow = flow.shift_of(self.landmarks[usable])
        self.motion = shift(*move) if flow is None else flow
        self.landmarks = self.motion.carry(self.landmarks)
        self.age += 1
        self.rested = self.rested + 1 if self._may_rest_now() else 0
        if self.rested:
            self.kalman.update(self.box_px)

    def _may_rest_now(self) -> bool:
        """Whether flow alone carried the face here as well as the mesh would find it."""
        wanted = self.may_rest and self.state is TrackState.SEEN and self.rested < LONGEST_REST
        free = self.alone and max(self.changed.mean(), self.covered.mean()) < DOUBTED_FROM
        return wanted and free and self.motion.support >= WELL_FOLLOWED

    def jump(self, landmarks: NDArray[np.float32], score: float) -> None:
        """The mesh found the face where no motion leads: across a cut, or back after an absence."""
        self.landmarks, self.motion = landmarks, shift(0, 0)
        self.kalman = BoxKalman(self.box_px)
        self.covered, self.changed = np.zeros(468, np.float32), np.zeros(468, bool)
        self.state = TrackState.COASTING  # it was not seen to come here
        self.observe(landmarks, score)

    def put(self, detection: FaceDetection) -> None:
        """Only a detector found the face, where no motion leads."""
        self.landmarks, self.motion = at_detection(detection), shift(0, 0)
        self.kalman = BoxKalman(self.box_px)
        self.covered, self.changed = np.zeros(468, np.float32), np.zeros(468, bool)
        self.state, self.score, self.coasted = TrackState.COASTING, 0.0, 0
        self.by_detector, self.adrift, self.picture = True, False, None

    def observe(
        self, landmarks: NDArray[np.float32], score: float, now: NDArray[np.uint8] | None = None
    ) -> None:
        """The mesh found the face.

        Args:
            landmarks: (468, 3) float32 px.
            score: of the mesh.
            now: (H, W) uint8 grey frame, to see whether the mesh or flow is right; None: the mesh.
        """
        trust = 1 - self.covered
        self.seen, self.rested = self.seen + 1, 0
        self.shape.learn(landmarks, trust)
        placed = self.shape.complete(landmarks, trust)
        followed = self.state is TrackState.SEEN and self.motion.support > 0
        if followed:
            gain = self._gain(placed, now)
            stepped = steady(self.landmarks, placed, trust)
            placed = (self.landmarks + gain * (stepped - self.landmarks)).astype(np.float32)
        self.landmarks = placed
        self.state, self.score, self.coasted = TrackState.SEEN, score, 0
        self.by_detector = self.adrift = False
        self.kalman.update(self.box_px)

    def _gain(self, placed: NDArray[np.float32], now: NDArray[np.uint8] | None) -> float:
        """0-1, how far the mesh is believed against flow, for a face of which a part is covered.

        Under an occluder the mesh is drawn aside, what is in sight of the face with it.  Flow of what
        is in sight is not, but drifts.  Who puts the remembered face better onto the picture?
        """
        clear = clear_of(self.covered > 0.5)
        if now is None or self.motion.support < FOLLOWED_WELL or clear.mean() < LEAST_IN_SIGHT:
            return 1.0
        covered = float(self.covered.mean())
        if covered < DOUBTED_FROM or not self.texture.known:
            return 1.0
        mesh, flow = (
            self.texture.likeness(portrait(now, spots), clear) for spots in (placed, self.landmarks)
        )
        return 1.0 if mesh > flow else DOUBTED_GAIN

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
        if not self.by_detector:
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
        """After the landmarks of (H, W) grey ``now`` stand: compare with the face's look.

        While the mesh rests nothing came, and what no mesh confirms teaches nothing.
        """
        self.picture = None
        if self.rested:
            return
        picture = portrait(now, self.landmarks)
        self.changed = self.texture.changed(picture)
        self.picture = picture if self.state is TrackState.SEEN else None

    def fade(self) -> None:
        """What covered the face is half forgotten unless :meth:`cover` tells it anew."""
        self.covered, self.told = self.covered * np.float32(0.7), False
        self.may_rest = False

    def cover(self, covered: NDArray[np.float32]) -> None:
        """Say how covered (468,) 0-1 the face was in the frame remembered last."""
        self.covered = np.clip(covered, 0, 1).astype(np.float32)
        self.cover_known = self.told = True

    def learn(self) -> None:
        """Learn the face's look in the frame before, now that it is known what covered it."""
        if self.picture is not None:
            self.texture.learn(self.picture, self.covered if self.told else None)
        self.picture = None

    def face(self) -> TrackedFace:
        """What is known of the face in this frame."""
        trust = (1 - self.covered) * (1 if self.state is TrackState.SEEN else COASTING_TRUST)
        return TrackedFace(
            track_id=self.track_id, identity=self.identity, landmarks=self.landmarks,
            trust=trust.astype(np.float32), box_px=self.box_px, score=self.score,
            age=self.age, state=self.state, behind=tuple(sorted(self.behind)),
            support=self.motion.support, adrift=self.adrift,
        )  # fmt: skip
