"""Training samples: a face, something put in front of it as a camera would see it, a reference."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from s3pot.training.beard import grow
from s3pot.training.invented import Inventors
from s3pot.training.layer import in_skin, put_in_front, skin_colour
from s3pot.training.makeup import make_up
from s3pot.training.occluders import WORN, Occluders
from s3pot.training.references import FacePhoto, bend, open_mouth, relight, simulate_reference
from s3pot.types import KINDS, PART_OF_FACE

Field = NDArray[np.float32]

UNKNOWN = 255

INVENTED_SHARE = 0.3
"""So many of the references are a generator's, where there are generators."""

BEARD_SHARE = 0.08
"""So many faces are given a beard."""

MAKE_UP_SHARE = 0.06
"""So many faces are made up."""

HARD_SHADOW_SHARE = 0.3
"""So many of the stray shadows have a hard edge and are nearly black."""

LOW_LIGHT_SHARE = 0.06
"""So many scenes are dark, and so is what is remembered of them."""

OF_BARE, OF_COVERED = (0.16, 0.66, 0.18), (0.5, 0.4, 0.1)
"""How often no, one and two occluders are laid on a bare face, and on one with something before it."""

FACE, UNSURE, COVERED = 0, 128, 255
"""What ``agreed`` says of a pixel, see :mod:`s3pot.training.agree`."""

KIND_OF = {
    "hand": "hand", "drawn_hand": "hand", "mask": "mask", "sunglasses": "sunglasses",
    "glasses": "glasses", "hat": "hat", "hair": "hair",
}  # fmt: skip
"""The label of what is laid on; all else is "other"."""


class Sample(NamedTuple):
    """Attributes:
    raw, reference: (S, S, 3) uint8 RGB.
    known: (S, S) uint8, 255 = fully known.
    target: (S, S) uint8, the occluder's alpha times 255; glasses, hair and hats have none.
    kinds: (S, S) uint8, index of :data:`s3pot.types.KINDS`; 255 where nobody has said.
    clean: (S, S, 3) uint8 RGB, the same face in the same light with nothing in front.
    region: (S, S) bool, the true amodal face.
    judged: (S, S) bool, False where nobody knows whether face or occluder is seen.
    """

    raw: NDArray[np.uint8]
    reference: NDArray[np.uint8]
    known: NDArray[np.uint8]
    target: NDArray[np.uint8]
    kinds: NDArray[np.uint8]
    clean: NDArray[np.uint8]
    region: NDArray[np.bool_]
    judged: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Faces:
    """Photographs to train on, roughly aligned, and who is in them.

    Attributes:
        images: (N, H, H, 3) uint8 RGB (may be memory-mapped).
        landmarks: (N, 468, 3) float32 px.
        siblings: for each photograph the indices of the others of the same person.
        triangles: (T, 3) int16 of the mesh.
        labels: (N, H, H) uint8, see :class:`FacePhoto`; None if there are none.
        agreed: (N, H, H) uint8, what the photographs themselves have before the faces, see
            :mod:`s3pot.training.agree`; None if nobody has looked.
        covered: indices of the photographs in which it is something.
        inventors: paint some of the references; None: no generator does.
    """

    images: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    siblings: list[list[int]]
    triangles: NDArray[np.int16]
    labels: NDArray[np.uint8] | None = None
    agreed: NDArray[np.uint8] | None = None
    covered: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    inventors: Inventors | None = None

    def photo(self, index: int) -> FacePhoto:
        """One photograph."""
        labels = None if self.labels is None else np.asarray(self.labels[index])
        agreed = None if self.agreed is None else np.asarray(self.agreed[index])
        return FacePhoto(
            np.asarray(self.images[index]), np.asarray(self.landmarks[index]), labels, agreed
        )

    def labelled(self) -> NDArray[np.int64]:
        """Indices of the photographs whose pixels somebody has named."""
        if self.labels is None:
            return np.zeros(0, np.int64)
        middle = self.images[0].shape[0] // 2
        named = [self.labels[i][middle, middle] != UNKNOWN for i in range(len(self.images))]
        return np.flatnonzero(named)


def jitter(photo: FacePhoto, size: int, rng: Generator) -> FacePhoto:
    """Cut a size x size square with the alignment error of a tracker."""
    height = photo.image.shape[0]
    turn, scale = rng.normal(0, 0.07), np.exp(rng.normal(0, 0.06))
    matrix = cv2.getRotationMatrix2D(((height - 1) / 2,) * 2, np.degrees(turn), scale)
    matrix[:, 2] += (size - height) / 2 + rng.normal(0, 4, 2)
    image = cv2.warpAffine(photo.image, matrix, (size, size))
    landmarks = photo.landmarks * np.array([1, 1, scale], np.float32)
    landmarks[:, :2] = photo.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]

    def moved(labels: NDArray[np.uint8] | None, outside: int) -> NDArray[np.uint8] | None:
        if labels is None:
            return None
        nearest = cv2.INTER_NEAREST
        return cv2.warpAffine(labels, matrix, (size, size), flags=nearest, borderValue=outside)

    labels, agreed = moved(photo.labels, UNKNOWN), moved(photo.agreed, FACE)
    return FacePhoto(image, landmarks.astype(np.float32), labels, agreed)


def own_cover(photo: FacePhoto) -> tuple[Field, NDArray[np.bool_]]:
    """(H, W) 0-1 what the photograph itself has before the face, and (H, W) where that is known."""
    if photo.agreed is None:
        shape = photo.image.shape[:2]
        return np.zeros(shape, np.float32), np.ones(shape, bool)
    found = cv2.GaussianBlur((photo.agreed == COVERED).astype(np.float32), (0, 0), 0.7)
    return np.asarray(found, np.float32), photo.agreed != UNSURE


def bare_kinds(photo: FacePhoto) -> NDArray[np.uint8]:
    """(H, W) uint8: what the photograph itself has before the face, as its labels say.

    Off the face a label says nothing of what is in front of it, but hair and hats go on there.
    """
    if photo.labels is None or (photo.agreed is not None and photo.agreed.any()):
        return np.full(photo.image.shape[:2], UNKNOWN, np.uint8)
    table = np.full(256, UNKNOWN, np.uint8)
    table[[1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17]] = KINDS.index("face")
    table[3], table[13], table[14] = (KINDS.index(k) for k in ("glasses", "hair", "hat"))
    return table[photo.labels]


def _camera(image: NDArray[np.float32], detail: float, rng: Generator) -> NDArray[np.uint8]:
    """Sensor and codec: lost detail, blur, noise, compression."""
    size = image.shape[0]
    if detail < 1:
        small = (max(24, int(size * detail)),) * 2
        image = cv2.resize(cv2.resize(image, small, interpolation=cv2.INTER_AREA), (size, size))
    if rng.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.6))
    if rng.random() < 0.4:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        image = image + noise * np.float32(rng.uniform(0.005, 0.04))
    pixels = (np.clip(image, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = int(rng.integers(25, 95))
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return pixels


def _stray_shadow(image: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """A soft shadow or glare on the face with nothing in front: it is face."""
    coarse = cv2.resize(rng.standard_normal((4, 4)).astype(np.float32), image.shape[1::-1])
    hard = rng.random() < HARD_SHADOW_SHARE
    steep, change = (rng.uniform(8, 60), -0.9) if hard else (rng.uniform(2, 8), -0.55)
    edge = np.clip(coarse * steep + 0.5, 0, 1)[..., None]
    return np.clip(image * (1 + edge * rng.uniform(change, 0.3)), 0, 1)


def _cover(
    image: Field, photo: FacePhoto, faces: Faces, occluders: Occluders, rng: Generator
) -> tuple[Field, Field, NDArray[np.uint8], NDArray[np.bool_]]:
    """Lay no, one or two occluders over a face, what is worn first: picture, target, kinds, judged."""
    target, judged = own_cover(photo)
    kinds, tone = bare_kinds(photo), skin_colour(photo)
    odds = OF_COVERED if target.any() else OF_BARE
    picks = [occluders.pick(rng) for _ in range(rng.choice(len(odds), p=odds))]
    for kind, cutout in sorted(picks, key=lambda pick: pick[0] not in WORN):
        other = faces.photo(int(rng.integers(len(faces.images))))
        if rng.random() < 0.4:
            tone = skin_colour(other)
        bare_hand = kind == "drawn_hand" and rng.random() < 0.6  # real skin, often this very face's
        whose = photo if rng.random() < 0.5 else other
        occluder = in_skin(cutout, whose, rng) if bare_hand else cutout
        image, alpha = put_in_front(image, kind, occluder, photo, tone=tone, rng=rng)
        name = KIND_OF.get(kind, "other")
        seen = np.zeros_like(alpha) if name in PART_OF_FACE else alpha
        # What is opaque replaces what was there; a strand or a rim is face again.
        target = np.asarray(target * (1 - alpha) + seen, np.float32)
        kinds = np.where(alpha > 0.5, KINDS.index(name), np.where(alpha > 0.1, UNKNOWN, kinds))
        judged = judged | (alpha > 0.5)
    return image, target, kinds.astype(np.uint8), judged


def compose(faces: Faces, occluders: Occluders, index: int, size: int, rng: Generator) -> Sample:
    """One training sample around photograph ``index``; all randomness comes from ``rng``."""
    source = faces.photo(index)
    bearded = rng.random() < BEARD_SHARE
    made_up = rng.random() < MAKE_UP_SHARE
    if bearded:
        source = grow(source, rng)
    if made_up:
        source = make_up(source, rng)
    photo = jitter(source, size, rng)
    image = relight(photo.image.astype(np.float32) / 255, abs(rng.normal(0, 0.4)), rng)
    if rng.random() < 0.12:
        image = _stray_shadow(image, rng)
    clean = (image * 255).astype(np.uint8)
    image, target, kinds, judged = _cover(image, photo, faces, occluders, rng)
    siblings = faces.siblings[index] if not (bearded or made_up) else []
    if siblings and rng.random() < 0.35:
        source = faces.photo(siblings[rng.integers(len(siblings))])
    reference, known = _reference(faces, source, photo, image, target, rng=rng)
    detail = rng.uniform(0.35, 1) if rng.random() < 0.35 else 1.0
    if rng.random() < LOW_LIGHT_SHARE:  # noise and compression come after it, as in a camera
        dim = np.float32(rng.uniform(0.15, 0.6))
        image, reference, clean = image * dim, reference * dim, (clean * dim).astype(np.uint8)
    hull = cv2.convexHull(photo.landmarks[:, :2].astype(np.float32)).astype(np.int32)
    region = cv2.fillConvexPoly(np.zeros((size, size), np.uint8), hull, 1).astype(bool)
    flip = slice(None, None, -1 if rng.random() < 0.5 else 1)
    parts = (
        _camera(image, detail, rng), _camera(reference, detail if rng.random() < 0.7 else 1.0, rng),
        (known * 255).astype(np.uint8), (target * 255 + 0.5).astype(np.uint8),
        kinds, clean, region, judged,
    )  # fmt: skip
    return Sample(*(np.ascontiguousarray(part[:, flip]) for part in parts))


def _reference(
    faces: Faces, own: FacePhoto, photo: FacePhoto, image: Field, target: Field, *, rng: Generator
) -> tuple[Field, Field]:
    """What ``own`` remembers of a face; ``photo`` is it as jittered, ``image`` with ``target`` on it."""
    size = photo.image.shape[0]
    if rng.random() < 0.2:
        return np.zeros((size, size, 3), np.float32), np.zeros((size, size), np.float32)
    other = faces.photo(int(rng.integers(len(faces.images))))
    seen = bend(photo.landmarks, abs(rng.normal(0, 1.0)), rng)
    if target.any():  # under an occluder the mesh guesses
        slip = bend(photo.landmarks, abs(rng.normal(0, 2.2)), rng) - photo.landmarks
        last = size - 1
        xs, ys = np.clip(photo.landmarks[:, :2], 0, last).astype(int).T
        seen = seen + slip * cv2.GaussianBlur(target, (0, 0), 4)[ys, xs, None]
    if faces.inventors is not None and rng.random() < INVENTED_SHARE:
        return faces.inventors(image, target, seen.astype(np.float32), rng)
    if rng.random() < 0.3:
        seen = open_mouth(seen, rng.normal(0, 4))
    reference, known = simulate_reference(
        own, other, seen.astype(np.float32), triangles=faces.triangles, size=size, rng=rng
    )
    if own.agreed is not None and own.agreed.any() and photo.agreed is not None:
        hidden = photo.agreed != FACE  # what was covered then, too, nobody remembers
        free = cv2.dilate(hidden.astype(np.uint8), np.ones((15, 15), np.uint8)) == 0
        reference, known = reference * free[..., None], known * free
    return reference, known
