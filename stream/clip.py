"""A clip whose truth is known: a photograph moved as a hand-held camera moves it, crossed by drawn things.

The photograph is scikit-image's astronaut (NASA, public domain).  What crosses her face comes from
:mod:`stream.drawn`, so every pixel of the true mask is known, motion blur included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.drawn import drawn_occluder

FACE_PX = (222.0, 118.0)
"""Middle of the face in the photograph, x y."""

HEIGHT, WIDTH = 360, 640
ZOOM = 1.32
"""px of the frame over px of the photograph; the face is then about 125 px high."""

SHUTTER = 0.5
"""Share of the frame's time in which the shutter is open (180 degrees)."""

SAMPLES = 8
"""Moments averaged while it is open."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """One thing that comes in front of the face and goes again.

    Attributes:
        kind: what, see :data:`stream.drawn.kinds`.
        start_seconds, stop_seconds: when it enters and when it is gone.
        path: at least two rows (x, y, turn in degrees), from enter to leave, evenly spread in time;
            x y are in face heights from the middle of the face, to the middle of the drawing.
        side: of the drawing's square, in face heights.
        seed: for its colours.
    """

    kind: str
    start_seconds: float
    stop_seconds: float
    path: tuple[tuple[float, float, float], ...]
    side: float
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ClipFrame:
    """A frame with its truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        occluder: (H, W) bool, true where the drawn thing covers more than half of a pixel.
        photo_to_frame: (2, 3) float64, px of the photograph -> px of the frame.
        time: seconds, exact.
    """

    image: NDArray[np.uint8]
    occluder: NDArray[np.bool_]
    photo_to_frame: NDArray[np.float64]
    time: Fraction


DEMO = (
    Crossing(
        "hand", 1.2, 3.0, ((-1.7, 1.5, 30), (-0.15, 0.45, 8), (0.1, 0.35, -4), (1.8, 1.3, -34)), 1.55, 1
    ),
    Crossing("cup", 3.0, 4.2, ((0.6, 2.0, 12), (0.1, 0.42, -6), (0.0, 0.45, -14), (0.4, 2.0, 8)), 0.95, 4),
    Crossing("pen", 4.2, 4.9, ((-1.8, 0.5, 70), (0.0, 0.05, 62), (1.9, -0.5, 48)), 1.3, 11),
    Crossing(
        "microphone", 4.8, 6.0, ((1.4, 1.6, -20), (0.3, 0.85, -24), (0.16, 0.80, -26), (1.5, 1.9, -16)), 1.2
    ),
)  # fmt: skip
"""What crosses the demo's clip. Before 1.2 s the face is free."""

FACE_HEIGHT_PX = 95.0
"""Brow to chin in the photograph; the unit of a crossing's path."""


def clip(
    crossings: tuple[Crossing, ...] = DEMO, seconds: Fraction = Fraction(6),
    fps: Fraction = Fraction(25), seed: int = 0,
) -> Iterator[ClipFrame]:  # fmt: skip
    """Draw the clip, frame by frame.

    Args:
        crossings: what comes in front of the face.
        seconds: length.
        fps: frames a second.
        seed: of the camera's shake.

    Yields:
        Frames of 360 x 640 with their truth.
    """
    from skimage.data import astronaut  # noqa: PLC0415  pulls scipy; only a demo or a test pays

    photo: NDArray[np.uint8] = astronaut()  # type: ignore[no-untyped-call]
    shake = np.random.default_rng(seed).uniform(0, 2 * np.pi, (4, 3))
    drawings = [
        premultiplied(drawn_occluder(one.kind, 512, np.random.default_rng(one.seed)))
        for one in crossings
    ]
    for index in range(int(seconds * fps)):
        time = index / fps
        matrix = camera(float(time), shake)
        image = photographed(photo, matrix)
        alpha = np.zeros((HEIGHT, WIDTH), np.float32)
        for one, drawing in zip(crossings, drawings, strict=True):
            if one.start_seconds <= time < one.stop_seconds:
                layer = exposed(one, drawing, matrix, float(time), float(SHUTTER / fps))
                image, alpha = lay(image, layer, alpha)
        yield ClipFrame(np.clip(image + 0.5, 0, 255).astype(np.uint8), alpha > 0.5, matrix, time)


def photographed(photo: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """(H, W, 3) float32 0-255: what the camera sees; past its edge the photograph is mirrored."""
    seen = cv2.warpAffine(photo, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
    return seen.astype(np.float32)


def camera(time_seconds: float, shake: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) photograph -> frame at a moment: three slow waves each for pan x, pan y, turn, zoom."""
    waves = np.sin(2 * np.pi * np.array([0.21, 0.47, 1.1]) * time_seconds + shake)
    swing = waves @ np.array([1.0, 0.5, 0.12])
    pan_x, pan_y, turn_degrees, zoom = swing * np.array([20.0, 9.0, 1.8, 0.035])
    # Rotate and zoom about the face, which is then put left of the middle and a little high.
    turned = cv2.getRotationMatrix2D(FACE_PX, turn_degrees, ZOOM * (1 + zoom))
    matrix = np.asarray(turned, np.float64)
    matrix[:, 2] += np.array([WIDTH * 0.46 + pan_x, HEIGHT * 0.43 + pan_y]) - FACE_PX
    return matrix


def place(one: Crossing, matrix: NDArray[np.float64], time_seconds: float) -> NDArray[np.float64]:
    """(2, 3) drawing of 512 px -> frame at a moment; the path is a smooth curve through its rows."""
    rows = np.array(one.path, np.float64)
    share = (time_seconds - one.start_seconds) / (one.stop_seconds - one.start_seconds)
    spot = np.clip(share, 0, 1) * (len(rows) - 1)
    first = min(int(spot), len(rows) - 2)
    step = spot - first
    ease = step * step * (3 - 2 * step)
    x, y, turn = rows[first] * (1 - ease) + rows[first + 1] * ease
    scale = one.side * FACE_HEIGHT_PX / 512
    cos, sin = scale * np.cos(np.radians(turn)), scale * np.sin(np.radians(turn))
    to_photo = np.array([[cos, -sin, 0.0], [sin, cos, 0.0]])
    center = np.array(FACE_PX) + FACE_HEIGHT_PX * np.array([x, y])
    to_photo[:, 2] = center - to_photo[:, :2] @ np.array([255.5, 255.5])
    placed = np.asarray(matrix[:, :2] @ to_photo, np.float64)
    placed[:, 2] += matrix[:, 2]
    return placed


def exposed(
    one: Crossing, drawing: NDArray[np.float32], matrix: NDArray[np.float64],
    time_seconds: float, shutter_seconds: float,
) -> NDArray[np.float32]:  # fmt: skip
    """(H, W, 4) float32 premultiplied: the drawing in the frame, averaged while the shutter is open.

    The truth of a blurred pixel is the share of the time in which it was covered.
    """
    total = np.zeros((HEIGHT, WIDTH, 4), np.float32)
    for moment in time_seconds + (np.arange(SAMPLES) / SAMPLES - 0.5) * shutter_seconds:
        total += warp_small(drawing, place(one, matrix, float(moment)))
    return total / np.float32(SAMPLES)


def warp_small(
    drawing: NDArray[np.float32], matrix: NDArray[np.float64],
    size: tuple[int, int] = (HEIGHT, WIDTH),
) -> NDArray[np.float32]:  # fmt: skip
    """Warp into a frame of ``size`` (height, width); a drawing that shrinks is halved by area first,
    so that edges stay true.
    """
    while np.hypot(matrix[0, 0], matrix[1, 0]) < 0.6:
        side = drawing.shape[0] // 2
        half = cv2.resize(drawing, (side, side), interpolation=cv2.INTER_AREA)
        drawing = np.asarray(half, np.float32)
        # A small px covers two: its centre x lies at 2 x + 0.5.
        matrix = np.column_stack([matrix[:, :2] * 2, matrix[:, :2] @ [0.5, 0.5] + matrix[:, 2]])
    # A wrist or a handle that meets the drawing's edge goes on beyond it.
    laid = cv2.warpAffine(drawing, matrix, size[::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(laid, np.float32)


def lay(
    image: NDArray[np.float32], layer: NDArray[np.float32], alpha: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lay a layer and its soft shadow on the picture; the shadow is no part of the truth."""
    cover = layer[..., 3]
    shadow = np.asarray(cv2.GaussianBlur(np.roll(cover, (6, 7), (0, 1)), (0, 0), 7), np.float32)
    image = image * (1 - 0.38 * shadow * (1 - cover))[..., None]
    image = image * (1 - cover)[..., None] + layer[..., :3]
    return image, alpha + cover - alpha * cover


def premultiplied(drawing: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(S, S, 4) float32: colour 0-255 times alpha, alpha 0-1; safe to average and to warp."""
    alpha = drawing[..., 3:].astype(np.float32) / 255
    return np.dstack([drawing[..., :3] * alpha, alpha])
