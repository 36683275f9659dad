"""What ``s3pot eval`` says and writes: a table, results.csv, results.json."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from s3pot import weights
from stream.competitors import Competitor
from stream.evaluate import Row
from stream.summary import BREAKDOWNS, Figures, by, figures, size_of

COLUMNS = (
    ("cases", "cases"), ("faces", "faces"), ("no_face", "no face"), ("iou_micro", "IoU micro"),
    ("iou_macro", "IoU macro"), ("precision", "precision"), ("recall", "recall"),
    ("boundary_f", "bound. F"), ("visible_iou", "visible IoU"), ("alarm_covered", "FA covered"),
    ("alarm_clean", "FA clean"), ("alarm_clean_worst", "FA worst"),
)  # fmt: skip

SCORES = (
    "iou", "precision", "recall", "boundary_f", "visible_iou", "false_alarm", "covered",
)  # fmt: skip


def table(rows: Sequence[Row], *, detail: bool = False) -> Iterator[str]:
    """Lines of text: one for each set and competitor; FA is the false alarms' share of the face.

    Args:
        rows: of all sets and competitors.
        detail: also by kind, by size of the occluder, and by lightness of the skin.
    """
    names = [row.competitor for row in rows] + [row.set for row in rows] + ["competitor"]
    wide = max(map(len, names)) + (10 if detail else 2)
    yield " " * wide + "".join(f"{title:>12}" for _, title in COLUMNS)
    for name, of_set in by(rows, lambda row: row.set).items():
        yield name
        for who, its in by(of_set, lambda row: row.competitor).items():
            yield f"  {who:<{wide - 2}}" + line(figures(its))
            for kind, split in BREAKDOWNS.items() if detail else ():
                for part, some in split(its).items():
                    yield f"    {kind + ' ' + part:<{wide - 4}}" + line(figures(some))


def line(one: Figures) -> str:
    """The columns of one line."""
    return "".join(f"{shown(key, value):>12}" for key, value in _columns(one))


def _columns(one: Figures) -> list[tuple[str, float]]:
    values = asdict(one)
    return [(key, values[key]) for key, _ in COLUMNS]


def shown(key: str, value: float) -> str:
    """``0.731``, ``1.20 %`` of a face for false alarms, ``12`` for counts, ``-`` for nothing."""
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "-"
    return f"{100 * value:.2f} %" if key.startswith("alarm") else f"{value:.3f}"


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """A line for each picture and competitor; an empty cell is what could not be measured."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        first = ("set", "case", "frame", "kind", "competitor", "found", "lost")
        areas = ("area_px", "truth_px", "marked_px", "hit_px")
        writer.writerow([*first, *areas, *SCORES, "size", "lightness"])
        for row in rows:
            writer.writerow(_cells(row))


def _cells(row: Row) -> list[object]:
    s = row.score
    start = [row.set, row.case, row.frame, row.kind, row.competitor, int(s is not None)]
    areas = [""] * 4 if s is None else [s.area, s.truth, s.marked, s.hit]
    scores = [float("nan") if s is None else float(getattr(s, name)) for name in SCORES]
    numbers = ["" if math.isnan(v) else f"{v:.6f}" for v in (*scores, row.lightness)]
    return [*start, int(row.lost), *areas, *numbers[:-1], size_of(row), numbers[-1]]


def write_json(
    path: Path, rows: Sequence[Row], competitors: Sequence[Competitor], *,
    command: Sequence[str], refused: Sequence[str],
) -> None:  # fmt: skip
    """Every figure, with what it takes to get it again; the same command writes the same bytes."""
    packages = ("s3pot-stream", "torch", "mediapipe", "numpy", "opencv-contrib-python")
    content = {
        "command": list(command),
        "versions": {name: version(name) for name in packages},
        "competitors": {c.name: _origin(c) for c in competitors},
        "sets": _sets(rows),
        "refused": list(refused),
        "no_face": sorted({f"{r.set}: {r.case}#{r.frame}" for r in rows if r.score is None}),
    }
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def _origin(competitor: Competitor) -> dict[str, Any]:
    """Settings and checksums of a competitor."""
    settings = competitor.settings
    origin: dict[str, Any] = {"settings": None, "weights": {}}
    if settings is not None:
        origin["settings"] = settings.model_dump(mode="json")
        files = [(f.name, f.path) for f in weights.catalogue(settings.model.weights)]
        checkpoint = Path(settings.model.checkpoint)
        files += [("checkpoint", checkpoint)] if checkpoint.is_file() else []
        origin["weights"] = {name: weights.digest(file) for name, file in files if file.is_file()}
    elif (file := getattr(competitor, "path", None)) is not None:
        origin["weights"] = {file.name: weights.digest(file)}
    return origin


def _sets(rows: Sequence[Row]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for name, of_set in by(rows, lambda row: row.set).items():
        for who, its in by(of_set, lambda row: row.competitor).items():
            content.setdefault(name, {})[who] = {
                "all": asdict(figures(its)),
                **{
                    kind: {part: asdict(figures(some)) for part, some in split(its).items()}
                    for kind, split in BREAKDOWNS.items()
                },
            }
    return content


def _plain(value: Any) -> Any:
    """JSON knows no nan: null says that nothing could be measured."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
