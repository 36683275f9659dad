"""What comes in front of a face: drawn things, or the cut-outs of a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream import drawn, worn
from stream.bench.scene import Way
from stream.bench.stage import DRAWN_PX
from stream.clip import premultiplied

Layer = NDArray[np.float32]

Props = Callable[[Way], Layer]
"""(DRAWN_PX, DRAWN_PX, 4) float32, premultiplied, of what a way is gone by; the same at every call."""

DRAWN = {**drawn.kinds, "mask": worn.mask}


def drawn_props(way: Way) -> Layer:
    """Drawn by code: training has seen none of them."""
    return premultiplied(DRAWN[way.kind](DRAWN_PX, np.random.default_rng(way.seed)))


def cutout_props(folder: Path) -> Props:
    """Cut-outs: PNG files with an alpha channel, in any folders below.

    Of files whose path holds the kind's name (hand, cup, phone, microphone, ball, mask) one is taken;
    where there is none, any that is no hand.

    Raises:
        FileNotFoundError: there are no PNG files.
    """
    paths = sorted(folder.rglob("*.png"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no .png files")

    def named(kind: str) -> list[Path]:
        its = [p for p in paths if kind in p.relative_to(folder).as_posix().lower()]
        others = [p for p in paths if "hand" not in p.relative_to(folder).as_posix().lower()]
        return its or others or paths

    def props(way: Way) -> Layer:
        choice = named(way.kind)
        return squared(choice[way.seed % len(choice)])

    return props


def squared(path: Path) -> Layer:
    """A cut-out in the middle of a square, premultiplied.

    Raises:
        ValueError: it is no 8-bit RGBA picture, or all of it is transparent.
    """
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if read is None or read.ndim != 3 or read.shape[2] != 4 or read.dtype != np.uint8:
        raise ValueError(f"{path}: a cut-out is an 8-bit RGBA picture")
    rows, columns = np.nonzero(read[..., 3])
    if not len(rows):
        raise ValueError(f"{path}: all of it is transparent")
    part = read[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    layer = premultiplied(np.asarray(cv2.cvtColor(part, cv2.COLOR_BGRA2RGBA), np.uint8))
    scale = DRAWN_PX / max(layer.shape[:2])
    size = [max(1, round(side * scale)) for side in layer.shape[1::-1]]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted = cv2.resize(layer, size, interpolation=way)
    square = np.zeros((DRAWN_PX, DRAWN_PX, 4), np.float32)
    top, left = (DRAWN_PX - fitted.shape[0]) // 2, (DRAWN_PX - fitted.shape[1]) // 2
    square[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return square
