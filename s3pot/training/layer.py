"""One occluder laid over one face: where, how large, in which light, how sharp."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from s3pot.training.cutout import Rgba
from s3pot.training.references import FacePhoto, relight


def skin_colour(photo: FacePhoto) -> NDArray[np.float32]:
    """(3,) mean RGB 0-1 of cheeks, nose and forehead."""
    spots = photo.landmarks[[50, 280, 205, 425, 4, 151, 9, 36, 266], :2]
    last = photo.image.shape[0] - 1
    xs, ys = np.clip(spots, 0, last).astype(int).T
    return (np.median(photo.image[ys, xs].astype(np.float32), 0) / 255).astype(np.float32)


def recolour(occluder: Rgba, tone: NDArray[np.float32]) -> Rgba:
    """Give skin another tone: scale each channel so that the mean becomes ``tone``."""
    solid = occluder[..., 3] > 0.5
    mean = occluder[solid][:, :3].mean(0) if solid.any() else tone
    rgb = np.clip(occluder[..., :3] * (tone / np.maximum(mean, 0.05)), 0, 1)
    return np.dstack([rgb, occluder[..., 3]])


class _Place(NamedTuple):
    """``anchor`` of the occluder (px of it) comes to lie on ``target`` (px of the crop)."""

    target: NDArray[np.float64]
    anchor: NDArray[np.float64]
    scale: float
    angle_radians: float


def _placement(
    kind: str, occluder: Rgba, points: NDArray[np.float32], rng: Generator
) -> NDArray[np.float64]:
    """(2, 3) affine, occluder px -> crop px."""
    height, width = occluder.shape[:2]
    flip = rng.random() < 0.5
    if kind in ("mask", "sunglasses", "glasses"):
        place = _worn(kind == "mask", height, width, points, rng)
    elif kind in ("hat", "hair"):
        place = _on_top(kind, height, width, points, rng)
    elif kind in ("hand", "drawn_hand"):
        place = _reaching(height, width, points, rng)
    else:
        place = _held(height, width, points, rng)
    cos = place.scale * np.cos(place.angle_radians)
    sin = place.scale * np.sin(place.angle_radians)
    # A surgical mask has an up and a down.
    mirror = np.diag([1.0, -1.0 if flip and kind not in ("mask", "hat", "hair") else 1.0])
    matrix = np.array([[cos, -sin], [sin, cos]]) @ mirror
    return np.column_stack([matrix, place.target - matrix @ place.anchor])


def _worn(
    mask: bool, height: int, width: int, points: NDArray[np.float32], rng: Generator
) -> _Place:
    """A surgical mask from cheek to cheek, or sunglasses from temple to temple."""
    left, right = (points[234], points[454]) if mask else (points[127], points[356])
    middle = (points[164] + points[17]) / 2 if mask else points[168]
    across = (right - left)[:2]
    scale = float(np.linalg.norm(across)) / width * rng.uniform(0.95, 1.15)
    angle = float(np.arctan2(across[1], across[0])) + rng.normal(0, 0.05)
    target = middle[:2] + rng.normal(0, 3, 2)
    anchor = np.array([width / 2, height * (0.35 if mask else 0.5)])
    return _Place(target, anchor, scale, angle)


def _on_top(
    kind: str, height: int, width: int, points: NDArray[np.float32], rng: Generator
) -> _Place:
    """A hat whose lower edge crosses the forehead, or strands that fall from above it."""
    left, right, top, chin = (points[i, :2] for i in (234, 454, 10, 152))
    across, down = right - left, chin - top
    if kind == "hat":
        target, anchor = top + down * rng.uniform(-0.1, 0.16), np.array([width / 2, height - 1.0])
        scale = float(np.linalg.norm(across)) / width * rng.uniform(1.0, 1.4)
    else:
        target = top + across * rng.normal(0, 0.3) - down * rng.uniform(0.05, 0.3)
        anchor = np.array([width / 2, 0.0])
        scale = float(np.linalg.norm(down)) / height * rng.uniform(0.5, 1.3)
    angle = float(np.arctan2(across[1], across[0])) + rng.normal(0, 0.08)
    return _Place(target.astype(np.float64), anchor, scale, angle)


def _reaching(height: int, width: int, points: NDArray[np.float32], rng: Generator) -> _Place:
    """A hand whose arm comes from below or the sides, seldom from above."""
    target = points[rng.integers(len(points)), :2] + rng.normal(0, 12, 2)
    scale = float(np.ptp(points[:, 1])) * rng.uniform(0.45, 1.25) / min(width, 1.6 * height)
    below, right, left, above = np.pi / 2, 0.0, np.pi, -np.pi / 2
    angle = rng.choice([below, below, right, left, above], p=[0.35, 0.2, 0.2, 0.2, 0.05])
    angle += rng.normal(0, 0.5)
    anchor = np.array([rng.uniform(0, 0.45) * width, rng.uniform(0.15, 0.85) * height])
    return _Place(target, anchor, scale, float(angle))


def _held(height: int, width: int, points: NDArray[np.float32], rng: Generator) -> _Place:
    """Anything else, anywhere on the face, more often upright than not."""
    target = points[rng.integers(len(points)), :2] + rng.normal(0, 12, 2)
    scale = float(np.ptp(points[:, 1])) * rng.uniform(0.25, 1.2) / max(height, width)
    angle = rng.normal(0, 0.6) if rng.random() < 0.6 else rng.uniform(-np.pi, np.pi)
    anchor = np.array([rng.uniform(0, 1) * width, rng.uniform(0.15, 0.85) * height])
    return _Place(target, anchor, scale, angle)


def _motion_blur(layer: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    length, angle = int(rng.integers(3, 22)), rng.uniform(0, np.pi)
    kernel = np.zeros((length | 1, length | 1), np.float32)
    middle, reach = (length | 1) // 2, np.array([np.cos(angle), np.sin(angle)]) * length / 2
    cv2.line(
        kernel, (middle - reach).astype(int).tolist(), (middle + reach).astype(int).tolist(), 1.0
    )
    return cv2.filter2D(layer, -1, kernel / kernel.sum())


def reshape(occluder: Rgba, rng: Generator) -> Rgba:
    """Another view of a cut-out: seen at a slant, bent a little; what was cut off stays at its edge."""
    height, width = occluder.shape[:2]
    box = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    moved = box + (rng.normal(0, 0.1, (4, 2)) * [width, height]).astype(np.float32)
    moved -= moved.min(0)
    size = tuple(int(x) for x in np.ceil(moved.max(0)).clip(8, 700))
    slant = cv2.getPerspectiveTransform(box, moved)
    flat = np.dstack([occluder[..., :3] * occluder[..., 3:], occluder[..., 3:]])
    flat = cv2.warpPerspective(flat, slant, size, flags=cv2.INTER_LINEAR)
    bow = rng.normal(0, 0.05 * min(size), (2, 3, 3)).astype(np.float32)
    ys, xs = np.mgrid[: size[1], : size[0]].astype(np.float32)
    dx, dy = (cv2.resize(b, size, interpolation=cv2.INTER_CUBIC) for b in bow)
    flat = cv2.remap(flat, xs + dx, ys + dy, cv2.INTER_LINEAR)
    alpha = flat[..., 3:]
    return np.dstack([flat[..., :3] / np.maximum(alpha, 1e-3), alpha]).clip(0, 1).astype(np.float32)


def skin_of(photo: FacePhoto, size: tuple[int, int], rng: Generator) -> NDArray[np.float32]:
    """(H, W, 3) float32 0-1: a stretch of real skin, a cheek or a forehead, enlarged and mirrored."""
    spot = photo.landmarks[int(rng.choice([50, 280, 205, 425, 151])), :2].astype(int)
    half = int(rng.integers(9, 16))
    x, y = np.clip(spot, half, np.array(photo.image.shape[1::-1]) - half - 1)
    patch = photo.image[y - half : y + half, x - half : x + half].astype(np.float32) / 255
    tile = np.block([[[patch], [patch[:, ::-1]]], [[patch[::-1]], [patch[::-1, ::-1]]]])
    zoom = float(rng.uniform(2, 5))
    large = cv2.resize(tile, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    times = [-(-n // m) for n, m in zip(size, large.shape[:2], strict=True)]
    return np.tile(large, (*times, 1))[: size[0], : size[1]].clip(0, 1).astype(np.float32)


def in_skin(occluder: Rgba, photo: FacePhoto, rng: Generator) -> Rgba:
    """A drawn hand whose surface is real skin; its own light and shade stay."""
    height, width = occluder.shape[:2]
    skin, body = skin_of(photo, (height, width), rng), occluder[..., :3].mean(-1)
    usual = float(np.median(body[occluder[..., 3] > 0.5]))
    shade = (body / max(usual, 0.05))[..., None]
    return np.dstack([np.clip(skin * shade, 0, 1), occluder[..., 3]]).astype(np.float32)


def put_in_front(
    image: NDArray[np.float32], kind: str, occluder: Rgba, photo: FacePhoto,
    *, tone: NDArray[np.float32], rng: Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:  # fmt: skip
    """Composite one occluder with its light, shadow and blur.

    Returns:
        (S, S, 3) float32 0-1 picture and (S, S) float32 alpha. The shadow it casts is not alpha.
    """
    size = image.shape[0]
    if kind in ("hand", "drawn_hand") and rng.random() < 0.9:
        change = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.04, 3))
        occluder = recolour(occluder, np.clip(tone * change, 0.03, 1).astype(np.float32))
    if kind in ("hand", "object", "scarf", "found") and rng.random() < 0.6:
        occluder = reshape(occluder, rng)
    layer = occluder.copy()
    if kind not in ("glasses", "hair") and rng.random() < 0.5:
        layer[..., 3] = cv2.erode(layer[..., 3], np.ones((3, 3), np.uint8))
    layer[..., :3] = relight(layer[..., :3], rng.uniform(0, 0.8), rng) * layer[..., 3:]
    matrix = _placement(kind, occluder, photo.landmarks, rng)
    layer = cv2.warpAffine(layer, matrix, (size, size), flags=cv2.INTER_AREA)
    if rng.random() < 0.25:
        layer = _motion_blur(layer, rng)
    if rng.random() < 0.5:
        layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.3, 1.5))
    alpha = layer[..., 3]
    if rng.random() < 0.6:
        shift = np.array([[1, 0, rng.normal(0, 6)], [0, 1, rng.normal(3, 6)]], np.float32)
        shade = cv2.GaussianBlur(
            cv2.warpAffine(alpha, shift, (size, size)), (0, 0), rng.uniform(2, 12)
        )
        image = image * (1 - rng.uniform(0.1, 0.6) * shade)[..., None]
    return image * (1 - alpha[..., None]) + layer[..., :3], alpha
