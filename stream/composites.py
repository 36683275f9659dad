"""Held-out occluders laid over clips of uncovered faces: the truth is exact.

The first third of a clip stays uncovered, so that false alarms are counted too; then the occluder
comes in, rests, and leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.metrics import COVERED_SHARE
from s3pot.training.cutout import Rgba
from s3pot.training.layer import recolour
from s3pot.training.occluders import Occluders, load_occluders
from stream.datasets import Case
from stream.truth import Bool, Image, RefusedError, Shot, read_clip

KINDS = {"hand": 0.6, "object": 0.15, "mask": 0.1, "scarf": 0.1, "sunglasses": 0.05}

OWN_TONE = 0.6
"""Share of the hands that are recoloured to the face's own tone: skin over skin is the hard case."""

Box = NDArray[np.float32]
Place = tuple[float, float, float] | None
"""x, y of the occluder's leading edge in px and its angle; None while it is away."""

FindFace = Callable[[Image], Box | None]
"""The surest face of a picture, x0 y0 x1 y1 in px; None where there is none."""


@dataclass(frozen=True, slots=True)
class CompositePlan:
    """How many composites, and of what.

    Attributes:
        per_clip: composites of each clip.
        frames: at most so many frames of each.
        cold: 0, or so many single frames of each composite, all of them covered.
        seed: of occluders and paths.
    """

    per_clip: int = 3
    frames: int = 120
    cold: int = 0
    seed: int = 7


def composite_cases(
    clips: Path, occluders: Path, find_face: FindFace, plan: CompositePlan
) -> Iterator[Case]:
    """Composites of held-out occluders over every clip of a folder, clip by clip.

    Args:
        clips: folder of .mp4 files with one uncovered face.
        occluders: folder of RGBA cut-outs; the held-out sixth is used.
        find_face: asked once for each clip.
        plan: how many of what.

    Raises:
        FileNotFoundError: there are no clips or no occluders.
    """
    paths = sorted(clips.glob("*.mp4"))
    if not paths:
        raise FileNotFoundError(f"{clips}: no .mp4 files")
    choice = load_occluders(occluders, KINDS, held_out=True)
    return _composites(paths, choice, find_face, plan)


def _composites(
    paths: list[Path], choice: Occluders, find_face: FindFace, plan: CompositePlan
) -> Iterator[Case]:
    for path in paths:
        pictures: list[Image] = []  # decoded once for all composites of the clip
        for turn in range(plan.per_clip):
            rng = np.random.default_rng([plan.seed, len(path.stem), *path.stem.encode(), turn])
            kind, occluder = choice.pick(rng)
            compose = Composite(
                path, pictures, (kind, occluder), find_face=find_face, rng=rng, frames=plan.frames
            )
            name = f"{path.stem}/{turn}"
            if plan.cold:
                for nth in range(plan.cold):
                    yield Case(f"{name}#{nth}", kind, partial(compose.one, nth, plan.cold))
            else:
                yield Case(name, kind, compose.all, clip=True)


class Composite:
    """One occluder's way over one clip; see :func:`composite_cases`."""

    def __init__(
        self, path: Path, pictures: list[Image], occluder: tuple[str, Rgba], *,
        find_face: FindFace, rng: np.random.Generator, frames: int,
    ) -> None:  # fmt: skip
        self._path, self._pictures, self._frames = path, pictures, frames
        self._kind, self._occluder = occluder
        self._find_face, self._rng = find_face, rng
        self._face: Box = np.zeros(4, np.float32)
        self._places: list[Place] = []
        self._covered: list[int] | None = None

    def all(self) -> Iterator[Shot]:
        """The whole composite, frame by frame."""
        self._prepare()
        for index in range(len(self._pictures)):
            yield self._shot(index)

    def one(self, nth: int, count: int) -> Iterator[Shot]:
        """The ``nth`` of ``count`` frames spread evenly over those that are covered."""
        self._prepare()
        if self._covered is None:
            there = [i for i, place in enumerate(self._places) if place is not None]
            self._covered = [i for i in there if self._shot(i).hides]
        if not self._covered:
            raise RefusedError(f"{self._path}: the {self._kind} never reaches the face")
        yield self._shot(self._covered[(2 * nth + 1) * len(self._covered) // (2 * count)])

    def _prepare(self) -> None:
        if self._places:
            return
        if not self._pictures:
            self._pictures.extend(islice(read_clip(self._path), self._frames))
        face = self._find_face(self._pictures[0])
        if face is None:
            raise RefusedError(f"{self._path}: no face in its first frame to lay an occluder over")
        if self._kind == "hand" and self._rng.random() < OWN_TONE:
            self._occluder = recolour(self._occluder, tone(self._pictures[0], face))
        self._face = face
        self._places = way(face, len(self._pictures), self._rng)

    def _shot(self, index: int) -> Shot:
        picture, place = self._pictures[index], self._places[index]
        image, truth = lay(picture, self._occluder, place, self._face, self._kind)
        return Shot(image, truth, None, hides=hides(truth, self._face))


def hides(truth: Bool, face: Box) -> bool:
    """Whether the truth covers a face's box enough to count."""
    x0, y0, x1, y1 = np.maximum(face, 0).astype(int)
    return bool(truth[y0:y1, x0:x1].mean() >= COVERED_SHARE)


def tone(picture: Image, face: Box) -> NDArray[np.float32]:
    """(3,) float32 RGB 0-1, median colour of the cheeks of the face in a box."""
    x0, y0, x1, y1 = face.astype(int)
    cheek = picture[(y0 + y1) // 2 : (y0 + 2 * y1) // 3, (3 * x0 + x1) // 4 : (x0 + 3 * x1) // 4]
    return (np.median(cheek.reshape(-1, 3), 0) / 255).astype(np.float32)


def way(face: Box, count: int, rng: np.random.Generator) -> list[Place]:
    """Where the occluder is in each of ``count`` frames: away for a third, in, at rest, out."""
    x0, y0, x1, y1 = face
    size, centre = x1 - x0, np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    angle = rng.choice([0.0, np.pi / 2, np.pi], p=[0.3, 0.4, 0.3]) + rng.normal(0, 0.3)
    outward = np.array([np.cos(angle), np.sin(angle)])
    rest = centre + rng.normal(0, 0.25, 2) * size - outward * size * 0.2
    start, stay = count // 3, count // 6
    speed = rng.uniform(0.04, 0.15)
    steps = int(1.6 / speed)
    away = [speed * i for i in range(steps)]
    reach = [1.6 - distance for distance in away] + [0.0] * stay + away
    places: list[Place] = [None] * start
    for distance in reach[: count - start]:
        spot = rest + outward * distance * size + rng.normal(0, 0.004, 2) * size
        places.append((float(spot[0]), float(spot[1]), float(angle)))
    return places + [None] * (count - len(places))


def lay(
    picture: Image, occluder: Rgba, place: Place, face: Box, kind: str
) -> tuple[Image, NDArray[np.bool_]]:
    """Composite one frame; returns the picture and where the occluder is opaque by half."""
    height, width = picture.shape[:2]
    if place is None:
        return picture, np.zeros((height, width), bool)
    x, y, angle = place
    turn = angle if kind == "hand" else 0.0
    long_side = max(occluder.shape[:2]) if kind != "hand" else occluder.shape[1]
    scale = float(face[2] - face[0]) * (2.0 if kind == "hand" else 1.0) / long_side
    cos, sin = scale * np.cos(turn), scale * np.sin(turn)
    anchor = np.array([0.0 if kind == "hand" else occluder.shape[1] / 2, occluder.shape[0] / 2])
    matrix = np.array([[cos, -sin], [sin, cos]])
    affine = np.column_stack([matrix, np.array([x, y]) - matrix @ anchor])
    layer = occluder.copy()
    layer[..., :3] *= layer[..., 3:]
    layer = cv2.warpAffine(layer, affine, (width, height), flags=cv2.INTER_AREA)
    alpha = layer[..., 3:]
    image = picture * (1 - alpha) + layer[..., :3] * 255
    return image.round().clip(0, 255).astype(np.uint8), alpha[..., 0] > 0.5
