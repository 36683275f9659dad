"""Stands in for the model: finds the face of :mod:`stream.bench.servers.card`, and fails on order."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from s3pot.types import OcclusionMask
from stream.bench.servers.card import FACE_PX, face_pixels
from stream.frame import Frame, FrameResult
from trackers import TrackedFace, TrackState

SIDE, RADIUS = 96, 40
"""Of the mask's square, and of the face in it, px."""

FIRST, LAST = 30, 40
"""Frames in which a model that is told to fail does so."""

SLEEP_SECONDS = 2.0


class DiscFinder:
    """Whatever has the face's colour is the face; nothing is in front of it."""

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        """One result a frame."""
        for frame in frames:
            box = box_of(frame.image)
            yield FrameResult(frame, (), (), looked=True) if box is None else found(frame, box)

    def close(self) -> None:
        """Nothing is held."""


class Failing(DiscFinder):
    """One that fails in its frames FIRST to LAST.

    Args:
        how: given a good result, what comes instead; it may raise.
    """

    def __init__(self, how: Callable[[FrameResult], FrameResult]) -> None:
        self._how, self._done = how, 0

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        """One result a frame."""
        for result in super().__call__(frames):
            self._done += 1
            yield self._how(result) if FIRST <= self._done < LAST else result


def raises(result: FrameResult) -> FrameResult:
    """An error of a kind that nobody foresaw."""
    raise RuntimeError("the device has gone")


def nan_masks(result: FrameResult) -> FrameResult:
    """Masks without a number in them."""
    masks = [replace(m, probability=np.full_like(m.probability, np.nan)) for m in result.masks]
    return replace(result, masks=tuple(masks))


def nan_boxes(result: FrameResult) -> FrameResult:
    """Faces that are nowhere."""
    nowhere = np.full(4, np.nan, np.float32)
    return replace(result, faces=tuple(replace(f, box_px=nowhere) for f in result.faces))


def torn(result: FrameResult) -> FrameResult:
    """Faces without masks: nothing that a policy can work with."""
    return replace(result, masks=())


class Sleeping(DiscFinder):
    """Takes SLEEP_SECONDS for its frame FIRST."""

    def __init__(self) -> None:
        self._done = 0

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        """One result a frame."""
        for frame in frames:
            self._done += 1
            if self._done == FIRST:
                time.sleep(SLEEP_SECONDS)
            yield from super().__call__([frame])


MODELS: dict[str, Callable[[], DiscFinder]] = {
    "disc": DiscFinder, "raises": lambda: Failing(raises), "nan masks": lambda: Failing(nan_masks),
    "nan boxes": lambda: Failing(nan_boxes), "torn": lambda: Failing(torn), "sleeps": Sleeping,
}  # fmt: skip


def box_of(image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """(4,) around all pixels of the face's colour; None if there are none."""
    rows, columns = np.nonzero(face_pixels(image))
    if len(rows) < FACE_PX:
        return None
    edges = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return np.array(edges, np.float32)


def found(frame: Frame, box: NDArray[np.float32]) -> FrameResult:
    """The result of a frame with one face, round about the box."""
    middle = (box[:2] + box[2:]) / 2
    radius = max(4.0, float(np.hypot(*(box[2:] - box[:2]))) / 2)
    points = np.zeros((468, 3), np.float32)
    points[:, :2] = middle
    around = np.concatenate([middle - radius, middle + radius]).astype(np.float32)
    face = TrackedFace(
        1, 1, points, np.ones(468, np.float32), around, 0.99, 9, TrackState.SEEN, support=0.9
    )
    scale = RADIUS / radius
    shift = SIDE / 2 - scale * middle
    to_face = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)
    v, u = np.mgrid[:SIDE, :SIDE]
    region = np.hypot(u - SIDE / 2, v - SIDE / 2) < RADIUS
    mask = OcclusionMask(1, np.zeros((SIDE, SIDE), np.float32), region, to_face, 0.0, 0.95, None)
    return FrameResult(frame, (face,), (mask,), looked=True)
