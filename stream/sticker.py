"""The sticker: a picture with alpha in face space, the default drawn here from the mean face."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.mesh import mean_face

DRAWN_PX = 512
RIGHT_EYE = (33, 133, 159, 145)
LEFT_EYE = (263, 362, 386, 374)
NOSE_BASE, UPPER_LIP, MOUTH_CORNERS, CHEEKS = 2, 0, (61, 291), (234, 454)
"""Points of the 468-point mesh; "right" is the person's right."""


def load(path: str) -> NDArray[np.float32]:
    """Read a sticker.

    Args:
        path: a picture file, 8 or 16 bits, with or without alpha; empty for the drawn one.

    Returns:
        (h, w, 4) float32: RGB 0-255 times alpha, alpha 0-1.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is no picture.
    """
    if not path:
        return drawn()
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such picture (effect.sticker)")
    data = np.fromfile(path, np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if picture is None:
        raise ValueError(f"{path}: not a picture that can be read (effect.sticker)")
    if picture.dtype == np.uint16:
        picture = (picture // 257).astype(np.uint8)
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    bgra = picture if picture.shape[2] == 4 else cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA)
    return premultiplied(np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA), np.uint8))


def premultiplied(rgba: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colour times alpha: what may be warped without dark or coloured fringes."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.dstack([rgba[..., :3] * alpha, alpha])


def in_face_space(
    picture: NDArray[np.float32], size: int, place: tuple[float, float, float]
) -> NDArray[np.float32]:
    """(size, size, 4) float32: the picture laid on the aligned square.

    Args:
        picture: from :func:`load`.
        size: M, side of face space in px.
        place: centre x, y and width, over the side of the square.

    Convention: pixel centres at integers; the square spans -0.5 to size - 0.5.
    """
    height, width = picture.shape[:2]
    scale = place[2] * size / width
    if scale < 0.7:  # shrink by area first; bilinear sampling would leave pixels out
        shape = (max(round(width * scale), 1), max(round(height * scale), 1))
        picture = np.asarray(cv2.resize(picture, shape, interpolation=cv2.INTER_AREA), np.float32)
        height, width = picture.shape[:2]
        scale = place[2] * size / width
    shift_x = place[0] * size - 0.5 - scale * (width - 1) / 2
    shift_y = place[1] * size - 0.5 - scale * (height - 1) / 2
    matrix = np.array([[scale, 0, shift_x], [0, scale, shift_y]])
    laid = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return np.asarray(laid, np.float32)


@functools.cache
def drawn() -> NDArray[np.float32]:
    """Round spectacles, a moustache and a beard, fitted to the mean face's own points."""
    points = mean_face().points_px(DRAWN_PX * 2)
    canvas = np.zeros((DRAWN_PX * 2, DRAWN_PX * 2, 4), np.uint8)
    beard(canvas, points)
    spectacles(canvas, points)
    half = cv2.resize(premultiplied(canvas), (DRAWN_PX, DRAWN_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(half, np.float32)


def beard(canvas: NDArray[np.uint8], points: NDArray[np.float32]) -> None:
    """Many short hairs, drawn dark to light from the cheeks down to the chin and over the lip."""
    rng = np.random.default_rng(7)
    oval = points[mean_face().oval]
    mouth = points[list(MOUTH_CORNERS)].mean(0)
    half = float(np.ptp(points[list(MOUTH_CORNERS), 0])) / 2
    lip = points[UPPER_LIP, 1]
    outline = cv2.convexHull(oval)
    for _ in range(16000):
        x, y = rng.uniform(oval.min(0), oval.max(0))
        dx, dy = (x - mouth[0]) / half, (y - mouth[1]) / half
        rise = 0.20 - 0.55 * max(abs(dx) - 1.1, 0.0)  # the upper edge climbs along the cheek
        chin = dy > rise + 0.28 and np.hypot(dx, (dy - 0.35) / 0.75) > 0.62
        moustache = y < lip and abs(dx) < 1.35 and -0.56 + 0.22 * dx * dx < dy
        side = abs(dx) > 1.05 and dy > 0.75 - 1.6 * (abs(dx) - 1.05) and dy > -0.75
        inside = cv2.pointPolygonTest(outline, (float(x), float(y)), True) > 4
        if inside and (chin or moustache or side):
            lean = np.sign(dx) * (0.9 if moustache else 0.25) + rng.normal(0, 0.25)
            tip = np.array([x + 20 * lean, y + 26])
            shade = int(rng.integers(28, 92))
            hair = (shade + 14, shade, shade - 14, 235)
            start, stop = (int(x * 16), int(y * 16)), tuple(int(v * 16) for v in tip)
            cv2.line(canvas, start, stop, hair, 2, cv2.LINE_AA, 4)


def spectacles(canvas: NDArray[np.uint8], points: NDArray[np.float32]) -> None:
    """Two lenses lightly tinted, a bridge and the temples' beginnings."""
    right, left = points[list(RIGHT_EYE)].mean(0), points[list(LEFT_EYE)].mean(0)
    radius = 0.36 * float(left[0] - right[0])
    thick = max(int(radius * 0.13), 2)
    frame, glass = (26, 24, 30, 255), (40, 60, 80, 70)
    for eye, cheek in ((right, points[CHEEKS[0]]), (left, points[CHEEKS[1]])):
        center = (int(eye[0] * 16), int(eye[1] * 16))
        cv2.circle(canvas, center, int(radius * 16), glass, -1, cv2.LINE_AA, 4)
        cv2.circle(canvas, center, int(radius * 16), frame, thick, cv2.LINE_AA, 4)
        edge = eye + np.array([np.sign(eye[0] - cheek[0]) * -radius, 0])
        cv2.line(canvas, tuple(edge.astype(int)), (int(cheek[0]), int(edge[1] - 6)), frame, thick)
    bridge = (right + left) / 2 - np.array([0, 0.1 * radius])
    half = (left[0] - right[0]) / 2 - radius
    axes = (int(half * 16 * 1.05), int(half * 16 * 0.6))
    cv2.ellipse(canvas, (int(bridge[0] * 16), int(bridge[1] * 16)), axes, 0, 180, 360, frame, thick,
                cv2.LINE_AA, 4)  # fmt: skip
