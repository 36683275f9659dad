"""``s3pot eval``: how good are the masks, on composites with exact truth and on photographs.

Composites lay held-out occluders over clips of uncovered faces; every third of a clip is left
uncovered, so that false alarms are counted too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.metrics import COVERED_SHARE, FrameScore, score
from s3pot.training.composite import recolour
from s3pot.training.occluders import Occluders, Rgba, load_occluders
from stream.frame import Frame, FrameResult
from stream.pipeline import Pipeline
from stream.sources import FileSource

Image = NDArray[np.uint8]

KINDS = {"hand": 0.6, "object": 0.15, "mask": 0.1, "scarf": 0.1, "sunglasses": 0.05}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: of the clip or photograph and its occluder.
        iou, boundary_f: means over the frames in which the face is covered, 0 where it was not
            found; nan if there are none.
        false_alarm: 0-1, mean over the frames in which it is not.
        missed: frames in which no face was found.
    """

    name: str
    iou: float
    boundary_f: float
    false_alarm: float
    missed: int

    def __str__(self) -> str:
        alarm = f"{100 * self.false_alarm:.2f} %"
        return f"{self.name:<24}{self.iou:7.3f}{self.boundary_f:10.3f}{alarm:>13}{self.missed:9d}"


def average(rows: list[Row]) -> Row:
    """The mean of rows; what a row could not measure (nan) does not count."""

    def mean(values: list[float]) -> float:
        known = [v for v in values if not np.isnan(v)]
        return float(np.mean(known)) if known else float("nan")

    return Row(
        f"mean of {len(rows)}", mean([r.iou for r in rows]), mean([r.boundary_f for r in rows]),
        mean([r.false_alarm for r in rows]), sum(r.missed for r in rows),
    )  # fmt: skip


def summarize(name: str, scores: list[FrameScore | None], lost_covered: int = 0) -> Row:
    """Means over frames.

    Args:
        name: of the row.
        scores: one a frame; None is a frame in which no face was found.
        lost_covered: how many of those hid a covered face: each counts as an IoU and F of 0.
    """
    found = [s for s in scores if s is not None]
    lost = [FrameScore(0.0, 0.0, 0.0, 1.0)] * lost_covered
    covered = [s for s in found if not np.isnan(s.iou)] + lost
    clean = [s.false_alarm for s in found if s.covered == 0]

    def mean(values: list[float]) -> float:
        return float(np.mean(values)) if values else float("nan")

    return Row(
        name, mean([s.iou for s in covered]), mean([s.boundary_f for s in covered]), mean(clean),
        len(scores) - len(found),
    )  # fmt: skip


def score_result(result: FrameResult, truth: NDArray[np.bool_]) -> FrameScore | None:
    """Score the largest face of a result; None where there is no face."""
    if not result.masks:
        return None
    height, width = truth.shape
    mask = max(
        result.masks, key=lambda m: m.region.sum() / abs(np.linalg.det(m.frame_to_face[:, :2]))
    )
    region = mask.in_box(mask.region.astype(np.float32), (0, 0, width, height)) > 0.5
    if not region.any():
        return None
    return score(mask.to_frame(height, width) > 0.5, truth, region)


def eval_clips(
    clips: Path, occluders: Path, make: Callable[[], Pipeline], *,
    per_clip: int = 3, frames: int = 120, seed: int = 7,
) -> Iterator[Row]:  # fmt: skip
    """Composites of held-out occluders over every clip of a folder; a row each.

    Args:
        clips: folder of .mp4 files with one uncovered face.
        occluders: folder of RGBA cut-outs; the held-out sixth is used.
        make: builds a fresh pipeline for each composite.
        per_clip: composites of each clip.
        frames: at most so many frames of each.
        seed: of occluders and paths.

    Raises:
        FileNotFoundError: there are no clips or no occluders.
    """
    paths = sorted(clips.glob("*.mp4"))
    if not paths:
        raise FileNotFoundError(f"{clips}: no .mp4 files")
    choice = load_occluders(occluders, KINDS, held_out=True)
    for path in paths:
        source = FileSource(path)
        pictures = [frame.image for frame, _ in zip(source, range(frames), strict=False)]
        source.close()
        for turn in range(per_clip):
            rng = np.random.default_rng([seed, len(path.stem), *path.stem.encode(), turn])
            yield eval_composite(f"{path.stem}/{turn}", pictures, choice, make(), rng)


def eval_composite(
    name: str,
    pictures: list[Image],
    choice: Occluders,
    pipeline: Pipeline,
    rng: np.random.Generator,
) -> Row:
    """One occluder over one clip: first third clean, then in, at rest, out, clean again."""
    face = _first_face(pictures[0], pipeline)
    kind, occluder = choice.pick(rng)
    if (
        kind == "hand" and rng.random() < 0.6
    ):  # skin over skin, in the face's own tone: the hard case
        x0, y0, x1, y1 = face.astype(int)
        cheek = pictures[0][
            (y0 + y1) // 2 : (y0 + 2 * y1) // 3, (3 * x0 + x1) // 4 : (x0 + 3 * x1) // 4
        ]
        occluder = recolour(occluder, (np.median(cheek.reshape(-1, 3), 0) / 255).astype(np.float32))
    path = _path(face, len(pictures), rng)
    truths: list[NDArray[np.bool_]] = []

    def frames() -> Iterator[Frame]:
        for index, picture in enumerate(pictures):
            image, truth = lay(picture, occluder, path[index], face, kind)
            truths.append(truth)
            yield Frame(image, index, Fraction(index, 25), name)

    scores = [score_result(result, truths[result.frame.index]) for result in pipeline(frames())]
    pipeline.close()
    x0, y0, x1, y1 = np.maximum(face, 0).astype(int)
    hidden = [truth[y0:y1, x0:x1].mean() >= COVERED_SHARE for truth in truths]
    lost = sum(hide and s is None for hide, s in zip(hidden, scores, strict=True))
    return summarize(f"{name} {kind}", scores, lost)


def _first_face(picture: Image, pipeline: Pipeline) -> NDArray[np.float32]:
    found = pipeline.detector(picture)
    if not found:
        raise ValueError(
            "the first frame of the clip has no face; such a clip cannot be composited on"
        )
    return max(found, key=lambda d: d.score).box_px


def _path(
    face: NDArray[np.float32], count: int, rng: np.random.Generator
) -> list[tuple[float, float, float] | None]:
    """x, y of the occluder's leading edge and its angle in each frame; None while it is away."""
    x0, y0, x1, y1 = face
    size, centre = x1 - x0, np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    angle = rng.choice([0.0, np.pi / 2, np.pi], p=[0.3, 0.4, 0.3]) + rng.normal(0, 0.3)
    outward = np.array([np.cos(angle), np.sin(angle)])
    rest = centre + rng.normal(0, 0.25, 2) * size - outward * size * 0.2
    start, stay = count // 3, count // 6
    path: list[tuple[float, float, float] | None] = [None] * start
    speed = rng.uniform(0.04, 0.15)
    steps = int(1.6 / speed)
    reach = (
        [1.6 - speed * i for i in range(steps)] + [0.0] * stay + [speed * i for i in range(steps)]
    )
    for distance in reach[: count - start]:
        spot = rest + outward * distance * size + rng.normal(0, 0.004, 2) * size
        path.append((float(spot[0]), float(spot[1]), float(angle)))
    return path + [None] * (count - len(path))


def lay(
    picture: Image, occluder: Rgba, place: tuple[float, float, float] | None,
    face: NDArray[np.float32], kind: str,
) -> tuple[Image, NDArray[np.bool_]]:  # fmt: skip
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


def eval_photos(folder: Path, make: Callable[[], Pipeline]) -> Iterator[Row]:
    """Photographs ``NN.jpg`` with ``NN_hand.png`` (1 = hand): one frame, no history (cold start).

    Raises:
        FileNotFoundError: a photograph has no mask, or there is no photograph.
        ValueError: a photograph cannot be read, or its mask is of another size.
    """
    photos = sorted(p for p in folder.glob("*.jpg"))
    if not photos:
        raise FileNotFoundError(f"{folder}: no .jpg files")
    for photo in photos:
        truth = cv2.imread(str(photo.with_name(f"{photo.stem}_hand.png")), cv2.IMREAD_GRAYSCALE)
        if truth is None:
            raise FileNotFoundError(f"{photo}: no mask {photo.stem}_hand.png beside it")
        read = cv2.imread(str(photo))
        if read is None:
            raise ValueError(f"{photo}: not a picture that can be read")
        image = cv2.cvtColor(read, cv2.COLOR_BGR2RGB)
        if truth.shape != image.shape[:2]:
            raise ValueError(
                f"{photo}: its mask is {truth.shape}, the photograph {image.shape[:2]}"
            )
        pipeline = make()
        results = list(pipeline([Frame(image, 0, Fraction(0), photo.name)]))
        pipeline.close()
        figures = score_result(results[0], truth > 0)
        yield summarize(photo.stem, [figures], int(figures is None and truth.any()))
