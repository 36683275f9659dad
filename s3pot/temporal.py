"""Figures for a mask over time, in face space: does it flicker, lag, trail, leak?

Every array is of one face over T frames, (T, S, S) in the square that its *true* landmarks span, so
that a head that moves is no change of the mask.  A mask is an alpha, float32 0-1; "marked" is above
0.5.  Frames in which something cannot be measured are nan: :func:`s3pot.metrics.mean` leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]
Bool = NDArray[np.bool_]
Series = NDArray[np.float64]
"""(T,), a value a frame; nan where there is none."""

ONSET_SHARE = 0.02
"""Something is in front of a face once it fills this share of its region."""

SPELL_FRAMES = 3
"""A face is free, or covered, when it has been so for this many frames."""

CAUGHT_IOU = 0.5
"""From this IoU on an occluder counts as found."""

LEFT_SHARE = 0.01
"""A mask below this share of the region counts as gone; a leak above it as seen."""

TRAIL_FRAMES = 3
"""A place is vacated when it was covered in one of so many frames before."""

STEADY = 0.1
"""A truth that changes less than this, 0-1, is the same."""

MOST_LATENCY_FRAMES = 8
"""Delays up to this are looked for."""

SAME_PLACE_PX = 1.0
"""A flow whose way there and back ends within this is believed."""


def dtssd(alpha: Alpha, truth: Alpha, region: Bool) -> Series:
    """How much the mask changes other than the truth: dtSSD (Erofeev et al., BMVC 2015), root mean
    square over the region of d(alpha)/dt - d(truth)/dt; 0 is best, 0-1; nan in the first frame.
    """
    change = np.diff(alpha, axis=0) - np.diff(truth, axis=0)
    return _led(1, np.sqrt(_means(change**2, region[1:] & region[:-1])))


def flicker(alpha: Alpha, truth: Alpha, region: Bool) -> Series:
    """Energy of what comes and goes where nothing does: mean over px whose truth stays within STEADY
    in the frame before, now and after, of ((2 now - before - after) / 2) ** 2; nan in the first and
    last frame.  A patch that shows in a single frame counts its share of the face there, a quarter
    of it in each frame beside.
    """
    before, after = np.abs(truth[1:-1] - truth[:-2]), np.abs(truth[1:-1] - truth[2:])
    steady = (before < STEADY) & (after < STEADY)
    steady &= region[1:-1] & region[:-2] & region[2:]
    bend = (2 * alpha[1:-1] - alpha[:-2] - alpha[2:]) / 2
    return np.concatenate([_led(1, _means(bend**2, steady)), [np.nan]])[: len(alpha)]


def warp_error(alpha: Alpha, images: NDArray[np.uint8], region: Bool) -> Series:
    """How much the mask differs from the last one carried along by optical flow (the warping error
    of Lai et al., ECCV 2018, on masks): mean absolute difference where the flow of the (T, S, S, 3)
    RGB pictures is believed; nan in the first frame.

    Never to be read alone: an empty mask is perfectly stable.
    """
    values = [np.nan]
    for now in range(1, len(alpha)):
        flow, sure = flow_back(images[now - 1], images[now])
        spots = _grid(alpha.shape[1]) + flow
        carried = cv2.remap(alpha[now - 1], spots, None, cv2.INTER_LINEAR)
        where = sure & region[now]
        error = np.abs(alpha[now] - carried)[where]
        values.append(float(error.mean()) if error.size else np.nan)
    return np.array(values)


def flow_back(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> tuple[Alpha, Bool]:
    """(S, S, 2) float32 px: where each px of ``now`` was in ``before``, and (S, S) bool whether that
    is believed: the way there and back must end where it began.
    """
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (now, before)]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    there = np.asarray(search.calc(grey[0], grey[1], None), np.float32)
    back = np.asarray(search.calc(grey[1], grey[0], None), np.float32)
    returned = there + cv2.remap(back, _grid(now.shape[0]) + there, None, cv2.INTER_LINEAR)
    return there, np.asarray(np.hypot(returned[..., 0], returned[..., 1]) < SAME_PLACE_PX)


def trail(alpha: Alpha, truth: Alpha, region: Bool) -> Series:
    """Share of what the occluder has left within TRAIL_FRAMES that is still marked; nan where it
    has left nothing.
    """
    marked, covered = alpha > 0.5, truth > 0.5
    values = []
    for now in range(len(alpha)):
        was = covered[max(0, now - TRAIL_FRAMES) : now].any(0)
        vacated = was & ~covered[now] & region[now]
        values.append(float(marked[now][vacated].mean()) if vacated.any() else np.nan)
    return np.array(values)


def leak(alpha: Alpha, truth: Alpha, region: Bool, found: Bool) -> Series:
    """Share of the face that shows through a filter which hides the face and keeps what is marked:
    visible face that is marked, and all visible face where no face was ``found`` (T,).
    """
    shown = region & (truth <= 0.5)
    through = shown & ((alpha > 0.5) | ~found[:, None, None])
    return np.asarray(through.sum((1, 2)) / np.maximum(region.sum((1, 2)), 1))


@dataclass(frozen=True, slots=True)
class Event:
    """Something comes in front of a free face, or leaves it.

    Attributes:
        frame: the first in which it is there, or gone.
        until: the first frame at which this ends: the next event, or the end of the clip.
        lag_frames: how long the mask took to show it; None if it had not by ``until``.
    """

    frame: int
    until: int
    lag_frames: int | None


def onsets(shares: Sequence[float], ious: Sequence[float]) -> list[Event]:
    """When something came, and how many frames later the mask's IoU reached CAUGHT_IOU.

    Args:
        shares: (T,) truly covered share of the face.
        ious: (T,) of the mask.
    """
    return _events(shares, [iou >= CAUGHT_IOU for iou in ious], covered=True)


def releases(shares: Sequence[float], alarms: Sequence[float]) -> list[Event]:
    """When a face became free, and how many frames later the mask was below LEFT_SHARE.

    Args:
        shares: (T,) truly covered share of the face.
        alarms: (T,) marked share of the face where nothing is.
    """
    return _events(shares, [alarm < LEFT_SHARE for alarm in alarms], covered=False)


def _events(shares: Sequence[float], settled: Sequence[bool], *, covered: bool) -> list[Event]:
    states = [(share >= ONSET_SHARE) == covered for share in shares]
    others = {end for first, end in _spells([not s for s in states]) if end - first >= SPELL_FRAMES}
    events = []
    for first, end in _spells(states):
        if first not in others or end - first < SPELL_FRAMES:
            continue  # a truth that hovers about ONSET_SHARE neither comes nor goes
        lag = next((i - first for i in range(first, end) if settled[i]), None)
        events.append(Event(first, end, lag))
    return events


def _spells(states: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """First frame and end of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(states, np.int8), [0]])))
    return iter([(int(a), int(b)) for a, b in edges.reshape(-1, 2)])


def latency_frames(alpha: Alpha, truth: Alpha, region: Bool) -> int:
    """By how many frames the mask comes late: the shift, up to MOST_LATENCY_FRAMES, under which it
    overlaps the truth best (IoU of the sums); the least of equals.
    """
    best, latency = -1.0, 0
    for late in range(min(MOST_LATENCY_FRAMES + 1, len(alpha))):
        inside = region[: len(alpha) - late]
        marked = (alpha[late:] > 0.5) & inside
        covered = (truth[: len(alpha) - late] > 0.5) & inside
        iou = (marked & covered).sum() / max((marked | covered).sum(), 1)
        if iou > best + 1e-9:
            best, latency = iou, late
    return latency


def _means(values: Alpha, where: Bool) -> Series:
    """(T,) mean of (T, S, S) values where told; nan of none."""
    count = where.sum((1, 2))
    total = np.where(where, values, 0).sum((1, 2), dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _led(frames: int, series: Series) -> Series:
    return np.concatenate([np.full(frames, np.nan), series])


def _grid(size: int) -> Alpha:
    """(S, S, 2) float32, x y of each px."""
    axis = np.arange(size, dtype=np.float32)
    return np.stack(np.meshgrid(axis, axis), -1)
