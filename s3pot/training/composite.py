"""Training samples: a face, something put in front of it as a camera would see it, a reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from s3pot.training.occluders import Occluders, Rgba
from s3pot.training.references import FacePhoto, bend, open_mouth, relight, simulate_reference


class Sample(NamedTuple):
    """Attributes:
    raw, reference: (S, S, 3) uint8 RGB.
    known: (S, S) uint8, 255 = fully known.
    target: (S, S) uint8, the occluder's alpha times 255.
    clean: (S, S, 3) uint8 RGB, the same face in the same light with nothing in front.
    region: (S, S) bool, the true amodal face.
    """

    raw: NDArray[np.uint8]
    reference: NDArray[np.uint8]
    known: NDArray[np.uint8]
    target: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    region: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Faces:
    """Photographs to train on, roughly aligned, and who is in them.

    Attributes:
        images: (N, H, H, 3) uint8 RGB (may be memory-mapped).
        landmarks: (N, 468, 3) float32 px.
        siblings: for each photograph the indices of the others of the same person.
        triangles: (T, 3) int16 of the mesh.
    """

    images: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    siblings: list[list[int]]
    triangles: NDArray[np.int16]

    def photo(self, index: int) -> FacePhoto:
        """One photograph."""
        return FacePhoto(np.asarray(self.images[index]), np.asarray(self.landmarks[index]))


def jitter(photo: FacePhoto, size: int, rng: Generator) -> FacePhoto:
    """Cut a size x size square with the alignment error of a tracker."""
    height = photo.image.shape[0]
    turn, scale = rng.normal(0, 0.07), np.exp(rng.normal(0, 0.06))
    matrix = cv2.getRotationMatrix2D(((height - 1) / 2,) * 2, np.degrees(turn), scale)
    matrix[:, 2] += (size - height) / 2 + rng.normal(0, 4, 2)
    image = cv2.warpAffine(photo.image, matrix, (size, size))
    landmarks = photo.landmarks * np.array([1, 1, scale], np.float32)
    landmarks[:, :2] = photo.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    return FacePhoto(image, landmarks.astype(np.float32))


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
    if kind in ("mask", "sunglasses"):
        place = _worn(kind == "mask", height, width, points, rng)
    elif kind in ("hand", "drawn_hand"):
        place = _reaching(height, width, points, rng)
    else:
        place = _held(height, width, points, rng)
    cos = place.scale * np.cos(place.angle_radians)
    sin = place.scale * np.sin(place.angle_radians)
    # A surgical mask has an up and a down.
    mirror = np.diag([1.0, -1.0 if flip and kind != "mask" else 1.0])
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
    layer = occluder.copy()
    if rng.random() < 0.5:
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


def _camera(image: NDArray[np.float32], detail: float, rng: Generator) -> NDArray[np.uint8]:
    """Sensor and codec: lost detail, blur, noise, compression."""
    size = image.shape[0]
    if detail < 1:
        small = (max(24, int(size * detail)),) * 2
        image = cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (size, size))
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.6))
    if rng.random() < 0.4:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = image + noise * np.float32(rng.uniform(0.005, 0.04))
    pixels = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(25, 95))
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return pixels


def _stray_shadow(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """A soft shadow or glare on the face with nothing in front: it is face."""
    coarse = cv2.resize(rng.standard_normal((4, 4)).astype(np.float32), image.shape[1::-1])
    edge = np.clip(coarse * rng.uniform(2, 8) + 0.5, 0, 1)[..., None]
    return np.clip(image * (1 + edge * rng.uniform(-0.55, 0.3)), 0, 1)


def compose(faces: Faces, occluders: Occluders, index: int, size: int, rng: Generator) -> Sample:
    """One training sample around photograph ``index``; all randomness comes from ``rng``."""
    photo = jitter(faces.photo(index), size, rng)
    tone = skin_colour(photo)
    image = relight(photo.image.astype(np.float32) / 255, abs(rng.normal(0, 0.4)), rng)
    if rng.random() < 0.12:
        image = _stray_shadow(image, rng)
    clean, target = (image * 255).astype(np.uint8), np.zeros((size, size), np.float32)
    for _ in range(rng.choice([0, 1, 2], p=[0.16, 0.72, 0.12])):
        kind, occluder = occluders.pick(rng)
        if rng.random() < 0.4:
            tone = skin_colour(faces.photo(int(rng.integers(len(faces.images)))))
        image, alpha = put_in_front(image, kind, occluder, photo, tone=tone, rng=rng)
        target = np.asarray(1 - (1 - target) * (1 - alpha), np.float32)
    reference, known = _reference(faces, index, photo, target, rng)
    detail = rng.uniform(0.35, 1) if rng.random() < 0.35 else 1.0
    hull = cv2.convexHull(photo.landmarks[:, :2].astype(np.float32)).astype(np.int32)
    region = cv2.fillConvexPoly(np.zeros((size, size), np.uint8), hull, 1).astype(bool)
    flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
    parts = (
        _camera(image, detail, rng), _camera(reference, detail if rng.random() < 0.7 else 1.0, rng),
        (known * 255).astype(np.uint8), (target * 255 + 0.5).astype(np.uint8), clean, region,
    )  # fmt: skip
    return Sample(*(np.ascontiguousarray(part[:, flip]) for part in parts))


def _reference(
    faces: Faces, index: int, photo: FacePhoto, target: NDArray[np.float32], rng: Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What is remembered of a face; ``photo`` is it as jittered, ``target`` what now hides it."""
    size = photo.image.shape[0]
    if rng.random() < 0.2:
        return np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    own, siblings = faces.photo(index), faces.siblings[index]
    if siblings and rng.random() < 0.35:
        own = faces.photo(siblings[rng.integers(len(siblings))])
    other = faces.photo(int(rng.integers(len(faces.images))))
    seen = bend(photo.landmarks, abs(rng.normal(0, 1.0)), rng)
    if target.any():  # under an occluder the mesh guesses
        slip = bend(photo.landmarks, abs(rng.normal(0, 2.2)), rng) - photo.landmarks
        last = size - 1
        xs, ys = np.clip(photo.landmarks[:, :2], 0, last).astype(int).T
        seen = seen + slip * cv2.GaussianBlur(target, (0, 0), 4)[ys, xs, None]
    if rng.random() < 0.3:
        seen = open_mouth(seen, rng.normal(0, 4))
    return simulate_reference(
        own, other, seen.astype(np.float32), triangles=faces.triangles, size=size, rng=rng
    )
