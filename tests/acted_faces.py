"""Round faces that come, go, cross and are covered, known to the pixel; and a model that fails on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.types import OcclusionMask, reach
from stream.frame import Frame, FrameResult
from trackers import TrackedFace, TrackState

SIZES = (120, 160), (96, 128)
SIDE, RADIUS = 96, 36
"""Of a mask's square, and of the face in it, px."""

FPS = 25

Image = NDArray[np.uint8]
Area = NDArray[np.bool_]
Rng = np.random.Generator


@dataclass(slots=True)
class Actor:
    """A face.

    Attributes:
        spot, speed, radius, growth: px, and px or times a frame.
        on: whether it is in the scene.
        hand: None, or how far its middle lies to the right of the face's, in radii.
        track_id: by which the model knows it.
        missed: for so many frames the model does not find it.
        off: for so many frames its landmarks lie elsewhere.
    """

    spot: NDArray[np.float64]
    speed: NDArray[np.float64]
    radius: float
    track_id: int
    on: bool = True
    growth: float = 1.0
    hand: float | None = None
    missed: int = 0
    off: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """What a frame shows of an actor: (H, W) bool ``face`` and ``hand``, each as far as it shows."""

    who: int
    spot: NDArray[np.float64]
    radius: float
    face: Area
    hand: Area
    disc: Area

    @property
    def box_px(self) -> NDArray[np.float32]:
        """(4,) around the face."""
        return np.concatenate([self.spot - self.radius, self.spot + self.radius]).astype(np.float32)


@dataclass(slots=True)
class Scene:
    """Moves actors about, and draws them: faces magenta, hands yellow, all else dark noise."""

    rng: Rng
    actors: list[Actor]
    most_speed: float
    size: tuple[int, int] = SIZES[0]
    parts: dict[int, list[Part]] = field(default_factory=dict)

    def step(self) -> None:
        """A frame's time goes by."""
        height, width = self.size
        for actor in self.actors:
            actor.spot = actor.spot + actor.speed
            actor.radius = float(np.clip(actor.radius * actor.growth, 7, 24))
            over = (actor.spot < -20) | (actor.spot > np.array([width, height]) + 20)
            actor.speed = np.where(over, -actor.speed, actor.speed)
            if self.rng.random() < 0.06:
                actor.speed = self.rng.uniform(-1, 1, 2) * self.most_speed
                actor.growth = float(self.rng.choice([1, 1, 1, 0.97, 1.03, 1.06]))
            if self.rng.random() < 0.06:
                actor.hand = None if self.rng.random() < 0.5 else float(self.rng.uniform(-1, 1.5))
            if actor.hand is not None and self.rng.random() < 0.5:
                actor.hand += float(self.rng.uniform(-0.15, 0.15))

    def draw(self, index: int) -> Image:
        """(H, W, 3): the picture; what it shows is kept in ``parts``."""
        height, width = self.size
        image = self.rng.integers(50, 110, (height, width, 3), dtype=np.uint8)
        v, u = np.mgrid[:height, :width]
        shown: list[tuple[int, Actor, Area, Area]] = []
        for who, actor in enumerate(self.actors):
            if not actor.on:
                continue
            disc = np.hypot(u - actor.spot[0], v - actor.spot[1]) < actor.radius
            hand = np.zeros_like(disc)
            if actor.hand is not None:
                hand = abs(u - actor.spot[0] - actor.hand * actor.radius) < 0.5 * actor.radius
                hand &= abs(v - actor.spot[1]) < 1.5 * actor.radius
            image[disc] = (250, 20, 250)
            image[hand] = (250, 250, 20)
            shown = [(w, a, f & ~disc & ~hand, h & ~disc & ~hand) for w, a, f, h in shown]
            shown.append((who, actor, disc & ~hand, hand))
        self.parts[index] = [
            Part(
                w, a.spot.copy(), a.radius, f, h, np.hypot(u - a.spot[0], v - a.spot[1]) < a.radius
            )
            for w, a, f, h in shown
        ]
        return image


def showing(image: Image, what: str) -> Area:
    """(H, W) bool: where a face, or a hand, can be told in a picture."""
    red, green, blue = (image[..., k].astype(int) for k in range(3))
    other, told = (green, blue) if what == "face" else (blue, green)
    return np.asarray((red > 190) & (told > 190) & (other < 100))


def face_of(part: Part, track_id: int, coasting: bool) -> TrackedFace:
    points = np.zeros((468, 3), np.float32)
    points[:, :2] = part.spot
    state = TrackState.COASTING if coasting else TrackState.SEEN
    return TrackedFace(
        track_id, track_id, points, np.ones(468, np.float32), part.box_px,
        0.1 if coasting else 0.9, 9, state, support=0.9,
    )  # fmt: skip


def mask_of(part: Part, track_id: int) -> OcclusionMask:
    """What a perfect model says of a part."""
    scale = RADIUS / part.radius
    shift = SIDE / 2 - scale * part.spot
    to_face = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)
    v, u = np.mgrid[:SIDE, :SIDE]
    region = np.hypot(u - SIDE / 2, v - SIDE / 2) < RADIUS + 1
    before = (~part.face & (part.disc | part.hand)).astype(np.float32)
    seen = cv2.warpAffine(before, to_face, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    return told(np.where(reach(region), seen, 0).astype(np.float32), region, to_face, track_id)


def told(
    probability: NDArray[np.float32], region: Area, to_face: NDArray[np.float64], track_id: int
) -> OcclusionMask:
    coverage = float((probability > 0.5)[region].mean()) if region.any() else 0.0
    return OcclusionMask(track_id, probability, region, to_face, coverage, 0.95)


def spoilt(mask: OcclusionMask, how: str) -> OcclusionMask:
    """A mask as no model should give it."""
    p, region, matrix = mask.probability, mask.region, mask.frame_to_face
    if how == "ones":
        return told(reach(region).astype(np.float32), region, matrix, mask.track_id)
    if how == "zeros":
        return told(np.zeros_like(p), region, matrix, mask.track_id)
    if how == "small":  # half as large as the face
        v, u = np.mgrid[:SIDE, :SIDE]
        less = np.hypot(u - SIDE / 2, v - SIDE / 2) < RADIUS / 2
        return told(np.where(reach(less), p, 0).astype(np.float32), less, matrix, mask.track_id)
    changes: dict[str, Any] = {
        "nan": {"probability": np.full_like(p, np.nan)},
        "size": {"probability": np.zeros((7, 9), np.float32)},
        "no place": {"frame_to_face": np.full((2, 3), np.nan)},
        "off the face": {"frame_to_face": matrix + [[0, 0, 40], [0, 0, 0]]},
        "stale": {"carried_frames": 40},
        "doubted": {"confidence": 0.2},
        "empty": {"region": np.zeros_like(region)},
        "full": {"region": np.ones_like(region)},
    }
    return replace(mask, **changes[how])


SPOILT = ("ones", "zeros", "small", "nan", "size", "no place", "off the face", "stale", "doubted", "empty", "full")  # fmt: skip
FAILING = ("raises", "nan box", "nan landmarks", "fewer masks", "other ids", "again")


@dataclass
class Acting:
    """A model that knows the scene; ``trouble`` is how often it fails, but not in ways that are ``barred``.

    Attributes:
        found: index of a frame -> who was found in it, where he is.
        last: the result before.
    """

    scene: Scene
    rng: Rng
    trouble: float
    barred: tuple[str, ...] = ()
    found: dict[int, set[int]] = field(default_factory=dict)
    last: FrameResult | None = None

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        for frame in frames:
            self.found[frame.index] = set()
            how = str(self.rng.choice(FAILING)) if self.rng.random() < self.trouble / 8 else ""
            if how == "raises":
                raise RuntimeError("the device has gone")
            if how == "again" and self.last is not None:
                self.found[frame.index] = self.found[self.last.frame.index]
                yield self.last
                continue
            self.last = self.result(frame)
            yield self.broken(self.last, how)

    def broken(self, result: FrameResult, how: str) -> FrameResult:
        """A result that is good for nothing."""
        if not result.faces or how in ("", "again"):
            return result
        self.found[result.frame.index] = set()
        first, *rest = result.faces
        if how == "nan box":
            first = replace(first, box_px=np.full(4, np.nan, np.float32))
        elif how == "nan landmarks":
            first = replace(first, landmarks=np.full((468, 3), np.nan, np.float32))
        elif how == "fewer masks":
            return replace(result, masks=result.masks[1:])
        else:
            first = replace(first, track_id=999)
        return replace(result, faces=(first, *rest))

    def result(self, frame: Frame) -> FrameResult:
        faces, masks = [], []
        for part in self.scene.parts[frame.index]:
            actor = self.scene.actors[part.who]
            if actor.missed:
                actor.missed -= 1
                continue
            if self.rng.random() < self.trouble / 10:
                actor.missed = int(self.rng.choice([1, 2, 3, 6, 70]))
            if self.rng.random() < self.trouble / 10:
                actor.off = int(self.rng.integers(1, 3))
            face, mask = self.of(part, actor)
            faces.append(face)
            masks.append(mask)
            if not actor.off:
                self.found[frame.index].add(part.who)
            actor.off = max(0, actor.off - 1)
        order = np.argsort([face.track_id for face in faces])
        return FrameResult(
            frame, tuple(faces[k] for k in order), tuple(masks[k] for k in order), looked=True
        )

    def of(self, part: Part, actor: Actor) -> tuple[TrackedFace, OcclusionMask]:
        """A face as the model gives it."""
        shows = part.face.sum() / max(1, part.disc.sum())
        if actor.off:
            away = self.rng.choice([-1, 1], 2) * part.radius * 1.5
            part = replace(part, spot=part.spot + away)
        mask = mask_of(part, actor.track_id)
        if self.rng.random() < self.trouble / 3:
            mask = spoilt(
                mask, str(self.rng.choice([how for how in SPOILT if how not in self.barred]))
            )
        coasting = bool(shows < 0.5 or self.rng.random() < self.trouble / 8)
        return face_of(part, actor.track_id, coasting), mask


def frame_of(image: Image, index: int, clock: int, epoch: int) -> Frame:
    return Frame(image, index, Fraction(clock, FPS), str(index), epoch=epoch)
