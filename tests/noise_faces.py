"""Results about round faces in pictures of noise: what leaves uncovered is equal to the bit."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs import load_settings
from s3pot.types import OcclusionMask, Reference, reach
from stream.frame import Frame, FrameResult
from stream.policy import build_policy
from trackers import TrackedFace, TrackState

HEIGHT, WIDTH, SIDE, RADIUS = 240, 320, 96, 30
MIDDLE = (160.0, 120.0)

Image = NDArray[np.uint8]
Area = NDArray[np.bool_]


def noise(index: int, height: int = HEIGHT, width: int = WIDTH) -> Frame:
    """A frame at 25 a second, no pixel of which is as dark as what hides."""
    return Frame(grain(index % 8, height, width), index, Fraction(index, 25), "noise")


@cache
def grain(seed: int, height: int, width: int) -> Image:
    """(height, width, 3) of 50 to 255, read-only."""
    image = np.random.default_rng(seed).integers(50, 256, (height, width, 3), dtype=np.uint8)
    image.setflags(write=False)
    return image


def mask(x: float, y: float, track_id: int = 1) -> OcclusionMask:
    """Of a round face at x y, the right third of it covered; a px of it is one of the frame."""
    v, u = np.mgrid[:SIDE, :SIDE]
    region = np.hypot(u - 48, v - 48) < RADIUS
    probability = (reach(region) & (u > 58)).astype(np.float32)
    to_face = np.array([[1, 0, 48 - x], [0, 1, 48 - y]], np.float64)
    reference = Reference(np.zeros((SIDE, SIDE, 3), np.uint8), np.ones((SIDE, SIDE), np.float32))
    return OcclusionMask(track_id, probability, region, to_face, 0.3, 0.95, reference)


def face(x: float, y: float, track_id: int = 1, **changes: Any) -> TrackedFace:
    """A face seen at x y."""
    box = np.array([x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS], np.float32)
    points = np.zeros((468, 3), np.float32)
    points[:, :2] = x, y
    seen = TrackedFace(
        track_id, track_id, points, np.ones(468, np.float32), box, 0.99, 9, TrackState.SEEN,
        support=0.9,
    )  # fmt: skip
    return replace(seen, **changes)


def found(index: int, *spots: tuple[float, float, int], looked: bool = True, at: Frame | None = None) -> FrameResult:  # fmt: skip
    """The result of a frame with faces at x, y of an id."""
    faces = tuple(face(*spot) for spot in spots)
    return FrameResult(at or noise(index), faces, tuple(mask(*spot) for spot in spots), looked)


def but(result: FrameResult, which: int = 0, *, mask_: Any = None, **changes: Any) -> FrameResult:
    """A result, one face of which is otherwise, and its mask perhaps."""
    faces, masks = list(result.faces), list(result.masks)
    faces[which] = replace(faces[which], **changes)
    masks[which] = replace(masks[which], **(mask_ or {}))
    return replace(result, faces=tuple(faces), masks=tuple(masks))


def privacy(*overrides: str) -> Any:
    """The policy, hiding in one colour, without delay."""
    plain = ["privacy.policy=privacy", "privacy.effect=solid", "effect.color=[1, 2, 3]"]
    return build_policy(load_settings(None, [*plain, "privacy.delay_frames=0", *overrides]))


def shown(policy: Any, result: FrameResult) -> Area:
    """(H, W) bool, the pixels of a frame that leave as they came; the policy must not delay."""
    (out,) = policy.push(result)
    assert out.frame.index == result.frame.index
    return exposed(out.frame.image)


def exposed(left: Image) -> Area:
    """(H, W) bool, where anything of a picture is left in what leaves."""
    hidden = (left == (1, 2, 3)).all(2) | (left == 40).all(2)
    return np.asarray(~hidden)


def away(x: float, y: float, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.float64]:
    """(height, width) px from x y."""
    v, u = np.mgrid[:height, :width]
    return np.asarray(np.hypot(u - x, v - y))


def box(x: float, y: float, half: float) -> Area:
    """(H, W) bool, a square about x y."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((abs(u - x) < half) & (abs(v - y) < half))
