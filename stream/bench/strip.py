"""The strip beneath a film: what share of the faces is covered, growing from frame to frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.bench.entrants import Answer
from stream.bench.judge import Part, Row
from stream.bench.pictures import MISSED, RIGHT, WRONG, Color, Image

GRAPH_PX, MARGIN_PX = 96, 8
LOW_PX, HIGH_PX, DIM_FROM_PX = 80, 22, 20
"""Where nothing, and where the most, is drawn; below what line the future is dim."""

INK, PAPER, FILLED = (235, 235, 235), 24, (90, 90, 90)


@dataclass(frozen=True, slots=True)
class Pane:
    """Attributes:
    name: above it; the truth's is "truth".
    color: of its name, and of its line in the graph.
    answers: None: the truth itself.
    rows: by frame, what the judge says of each face.
    """

    name: str
    color: Color
    answers: Sequence[Sequence[Answer]] | None
    rows: Mapping[int, Sequence[Row]]


def by_frame(parts: Sequence[Part]) -> dict[int, list[Row]]:
    """The judge's rows of each frame, one for each face that is in it."""
    rows: dict[int, list[Row]] = {}
    for row in (row for part in parts for row in part.rows):
        rows.setdefault(row.frame, []).append(row)
    return rows


def graph(all_panes: Sequence[Pane], count: int, width: int) -> Image:
    """The covered share of the faces over all frames: the truth filled, a line for each entrant.

    A line has a gap where a face was lost, and a bar of its colour below.
    """
    image = np.full((GRAPH_PX, width, 3), PAPER, np.uint8)
    series = [shares(pane, count) for pane in all_panes]
    top = max(0.1, math.ceil(10 * max(float(np.nanmax(s, initial=0)) for s in series)) / 10)
    xs = across(np.arange(count), count, width)
    for number, (pane, its) in enumerate(zip(all_panes, series, strict=True)):
        draw(image, pane, np.stack([xs, LOW_PX - (LOW_PX - HIGH_PX) * its / top], 1))
        lost = [i for i, rows in pane.rows.items() if not all(row.found for row in rows)]
        for x in xs[lost].astype(int) if pane.answers is not None else ():
            y = LOW_PX + 4 * number - 2
            cv2.rectangle(image, (x, y), (x + max(1, width // count), y + 2), pane.color, -1)
    put(image, f"{100 * top:.0f} % of the face", (MARGIN_PX, 14), INK)
    legend = (("right", RIGHT), ("wrong", WRONG), ("missed", MISSED))
    for place, (word, color) in enumerate(legend):
        put(image, word, (width - 70 * (len(legend) - place), 14), color)
    return image


def draw(image: Image, pane: Pane, points: NDArray[np.float64]) -> None:
    """A line through (N, 2) points x y px with gaps where they are nan; in place."""
    there = np.isfinite(points[:, 1])
    starts = np.flatnonzero(np.diff(there)) + 1
    for run in np.split(points, starts)[0 if there[0] else 1 :: 2]:
        line = run.round().astype(np.int32)
        if pane.answers is None:
            ends = np.array([[line[-1, 0], LOW_PX], [line[0, 0], LOW_PX]], np.int32)
            cv2.fillPoly(image, [np.vstack([line, ends])], FILLED)
        else:
            cv2.polylines(image, [line], False, pane.color, 1, cv2.LINE_AA)


def shares(pane: Pane, count: int) -> NDArray[np.float64]:
    """(count,) share of a frame's faces that is covered, or marked; nan: none, or one was lost."""
    values = np.full(count, np.nan)
    for index, rows in pane.rows.items():
        area = sum(row.score.area for row in rows)
        if pane.answers is None:
            values[index] = sum(row.score.truth for row in rows) / area
        elif all(row.found for row in rows):
            values[index] = sum(row.score.marked for row in rows) / area
    return values


def across(indices: NDArray[np.int_], count: int, width: int) -> NDArray[np.float64]:
    """Where frames are in the graph, x in px."""
    return MARGIN_PX + indices * ((width - 2 * MARGIN_PX) / max(1, count - 1))


def grown(whole: Image, index: int, count: int) -> Image:
    """The graph up to a frame; what is to come is dim."""
    x = int(across(np.array(index), count, whole.shape[1]))
    image = whole.copy()
    ahead = image[DIM_FROM_PX:, x + 1 :]
    ahead[:] = PAPER + (ahead.astype(int) - PAPER) // 4
    cv2.line(image, (x, DIM_FROM_PX), (x, GRAPH_PX - 1), INK, 1)
    return image


def put(image: Image, text: str, at: tuple[int, int], color: Color) -> None:
    """A line of text, in place."""
    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1, cv2.LINE_AA)
