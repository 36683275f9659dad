"""``s3pot bench coverage``: how much of each face is covered, over time, in clips without a truth.

Read :func:`follow` first.  Faces are those that ours finds; another's answers go to the face whose
box they fit.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from s3pot.metrics import mean
from stream.bench.entrants import Answer, Entrant
from stream.bench.judge import SAME_FACE_IOU
from stream.errors import SourceError
from stream.frame import Frame
from stream.inlets import open_source
from trackers.boxes import match

Box = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Moment:
    """One face in one frame, as an entrant sees it.

    Attributes:
        clip, entrant: whose it is.
        frame: index.
        time_seconds: presentation time.
        face: the id that ours gave it.
        coverage: 0-1, covered share of the face.
        state: a :class:`trackers.TrackState`'s word.
        carried_frames: see :class:`stream.bench.entrants.Answer`.
    """

    clip: str
    entrant: str
    frame: int
    time_seconds: float
    face: int
    coverage: float
    state: str
    carried_frames: int


def follow(
    clip: str, entrants: Sequence[Entrant], step: Callable[[], None] = lambda: None
) -> Iterator[Moment]:
    """All that the entrants say of a clip; ours is the first of them, and says who is who.

    Args:
        clip: a path; it is read anew for each entrant, and never held.
        entrants: at least ours.
        step: is called after each entrant.

    Raises:
        SourceError: it cannot be read, or only in part.
        ValueError: an entrant does not say which face it means, or how much of it is covered.
    """
    known: dict[int, dict[int, Box]] = {}
    for entrant in entrants:
        with closing(open_source(clip)) as source:
            for frame, answers in paired(entrant, Path(clip).stem, source):
                if entrant is entrants[0]:
                    known[frame.index] = named(answers)
                yield from moments(clip, entrant.name, frame, known.get(frame.index, {}), answers)
            if source.damage:
                raise SourceError(f"{clip}: {source.damage}")
        step()


def named(answers: Sequence[Answer]) -> dict[int, Box]:
    """Id -> box of each face."""
    pairs = ((a.track_id, a.box_px) for a in answers)
    return {face: box for face, box in pairs if face is not None and box is not None}


def moments(
    clip: str, entrant: str, frame: Frame, known: Mapping[int, Box], answers: Sequence[Answer]
) -> Iterator[Moment]:
    """What an entrant says of a frame, for each face that is known there."""
    for face, answer in whose(known, answers).items():
        if answer.coverage is None:
            raise ValueError(f"{entrant} does not say how much of a face is covered")
        yield Moment(
            Path(clip).stem, entrant, frame.index, float(frame.time), face, answer.coverage,
            answer.state, answer.carried_frames,
        )  # fmt: skip


def paired(
    entrant: Entrant, name: str, frames: Iterable[Frame]
) -> Iterator[tuple[Frame, Sequence[Answer]]]:
    """Each frame with an entrant's answers to it, also where these come some frames later."""
    waiting: list[Frame] = []

    def seen() -> Iterator[Frame]:
        for frame in frames:
            waiting.append(frame)
            yield frame

    for answers in entrant(name, seen()):
        yield waiting.pop(0), answers


def whose(known: Mapping[int, Box], answers: Sequence[Answer]) -> dict[int, Answer]:
    """Face -> the answer whose box fits it best.

    Raises:
        ValueError: an answer is about no face in particular.
    """
    boxes = [answer.box_px for answer in answers if answer.box_px is not None]
    if len(boxes) < len(answers):
        raise ValueError("only who tells one face from another can be plotted")
    if not known or not boxes:
        return {}
    ids = list(known)
    pairs = match(np.stack([known[i] for i in ids]), np.stack(boxes), SAME_FACE_IOU)
    return {ids[row]: answers[column] for row, column in pairs.items()}


@dataclass(frozen=True, slots=True)
class Unrest:
    """How restless the coverage of a clip's faces is; nan where there is nothing to measure.

    Attributes:
        found: faces times frames that have a value.
        asked: those that ours has.
        coverage: 0-1, mean.
        change: 0-1, mean step from a frame to the next; a real hand's coming and going is part of it.
        jitter: 0-1, mean distance from the mean of both neighbours; a steady rise has none.
    """

    found: int
    asked: int
    coverage: float
    change: float
    jitter: float


def unrest(moments: Sequence[Moment], clip: str, entrant: str, ours: str) -> Unrest:
    """Of one entrant in one clip."""
    its = [m for m in moments if (m.clip, m.entrant) == (clip, entrant)]
    asked = sum((m.clip, m.entrant) == (clip, ours) for m in moments)
    lines = [series(its, face)[1] for face in sorted({m.face for m in its})]
    steps = np.concatenate([np.diff(line) for line in lines] or [np.empty(0)])
    bends = np.concatenate([np.diff(line, 2) / 2 for line in lines] or [np.empty(0)])
    change, jitter = (np.abs(v[np.isfinite(v)]).tolist() for v in (steps, bends))
    return Unrest(len(its), asked, mean([m.coverage for m in its]), mean(change), mean(jitter))


def series(moments: Sequence[Moment], face: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times in seconds and coverage 0-1 of a face, a value for each frame; nan where it has none."""
    its = {m.frame: m for m in moments if m.face == face}
    frames = range(min(its), max(its) + 1)
    pairs = [
        (its[i].time_seconds, its[i].coverage) if i in its else (math.nan,) * 2 for i in frames
    ]
    times, values = np.array(pairs).T
    return times, values


def table(moments: Sequence[Moment], ours: str) -> Iterator[str]:
    """Lines of text: each entrant in each clip."""
    clips, entrants = (
        list(dict.fromkeys(getattr(m, n) for m in moments)) for n in ("clip", "entrant")
    )
    width = max(len(name) for name in (*clips, *(f"  {e}" for e in entrants))) + 2
    for clip in clips:
        yield f"{clip:<{width}}{'found':>12}{'coverage':>10}{'change':>9}{'jitter':>9}"
        for entrant in entrants:
            u = unrest(moments, clip, entrant, ours)
            parts = [
                f"{100 * v:.2f}" if math.isfinite(v) else "-"
                for v in (u.coverage, u.change, u.jitter)
            ]
            found = f"{u.found} of {u.asked}"
            yield f"  {entrant:<{width - 2}}{found:>12}{parts[0]:>10}{parts[1]:>9}{parts[2]:>9}"


LEGEND = (
    "found: faces times frames, of those that ours has. coverage, change from a frame to the next, "
    "jitter (distance from the mean of both neighbours): per cent of the face."
)


def write_csv(path: Path, moments: Sequence[Moment]) -> None:
    """A line for each clip, entrant, frame and face."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(field.name for field in fields(Moment))
        for m in moments:
            writer.writerow((
                m.clip, m.entrant, m.frame, f"{m.time_seconds:.6f}", m.face, f"{m.coverage:.4f}",
                m.state, m.carried_frames,
            ))  # fmt: skip
