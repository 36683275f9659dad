"""References as the product meets them: re-posed, relit, smeared, half unknown, generated, none.

The trials found that what a network needs to see in training is the *real* mesh warp with real
landmark error; nothing else closed the gap between composites and real hands as this did.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from s3pot.repose import mesh_map, sample

LIPS = np.array([61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91])
RIGHT_EYE = np.array([33, 160, 158, 133, 153, 144])
LEFT_EYE = np.array([362, 385, 387, 263, 373, 380])
JAW = np.array([17, 18, 200, 199, 175, 152, 148, 377, 14, 84, 314, 181, 405, 83, 313])


@dataclass(frozen=True, slots=True)
class FacePhoto:
    """Attributes:
    image: (H, W, 3) uint8 RGB, roughly aligned, with some margin.
    landmarks: (468, 3) float32 px.
    labels: (H, W) uint8, CelebAMask-HQ's 19 classes, 255 where nobody has said; None: nowhere.
    agreed: (H, W) uint8, what was found in front of the face, see :mod:`s3pot.training.agree`;
        None: nobody has looked.
    """

    image: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    labels: NDArray[np.uint8] | None = None
    agreed: NDArray[np.uint8] | None = None


def bend(
    points: NDArray[np.float32], amplitude_px: float, rng: Generator, centers: int = 4
) -> NDArray[np.float32]:
    """Landmark error as a mesh makes it: smooth bumps and a small slip of the whole."""
    moved = points.copy()
    for _ in range(centers):
        center = points[rng.integers(len(points)), :2]
        reach = rng.uniform(12, 45)
        near = np.exp(-((points[:, :2] - center) ** 2).sum(1) / (2 * reach**2))[:, None]
        moved[:, :2] += near * rng.normal(0, amplitude_px, 2)
    moved[:, :2] += rng.normal(0, amplitude_px * 0.4, 2)
    return moved


def open_mouth(points: NDArray[np.float32], drop_px: float) -> NDArray[np.float32]:
    """Drop the jaw by about ``drop_px``."""
    center = points[JAW, :2].mean(0)
    near = np.exp(-((points[:, :2] - center) ** 2).sum(1) / (2 * 18**2))
    moved = points.copy()
    moved[:, 1] += drop_px * near * (points[:, 1] > points[13, 1] - 1)
    return moved


def turn(points: NDArray[np.float32], yaw: float, pitch: float) -> NDArray[np.float32]:
    """The mesh turned about its centre; angles in radians."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    matrix = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array(
        [[1, 0, 0], [0, cp, -sp], [0, sp, cp]]
    )
    center = points.mean(0)
    return ((points - center) @ matrix.T + center).astype(np.float32)


def relight(image: NDArray[np.float32], strength: float, rng: Generator) -> NDArray[np.float32]:
    """Gain, tint, gamma and a slanting light; (H, W, 3) float32 0-1 in and out."""
    height, width = image.shape[:2]
    gain = np.exp(rng.normal(0, 0.25 * strength) + rng.normal(0, 0.06 * strength, 3))
    corners = np.exp(rng.normal(0, 0.25 * strength, (2, 2))).astype(np.float32)
    field = cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR)
    lit = np.clip(image * (gain.astype(np.float32) * field[..., None]), 0, 1)
    return lit ** np.float32(np.exp(rng.normal(0, 0.2 * strength)))


def _blob(size: int, rng: Generator) -> NDArray[np.bool_]:
    coarse = rng.standard_normal((5, 5)).astype(np.float32)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) > rng.uniform(0.2, 1.3)


def _patch(points: NDArray[np.float32], which: NDArray[np.int_], size: int) -> NDArray[np.float32]:
    """Soft mask over some landmarks' hull, (size, size, 1) float32."""
    canvas = np.zeros((size, size), np.uint8)
    hull = cv2.convexHull(points[which, :2].astype(np.float32)).astype(np.int32)
    cv2.fillConvexPoly(canvas, hull, 255)
    canvas = cv2.dilate(canvas, np.ones((9, 9), np.uint8))
    return cv2.GaussianBlur(canvas, (0, 0), 3).astype(np.float32)[..., None] / 255


def simulate_reference(
    own: FacePhoto,
    other: FacePhoto,
    seen: NDArray[np.float32],
    *,
    triangles: NDArray[np.int16],
    size: int,
    rng: Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One reference for a raw crop.

    Args:
        own: a photograph of the same person: the raw one itself or another.
        other: another person, whose mouth or eyes may stand for another expression.
        seen: (468, 3) landmarks of the raw crop as the tracker sees them, error included.
        triangles: (T, 3) of the mesh.
        size: S, side of the crop in px.
        rng: gives all randomness.

    Returns:
        (S, S, 3) float32 0-1 reference, (S, S) float32 0-1 known.
    """
    source, landmarks = own.image, bend(own.landmarks, abs(rng.normal(0, 1.0)), rng)
    doubt = np.ones((size, size), np.float32)
    if rng.random() < 0.3:  # remembered in another pose: a hidden cheek is smeared or missing
        pose = turn(seen, rng.normal(0, 0.3), rng.normal(0, 0.15))
        maps, facing = mesh_map(pose, landmarks, triangles, size)
        source, landmarks = sample(source, maps), pose
        back, _ = mesh_map(seen, pose, triangles, size)
        sure: NDArray[np.float32] = np.clip((facing - 0.15) / 0.3, 0, 1)
        doubt = sample(sure, back)
    maps, facing = mesh_map(seen, landmarks, triangles, size)
    image = sample(source, maps).astype(np.float32) / 255
    known = np.clip((facing - 0.1) / 0.25, 0, 1) * doubt
    for parts in (LIPS, RIGHT_EYE, LEFT_EYE):
        if rng.random() < 0.15:
            theirs, _ = mesh_map(seen, other.landmarks, triangles, size)
            swap = sample(other.image, theirs).astype(np.float32) / 255
            mask = _patch(seen, parts, size)
            mask *= known[..., None] > 0
            shift = ((image - swap) * mask).sum((0, 1)) / max(float(mask.sum()), 1.0)
            image = image * (1 - mask) + np.clip(swap + shift, 0, 1) * mask
    return _degrade(image, known, rng)


def _degrade(
    image: NDArray[np.float32], known: NDArray[np.float32], rng: Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Averaging blur, other light, holes in memory, or a generator's smooth invention."""
    size = image.shape[0]
    if rng.random() < 0.85:
        image = relight(image, abs(rng.normal(0, 0.6)), rng)
    if rng.random() < 0.15:  # as a generator makes it: smooth, a little wrong, little trusted
        small = cv2.resize(image, (int(rng.integers(20, 64)),) * 2, interpolation=cv2.INTER_AREA)
        image = cv2.resize(small, (size, size), interpolation=cv2.INTER_CUBIC)
        image += cv2.resize(rng.normal(0, 0.03, (6, 6, 3)).astype(np.float32), (size, size))
        known = known * np.where(_blob(size, rng), 1.0, 0.4) if rng.random() < 0.5 else known * 0.4
    elif rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 2.0))
    if rng.random() < 0.3:
        known = np.where(_blob(size, rng), 0, known)
    known = known.astype(np.float32)
    return np.clip(image, 0, 1) * (known > 0)[..., None], known
