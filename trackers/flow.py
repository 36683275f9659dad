"""Motion seen in the picture itself: of one face between two frames, and of a whole scene."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.align import cut
from trackers.boxes import box_around
from trackers.mesh import mean_face
from trackers.texture import SIDE_PX, similarity

CANVAS_PX = 192
"""Side of the square on which flow runs; the face is about half of it, whatever the frame's size."""

POINTS = 80
MIN_POINTS = 8
"""Fewer points than this carry nothing."""

CLEARANCE = 0.12
"""Of the face's height, kept between a followed landmark and a hidden one; something that comes at
two face widths a second moves half as far from frame to frame."""

HEAD_SHARE, LEAPT_SSIM = 0.65, 0.4
"""Of the canvas, what a head fills; and the likeness below which a place of it is another one."""


@dataclass(frozen=True, slots=True)
class Motion:
    """A similarity from the frame before to this one.

    Attributes:
        matrix: (2, 3) float64, frame px -> frame px, pixel centres at integers.
        support: 0-1, share of the points tried that move along with it.
    """

    matrix: NDArray[np.float64]
    support: float

    def carry(self, landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 3) landmarks moved; z grows with the face."""
        moved = landmarks.copy()
        moved[:, :2] = landmarks[:, :2] @ self.matrix[:, :2].T + self.matrix[:, 2]
        moved[:, 2] *= np.hypot(self.matrix[0, 0], self.matrix[1, 0])
        return moved

    def shift_of(self, spots: NDArray[np.float32]) -> Motion:
        """The plain move nearest to it, for points round (N, 2 or 3) ``spots``."""
        middle = spots[:, :2].mean(0).astype(np.float64)
        step = self.matrix[:, :2] @ middle + self.matrix[:, 2] - middle
        return Motion(shift(float(step[0]), float(step[1])).matrix, self.support)


def shift(x: float, y: float) -> Motion:
    """A plain move by x, y px that no point supports."""
    return Motion(np.array([[1, 0, x], [0, 1, y]], np.float64), 0.0)


@cache
def spread_points() -> NDArray[np.int64]:
    """(POINTS,) indices of landmarks spread evenly over the face, the outline left out.

    The outline is left out because half of what lies around it is background.  Farthest-point
    sampling (Gonzalez 1985) on the mean face.
    """
    face = mean_face()
    inner = np.setdiff1d(np.arange(len(face.template)), face.oval.astype(np.int64))
    spots = face.template[inner, :2]
    chosen = [int(np.argmin((spots**2).sum(1)))]
    far = ((spots - spots[chosen[0]]) ** 2).sum(1)
    while len(chosen) < POINTS:
        chosen.append(int(np.argmax(far)))
        far = np.minimum(far, ((spots - spots[chosen[-1]]) ** 2).sum(1))
    return inner[chosen]


def clear_of(hidden: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(468,) bool, landmarks that keep their distance from hidden ones, (468,).

    What hides them was there a frame ago and moves: it would take its neighbours along.
    """
    clear: NDArray[np.bool_] = ~(_neighbours() & hidden).any(1)
    return clear


@cache
def _neighbours() -> NDArray[np.bool_]:
    """(468, 468), which landmarks are within CLEARANCE of which; of themselves too."""
    spots = mean_face().template[:, :2].astype(np.float64)
    near: NDArray[np.bool_] = ((spots[:, None] - spots) ** 2).sum(2) <= CLEARANCE**2
    return near


def face_motion(
    before: NDArray[np.uint8],
    now: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    usable: NDArray[np.bool_],
) -> Motion | None:
    """How one face moved between two frames: Lucas-Kanade on its landmarks, then RANSAC.

    Points are followed there and back (Kalal et al. 2010, forward-backward error); those that do
    not return or lie outside the picture are left out.

    Args:
        before: (H, W) uint8 grey frame.
        now: (H, W) uint8 grey, the next frame.
        landmarks: (468, 2 or 3) float32 px in ``before``.
        usable: (468,) bool, the landmarks that show the face and not what covers it.

    Returns:
        The motion, or None where fewer than MIN_POINTS points follow one similarity.
    """
    to_canvas = _canvas(landmarks)
    chosen = spread_points()
    spots = landmarks[chosen, :2]
    height, width = before.shape
    inside = (spots > 0).all(1) & (spots < (width - 1, height - 1)).all(1)
    spots = spots[usable[chosen] & inside]
    if len(spots) < MIN_POINTS:
        return None
    start = (spots @ to_canvas[:, :2].T + to_canvas[:, 2]).astype(np.float32)
    end, kept = _follow(cut(before, to_canvas, CANVAS_PX), cut(now, to_canvas, CANVAS_PX), start)
    if kept.sum() < MIN_POINTS:
        return None
    matrix, inliers = cv2.estimateAffinePartial2D(
        start[kept], end[kept], method=cv2.RANSAC, ransacReprojThreshold=1.5, maxIters=200
    )
    if matrix is None or inliers.sum() < MIN_POINTS:
        return None
    return Motion(
        _in_frame(np.asarray(matrix, np.float64), to_canvas), float(inliers.sum() / len(start))
    )


def scene_cut(
    before: NDArray[np.uint8], now: NDArray[np.uint8], boxes: NDArray[np.float32]
) -> bool:
    """Whether the picture around the faces is another one.

    Faces are left out, so that a hand which suddenly hides one is not taken for a cut; structure
    is compared as well as brightness, so that a flash is none either.

    Args:
        before: (H, W) uint8 grey frame.
        now: (H, W) uint8 grey, the next frame; a change of size is a cut.
        boxes: (N, 4) float32 px of the faces in ``before``.
    """
    if before.shape != now.shape:
        return True
    small = (48, 27)
    scale = np.array(small, np.float32) / np.array(before.shape[::-1], np.float32)
    around = np.ones(small[::-1], bool)
    for box in boxes:
        grow = 0.25 * (box[2:] - box[:2])
        x0, y0 = np.clip((box[:2] - grow) * scale, 0, small).astype(int)
        x1, y1 = np.clip(np.ceil((box[2:] + grow) * scale), 0, small).astype(int)
        around[y0:y1, x0:x1] = False
    if around.mean() < 0.2:  # the faces fill the picture: nothing else is left to look at
        around[:] = True
    step = max(1, min(before.shape) // 108)  # averaging every pixel would cost a millisecond
    a, b = (
        cv2.resize(grey[::step, ::step], small, interpolation=cv2.INTER_AREA)[around]
        for grey in (before, now)
    )
    a, b = a.astype(np.float32), b.astype(np.float32)
    return bool(np.abs(a - b).mean() > 20 and _correlation(a, b) < 0.5)


def leapt(
    before: NDArray[np.uint8],
    now: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    motion: Motion,
) -> float:
    """0-1, the share of a head's picture that from one frame to the next became another one.

    Where it is nearly all of it the picture was cut, even if the room around stayed as it was: a
    hand that comes, however fast, changes only what it newly reaches.

    Args:
        before: (H, W) uint8 grey frame.
        now: (H, W) uint8 grey, the next frame.
        landmarks: (468, 2 or 3) float32 px in ``before``.
        motion: of the face, as far as it is known.
    """
    to_canvas = _canvas(landmarks)
    back = cv2.invertAffineTransform(motion.matrix)
    moved = to_canvas[:, :2] @ back
    moved[:, 2] += to_canvas[:, 2]
    rim = round(CANVAS_PX * (1 - HEAD_SHARE) / 2)
    a, b = (
        cv2.resize(cut(grey, matrix, CANVAS_PX)[rim:-rim, rim:-rim], (SIDE_PX, SIDE_PX),
                   interpolation=cv2.INTER_AREA).astype(np.float32)
        for grey, matrix in ((before, to_canvas), (now, moved))
    )  # fmt: skip
    return float((similarity(a, b) < LEAPT_SSIM).mean())


def _canvas(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """(2, 3) frame px -> canvas px: an upright square twice as wide as the face."""
    box = box_around(landmarks).astype(np.float64)
    scale = CANVAS_PX / (2 * max(float((box[2:] - box[:2]).max()), 8.0))
    corner = (box[:2] + box[2:]) / 2 - (CANVAS_PX - 1) / 2 / scale
    return np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])


def _in_frame(
    on_canvas: NDArray[np.float64], to_canvas: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A motion of canvas px as a motion of frame px."""
    forward, motion = np.eye(3), np.eye(3)
    forward[:2], motion[:2] = to_canvas, on_canvas
    matrix: NDArray[np.float64] = (np.linalg.inv(forward) @ motion @ forward)[:2]
    return matrix


def _follow(
    before: NDArray[np.uint8], now: NDArray[np.uint8], start: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """(N, 2) ends and (N,) whether the point came back to within a px when followed backwards."""
    end, found = _lucas_kanade(before, now, start)
    back, found_back = _lucas_kanade(now, before, end)
    return end, found & found_back & (np.linalg.norm(back - start, axis=1) < 1.0)


def _lucas_kanade(
    before: NDArray[np.uint8], now: NDArray[np.uint8], start: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Pyramidal Lucas-Kanade (Bouguet 2001): (N, 2) ends and (N,) whether they were found."""
    nothing: Any = None  # the stubs want an array where OpenCV makes its own
    end, found, _ = cv2.calcOpticalFlowPyrLK(
        before, now, start, nothing, winSize=(11, 11), maxLevel=3
    )
    return np.asarray(end, np.float32), np.asarray(found).ravel().astype(bool)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """-1 to 1, normalised cross-correlation of two arrays of one shape; 0 where one is flat."""
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-3))
