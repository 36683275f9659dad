"""From scored faces to the figures that are quoted: by kind of scene, and over all; table, CSV, JSON."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from s3pot.metrics import mean, micro_iou
from s3pot.temporal import LEFT_SHARE, Event
from stream.bench.judge import Part, Row


@dataclass(frozen=True, slots=True)
class Figures:
    """One line of the table; nan where there is nothing to measure.  Means are over frames first,
    then over scenes, so that a long scene weighs no more than a short one.

    Attributes:
        scenes, frames: measured; a frame counts once for each face in it.
        iou_micro: occlusion IoU of the sums over covered frames.
        j: occlusion IoU (DAVIS' J; Perazzi et al., CVPR 2016), mean over covered frames.
        f: boundary F at 2 px of the face's square, mean over covered frames; no outline within
            RIM_PX of the face's own edge counts.
        j_f: mean of both.
        dtssd, flicker, warp_error, trail: see :mod:`s3pot.temporal`; 0 is best.
        onset_frames, release_frames: mean lag of those that were shown at all.
        onsets_missed, releases_missed: share of those that never were.
        alarm: 0-1 of the face, marked where nothing is, mean over frames.
        alarm_worst: of the worst frame.
        leak: 0-1 of the face, see :func:`s3pot.temporal.leak`, mean over frames.
        leak_frames: share of the frames that leak more than LEFT_SHARE.
        lost: share of the frames in which the face was not found.
        switches: how often a face was given another id.
        latency_frames: mean over scenes of the delay under which the masks fit best.
    """

    scenes: int
    frames: int
    iou_micro: float
    j: float
    f: float
    j_f: float
    dtssd: float
    flicker: float
    warp_error: float
    trail: float
    onset_frames: float
    onsets_missed: float
    release_frames: float
    releases_missed: float
    alarm: float
    alarm_worst: float
    leak: float
    leak_frames: float
    lost: float
    switches: int
    latency_frames: float


def figures(parts: Sequence[Part]) -> Figures:
    """Sum up one entrant's parts."""
    rows = [row for part in parts for row in part.rows]
    covered = [row for row in rows if row.score.is_covered]
    onsets = [event for part in parts for event in part.onsets]
    releases = [event for part in parts for event in part.releases]
    j = by_scene((row.scene, row.score.iou) for row in covered)
    f = by_scene((row.scene, row.score.boundary_f) for row in covered)
    over_time = {
        name: by_scene((row.scene, getattr(row, name)) for row in rows)
        for name in ("dtssd", "flicker", "warp_error", "trail", "leak")
    }
    return Figures(
        scenes=len({row.scene for row in rows}), frames=len(rows),
        iou_micro=micro_iou([row.score for row in rows]), j=j, f=f, j_f=(j + f) / 2, **over_time,
        onset_frames=mean([float(e.lag_frames) for e in onsets if e.lag_frames is not None]),
        onsets_missed=missed(onsets),
        release_frames=mean([float(e.lag_frames) for e in releases if e.lag_frames is not None]),
        releases_missed=missed(releases),
        alarm=by_scene((row.scene, row.score.false_alarm) for row in rows),
        alarm_worst=max((row.score.false_alarm for row in rows), default=math.nan),
        leak_frames=by_scene((row.scene, float(row.leak > LEFT_SHARE)) for row in rows),
        lost=by_scene((row.scene, float(not row.found)) for row in rows),
        switches=switches(rows),
        latency_frames=mean([float(p.latency_frames) for p in parts if p.latency_frames is not None]),
    )  # fmt: skip


def by_scene(values: Iterable[tuple[str, float]]) -> float:
    """Mean over scenes of the mean over a scene's values; nan does not count."""
    scenes: dict[str, list[float]] = {}
    for scene, value in values:
        scenes.setdefault(scene, []).append(value)
    return mean([mean(its) for its in scenes.values()])


def missed(events: Sequence[Event]) -> float:
    """Share of the events that the mask never showed."""
    return mean([float(event.lag_frames is None) for event in events])


def switches(rows: Sequence[Row]) -> int:
    """How often a face of a scene was given another id than before."""
    faces: dict[tuple[str, int], list[int]] = {}
    for row in rows:
        if row.track_id is not None:
            faces.setdefault((row.scene, row.actor), []).append(row.track_id)
    return sum(a != b for ids in faces.values() for a, b in pairwise(ids))


Results = dict[str, list[Part]]
"""Entrant -> its parts of all scenes."""

COLUMNS = (
    ("j", "J", 1, 3), ("f", "F", 1, 3), ("j_f", "J&F", 1, 3), ("dtssd", "dtSSD", 100, 2),
    ("flicker", "flick.", 1e4, 1), ("warp_error", "warp", 100, 2), ("trail", "trail", 100, 1),
    ("onset_frames", "onset", 1, 1), ("onsets_missed", "never", 100, 0),
    ("release_frames", "release", 1, 1), ("alarm", "alarm", 100, 2), ("leak", "leak", 100, 2),
    ("leak_frames", "leaking", 100, 1), ("lost", "lost", 100, 1), ("switches", "ids", 1, 0),
    ("latency_frames", "late", 1, 1),
)  # fmt: skip
"""Attribute, heading, factor, decimals."""

LEGEND = (
    "J, F, J&F: 0-1, higher is better. dtSSD, warp, trail, never, alarm, leak, leaking, lost: per "
    "cent; flick.: 1e-4; onset, release, late: frames; ids: how often a face was given another."
)


def table(results: Results) -> Iterator[str]:
    """Lines of text: each entrant over all scenes, then by kind of scene."""
    kinds = dict.fromkeys(row.kind for parts in results.values() for p in parts for row in p.rows)
    width = max(len(name) for name in (*results, *kinds, "entrant")) + 2
    heads = "".join(f"{head:>9}" for _, head, _, _ in COLUMNS)
    for kind in (None, *kinds):
        yield f"{kind or 'all scenes':<{width}}{heads}"
        for who, parts in results.items():
            its = [p for p in parts if kind is None or p.rows[0].kind == kind]
            yield f"  {who:<{width - 2}}{line(figures(its))}"


def line(sums: Figures) -> str:
    """The figures of one line of the table."""
    return "".join(f"{cell:>9}" for cell in cells(sums))


def cells(sums: Figures) -> Iterator[str]:
    """A figure for each column; a dash where there is nothing to measure."""
    for name, _, factor, decimals in COLUMNS:
        value = getattr(sums, name) * factor
        yield "-" if math.isnan(value) else f"{value:.{decimals}f}"


FACE = ("covered", "iou", "precision", "recall", "boundary_f", "false_alarm")
SERIES = ("dtssd", "flicker", "warp_error", "trail", "leak")


def write_csv(path: Path, results: Results) -> None:
    """A line for each entrant, scene, frame and face; empty where something cannot be measured."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("entrant", "scene", "frame", "actor", "found", "track_id", *FACE, *SERIES))
        for who, parts in results.items():
            for row in (row for part in parts for row in part.rows):
                values = [
                    *(getattr(row.score, n) for n in FACE),
                    *(getattr(row, n) for n in SERIES),
                ]
                cells = ["" if math.isnan(v) else f"{v:.6f}" for v in values]
                its_id = "" if row.track_id is None else row.track_id
                writer.writerow(
                    (who, row.scene, row.frame, row.actor, int(row.found), its_id, *cells)
                )


def write_json(path: Path, results: Results, about: dict[str, Any]) -> None:
    """All figures, by entrant, over all scenes and by kind; null where there is nothing to measure."""
    content = {"about": about, "entrants": {who: summed(parts) for who, parts in results.items()}}
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def summed(parts: Sequence[Part]) -> dict[str, Any]:
    """An entrant's figures as JSON has them."""
    kinds = dict.fromkeys(part.rows[0].kind for part in parts)
    return {
        "all": plain(figures(parts)),
        "kinds": {
            kind: plain(figures([p for p in parts if p.rows[0].kind == kind])) for kind in kinds
        },
    }


def plain(sums: Figures) -> dict[str, float | int | None]:
    """JSON knows no nan."""
    return {name: None if math.isnan(v) else v for name, v in asdict(sums).items()}
