"""Drawn things that can stand in front of a face: shaded, textured, with an exact outline.

Each is drawn from signed distances (after I. Quilez, "2D distance functions"): the outline is exact
to a fraction of a pixel, and the distance to it gives the height that is lit. None of them is in
any training set, so a mask measured on them is measured on something new.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""(S, S) float32. As a distance: px, negative inside."""

LIGHT = np.array([-0.45, -0.6, 0.66], np.float32)
SKINS = ((226, 182, 154), (200, 148, 120), (146, 102, 78), (94, 64, 50))


def grid(size: int) -> tuple[Field, Field]:
    """X and y of every pixel centre; the canvas spans -1 to 1."""
    axis = ((np.arange(size, dtype=np.float32) + 0.5) / size) * 2 - 1
    x, y = np.meshgrid(axis, axis)
    return x, y


def capsule(
    x: Field, y: Field, start: tuple[float, float], stop: tuple[float, float],
    radii: tuple[float, float],
) -> Field:  # fmt: skip
    """Distance to a rounded stick whose radius goes from the first to the second of ``radii``."""
    ax, ay = start
    bx, by = stop[0] - ax, stop[1] - ay
    along = np.clip(((x - ax) * bx + (y - ay) * by) / (bx * bx + by * by), 0, 1)
    radius = radii[0] + along * (radii[1] - radii[0])
    return np.asarray(np.hypot(x - ax - along * bx, y - ay - along * by) - radius, np.float32)


def rounded_box(x: Field, y: Field, half: tuple[float, float], radius: float) -> Field:
    """Distance to a box of half sides ``half`` around 0 with round corners."""
    dx, dy = np.abs(x) - half[0] + radius, np.abs(y) - half[1] + radius
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return np.asarray(outside + np.minimum(np.maximum(dx, dy), 0) - radius, np.float32)


def melt(a: Field, b: Field, width: float) -> Field:
    """Union of two distances with a rounded joint (polynomial smooth minimum)."""
    h = np.maximum(width - np.abs(a - b), 0) / width
    return np.asarray(np.minimum(a, b) - h * h * width / 4, np.float32)


def noise(size: int, cells: int, rng: np.random.Generator) -> Field:
    """Smooth noise, about -1 to 1, with ``cells`` bumps a side."""
    coarse = rng.uniform(-1, 1, (cells + 1, cells + 1)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)


def dome(distance: Field, width: float) -> Field:
    """Height of a body that is round to a depth of ``width`` and flat inside."""
    depth = np.clip(-distance / width, 0, 1)
    return np.asarray(width * np.sqrt(1 - (1 - depth) ** 2), np.float32)


def lit(height: Field, size: int, gloss: float = 0.0) -> tuple[Field, Field]:
    """Diffuse light 0-1 and highlight 0-1 on a height given in canvas units."""
    soft = cv2.GaussianBlur(height, (0, 0), size / 250 + 0.3)
    dx = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3) * (size / 16)
    dy = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3) * (size / 16)
    length = np.sqrt(dx * dx + dy * dy + 1)
    toward = (-dx * LIGHT[0] - dy * LIGHT[1] + LIGHT[2]) / length
    half = LIGHT + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    mirror = (-dx * half[0] - dy * half[1] + half[2]) / length
    return np.clip(toward, 0, 1), gloss * np.clip(mirror, 0, 1) ** 24


def paint(color: NDArray[np.float32], light: Field, shine: Field) -> NDArray[np.float32]:
    """(S, S, 3) float32 0-255: a colour (3,) or (S, S, 3) under a light, with a warm shadow side."""
    shade = 0.38 + 0.78 * light[..., None] * np.array([1.0, 0.99, 0.97], np.float32)
    return np.asarray(color * shade + 255 * shine[..., None], np.float32)


def finish(color: NDArray[np.float32], distance: Field, size: int) -> NDArray[np.uint8]:
    """RGBA whose alpha is the share of each pixel that lies inside ``distance`` (canvas units)."""
    alpha = np.clip(0.5 - distance * (size / 2), 0, 1)
    return np.dstack([np.clip(color, 0, 255), alpha * 255]).round().astype(np.uint8)


def hand(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A hand seen from its back, fingers up, with a wrist that leaves the canvas below."""
    x, y = grid(size)
    skin = np.array(SKINS[rng.integers(len(SKINS))], np.float32)
    skin = skin + rng.uniform(-12, 12)
    palm = melt(
        rounded_box(x - 0.02, y - 0.32, (0.33, 0.34), 0.2),
        capsule(x, y, (0.02, 0.5), (0.04, 1.5), (0.27, 0.25)), 0.16,
    )  # fmt: skip
    distance, height = palm, dome(palm, 0.22) * 0.8
    base = skin + 7 * noise(size, 9, rng)[..., None] + 4 * noise(size, 60, rng)[..., None]
    spread = rng.uniform(0.7, 1.25)
    roots = ((-0.24, 0.08), (-0.07, 0.01), (0.11, 0.02), (0.27, 0.12))
    lengths, radii = (0.70, 0.80, 0.74, 0.56), (0.106, 0.11, 0.106, 0.088)
    parts = [
        (root, spread * (-0.26 + 0.17 * i) + rng.normal(0, 0.03), length, radius)
        for i, (root, length, radius) in enumerate(zip(roots, lengths, radii, strict=True))
    ]
    parts.append(((-0.22, 0.5), -0.95 + rng.normal(0, 0.08), 0.58, 0.115))
    for root, angle, length, radius in parts:
        tip = (root[0] + length * np.sin(angle), root[1] - length * np.cos(angle))
        finger = capsule(x, y, root, tip, (radius * 1.08, radius * 0.82))
        # The gap between two fingers is a soft dark line.
        crease = np.exp(-((finger / 0.022) ** 2)) * np.clip((palm + 0.05) / 0.05, 0, 1)
        base = base * (1 - 0.34 * (crease * (distance < 0.01))[..., None])
        distance = melt(distance, finger, 0.05)
        height = np.maximum(height, dome(finger, radius) * 1.1)
        along, across = finger_axes(x, y, root, tip)
        base = nail(knuckles(base, along, across, length, radius), along, across, radius)
    light, shine = lit(height + 0.004 * noise(size, 40, rng), size, gloss=0.07)
    # Skin lets light through: the terminator is red, not grey.
    color = paint(base, light, shine)
    color += np.array([10, -2, -4], np.float32) * (4 * light * (1 - light))[..., None]
    return finish(color, distance, size)


def finger_axes(
    x: Field, y: Field, root: tuple[float, float], tip: tuple[float, float]
) -> tuple[Field, Field]:
    """Coordinates along a finger, 0 at its tip and negative toward the root, and across it."""
    dx, dy = tip[0] - root[0], tip[1] - root[1]
    length = float(np.hypot(dx, dy))
    u, v = x - tip[0], y - tip[1]
    return (u * dx + v * dy) / length, (u * dy - v * dx) / length


def knuckles(
    base: NDArray[np.float32], along: Field, across: Field, length: float, radius: float
) -> NDArray[np.float32]:
    """Fine dark folds across both joints of a finger."""
    for spot in (-0.60, -0.30):
        for fold in (-0.022, 0.0, 0.024):
            bow = along - spot * length - fold - 0.6 * (across**2) / radius
            near = np.exp(-((bow / 0.007) ** 2) - (across / (0.6 * radius)) ** 2)
            base = base * (1 - 0.16 * near[..., None])
    return base


def nail(
    base: NDArray[np.float32], along: Field, across: Field, radius: float
) -> NDArray[np.float32]:
    """A finger nail near the tip: a pale rounded plate with a paler edge."""
    plate = rounded_box(across, along - 0.012, (0.52 * radius, 0.66 * radius), 0.4 * radius)
    inside = np.clip(-plate / 0.012, 0, 1)[..., None]
    edge = np.exp(-((plate / 0.008) ** 2))[..., None]
    pale = base * 0.55 + np.array([236, 190, 180], np.float32) * 0.45
    pale = pale + 26 * np.clip((along - 0.03) / 0.05, 0, 1)[..., None]
    return np.asarray((base * (1 - inside) + pale * inside) * (1 - 0.25 * edge), np.float32)


def cup(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A mug with a handle, its opening, a band and a glaze."""
    x, y = grid(size)
    glaze = np.array(rng.choice([(206, 74, 52), (58, 98, 150), (236, 228, 210), (60, 110, 84)]))
    body = rounded_box(x + 0.12, y - 0.08, (0.56, 0.72), 0.13)
    ring = np.abs(np.hypot((x - 0.50) / 0.9, y - 0.10) - 0.30) * 0.95 - 0.075
    rim = (np.hypot((x + 0.12) / 0.56, (y + 0.62) / 0.13) - 1) * 0.13
    wall = np.minimum(body, rim)
    across = np.clip((x + 0.12) / 0.56, -0.999, 0.999)
    round_body = 0.56 * np.sqrt(1 - across**2)
    is_body = wall < 0
    base = np.broadcast_to(glaze.astype(np.float32), (size, size, 3)).copy()
    curve = y - 0.13 * np.sqrt(1 - across**2)
    band = (np.exp(-(((curve - 0.13) / 0.09) ** 8)) * is_body)[..., None]
    base = base * (1 - band) + np.array([240, 234, 220], np.float32) * band
    base += 5 * noise(size, 30, rng)[..., None]
    height = np.where(is_body, round_body, dome(ring, 0.075))
    light, shine = lit(height.astype(np.float32), size, gloss=0.55)
    color = paint(base, light, shine)
    color *= np.where(is_body, 1, 0.9)[..., None]
    inner = np.clip(-rim / 0.012, 0, 1)[..., None]
    lip = np.exp(-(((rim + 0.006) / 0.012) ** 2))[..., None]
    tea = np.array([70, 44, 30], np.float32) + 40 * np.clip(x + 0.3, 0, 1)[..., None]
    color = color * (1 - inner) + tea * inner
    color = color * (1 - 0.8 * lip) + np.minimum(glaze * 1.1 + 20, 255) * 0.8 * lip
    return finish(color, np.minimum(wall, ring), size)


def microphone(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A hand-held microphone: a wire ball over a ring and a dark tapered handle."""
    x, y = grid(size)
    ball = np.hypot(x, y + 0.52) - 0.36
    ring = rounded_box(x, y + 0.2, (0.29, 0.055), 0.05)
    handle = capsule(x, y, (0.0, -0.1), (0.0, 1.4), (0.23, 0.15))
    height = np.maximum(np.sqrt(np.maximum(0.36**2 - x**2 - (y + 0.52) ** 2, 0)), 0)
    body = np.sqrt(np.maximum((0.24 - 0.055 * np.clip(y, 0, 1.4)) ** 2 - x**2, 0))
    on_ball, on_ring = ball < 0, (ring < 0)
    height = np.where(on_ball & ~on_ring, height, body + 0.05 * on_ring)
    light, shine = lit(height.astype(np.float32), size, gloss=0.5)
    turn = rng.uniform(0, np.pi)
    u = np.arcsin(np.clip(x / 0.37, -1, 1)) * 17
    v = np.arcsin(np.clip((y + 0.52) / 0.37, -1, 1)) * 17
    mesh = np.maximum(np.sin(u + v + turn), np.sin(u - v - turn))
    metal = (74 + 95 * np.clip(mesh - 0.35, 0, 1))[..., None]
    base = np.where(on_ball[..., None], metal, np.array([34, 35, 40], np.float32))
    base = np.where(on_ring[..., None], np.array([168, 170, 176], np.float32), base)
    switch = np.clip(-rounded_box(x, y - 0.24, (0.05, 0.1), 0.03) / 0.02, 0, 1)[..., None]
    base = base * (1 - switch) + np.array([120, 122, 128], np.float32) * switch
    base = base + 4 * noise(size, 50, rng)[..., None]
    color = paint(base.astype(np.float32), light, shine)
    return finish(color, np.minimum(np.minimum(ball, ring), handle), size)


def pen(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A ball pen, upright, tip above, with a clip and two metal rings."""
    x, y = grid(size)
    ink = np.array(rng.choice([(30, 60, 150), (24, 24, 28), (180, 30, 40)]), np.float32)
    body = rounded_box(x, y - 0.12, (0.075, 0.85), 0.05)
    cone = capsule(x, y, (0.0, -0.70), (0.0, -0.965), (0.072, 0.014))
    clip_part = rounded_box(x - 0.05, y - 0.66, (0.02, 0.27), 0.02)
    height = np.sqrt(np.maximum(0.078**2 - x**2, 0)) * 1.2 + 0.02 * (clip_part < 0)
    light, shine = lit(height.astype(np.float32), size, gloss=0.8)
    steel = np.array([186, 188, 192], np.float32)
    metal = (y < -0.7) | (np.abs(y - 0.36) < 0.03) | (y > 0.93) | (clip_part < 0)
    base = np.where(metal[..., None], steel, ink) + 3 * noise(size, 20, rng)[..., None]
    color = paint(base.astype(np.float32), light, shine)
    return finish(color, np.minimum(np.minimum(body, cone), clip_part), size)


def phone(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The back of a telephone: glass with a slow gradient, a metal frame, a block of lenses."""
    x, y = grid(size)
    distance = rounded_box(x, y, (0.47, 0.96), 0.11)
    tint = np.array(rng.choice([(44, 48, 58), (196, 188, 176), (70, 90, 120)]), np.float32)
    sheen = 46 * np.exp(-(((x * 0.8 + y * 0.6 + 0.2) / 0.28) ** 2)) + 12 * (x - y)
    base = tint + sheen[..., None] + 2.5 * noise(size, 70, rng)[..., None]
    frame = np.exp(-(((distance + 0.012) / 0.014) ** 2))[..., None]
    base = base * (1 - frame) + np.array([176, 178, 184], np.float32) * frame
    block = rounded_box(x + 0.2, y + 0.66, (0.19, 0.22), 0.07)
    inside = np.clip(-block / 0.01, 0, 1)[..., None]
    base = base * (1 - inside) + (tint * 0.72) * inside
    for spot in ((-0.28, -0.76), (-0.12, -0.66), (-0.28, -0.56)):
        lens = np.hypot(x - spot[0], y - spot[1]) - 0.068
        glass = np.clip(-lens / 0.012, 0, 1)[..., None]
        glint = np.exp(-((np.hypot(x - spot[0] + 0.02, y - spot[1] + 0.024) / 0.018) ** 2))
        base = base * (1 - glass) + np.array([16, 18, 28], np.float32) * glass
        base = base + 190 * (glint * (lens < 0))[..., None]
    light, shine = lit(dome(distance, 0.03), size, gloss=0.2)
    return finish(paint(base.astype(np.float32), 0.25 + 0.75 * light, shine), distance, size)


def ball(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A tennis ball: felt, a white seam, one side in shadow."""
    x, y = grid(size)
    distance = np.hypot(x, y) - 0.9
    depth = np.sqrt(np.maximum(0.81 - x * x - y * y, 0))
    turn = rng.uniform(0, 2 * np.pi)
    u = (x * np.cos(turn) + y * np.sin(turn)) / 0.9
    v = (-x * np.sin(turn) + y * np.cos(turn)) / 0.9
    seam = np.exp(-(((u - 0.42 * np.cos(2.2 * v)) / 0.045) ** 4))[..., None]
    felt = np.array([196, 214, 62], np.float32) + (9 * noise(size, 90, rng))[..., None]
    base = felt * (1 - seam) + np.array([238, 238, 228], np.float32) * seam
    light, shine = lit(depth, size, gloss=0.06)
    return finish(paint(base, light, shine), distance + 0.004 * noise(size, 110, rng), size)


kinds: dict[str, Callable[[int, np.random.Generator], NDArray[np.uint8]]] = {
    "hand": hand, "cup": cup, "microphone": microphone, "pen": pen, "phone": phone, "ball": ball,
}  # fmt: skip


def drawn_occluder(kind: str, size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one thing.

    Args:
        kind: a key of ``kinds``.
        size: side of the square in px, at least 16.
        rng: chooses colours and small differences of shape.

    Returns:
        (size, size, 4) uint8 RGBA, not premultiplied; upright, nearly filling the square; the hand's
        wrist and the microphone's handle leave it below.

    Raises:
        ValueError: no such kind, or a size below 16.
    """
    if kind not in kinds:
        raise ValueError(f"unknown kind {kind!r} (allowed: {', '.join(kinds)})")
    if size < 16:
        raise ValueError(f"size must be at least 16 px, got {size}")
    return kinds[kind](size, rng)
