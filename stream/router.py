"""Decides per face and frame whether the network looks, or the last mask is carried along.

The budget is an error: the share of a face that may be marked otherwise than if the network had
looked.  It is kept in two ways.  Whenever the network does look, the carried mask is compared with
what it says: below half of the budget the next wait may be longer and more may have changed, above
the budget the waiting ends.  And where the picture does not follow from the one before (something
came), the network looks at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.smooth import Past
from trackers import AlignedFace
from trackers.mesh import PARTS

Compute = Literal["auto", "full", "saver"]
Field = NDArray[np.float32]

BUDGETS = {"full": 0.0, "auto": 0.01, "saver": 0.03}
"""0-1 of the face, that may be marked otherwise."""

LONGEST_WAITS = {"full": 0, "auto": 8, "saver": 12}
"""Frames in a row for which a mask may be carried."""

FREE_LONGER = 1.5
"""Times as long where nothing is in front: no mask can trail there, and what comes is seen to come."""

KNOWN_LOOKS = 20
"""... of a face that was looked at so often: who looks less learns less of it, and what comes is found
the worse for it (J 0.82 for 0.85 where a hand came after a second)."""

FIRST_LOOKS = 10
"""A face is looked at in so many frames first: its reference is still being learned."""

DIFFERENT_TRUST = 0.5
"""A pixel below this trust does not look like the carried one."""

LEAST_LENIENT, MOST_LENIENT = 0.5, 0.9
"""Budgets of a face may look different: at first, and where that has had no consequence so far."""

SPECK = 0.035
"""Over the side of the crop: what is thinner is an edge that the flow missed, nothing that comes."""

MOST_HARMLESS = 0.05
"""Of the face: in no more than this may change be taken for harmless."""

MOST_BESIDE = 0.2
"""Of what changed, that may lie beside those places: what comes reaches further."""

EXPRESSIVE = ("eyes", "brows", "lips", "inner mouth")
"""Parts that look different by themselves: who blinks or talks is not covered."""

EXPRESSIVE_MARGIN = 0.025
"""Over the side of the crop: so far around them."""


@dataclass(slots=True)
class Plan:
    """For one face.

    Attributes:
        wait: frames for which its mask may be carried.
        carried: frames for which it has been.
        lenience: budgets of it that may look different.
        looks: how often it was looked at.
        changed: (S, S) bool, for what of it the network was asked last; None: not for that.
        harmless: (S, S) bool, where change had no consequence of late; None: nowhere.
    """

    wait: int = 0
    carried: int = 0
    lenience: float = LEAST_LENIENT
    looks: int = 0
    changed: NDArray[np.bool_] | None = None
    harmless: NDArray[np.bool_] | None = None


class Router:
    """One plan per track. Not thread-safe.

    Args:
        compute: "full" asks the network for every face of every frame, "auto" and "saver" when the
            budget would not be kept otherwise.
    """

    def __init__(self, compute: Compute = "full") -> None:
        self._budget, self._longest = BUDGETS[compute], LONGEST_WAITS[compute]
        self._plans: dict[int, Plan] = {}

    def wants_look(self, face: AlignedFace, past: Past | None) -> bool:
        """Whether the network should look at a face; ``past`` is what is remembered of it, if anything."""
        plan = self._plans.setdefault(face.track_id, Plan())
        look = past is None or plan.carried >= plan.wait or plan.looks < FIRST_LOOKS
        plan.changed = None
        if not look and past is not None:
            changed = solid_change(face, past)
            look = share_of(face, changed) > plan.lenience * self._budget
            look = look and not within(changed, plan.harmless)
            plan.changed = changed if look else None
        plan.carried += not look  # and what it looks at it may fail at: see `learn`
        plan.looks += look
        return look

    def learn(self, face: AlignedFace, past: Past | None, logits: Field) -> None:
        """Compare what would have been carried with what the network said, (S, S) logits."""
        plan = self._plans[face.track_id]
        plan.carried = 0
        error = 1.0
        if past is not None and face.region.any():
            error = ((past.logits > 0) != (logits > 0))[face.region].mean()
        if error > self._budget:
            plan.wait, plan.lenience, plan.harmless = 0, LEAST_LENIENT, None
        elif error <= self._budget / 2:
            free = (logits > 0)[face.region].mean() <= self._budget / 2
            longer = FREE_LONGER if free and plan.looks >= KNOWN_LOOKS else 1
            plan.wait = min(2 * plan.wait + 1, int(longer * self._longest))
            plan.lenience = min(1.2 * plan.lenience, MOST_LENIENT)
            if plan.changed is not None:
                plan.harmless = harmless(face, plan.changed, plan.harmless)

    def carried_frames(self, track_id: int) -> int:
        """For how many frames a face's mask has been carried, this one included."""
        return self._plans[track_id].carried

    def waits(self, track_id: int) -> bool:
        """Whether a face's mask will be carried into the next frame, unless something changes."""
        plan = self._plans[track_id]
        return plan.looks >= FIRST_LOOKS and plan.carried < plan.wait

    def keep(self, track_ids: set[int]) -> None:
        """Forget every track but these."""
        for gone in self._plans.keys() - track_ids:
            del self._plans[gone]

    def reset(self) -> None:
        """Forget every track."""
        self._plans.clear()


def share_of(face: AlignedFace, area: NDArray[np.bool_]) -> float:
    """0-1 of a face, that a part (S, S) bool of it is."""
    return float(area.sum() / max(1, face.region.sum()))


def solid_change(face: AlignedFace, past: Past) -> NDArray[np.bool_]:
    """(S, S) bool: what of a face does not look as the picture before says, specks and its expression
    apart.
    """
    changed: NDArray[np.bool_] = (past.trust < DIFFERENT_TRUST) & face.region
    if not changed.any():
        return changed
    side = 2 * round(SPECK * len(changed) / 2) + 1
    changed &= ~expressive(face)
    solid = cv2.morphologyEx(
        changed.astype(np.uint8), cv2.MORPH_OPEN, np.ones((side, side), np.uint8)
    )
    return solid > 0


def within(changed: NDArray[np.bool_], place: NDArray[np.bool_] | None) -> bool:
    """Whether nearly all that changed, (S, S) bool, lies in a place."""
    if place is None:
        return False
    return bool((changed & ~place).sum() <= MOST_BESIDE * changed.sum())


def harmless(
    face: AlignedFace, changed: NDArray[np.bool_], known: NDArray[np.bool_] | None
) -> NDArray[np.bool_] | None:
    """(S, S) bool: where change has no consequence, now that this one had none.

    The tip of a nose that turns, a fringe: there the flow fails again and again.  What comes onto
    the face changes more than so small a place.  The crop is upright: a place of it is one of the face.

    Args:
        face: aligned.
        changed: (S, S) bool, of it.
        known: (S, S) bool, where it was known to have none.
    """
    side = 2 * round(SPECK * len(changed) / 2) + 1
    wide = cv2.dilate(changed.astype(np.uint8), np.ones((side, side), np.uint8)) > 0
    both = wide if known is None else wide | known
    for area in (both, wide):
        if share_of(face, area) <= MOST_HARMLESS:
            return area
    return None


def expressive(face: AlignedFace) -> NDArray[np.bool_]:
    """(S, S) bool: eyes, brows and mouth, and a little around them."""
    size = face.region.shape[0]
    canvas = np.zeros(face.region.shape, np.uint8)
    margin = 2 * round(EXPRESSIVE_MARGIN * size)
    points = np.rint(face.landmarks[:, :2]).astype(np.int32)
    for part in EXPRESSIVE:
        for ring in PARTS[part]:
            cv2.fillPoly(canvas, [points[list(ring)]], 1)
    return np.asarray(cv2.dilate(canvas, np.ones((margin + 1, margin + 1), np.uint8)) > 0)
