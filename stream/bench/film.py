"""A film of one scene: its truth and each entrant side by side, what is covered over time below.

Read :meth:`Film.write` first.  All panes show the same part of the picture, on one scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from stream.bench.entrants import Answer
from stream.bench.judge import Part, Row
from stream.bench.pictures import WRONG, Color, Image, painted
from stream.bench.shot import Shot
from stream.bench.strip import GRAPH_PX, INK, MARGIN_PX, PAPER, Pane, by_frame, graph, grown, put

PANE_PX, WIDEST_PX = 300, 480
"""Height of a pane, and the width that none passes."""

AROUND = 0.6
"""Of a face's size, shown on each side of where it ever is."""

BAR_PX = 26

LINES: tuple[Color, ...] = ((255, 176, 46), (196, 150, 255), (90, 220, 230), (240, 130, 190))
"""Of the entrants, in their names and in the graph."""

CRF = "28"


@dataclass(frozen=True, slots=True)
class Told:
    """Attributes:
    answers: an entrant's, to each frame.
    parts: what the judge says of them.
    """

    answers: Sequence[Sequence[Answer]]
    parts: Sequence[Part]


class Film:
    """Writes films.

    Args:
        folder: where ``SCENE.mp4`` is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, shot: Shot, told: Mapping[str, Told]) -> Path:
        """One film: the truth, then the others, ours last; a variable rate is shown at its mean."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{shot.scene.name.replace('/', '-')}.mp4"
        with av.open(str(path), "w") as out:
            rate = Fraction(shot.scene.fps).limit_denominator(1001)
            stream = out.add_stream("libx264", rate=rate, options={"crf": CRF, "threads": "1"})
            stream.pix_fmt = "yuv420p"
            stream.width, stream.height = film_size(window(shot), len(told) + 1)
            for picture in pictures(shot, told):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            out.mux(stream.encode())
        return path


def pictures(shot: Shot, told: Mapping[str, Told]) -> Iterator[Image]:
    """The film's pictures, (H, W, 3) uint8 RGB of even sides."""
    all_panes = panes(told)
    crop, count = window(shot), len(shot.frames)
    width, height = film_size(crop, len(all_panes))
    whole = graph(all_panes, count, width)
    for index in range(count):
        row = np.hstack([pane_picture(pane, shot, index, crop) for pane in all_panes])
        picture = np.vstack([row[:, :width], grown(whole, index, count)])
        yield np.ascontiguousarray(picture[:height])


def panes(told: Mapping[str, Told]) -> list[Pane]:
    """The truth, then the others, ours (the first of them) last: beside what it is compared with."""
    its = [
        Pane(name, LINES[i % len(LINES)], one.answers, by_frame(one.parts))
        for i, (name, one) in enumerate(told.items())
    ]
    return [Pane("truth", INK, None, its[0].rows), *its[1:], its[0]]


def window(shot: Shot) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 of what is shown: where faces ever are, and some of what is around them."""
    height, width = shot.frames[0].image.shape[:2]
    boxes = np.array([t.box_px for t in shot.truths])
    around = AROUND * float((boxes[:, 3] - boxes[:, 1]).max())
    x0, y0 = np.maximum(boxes[:, :2].min(axis=0) - around, 0).astype(int)
    x1, y1 = np.minimum(np.ceil(boxes[:, 2:].max(axis=0) + around), (width, height)).astype(int)
    return int(x0), int(y0), int(x1), int(y1)


def pane_size(crop: tuple[int, int, int, int]) -> tuple[int, int]:
    """(width, height) of a pane without its bar."""
    width, height = crop[2] - crop[0], crop[3] - crop[1]
    scale = min(PANE_PX / height, WIDEST_PX / width)
    return round(width * scale), round(height * scale)


def film_size(crop: tuple[int, int, int, int], count: int) -> tuple[int, int]:
    """(width, height) of a film of so many panes; even, as H.264 wants them."""
    width, height = pane_size(crop)
    return count * width // 2 * 2, (BAR_PX + height + GRAPH_PX) // 2 * 2


def pane_picture(pane: Pane, shot: Shot, index: int, crop: tuple[int, int, int, int]) -> Image:
    """A pane with the bar above it."""
    answers = None if pane.answers is None else pane.answers[index]
    x0, y0, x1, y1 = crop
    size = pane_size(crop)
    picture = cv2.resize(
        painted(shot, index, answers)[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA
    )
    bar = np.full((BAR_PX, size[0], 3), PAPER, np.uint8)
    put(bar, pane.name, (MARGIN_PX, 18), pane.color)
    text, color = verdict(pane.rows.get(index, ()), itself=pane.answers is None)
    (length, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)
    put(bar, text, (size[0] - MARGIN_PX - length, 18), color)
    return np.vstack([bar, np.asarray(picture, np.uint8)])


def verdict(rows: Sequence[Row], *, itself: bool) -> tuple[str, Color]:
    """What stands above a pane of a frame: how much is covered, or how well that was seen."""
    scores = [row.score for row in rows]
    truth, marked, hit, area = (
        sum(getattr(s, n) for s in scores) for n in ("truth", "marked", "hit", "area")
    )
    if not rows:
        return "no face", INK
    if itself:
        return f"{100 * truth / area:.0f} % covered", INK
    if not all(row.found for row in rows):
        return "FACE LOST", WRONG
    if not any(s.is_covered for s in scores):
        return f"false {100 * (marked - hit) / area:.1f} %", WRONG if marked > 0.01 * area else INK
    return f"IoU {hit / (truth + marked - hit):.2f}", INK
