"""What is put in front of faces to train on: cut-outs from a folder, and shapes drawn at random.

An occluder is RGBA float32, (H, W, 4), 0-1, colour not multiplied by alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Rgba = NDArray[np.float32]

FOLDERS = {
    "hand": ("hands",),
    "object": ("objects/object_train", "objects/object_test"),
    "scarf": ("objects/scarf_crop",),
    "sunglasses": ("objects/glasses_crop",),
    "mask": ("surgical_masks",),
}
"""Folders of RGBA cut-outs by kind; a kind whose folders are missing is left out."""


@dataclass(frozen=True, slots=True)
class Occluders:
    """Cut-outs by kind. ``kinds`` weighs them; "drawn" needs no files."""

    cutouts: dict[str, list[Rgba]]
    kinds: dict[str, float]

    def pick(self, rng: Generator) -> tuple[str, Rgba]:
        """A kind and an occluder of that kind, at random."""
        names = list(self.kinds)
        weights = np.array([self.kinds[name] for name in names])
        kind = names[rng.choice(len(names), p=weights / weights.sum())]
        if kind == "drawn":
            return "drawn", draw_shape(rng)
        if kind == "drawn_hand":
            return "drawn_hand", draw_hand(rng)
        return kind, self.cutouts[kind][rng.integers(len(self.cutouts[kind]))]


def load_occluders(folder: Path, kinds: dict[str, float], held_out: bool) -> Occluders:
    """Read cut-outs; every sixth file (by sorted name) of each kind is held out for validation.

    Args:
        folder: holds the folders named in FOLDERS; hands must enter from their right edge.
        kinds: weight by kind, "drawn" and "drawn_hand" among them.
        held_out: the held-out files instead of the others.

    Raises:
        FileNotFoundError: there is no such folder, or neither cut-outs nor drawn kinds are left to
            choose from. (A folder without cut-outs is allowed: drawn occluders need none.)
        ValueError: a cut-out is no RGBA picture of 8 bits, or has nothing in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of occluders")
    cutouts: dict[str, list[Rgba]] = {}
    for kind, places in FOLDERS.items():
        paths = sorted(path for place in places for path in (folder / place).glob("*.png"))
        chosen = [path for i, path in enumerate(paths) if (i % 6 == 5) == held_out]
        if kind in kinds and chosen:
            cutouts[kind] = [_read(path, arm=kind == "hand") for path in chosen]
    usable = {k: w for k, w in kinds.items() if k.startswith("drawn") or k in cutouts}
    if not usable:
        raise FileNotFoundError(f"{folder}: no cut-outs of {sorted(kinds)}; known: {FOLDERS}")
    return Occluders(cutouts, usable)


def _read(path: Path, arm: bool) -> Rgba:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 4:
        raise ValueError(f"{path}: a cut-out is an RGBA picture of 8 bits")
    scale = 256 / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if arm:
        # The cut edge of the wrist must not lie on the face: the arm goes on,
        image = cv2.copyMakeBorder(image, 0, 0, 0, image.shape[1], cv2.BORDER_REPLICATE)
        # and the dark fringe that keying leaves must not give a hand away
        image[..., 3] = cv2.erode(image[..., 3], np.ones((3, 3), np.uint8), iterations=2)
    rgba = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA).astype(np.float32) / 255
    rows, columns = np.nonzero(rgba[..., 3] > 0.02)
    if not rows.size:
        raise ValueError(f"{path}: a cut-out of nothing, all of it is transparent")
    return rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


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
