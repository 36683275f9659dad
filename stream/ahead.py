"""Looks some frames ahead before a mask is given out: for files, where nobody waits.

What a frame shows is also told by the frames after it.  Their masks are carried back by the same
optical flow that carries the past forward (:mod:`stream.smooth`), and averaged in logits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from s3pot.types import OcclusionMask, reach
from stream.frame import FrameResult
from stream.smooth import LIMIT, Field, Flow
from trackers.align import cut

FADING = 0.7
"""A frame further ahead counts so much of the one before it."""


WHOLE = 0.99
"""All four pixels that a carried one is mixed from must lie where the mask reaches."""


class LookAhead:
    """Holds results back until those after them are there. Not thread-safe.

    Args:
        frames: to look ahead; 0 holds nothing back.
        same_level: see :class:`stream.smooth.Flow`.
    """

    def __init__(self, frames: int, same_level: float = 12.0) -> None:
        self._frames, self._flow = frames, Flow(same_level)
        self._held: deque[Seen] = deque()

    def push(self, result: FrameResult) -> Iterator[FrameResult]:
        """One result in; the one of ``frames`` ago out, better informed, if there is one."""
        if self._frames == 0:
            yield result
            return
        self._held.append(Seen(result, self._flow))
        if len(self._held) > self._frames:
            yield self._first()

    def flush(self) -> Iterator[FrameResult]:
        """The results that are still held, at the end of a stream."""
        while self._held:
            yield self._first()

    def reset(self) -> None:
        """Forget what is held."""
        self._held.clear()

    def _first(self) -> FrameResult:
        first = self._held.popleft()
        size = first.result.frame.image.shape[:2]
        masks = (mixed(mask, first, self._held, self._flow, size) for mask in first.result.masks)
        return replace(first.result, masks=tuple(masks))


class Seen:
    """A result with each face's small crop and logits, by track."""

    def __init__(self, result: FrameResult, flow: Flow) -> None:
        self.result = result
        self.pictures: dict[int, NDArray[np.uint8]] = {}
        self.logits: dict[int, Field] = {}
        self.known: dict[int, Field] = {}  # 1 where the mask reaches: beyond, logits mean nothing
        for mask in result.masks:
            crop = cut(result.frame.image, mask.frame_to_face, len(mask.region))
            self.pictures[mask.track_id] = flow.small(crop)
            self.logits[mask.track_id] = logits_of(mask.probability)
            self.known[mask.track_id] = reach(mask.region).astype(np.float32)


def mixed(
    mask: OcclusionMask, first: Seen, others: Iterable[Seen], flow: Flow, size: tuple[int, ...]
) -> OcclusionMask:
    """A mask with what the frames after it say; up to the first that does not know the face."""
    who, side = mask.track_id, len(mask.region)
    total, weight, fading = first.logits[who].copy(), np.ones(mask.region.shape, np.float32), 1.0
    for other in others:
        if who not in other.logits or other.logits[who].shape != total.shape:
            break
        way = flow.between(other.pictures[who], first.pictures[who], side)
        fading *= FADING
        trust = fading * way.trust * (way.bring(other.known[who]) > WHOLE)
        total += trust * way.bring(other.logits[who])
        weight += trust
    probability = np.where(reach(mask.region), 1 / (1 + np.exp(-total / weight)), 0).astype(
        np.float32
    )
    shown = cut(np.full(size, 255, np.uint8), mask.frame_to_face, side) > 127
    area = max(1, int((mask.region & shown).sum()))
    covered = float((probability > 0.5)[mask.region & shown].sum() / area)
    return replace(mask, probability=probability, coverage=covered)


def logits_of(probability: Field) -> Field:
    """Back from a probability, within LIMIT."""
    edge = 1 / (1 + np.exp(LIMIT))
    inside = np.clip(probability, edge, 1 - edge)
    return np.asarray(np.log(inside / (1 - inside)), np.float32)
