"""References per identity: clean pixels of earlier frames, and a generator where there are none.

Each identity owns an *atlas*: the face unrolled onto the mean mesh, so that a pixel of the atlas is
one place of the skin whatever the pose.  Every frame, clean pixels are carried in; every frame, the
atlas is carried out to the current pose.  Both ways are piecewise-affine mesh warps (repose.py).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.parse import mesh_structure
from s3pot.repose import mesh_map, sample
from s3pot.types import Reference, Structure

Image = NDArray[np.uint8]
Field = NDArray[np.float32]

STALE_FRAMES = 1500
"""A place not seen clean for so long is believed 0.4 less: the light may have changed."""

SAME_PLACE_PX = 4.0
"""A way to the crop and back that ends within this is one and the same place of the skin."""


SPACING_FRAMES = 60
"""No identity is painted anew more often."""

MOST_UNKNOWN = 0.3
"""0-1 of the face in this pose: beyond it what was painted is of another pose."""

MOST_DRIFT_LEVELS = 20.0
"""Grey levels, 0-255, by which nine tenths of a face are brighter, or darker, than the remembered
one: an occluder changes a part of it, light changes all."""

FADE_FRAMES = 4
"""What is painted anew takes over within so many frames."""


@dataclass(slots=True)
class Atlas:
    """What is remembered of one face, on the mean mesh.

    Attributes:
        image: (S, S, 3) float32 RGB 0-255.
        count: (S, S) float32, in how many frames the place was seen clean.
        last: (S, S) int32, the frame, as `frames` counts, in which it was last seen clean.
        invented: (S, S) bool, filled by the generator and not yet seen.
        frames: how many frames the identity has been asked about.
        asked: the frame in which a generator was asked to fill in; None not yet.
        replaced: (S, S, 3) float32, what was shown before it was asked again; None at first.
    """

    image: Field
    count: Field
    last: NDArray[np.int32]
    invented: NDArray[np.bool_] = field(repr=False)
    frames: int = 0
    asked: int | None = None
    replaced: Field | None = field(default=None, repr=False)


class ReferenceBank:
    """Remembers faces and shows them in any pose. Not thread-safe.

    Args:
        template: (N, 2) float32, the mean mesh in px of the crop.
        triangles: (T, 3) int16.
        size: S, side of the crops in px.
        rate: 0-1, weight of the newest clean pixel once a place is known.
        clean_below: occluder probability under which a pixel may be learned.
        margin_px: distance kept from anything above that.
        min_age_frames: a face younger than this teaches nothing: its landmarks are still settling
            (measured in the trials: .57 IoU with the first frame as reference, .69 without it).
        generated_trust: ``known`` of an invented pixel.
        history: learn clean pixels as they come; False keeps to what was invented.
        invention_frames: what a generator invented fades from memory in so many frames; 0 keeps it.
            A false alarm on a beard is painted over with skin, and the contrast to that skin would
            confirm the alarm for ever: seen on real clips.
        parts: class name -> rings of points, for the structure map.
        max_identities: the least recently seen face beyond this is forgotten.

    Attributes:
        inventions: how often a generator was asked, by cause; see :meth:`wants_invention`.
        served: how many references were shown.
    """

    def __init__(
        self, template: Field, triangles: NDArray[np.int16], size: int, *, rate: float = 0.15,
        clean_below: float = 0.1, margin_px: int = 6, min_age_frames: int = 3,
        generated_trust: float = 0.4, history: bool = True, invention_frames: int = 8,
        parts: Mapping[str, Sequence[Sequence[int]]] | None = None, max_identities: int = 64,
    ) -> None:  # fmt: skip
        self._template, self._triangles, self._size = template, triangles, size
        self._rate, self._clean_below, self._min_age = rate, clean_below, min_age_frames
        self._generated_trust, self._max_identities = generated_trust, max_identities
        self._history, self._invention_frames = history, invention_frames
        self._parts = parts or {}
        self._kernel = np.ones((2 * margin_px + 1,) * 2, np.uint8)
        self._atlases: OrderedDict[int, Atlas] = OrderedDict()
        self.inventions: Counter[str] = Counter()
        self.served = 0
        _, self._area = mesh_map(template, template, triangles, size)

    def reset(self) -> None:
        """Forget everyone."""
        self._atlases.clear()

    def structure(self, landmarks: Field) -> Structure:
        """What guides a generator on a crop with these landmarks (N, 3), px of the crop."""
        return mesh_structure(landmarks, self._template, self._triangles, self._parts, self._size)

    def wants_invention(self, identity: int, image: Image, landmarks: Field) -> str:
        """Why a generator should paint a face: "new face", "pose", "light"; empty if it should not.

        With a history, clean pixels follow pose and light as they come, and it is asked but once.
        What changes a part of a face is an occluder: no reason to paint its reference anew.

        Args:
            identity: whose face.
            image: (S, S, 3) uint8 RGB crop.
            landmarks: (N, 3) px of the crop.
        """
        atlas = self._atlases.get(identity)
        if atlas is None or atlas.asked is None:
            return "new face"
        if self._history or atlas.frames - atlas.asked < SPACING_FRAMES:
            return ""
        posed, area = self._posed(atlas, landmarks)
        known = (posed.known > 0) & area
        if known.sum() < (1 - MOST_UNKNOWN) * area.sum():
            return "pose"
        drift = image[known].astype(np.float32).mean(-1) - posed.image[known].mean(-1)
        low, high = np.quantile(drift, [0.1, 0.9]) if drift.size else (0.0, 0.0)
        return "light" if low > MOST_DRIFT_LEVELS or high < -MOST_DRIFT_LEVELS else ""

    def reference(self, identity: int, landmarks: Field) -> Reference:
        """RF: the face without the occluder, posed as ``landmarks`` (N, 3), px of the crop."""
        atlas = self._atlases.get(identity)
        if atlas is None:
            shape = (self._size, self._size)
            return Reference(np.zeros((*shape, 3), np.uint8), np.zeros(shape, np.float32))
        atlas.frames += 1
        self.served += 1
        return self._posed(atlas, landmarks)[0]

    def _posed(self, atlas: Atlas, landmarks: Field) -> tuple[Reference, NDArray[np.bool_]]:
        """What is remembered, in a pose, and (S, S) bool where the face lies in it."""
        maps, facing = mesh_map(landmarks, self._template, self._triangles, self._size)
        known = sample(self._trust(atlas), maps)
        # Between known and unknown the remap mixes a colour with nothing: leave that seam out.
        solid = sample((self._trust(atlas) > 0).astype(np.float32), maps) > 0.99
        known = np.where(solid, known * np.clip((facing - 0.1) / 0.25, 0, 1), 0)
        shown = atlas.image
        if atlas.replaced is not None:
            done = min((atlas.frames - (atlas.asked or 0)) / FADE_FRAMES, 1)
            shown = atlas.replaced + np.float32(done) * (atlas.image - atlas.replaced)
        image = sample(np.clip(shown, 0, 255).astype(np.uint8), maps)
        image = image * (known > 0)[..., None]
        return Reference(image, known.astype(np.float32)), facing > 0

    def _trust(self, atlas: Atlas) -> Field:
        """(S, S) 0-1, how far each place of an atlas is believed."""
        stale = np.minimum((atlas.frames - atlas.last) / STALE_FRAMES, 1)
        seen = np.minimum(0.7 + 0.3 * atlas.count / 5, 1) * (1 - 0.4 * stale)
        age, lasts = atlas.frames - 1 - (atlas.asked or 0), self._invention_frames
        fresh = max(0.0, 1 - age / lasts) if lasts else 1.0
        trust = np.where(atlas.invented, self._generated_trust * fresh, seen)
        trust[(atlas.count == 0) & ~atlas.invented] = 0
        return trust.astype(np.float32)

    def observe(
        self, identity: int, image: Image, landmarks: Field, probability: Field,
        visible: NDArray[np.bool_], *, age_frames: int,
    ) -> None:  # fmt: skip
        """Learn the clean pixels of one frame.

        Args:
            identity: whose face.
            image: (S, S, 3) uint8 RGB crop.
            landmarks: (N, 3) px of the crop.
            probability: (S, S) 0-1 that something covers the face, before any clipping.
            visible: (S, S) bool, pixels that lie in the frame.
            age_frames: of the track.
        """
        atlas = self._atlas(identity)
        if age_frames < self._min_age or not self._history:
            return
        suspect = (probability >= self._clean_below) | ~visible
        clean = cv2.dilate(suspect.astype(np.uint8), self._kernel) == 0
        maps, facing = mesh_map(self._template, landmarks, self._triangles, self._size)
        # A place is learned where all four pixels that it is mixed from are clean.
        fresh = (sample(clean.astype(np.float32), maps) > 0.99) & (facing > 0.4)
        fresh &= self._unhidden(maps, landmarks)
        colour = sample(image, maps).astype(np.float32)
        atlas.count[fresh] += 1
        weight = np.maximum(self._rate, 1 / np.maximum(atlas.count, 1))
        weight = (weight * fresh).astype(np.float32)[..., None]
        atlas.image += (colour - atlas.image) * weight
        atlas.last[fresh] = atlas.frames
        atlas.invented &= ~fresh

    def _unhidden(self, maps: Field, landmarks: Field) -> NDArray[np.bool_]:
        """(S, S) bool on the atlas: places that no nearer part of the face hides.

        A cheek behind a turned nose: its place in the crop shows the nose. Seen from the crop, the
        nearest surface there belongs to another place of the atlas, so the way back leads elsewhere.
        """
        back, _ = mesh_map(landmarks, self._template, self._triangles, self._size)
        returned = cv2.remap(back, maps, None, cv2.INTER_NEAREST, borderValue=(-1, -1))
        own = np.stack(np.meshgrid(*[np.arange(self._size, dtype=np.float32)] * 2), -1)
        return np.abs(returned - own).max(-1) < SAME_PLACE_PX

    def invent(
        self, identity: int, image: Image, landmarks: Field, hidden: Field, *, whole: bool = False,
        cause: str = "new face",
    ) -> None:  # fmt: skip
        """Fill what was never seen clean and is hidden now.

        What looks uncovered stays unknown until it is learned: a copy of this very frame as its own
        reference would hide whatever the first look missed.

        Args:
            identity: whose face.
            image: (S, S, 3) uint8 RGB crop, generated.
            landmarks: (N, 3) px of the crop.
            hidden: (S, S) 0-1 probability that something covers the face.
            whole: the generator painted the whole face anew: take all of it.
            cause: of :meth:`wants_invention`.
        """
        atlas = self._atlas(identity)
        atlas.replaced = None if atlas.asked is None else atlas.image.copy()
        atlas.asked = atlas.frames
        self.inventions[cause] += 1
        maps, facing = mesh_map(self._template, landmarks, self._triangles, self._size)
        painted = whole | (sample(self.widened(hidden), maps) > 0.99)  # all four it is mixed from
        empty = (atlas.count == 0) & (facing > 0) & painted
        atlas.image[empty] = sample(image, maps)[empty]
        atlas.invented |= empty

    def widened(self, hidden: Field) -> Field:
        """(S, S) float32, 0 or 1: what a generator must paint, for :meth:`invent` to take over.

        All of a pixel that may be covered, and the margin: mixed in by its probability, the
        occluder's own colour would become part of the face.
        """
        return np.asarray(cv2.dilate((hidden >= 0.5).astype(np.float32), self._kernel), np.float32)

    def _atlas(self, identity: int) -> Atlas:
        shape = (self._size, self._size)
        if identity not in self._atlases:
            self._atlases[identity] = Atlas(
                np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32),
                np.full(shape, -1, np.int32), np.zeros(shape, np.bool_),
            )  # fmt: skip
        self._atlases.move_to_end(identity)
        while len(self._atlases) > self._max_identities:
            self._atlases.popitem(last=False)
        return self._atlases[identity]
