"""Beards drawn on faces that have none, in any colour: a beard is face, however the reference looks.

A generator paints smooth skin, and photographs of grey beards are few: without these, what the
reference lacks was taken for something in front.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from s3pot.training.references import LIPS, FacePhoto

Field = NDArray[np.float32]

NOSE, CHIN, RIGHT, LEFT = 2, 152, 234, 454
"""Landmarks that span the beard's own axes: x from ear to ear, -1 to 1, y from nose to chin, 0 to 1."""

STYLES = ("full", "goatee", "moustache", "stubble")


def _axes(photo: FacePhoto) -> tuple[Field, Field]:
    """(H, W) x and y of each pixel in the beard's axes."""
    nose, chin, right, left = (
        photo.landmarks[i, :2].astype(np.float64) for i in (NOSE, CHIN, RIGHT, LEFT)
    )
    basis = np.column_stack([(left - right) / 2, chin - nose])
    inverse = np.linalg.inv(basis + np.eye(2) * 1e-6)
    height, width = photo.image.shape[:2]
    ys, xs = np.mgrid[:height, :width]
    away = np.stack([xs - nose[0], ys - nose[1]], -1) @ inverse.T
    return away[..., 0].astype(np.float32), away[..., 1].astype(np.float32)


def _where(style: str, x: Field, y: Field, rng: Generator) -> Field:
    """(H, W) about 0-1: where hair of a style grows; its edges are ragged later."""
    far = np.abs(x)
    cheek = np.interp(far, [0, 0.3, 0.55, 0.8, 1.0], [0.12, 0.14, 0.42, 0.1, -0.6])
    cheek = cheek + rng.normal(0, 0.08)
    inside = np.minimum((y - cheek) * 6, (1.12 - y) * 8)
    inside = np.minimum(inside, (1.0 - far) * 12)
    if style == "goatee":
        inside = np.minimum(inside, (rng.uniform(0.3, 0.45) - far) * 14)
    if style == "moustache":
        inside = np.minimum(inside, np.minimum((0.36 - y) * 16, (0.42 - far) * 14))
    return np.clip(inside + 0.5, 0, 1).astype(np.float32)


def _strands(shape: tuple[int, ...], rng: Generator) -> Field:
    """(H, W) noise drawn out along one slant, about -1 to 1."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    length, slant = int(rng.integers(3, 11)) | 1, rng.normal(np.pi / 2, 0.4)
    kernel = np.zeros((length, length), np.float32)
    reach = np.array([np.cos(slant), np.sin(slant)]) * length / 2
    middle = length // 2
    start, end = (middle - reach).astype(int).tolist(), (middle + reach).astype(int).tolist()
    cv2.line(kernel, start, end, 1.0)
    drawn = cv2.filter2D(noise, -1, kernel / kernel.sum()) + 0.3 * noise
    return np.asarray(drawn / max(float(drawn.std()), 1e-6) / 2, np.float32)


def hair_colour(rng: Generator) -> Field:
    """(3,) RGB 0-1: white, grey, black, brown or red."""
    if rng.random() < 0.55:  # grey ones are what photographs lack
        return np.asarray(rng.uniform(0.3, 0.95) * np.exp(rng.normal(0, 0.03, 3)), np.float32)
    brown = np.array([0.55, 0.4, 0.28]) * rng.uniform(0.1, 1.0)
    return np.asarray(brown * np.exp(rng.normal(0, 0.06, 3)), np.float32)


def grow(photo: FacePhoto, rng: Generator) -> FacePhoto:
    """The same face with a beard; all randomness comes from ``rng``."""
    style = STYLES[rng.integers(len(STYLES))]
    x, y = _axes(photo)
    strands = _strands(x.shape, rng)
    alpha = _where(style, x, y, rng)
    alpha = np.clip(alpha * 1.6 - 0.3 + 0.5 * strands * (alpha > 0.02), 0, 1)
    lips = np.zeros_like(alpha)
    cv2.fillConvexPoly(lips, cv2.convexHull(photo.landmarks[LIPS, :2]).astype(np.int32), 1.0)
    alpha = alpha * (1 - cv2.GaussianBlur(lips, (0, 0), 1.2))
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.8) * rng.uniform(0.65, 1.0)
    if style == "stubble":
        alpha = alpha * rng.uniform(0.2, 0.5)
    skin = photo.image.astype(np.float32) / 255
    shade = cv2.GaussianBlur(skin.mean(-1), (0, 0), 6)
    usual = float(np.median(shade[alpha > 0.2])) if (alpha > 0.2).any() else 0.5
    shade = np.clip(shade / max(usual, 0.05), 0.4, 1.6)
    hair = hair_colour(rng) * (shade * (1 + rng.uniform(0.1, 0.4) * strands))[..., None]
    mixed = skin * (1 - alpha[..., None]) + np.clip(hair, 0, 1) * alpha[..., None]
    return replace(photo, image=(np.clip(mixed, 0, 1) * 255).astype(np.uint8))
