"""Steadies a face's mask over time: what was known moves along with what it was known of.

The last logits of a face are carried to this frame by the optical flow of its aligned crop.  In
those crops a mask or glasses stand still and are averaged for long; a hand moves, and its logits
move with it.  Where the crop does not look as the carried one should (something came, the flow
failed, a cut), the past says nothing and this frame's logits stand as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Image = NDArray[np.uint8]

LIMIT = 6.0
"""Logits are clipped here: a long-sure pixel must not need many frames to change its mind."""

SHRINK = 2
"""The flow is sought in crops smaller by this."""

PATCH_PX = 3
"""Side of the square over which a difference of the small pictures is averaged."""


@dataclass(frozen=True, slots=True)
class Carried:
    """The way from a frame back to the one before, in a face's aligned crops of S px.

    Attributes:
        spots: (S, S, 2) float32, x y: where each px of now was before.
        trust: (S, S) float32 0-1, how much now looks there as before.
    """

    spots: NDArray[np.float32]
    trust: Field

    def bring(self, field: Field) -> Field:
        """A (S, S) field of before, as it would lie now; beyond the border its rim goes on."""
        return np.asarray(
            cv2.remap(field, self.spots, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            np.float32,
        )


class Flow:
    """Dense optical flow between a face's crops (DIS, Kroeger et al., ECCV 2016).

    Args:
        same_level: grey levels, 0-255: a difference at which a pixel's past is trusted by 1 / e.
    """

    def __init__(self, same_level: float = 12.0) -> None:
        self._same_level = same_level
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def small(self, crop: Image) -> Image:
        """What :meth:`between` takes: (S, S, 3) uint8 RGB, grey and SHRINK times smaller."""
        side = crop.shape[0] // SHRINK
        grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
        return np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), np.uint8)

    def between(self, before: Image, now: Image, size: int) -> Carried:
        """From two small crops of a face, one frame apart, the way back in crops of ``size`` px."""
        flow = np.asarray(self._search.calc(now, before, None), np.float32)
        was = cv2.remap(before, grid(len(now)) + flow, None, cv2.INTER_LINEAR,
                        borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        differs = cv2.blur(cv2.absdiff(now, was).astype(np.float32), (PATCH_PX, PATCH_PX))
        trust = np.exp(-((differs / np.float32(self._same_level)) ** 2))
        wide = cv2.resize(flow, (size, size)) * np.float32(size / len(now))
        return Carried(grid(size) + wide, np.asarray(cv2.resize(trust, (size, size)), np.float32))


@dataclass(frozen=True, slots=True)
class Past:
    """What a face's memory says of this frame, before anything is inferred from it.

    Attributes:
        logits: (S, S) float32, the last ones, carried here.
        trust: (S, S) float32 0-1, how far they can be believed.
    """

    logits: Field
    trust: Field

    @property
    def verdict(self) -> Field:
        """(S, S) float32 from -1, face, to 1, occluder: which it was, by trust."""
        return np.asarray(np.sign(self.logits) * self.trust, np.float32)


@dataclass(slots=True)
class Memory:
    """Of one track.

    Attributes:
        logits: (S, S) float32, the last ones.
        known: (S, S) float32, 1 where they mean something.
        picture: the small crop they belong to.
        frames: how many there were.
    """

    logits: Field
    known: Field
    picture: Image
    frames: int


class FlowSmoother:
    """One memory per track. Not thread-safe.

    Args:
        attack: 0-1, gain of a small rise where the picture is as it was; 1 follows at once.
        release: 0-1, gain of a small fall.
        jump: a change of this many logits passes whole, whatever the picture says.
        same_level: see :class:`Flow`.
    """

    def __init__(
        self, attack: float = 0.3, release: float = 0.1, jump: float = 12.0, same_level: float = 12.0
    ) -> None:  # fmt: skip
        self._attack, self._release, self._jump = attack, release, jump
        self._flow = Flow(same_level)
        self._tracks: dict[int, Memory] = {}

    def recall(self, track_id: int, crop: Image) -> Past | None:
        """What is remembered of a track, where its crop, (S, S, 3) uint8 RGB, shows it now."""
        memory = self._tracks.get(track_id)
        if memory is None or memory.logits.shape != crop.shape[:2]:
            return None
        way = self._flow.between(memory.picture, self._flow.small(crop), len(crop))
        # What comes to where the mask reaches was beyond before, where nobody said what it is.
        return Past(way.bring(memory.logits), way.trust * way.bring(memory.known))

    def smooth(
        self, track_id: int, logits: Field, crop: Image, region: NDArray[np.bool_],
        past: Past | None,
    ) -> Field:  # fmt: skip
        """Mix this frame's logits with the past, and remember them; without a past they stand.

        Args:
            track_id: whose.
            logits: (S, S) float32, positive = occluder.
            crop: (S, S, 3) uint8 RGB, what they were made from.
            region: (S, S) bool, where the mask reaches; beyond it logits mean nothing.
            past: what :meth:`recall` said of this crop.
        """
        now = np.clip(logits, -LIMIT, LIMIT).astype(np.float32)
        frames = 1 if past is None else self._tracks[track_id].frames + 1
        if past is not None:
            now = self._mixed(past, now, frames)
        known = region.astype(np.float32)
        self._tracks[track_id] = Memory(now, known, self._flow.small(crop), frames)
        return now

    def _mixed(self, past: Past, now: Field, frames: int) -> Field:
        """The past, corrected by what is seen now; while the past is short, by its fair share."""
        change = now - past.logits
        gain = np.where(change > 0, max(self._attack, 1 / frames), max(self._release, 1 / frames))
        kept = (1 - gain) * past.trust * np.clip(1 - np.abs(change) / self._jump, 0, 1)
        return np.asarray(now - kept * change, np.float32)

    def keep(self, track_ids: set[int]) -> None:
        """Forget every track but these."""
        for gone in self._tracks.keys() - track_ids:
            del self._tracks[gone]

    def reset(self) -> None:
        """Forget every track."""
        self._tracks.clear()


@cache
def grid(size: int) -> NDArray[np.float32]:
    """(size, size, 2) float32, x y of each px."""
    axis = np.arange(size, dtype=np.float32)
    return np.stack(np.meshgrid(axis, axis), -1)


def sigmoid(logits: Field) -> Field:
    """Logits to probability, float32."""
    return (1 / (1 + np.exp(-logits))).astype(np.float32)
