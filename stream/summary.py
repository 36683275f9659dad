"""From rows to the figures of a table: over a set, by kind, by size of the occluder, by skin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from s3pot.metrics import mean, micro_iou, micro_precision, micro_recall, thirds
from stream.evaluate import Row

SIZES = (("<10 %", 0.0, 0.1), ("10-30 %", 0.1, 0.3), (">30 %", 0.3, float("inf")))
"""Classes of the covered share of the face, the lower end included."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One line of the table; nan where there is nothing to measure.

    "Macro" is the mean over cases (of a clip, the mean over its frames comes first); a covered face
    that was not found counts as 0 there, and not at all in micro, precision and recall.

    Attributes:
        cases: pictures, or clips.
        faces: pictures and frames in which a face was found.
        no_face: those in which none was.
        iou_micro: occlusion IoU of the sums over covered faces.
        iou_macro: occlusion IoU, macro over covered faces.
        precision, recall: of the sums over covered faces.
        boundary_f: within 2 px of the aligned square, macro over covered faces.
        visible_iou: IoU of the visible face, macro over covered faces.
        alarm_clean: 0-1 of the face, false alarms, macro over faces that nothing covers.
        alarm_clean_worst: of the worst picture or frame of these.
        alarm_covered: 0-1 of the face, false alarms, macro over covered faces.
    """

    cases: int
    faces: int
    no_face: int
    iou_micro: float
    iou_macro: float
    precision: float
    recall: float
    boundary_f: float
    visible_iou: float
    alarm_clean: float
    alarm_clean_worst: float
    alarm_covered: float


def figures(rows: Sequence[Row]) -> Figures:
    """Sum up the rows of one competitor."""
    found = [row for row in rows if row.score is not None]
    scores = [row.score for row in found if row.score is not None]
    covered = [row for row in found if row.score and row.score.is_covered]
    clean = [row for row in found if row.score and row.score.is_clean]
    lost = [row for row in rows if row.lost]
    return Figures(
        cases=len({(row.set, row.case) for row in rows}), faces=len(found),
        no_face=len(rows) - len(found), iou_micro=micro_iou(scores),
        iou_macro=macro([*covered, *lost], "iou"), precision=micro_precision(scores),
        recall=micro_recall(scores), boundary_f=macro([*covered, *lost], "boundary_f"),
        visible_iou=macro([*covered, *lost], "visible_iou"),
        alarm_clean=macro(clean, "false_alarm"),
        alarm_clean_worst=max(
            (row.score.false_alarm for row in clean if row.score), default=float("nan")
        ),
        alarm_covered=macro(covered, "false_alarm"),
    )  # fmt: skip


def macro(rows: Iterable[Row], what: str) -> float:
    """Mean over cases of the mean over a case's rows; a row without a face counts as 0."""
    cases: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        value = 0.0 if row.score is None else float(getattr(row.score, what))
        cases.setdefault((row.set, row.case), []).append(value)
    return mean([mean(values) for values in cases.values()])


Groups = dict[str, list[Row]]


def by(rows: Iterable[Row], key: Callable[[Row], str]) -> Groups:
    """Rows under their key, in the order of first sight; those with an empty key are left out."""
    groups: Groups = {}
    for row in rows:
        if key(row):
            groups.setdefault(key(row), []).append(row)
    return groups


def by_kind(rows: Sequence[Row]) -> Groups:
    """By what covers the face."""
    return dict(sorted(by(rows, lambda row: row.kind).items()))


def by_size(rows: Sequence[Row]) -> Groups:
    """Covered faces by the share that is covered."""
    groups = by(rows, _size)
    return {name: groups[name] for name, _, _ in SIZES if name in groups}


def size_of(row: Row) -> str:
    """The class of :data:`SIZES`; empty where the face is not covered, or was not found."""
    return _size(row)


def _size(row: Row) -> str:
    if row.score is None or not row.score.is_covered:
        return ""
    share = row.score.covered
    return next(name for name, low, high in SIZES if low <= share < high)


def by_lightness(rows: Sequence[Row]) -> Groups:
    """Thirds of the faces by median L* of their visible pixels: dark, middle, light.

    A face on the border of two thirds belongs to the darker.
    """
    low, high = thirds([row.lightness for row in rows])

    def third(row: Row) -> str:
        if np.isnan(row.lightness):
            return ""
        if row.lightness <= low:
            return "dark"
        return "middle" if row.lightness <= high else "light"

    groups = by(rows, third)
    return {name: groups[name] for name in ("dark", "middle", "light") if name in groups}


BREAKDOWNS: dict[str, Callable[[Sequence[Row]], Groups]] = {
    "kind": by_kind,
    "size": by_size,
    "skin": by_lightness,
}
