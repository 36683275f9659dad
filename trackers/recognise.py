"""Whether a face that was found somewhere is the one a track follows, or followed until it was hidden."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from trackers.align import fit_similarity
from trackers.boxes import area, box_around, intersection
from trackers.faces import TrackState
from trackers.shape import size_px
from trackers.texture import portrait
from trackers.track import LEAST_IN_SIGHT, Track

REGAIN_REACH, REGAIN_SSIM = 0.8, 0.25
"""Distance in face sizes, and likeness, within which a hidden face is taken to have moved. The
likeness only rules nonsense out: half covered, a face is as unlike itself as another one is."""

WITHIN_SHARE, NOT_SMALLER = 0.6, 0.95
"""A face that lies so far within a hidden one, and is smaller than so much of it, is a part of it."""


def agrees(track: Track, landmarks: NDArray[np.float32]) -> bool:
    """Whether observed (468, 3) landmarks may be the track's face, one frame on.

    Size, turn and place are bounded; the place less tightly the longer the face was hidden.
    """
    here, there = track.landmarks[:, :2].astype(float), landmarks[:, :2].astype(float)
    scale, turn, _ = fit_similarity(here, there, np.ones(len(here)))
    jump = np.linalg.norm(here.mean(0) - there.mean(0)) / size_px(track.landmarks)
    degrees = abs(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))
    slack = min(0.2 + 0.02 * track.coasted, 0.8)
    return bool(1 / 1.4 < scale < 1.4 and degrees < 30 and jump < slack)


def holds(track: Track, landmarks: NDArray[np.float32]) -> bool:
    """Whether a face is found in what is left of a hidden one: within it, and smaller.

    A face that hides another one is nearer, and not smaller.
    """
    box, its = box_around(landmarks)[None], track.box_px[None]
    inside = float(intersection(box, its)[0, 0]) / max(float(area(box)[0]), 1e-6)
    smaller = size_px(landmarks) < NOT_SMALLER * size_px(track.landmarks)
    known = track.state is TrackState.COASTING and not (track.adrift or track.by_detector)
    return known and smaller and inside > WITHIN_SHARE


def regains(
    track: Track, landmarks: NDArray[np.float32], now: NDArray[np.uint8],
    visible: NDArray[np.bool_],
) -> bool:  # fmt: skip
    """Whether a face that came up beside a hidden one is that one.

    A head that moves while it is covered leaves the place to which flow carried its landmarks.

    Args:
        track: of the hidden face.
        landmarks: (468, 3) float32 px of the face that came up.
        now: (H, W) uint8 grey frame it stands in.
        visible: (468,) bool, its landmarks that are in sight.
    """
    if track.state is not TrackState.COASTING or not (track.adrift or near(track, landmarks)):
        return False
    return track.texture.known and resembles(track, landmarks, now, visible)


def near(track: Track, landmarks: NDArray[np.float32]) -> bool:
    """Whether (468, 3) landmarks lie within reach of a track's, in about the same size."""
    size = size_px(track.landmarks)
    away = np.linalg.norm(landmarks[:, :2].mean(0) - track.landmarks[:, :2].mean(0)) / size
    return bool(away < REGAIN_REACH and 1 / 1.6 < size_px(landmarks) / size < 1.6)


def resembles(
    track: Track, landmarks: NDArray[np.float32], now: NDArray[np.uint8],
    visible: NDArray[np.bool_],
) -> bool:  # fmt: skip
    """Whether a face is not unlike the track's; see :func:`regains` for the arguments."""
    if not track.texture.known:
        return True
    if visible.mean() < LEAST_IN_SIGHT:
        return False
    return track.texture.likeness(portrait(now, landmarks), visible) > REGAIN_SSIM
