"""A face's own shape, remembered, so that landmarks under an occluder can be put where they belong."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trackers.align import fit_similarity
from trackers.faces import FaceDetection
from trackers.mesh import mean_face

SETTLE_FRAMES = 3
"""Looks at a face before its shape is believed: the first landmarks are off by 1-4 % of the face."""

RESIDUAL = 0.05
"""Of the face's size: a landmark this far from the fitted shape counts a quarter in the fit."""

FORGET = 0.05
"""Least share of a new look in the memory; an open mouth is remembered open after some 20 frames."""


FULL_STEP = 0.02
"""Of the face's size: a step so long from the prediction is taken whole; jitter is a tenth of it."""

SEEN_SHARE, HIDDEN_SHARE = 0.35, 0.1
"""Share taken of the smallest step of a seen landmark, and of any step of a hidden one."""


def size_px(landmarks: NDArray[np.float32]) -> float:
    """The face's size: longer side of the box around the landmarks, at least 1 px."""
    return max(float(np.ptp(landmarks[:, :2], axis=0).max()), 1.0)


DETECTED = ((33, 133), (263, 362), (1,), (13, 14), (234,), (454,))
"""Landmarks whose mean is each of the six points of a :class:`FaceDetection`."""


SURE_SCORE, LEAST_EYES = 0.75, 0.37
"""Of a box's width, the distance of the eyes below which an unsure detection's points are wrong."""

BOX_SCALE, BOX_LOWER = 1.1, -0.02
"""Height of the face over the side of a detector's box, and how far below its middle it is."""


def at_detection(detection: FaceDetection) -> NDArray[np.float32]:
    """(468, 3) float32 px: the mean face as the detector says it stands, by its points or its box.

    The points of a face that is half hidden are drawn together; the box stays where the face is.
    """
    width = float(detection.box_px[2] - detection.box_px[0])
    eyes = float(np.linalg.norm(detection.landmarks[1] - detection.landmarks[0]))
    if detection.score < SURE_SCORE and eyes < LEAST_EYES * width:
        return _by_box(detection.box_px)
    return _by_points(detection)


def _by_box(box_px: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean face, upright, in a detector's box."""
    side = float((box_px[2:] - box_px[:2]).mean())
    placed = mean_face().template.astype(np.float64) * BOX_SCALE * side
    placed[:, :2] += (box_px[:2] + box_px[2:]) / 2 + [0, BOX_LOWER * side]
    return np.asarray(placed, np.float32)


def _by_points(detection: FaceDetection) -> NDArray[np.float32]:
    """A scaled orthographic pose from points (POS, DeMenthon and Davis 1995, section 3)."""
    template = mean_face().template.astype(np.float64)
    model = np.stack([template[list(group)].mean(0) for group in DETECTED])
    seen = detection.landmarks[: len(DETECTED)].astype(np.float64)
    centre, middle = model.mean(0), seen.mean(0)
    camera = np.linalg.lstsq(model - centre, seen - middle, rcond=None)[0].T
    u, s, vt = np.linalg.svd(camera, full_matrices=False)
    rotation = u @ vt
    rotation = np.vstack([rotation, np.cross(*rotation)])
    placed = s.mean() * (template - centre) @ rotation.T
    placed[:, :2] += middle
    return np.asarray(placed, np.float32)


class RememberedShape:
    """Running mean of one face's landmarks in 3-D, in the mean face's pose and size."""

    def __init__(self) -> None:
        self._mean = mean_face().template.astype(np.float64)
        self._looks = np.zeros(len(self._mean))
        self._frames = 0

    @property
    def looks(self) -> int:
        """Frames learned from."""
        return self._frames

    @property
    def settled(self) -> bool:
        """Whether enough frames were learned for the shape to be used."""
        return self._frames >= SETTLE_FRAMES

    def learn(self, landmarks: NDArray[np.float32], trust: NDArray[np.float32]) -> None:
        """Take one look in.

        Args:
            landmarks: (468, 3) float32 px, as observed.
            trust: (468,) float32 0-1; a landmark not trusted changes nothing.
        """
        weights = np.where(trust > 0.5, trust, 0).astype(np.float64)
        if (weights > 0).mean() < 0.2:  # too little of the face to know its pose
            return
        observed = landmarks.astype(np.float64)
        scale, rotation, move = fit_similarity(observed, self._mean, weights)
        placed = scale * observed @ rotation.T + move
        self._looks += weights
        rate = weights * np.maximum(1 / np.maximum(self._looks, 1), FORGET)
        self._mean += rate[:, None] * (placed - self._mean)
        self._frames += 1

    def fit(self, observed: NDArray[np.float32], trust: NDArray[np.float32]) -> NDArray[np.float32]:
        """The remembered shape laid on what is observed.

        Iteratively re-weighted least squares with Geman and McClure's weight (1987), so that
        landmarks which slipped, or an open mouth, do not pull the rest along.

        Args:
            observed: (468, 3) float32 px.
            trust: (468,) float32 0-1.

        Returns:
            (468, 3) float32 px.
        """
        target = observed.astype(np.float64)
        given = trust.astype(np.float64) ** 2 + 1e-3  # with nothing trusted, all count alike
        weights, near = given, RESIDUAL * size_px(observed)
        for _ in range(3):
            scale, rotation, move = fit_similarity(self._mean, target, weights)
            fitted = scale * self._mean @ rotation.T + move
            squared = ((fitted - target)[:, :2] ** 2).sum(1) / near**2
            weights = given / (1 + squared) ** 2
        return fitted.astype(np.float32)

    def complete(
        self, observed: NDArray[np.float32], trust: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(468, 3) float32: observed landmarks where trusted, the fitted shape where not."""
        if not self.settled or trust.min() > 0.99:
            return observed
        fitted = self.fit(observed, trust)
        return (fitted + trust[:, None] * (observed - fitted)).astype(np.float32)


def steady(
    predicted: NDArray[np.float32], observed: NDArray[np.float32], trust: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Landmarks without jitter: small steps away from the prediction are taken in part.

    As in the one-euro filter (Casiez et al. 2012) the share grows with the step, so that nothing
    lags; here the step is measured from where flow carried the landmark, so that a fast but
    well-followed head is steadied too.  Hidden landmarks follow slowly whatever the step: under an
    occluder the mesh is off by some percent of the face always to the same side, flow is not.

    Args:
        predicted: (468, 3) float32 px.
        observed: (468, 3) float32 px.
        trust: (468,) float32 0-1.

    Returns:
        (468, 3) float32 px.
    """
    step = observed - predicted
    length = np.linalg.norm(step[:, :2], axis=1) / (FULL_STEP * size_px(observed))
    share = HIDDEN_SHARE + trust * (np.clip(length, SEEN_SHARE, 1) - HIDDEN_SHARE)
    return np.asarray(predicted + share[:, None] * step, np.float32)
