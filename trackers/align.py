"""Bring a tracked face to an upright square, and say what the face would fill there.

Convention of every warp here: points are (x, y), pixel centres lie at integers, ``frame_to_face``
maps a point of the frame to a point of the crop; outside the frame there is black.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from trackers.faces import AlignedFace, TrackedFace
from trackers.mesh import mean_face


def fit_similarity(
    source: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Weighted least-squares similarity (Umeyama 1991), in 2-D or 3-D.

    Args:
        source: (N, D) points.
        target: (N, D) points.
        weights: (N,) at least 0; the sum must be above 0.

    Returns:
        scale, rotation (D, D), shift (D,) with ``target ~ scale * source @ rotation.T + shift``.

    Raises:
        ValueError: no weight is above 0.
    """
    total = weights.sum()
    if not total > 0:
        raise ValueError(f"weights must have a sum above 0, got {total}")
    weights = (weights / total)[:, None]
    source_mean, target_mean = (weights * source).sum(0), (weights * target).sum(0)
    source, target = source - source_mean, target - target_mean
    u, s, vt = np.linalg.svd((weights * target).T @ source)
    sign = np.ones(source.shape[1])
    sign[-1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / max((weights * source**2).sum(), 1e-12))
    return scale, rotation, target_mean - scale * rotation @ source_mean


def pose_degrees(landmarks: NDArray[np.float32], trust: NDArray[np.float32]) -> tuple[float, ...]:
    """Yaw, pitch, roll in degrees of the mean face turned onto ``landmarks`` (468, 3)."""
    template = mean_face().template.astype(np.float64)
    weights = trust.astype(np.float64) + 1e-3
    _, r, _ = fit_similarity(template, landmarks.astype(np.float64), weights)
    yaw = -np.arcsin(np.clip(-r[2, 0], -1, 1))
    pitch = np.arctan2(r[2, 1], r[2, 2])
    roll = np.arctan2(r[1, 0], r[0, 0])
    return tuple(float(np.degrees(a)) for a in (yaw, pitch, roll))


def align_landmarks(
    landmarks: NDArray[np.float32], trust: NDArray[np.float32], size: int
) -> NDArray[np.float64]:
    """(2, 3) float64 ``frame_to_face``: the similarity that lays landmarks on the mean face."""
    target = mean_face().points_px(size).astype(np.float64)
    weights = trust.astype(np.float64) + 1e-3
    scale, r, shift = fit_similarity(landmarks[:, :2].astype(np.float64), target, weights)
    return np.column_stack([scale * r, shift])


def face_region(points_px: NDArray[np.float32], size: int) -> NDArray[np.bool_]:
    """(size, size) bool, the hull of the mesh: the face's amodal area.

    The outline alone would cut a nose off that stands out of a turned head.
    """
    canvas = np.zeros((size, size), np.uint8)
    hull = cv2.convexHull(points_px[:, :2].astype(np.float32))
    cv2.fillConvexPoly(canvas, np.round(hull * 16).astype(np.int32), (1,), shift=4)
    return canvas.astype(bool)


def align(image: NDArray[np.uint8], face: TrackedFace, size: int = 192) -> AlignedFace:
    """Cut the upright square of one face.

    Args:
        image: (H, W, 3) uint8 RGB frame.
        face: the tracked face.
        size: S, side of the crop in px.

    Returns:
        The aligned face; its warp is bilinear, area-averaged first where it shrinks twofold or more.
    """
    matrix = align_landmarks(face.landmarks, face.trust, size)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    landmarks = face.landmarks.copy()
    landmarks[:, :2] = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    landmarks[:, 2] *= scale
    yaw, pitch, roll = pose_degrees(face.landmarks, face.trust)
    return AlignedFace(
        track_id=face.track_id, identity=face.identity, image=cut(image, matrix, size),
        region=face_region(landmarks, size), inside=in_frame(matrix, size, *image.shape[:2]), landmarks=landmarks,
        trust=face.trust, frame_to_face=matrix, pose_degrees=(yaw, pitch, roll),
    )  # fmt: skip


def in_frame(matrix: NDArray[np.float64], size: int, height: int, width: int) -> NDArray[np.bool_]:
    """(size, size) bool, the crop's pixels that lie in a frame of height x width px."""
    x, y = corners_in_frame(matrix, size).T
    if min(x.min(), y.min()) > 1 and x.max() < width - 2 and y.max() < height - 2:
        return np.ones((size, size), bool)  # as nearly always: spare the warp of a whole frame
    whole = np.ones((height, width), np.uint8)
    return cv2.warpAffine(whole, matrix, (size, size), flags=cv2.INTER_NEAREST).astype(bool)


def corners_in_frame(matrix: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """(4, 2) x y in px of the frame, where the corners of a crop under ``matrix`` lie."""
    corners = np.array([[0, 0], [size, 0], [0, size], [size, size]], np.float64)
    inverse = cv2.invertAffineTransform(matrix)
    spots: NDArray[np.float64] = corners @ inverse[:, :2].T + inverse[:, 2]
    return spots


def cut(image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    """(size, size, 3) crop of (H, W, 3) uint8 under ``matrix`` (frame -> crop).

    A face larger than the crop is first halved (area average) as often as it takes: bilinear
    sampling alone would alias, and an aliased crop shimmers from frame to frame.
    """
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    factor = int(1 / scale) if scale < 0.5 else 1
    if factor > 1:
        spots = corners_in_frame(matrix, size)
        x0, y0 = np.maximum(np.floor(spots.min(0)) - factor, 0).astype(int)
        x1, y1 = np.maximum(np.ceil(spots.max(0)).astype(int) + factor, 0)
        part = image[y0:y1, x0:x1]
        height, width = part.shape[0] // factor * factor, part.shape[1] // factor * factor
        if height and width:
            small = (width // factor, height // factor)
            shrunk = cv2.resize(part[:height, :width], small, interpolation=cv2.INTER_AREA)
            image = np.asarray(shrunk, np.uint8)
            # small px -> frame px: centre of a block of `factor` px
            offset = (factor - 1) / 2
            shift = np.array([x0 + offset, y0 + offset])
            matrix = np.column_stack([matrix[:, :2] * factor, matrix[:, :2] @ shift + matrix[:, 2]])
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8)
