"""Occluders drawn at random, so that nothing depends on a few hundred cut-outs."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from s3pot.training.cutout import Rgba


def _noise(rng: Generator, shape: tuple[int, int], cells: int) -> NDArray[np.float32]:
    """(H, W) float32 smooth noise, mean 0, about +-1, with ``cells`` cells a side."""
    grid = rng.standard_normal((max(2, cells), max(2, cells))).astype(np.float32)
    return cv2.resize(grid, shape[::-1], interpolation=cv2.INTER_CUBIC)


def texture(rng: Generator, shape: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W, 3) float32 0-1: a plain, spotted, striped or grainy surface of any colour."""
    first, second = rng.random((2, 3), dtype=np.float32)
    blend = 0.5 + 0.5 * _noise(rng, shape, int(rng.integers(2, 12)))
    if rng.random() < 0.3:
        ys, xs = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
        turn = rng.random() * np.pi
        wave = (xs * np.cos(turn) + ys * np.sin(turn)) / rng.uniform(4, 30)
        blend = (np.sin(wave) > 0).astype(np.float32)
    blend = np.clip(blend, 0, 1)[..., None] * rng.uniform(0, 1)
    colour = first * (1 - blend) + second * blend
    grain = rng.standard_normal(shape).astype(np.float32)[..., None] * rng.uniform(0, 0.05)
    return np.clip(colour + grain, 0, 1).astype(np.float32)


def _shaded(rng: Generator, alpha: NDArray[np.uint8], colour: NDArray[np.float32]) -> Rgba:
    """Give a flat shape a body: darker towards its edge and away from a light."""
    depth = cv2.distanceTransform((alpha > 127).astype(np.uint8), cv2.DIST_L2, 3)
    round_px = rng.uniform(4, 30)
    body = 1 - rng.uniform(0.1, 0.6) * np.exp(-depth / round_px)
    slope = cv2.GaussianBlur(depth, (0, 0), 2)
    light = cv2.Sobel(slope, cv2.CV_32F, 1, 0) * rng.normal(0, 0.06)
    light += cv2.Sobel(slope, cv2.CV_32F, 0, 1) * rng.normal(0, 0.06)
    rgb = np.clip(colour * np.clip(body + light, 0.2, 1.5)[..., None], 0, 1)
    return np.dstack([rgb, alpha.astype(np.float32) / 255]).astype(np.float32)


def draw_shape(rng: Generator) -> Rgba:
    """A blob, a bar, a polygon or a ball with any texture: nothing depends on the cut-outs."""
    size = 192
    alpha = np.zeros((size, size), np.uint8)
    kind = rng.choice(["blob", "bar", "polygon", "ball"], p=[0.3, 0.3, 0.2, 0.2])
    if kind == "bar":
        a, b = rng.uniform(0, size, (2, 2)).astype(int)
        cv2.line(alpha, a.tolist(), b.tolist(), 255, int(rng.integers(3, 60)), cv2.LINE_AA)
    elif kind == "ball":
        axes = rng.uniform(20, 90, 2).astype(int).tolist()
        cv2.ellipse(alpha, (96, 96), axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
    else:
        count = int(rng.integers(3, 9))
        angles = np.sort(rng.uniform(0, 2 * np.pi, count))
        radii = rng.uniform(25, 95, count)
        points = np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None] + 96
        cv2.fillPoly(alpha, [points.astype(np.int32)], 255, cv2.LINE_AA)
        if kind == "blob":
            soft = cv2.GaussianBlur(alpha, (0, 0), 9).astype(np.float32)
            alpha = (np.clip((soft - 127) / 20 + 0.5, 0, 1) * 255).astype(np.uint8)
    return _shaded(rng, alpha, texture(rng, (size, size)))


def draw_hand(rng: Generator) -> Rgba:
    """Palm, fingers and forearm as capsules, entering from the right; skin comes from the face."""
    alpha = np.zeros((200, 400), np.uint8)
    palm = np.array([150.0, 100.0])
    cv2.ellipse(
        alpha, (150, 100), (int(rng.uniform(34, 48)), int(rng.uniform(34, 50))), 0, 0, 360, 255, -1
    )
    cv2.line(alpha, (150, 100), (420, int(rng.uniform(70, 130))), 255, int(rng.uniform(44, 70)))
    spread, curl = rng.uniform(0.02, 0.32), rng.uniform(0.35, 1.0)
    for finger in range(4):
        angle = np.pi + (finger - 1.5) * spread + rng.normal(0, 0.05)
        base = palm + [-24, (finger - 1.5) * -20]
        length = (92 - 9 * abs(finger - 1.3)) * curl * rng.uniform(0.85, 1.1)
        tip = base + [np.cos(angle) * length, -np.sin(angle) * length]
        cv2.line(
            alpha,
            base.astype(int).tolist(),
            tip.astype(int).tolist(),
            255,
            int(rng.uniform(14, 21)),
            cv2.LINE_AA,
        )
    if rng.random() < 0.7:
        tip = palm + [rng.uniform(-60, 10), rng.uniform(60, 85)]
        cv2.line(
            alpha, (155, 120), tip.astype(int).tolist(), 255, int(rng.uniform(17, 24)), cv2.LINE_AA
        )
    if rng.random() < 0.5:
        alpha = np.ascontiguousarray(alpha[::-1])
    skin = np.full((200, 400, 3), (0.78, 0.58, 0.48), np.float32)
    skin += _noise(rng, (200, 400), 14)[..., None] * 0.04
    return _shaded(rng, alpha, skin)


def draw_hat(rng: Generator) -> Rgba:
    """A cap, a beanie or a hood, seen from the front; its lower edge is the picture's."""
    shape = (140, 240)
    alpha = np.zeros(shape, np.uint8)
    dome = int(rng.uniform(80, 118))
    cv2.ellipse(alpha, (120, 130), (dome, int(rng.uniform(80, 128))), 0, 180, 360, 255, -1)
    rgba = _shaded(rng, alpha, texture(rng, shape))
    if rng.random() < 0.6:  # a brim, or a turned-up rim, of its own shade
        rim = np.zeros_like(alpha)
        reach, sag = int(dome * rng.uniform(0.95, 1.1)), int(rng.uniform(8, 30))
        cv2.ellipse(rim, (120, 118), (reach, sag), 0, 0, 360, 255, -1, cv2.LINE_AA)
        part = _shaded(rng, rim, texture(rng, shape) * np.float32(rng.uniform(0.4, 1)))
        over = part[..., 3:]
        rgba[..., :3] = rgba[..., :3] * (1 - over) + part[..., :3] * over
        rgba[..., 3] = np.maximum(rgba[..., 3], part[..., 3])
    return rgba


def draw_hair(rng: Generator) -> Rgba:
    """Strands that fall over a face from above, in a hair colour."""
    size, alpha = 220, np.zeros((220, 220), np.uint8)
    colour = np.array([0.75, 0.6, 0.42], np.float32) * rng.uniform(0.05, 1.1)
    colour = np.clip(colour * np.exp(rng.normal(0, 0.12, 3)), 0, 1)
    root, lean = rng.uniform(40, 180), rng.normal(0, 60)
    shade = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(4, 60))):
        start = root + rng.normal(0, 22)
        t = np.linspace(0, 1, 16) * rng.uniform(0.4, 1)
        bow = rng.normal(0, 14)
        xs = start + lean * t + bow * np.sin(np.pi * t) + rng.normal(0, 6) * t
        line = np.stack([xs, t * size], 1).astype(np.int32)
        width = int(rng.integers(1, 4))
        cv2.polylines(alpha, [line], False, 255, width, cv2.LINE_AA)
        cv2.polylines(shade, [line], False, float(rng.uniform(0.5, 1.3)), width, cv2.LINE_AA)
    tone = np.where(shade > 0, shade, 1)[..., None]
    rgb = np.clip(colour * tone, 0, 1)
    soft = cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.4, 1.2)).astype(np.float32) / 255
    return np.dstack([rgb, soft * rng.uniform(0.6, 1)]).astype(np.float32)


DRAWN: dict[str, Callable[[Generator], Rgba]] = {
    "drawn": draw_shape, "drawn_hand": draw_hand, "hat": draw_hat, "hair": draw_hair,
}  # fmt: skip
"""What draws each kind that needs no files."""
