"""``s3pot eval``: every competitor's mask of the same aligned faces, scored against the truth.

Read :func:`judge` first.  Scores are taken in face space, the square of ``align.size`` px: two px of
boundary mean the same on a small face as on a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.metrics import FaceScore, lightness, score
from s3pot.types import reach
from stream.competitors import Competitor, PipelineCompetitor
from stream.composites import CompositePlan, FindFace, composite_cases
from stream.datasets import Case, clean_cases, find_cases
from stream.pipeline import LEAST_PX, at_points
from stream.truth import Bool, Image, MaskValues, RefusedError, Shot
from trackers import AlignedFace, TrackedFace, align
from trackers.align import cut

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EvalSet:
    """Cases that are summed up together.

    Attributes:
        name: in the tables.
        count: how many cases there are; they are made one by one.
        cases: to be iterated once.
        refused: why others are none.
    """

    name: str
    count: int
    cases: Iterable[Case]
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One competitor's mask of one face of one picture.

    Attributes:
        set, case, kind: where it is from, and what covers the face.
        frame: of the case, from 0.
        competitor: whose mask.
        score: None where no face was found.
        lost: no face was found though a covered one is there: an IoU of 0.
        lightness: median L* of the face's visible pixels, 0-100; nan where no face was found.
    """

    set: str
    case: str
    kind: str
    frame: int
    competitor: str
    score: FaceScore | None
    lost: bool
    lightness: float


class Place(NamedTuple):
    """Where a row is from; the first fields of :class:`Row`."""

    set: str
    case: str
    kind: str
    frame: int


@dataclass(frozen=True, slots=True)
class View:
    """What a row was scored on, to look at: (S, S, 3) uint8 crop, (S, S) bool masks."""

    crop: Image
    region: Bool
    truth: Bool
    mask: Bool


Watch = Callable[[Row, View], None]


def paired_set(folder: Path, values: MaskValues) -> EvalSet:
    """Pictures or clips with masks.

    Raises:
        FileNotFoundError: there is no such folder, or nothing in it can be used.
    """
    cases, refused = find_cases(folder, values)
    if not cases:
        why = refused[0] if refused else "no pictures and no clips"
        raise FileNotFoundError(f"{folder}: no picture with a mask: {why}")
    return EvalSet(folder.name, len(cases), cases, tuple(refused))


def clean_set(folder: Path) -> EvalSet:
    """Uncovered faces.

    Raises:
        FileNotFoundError: there is no such folder, or nothing in it.
    """
    cases = clean_cases(folder)
    if not cases:
        raise FileNotFoundError(f"{folder}: no pictures and no clips")
    return EvalSet(f"{folder.name} clean", len(cases), cases)


def composite_set(
    clips: Path, occluders: Path, find_face: FindFace, plan: CompositePlan
) -> EvalSet:
    """Held-out occluders over clips, with history or as single frames.

    Raises:
        FileNotFoundError: there are no clips or no occluders.
    """
    cases = composite_cases(clips, occluders, find_face, plan)
    count = len(list(clips.glob("*.mp4"))) * plan.per_clip * (plan.cold or 1)
    return EvalSet(f"{clips.name} {'cold' if plan.cold else 'composites'}", count, cases)


class Finder:
    """Finds and follows the largest face, once for all competitors, with our own tracker.

    Args:
        ours: its mask tells the tracker what is covered, as in the pipeline.
    """

    def __init__(self, ours: PipelineCompetitor) -> None:
        self.size = ours.size
        self._detector, self._tracker = ours.pipeline.detector, ours.pipeline.tracker
        self._router = ours.pipeline.router

    def first_box(self, image: Image) -> NDArray[np.float32] | None:
        """The surest detection of a picture; see :data:`stream.composites.FindFace`."""
        found = self._detector(image)
        return max(found, key=lambda d: d.score).box_px if found else None

    def __call__(self, image: Image) -> TrackedFace | None:
        """The largest face of the next frame; None where there is none."""
        if min(image.shape[:2]) < LEAST_PX:
            return None
        detections = self._detector(image) if self._tracker.wants_detections else None
        faces = self._tracker.update(image, detections)
        return max(faces, key=_area_px, default=None)

    def cover(self, face: AlignedFace, probability: Field) -> None:
        """Tell the tracker what is hidden; to be cut off by the frame is as good as to be covered."""
        hidden = np.where(reach(face.region), probability, 0)
        hidden = np.where(face.inside, hidden, 1).astype(np.float32)
        self._tracker.cover(face.track_id, at_points(hidden, face.landmarks))
        if self._router.waits(face.track_id):
            self._tracker.rest(face.track_id)


def _area_px(face: TrackedFace) -> float:
    x0, y0, x1, y1 = face.box_px
    return float((x1 - x0) * (y1 - y0))


def evaluate(
    group: EvalSet, finder: Finder, competitors: Sequence[Competitor], *,
    watch: Watch = lambda _row, _view: None, refuse: Callable[[str], None],
    step: Callable[[], None] = lambda: None,
) -> Iterator[Row]:  # fmt: skip
    """The rows of a set, case by case; a case begins with nothing remembered.

    Args:
        group: the set.
        finder: of the first competitor.
        competitors: the first of them is ours.
        watch: is shown each row that has a score.
        refuse: is told why a case could not be measured; it gives no rows.
        step: is called after each case.
    """
    for text in group.refused:
        refuse(text)
    for case in group.cases:
        for competitor in competitors:
            competitor.reset()
        seen: list[tuple[Row, View | None]] = []
        try:
            for frame, shot in enumerate(case.shots()):
                place = Place(group.name, case.name, case.kind, frame)
                seen += judge(shot, finder, competitors, place)
        except RefusedError as error:
            refuse(str(error))
            seen = []
        for row, view in seen:
            if view is not None:
                watch(row, view)
            yield row
        step()


def judge(
    shot: Shot, finder: Finder, competitors: Sequence[Competitor], place: Place
) -> list[tuple[Row, View | None]]:
    """Find the face once, ask every competitor, score each answer."""

    def row(who: Competitor, figures: FaceScore | None, light: float) -> Row:
        lost = figures is None and shot.hides
        return Row(*place, competitor=who.name, score=figures, lost=lost, lightness=light)

    tracked = finder(shot.image)
    face = align(shot.image, tracked, finder.size) if tracked is not None else None
    if face is None or tracked is None or not (face.region & face.inside).any():
        return [(row(who, None, float("nan")), None) for who in competitors]
    truth, region = carried(shot.truth, face), face.region & face.inside
    visible = None if shot.visible is None else carried(shot.visible, face)
    light = lightness(face.image, region & ~truth)
    rows: list[tuple[Row, View | None]] = []
    for who in competitors:
        its_face = face if who.size == finder.size else align(shot.image, tracked, who.size)
        its_truth = truth if its_face is face else carried(shot.truth, its_face)
        answer = who(its_face, its_truth, tracked.age)
        if answer.shape != region.shape:
            answer = cv2.resize(answer, region.shape, interpolation=cv2.INTER_LINEAR)
        if who is competitors[0]:
            finder.cover(face, answer)
        mask = region & (answer > 0.5)
        figures = score(mask, truth, region, visible=visible)
        rows.append((row(who, figures, light), View(face.image, region, truth & region, mask)))
    return rows


def carried(mask: Bool, face: AlignedFace) -> Bool:
    """A (H, W) mask of the frame in a face's crop: the same warp as its picture's, half and more."""
    warped = cut(np.where(mask, 255, 0).astype(np.uint8), face.frame_to_face, face.image.shape[0])
    return np.asarray(warped > 127)
