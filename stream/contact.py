"""A contact sheet of the worst cases: crop, truth and answer side by side."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.evaluate import Row, View

Image = NDArray[np.uint8]

PER_SET = 12
COLUMNS = 2
SIDE_PX = 160
TEXT_PX = 20
TRUTH, ANSWER = (40, 200, 90), (235, 60, 60)


class Worst:
    """Keeps the worst frame of each of the worst cases, by set and competitor."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], dict[str, tuple[float, Row, View]]] = {}

    def __call__(self, row: Row, view: View) -> None:
        """See a row; see :data:`stream.evaluate.Watch`."""
        kept = self._kept.setdefault((row.competitor, row.set), {})
        bad = badness(row)
        if row.case not in kept or bad > kept[row.case][0]:
            kept[row.case] = bad, row, view
        if len(kept) > PER_SET:
            del kept[min(kept, key=lambda case: kept[case][0])]

    def kept(self) -> dict[tuple[str, str], list[tuple[Row, View]]]:
        """Of each competitor and set the worst cases, the worst first; equal ones by name."""
        return {
            key: [(row, view) for _, row, view in sorted(cases.values(), key=_rank)]
            for key, cases in self._kept.items()
        }

    def write(self, folder: Path) -> list[Path]:
        """One PNG for each competitor: ``worst.png`` for the first, ``worst-NAME.png`` for the others."""
        paths: list[Path] = []
        kept = self.kept()
        for who in dict.fromkeys(competitor for competitor, _ in kept):
            bands = [
                sheet(f"{name}: worst of {who}", tiles)
                for (competitor, name), tiles in kept.items() if competitor == who
            ]  # fmt: skip
            plain = re.sub(r"[^\w.-]+", "_", who)
            path = folder / (f"worst-{plain}.png" if paths else "worst.png")
            cv2.imwrite(str(path), cv2.cvtColor(np.vstack(bands), cv2.COLOR_RGB2BGR))
            paths.append(path)
        return paths


def _rank(kept: tuple[float, Row, View]) -> tuple[float, str]:
    return -kept[0], kept[1].case


def badness(row: Row) -> float:
    """0-1: one minus the IoU of a covered face, the false alarms of another."""
    if row.score is None:
        return 0.0
    return 1 - row.score.iou if row.score.is_covered else row.score.false_alarm


def sheet(title: str, tiles: list[tuple[Row, View]]) -> Image:
    """A title and the tiles below it, COLUMNS in a row."""
    drawn = [tile(row, view) for row, view in tiles]
    drawn += [np.zeros_like(drawn[0])] * (-len(drawn) % COLUMNS)
    lines = [np.hstack(drawn[i : i + COLUMNS]) for i in range(0, len(drawn), COLUMNS)]
    return np.vstack([written(title, lines[0].shape[1]), *lines])


def tile(row: Row, view: View) -> Image:
    """Crop, truth and answer of one face; the face's region is outlined, under it stands the name."""
    pictures = [
        view.crop, tinted(view.crop, view.truth, TRUTH, view.region),
        tinted(view.crop, view.mask, ANSWER, view.region),
    ]  # fmt: skip
    small = [cv2.resize(p, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for p in pictures]
    text = f"{row.case}#{row.frame} {row.kind}"
    if row.score is not None and row.score.is_covered:
        text = f"IoU {row.score.iou:.2f}  {text}"
    elif row.score is not None:
        text = f"FA {100 * row.score.false_alarm:.1f}%  {text}"
    picture = np.hstack(small)
    return np.vstack([picture, written(text, picture.shape[1])])


def tinted(
    crop: Image, mask: NDArray[np.bool_], color: tuple[int, ...], region: NDArray[np.bool_]
) -> Image:
    """A crop with a mask laid over it and the region's outline drawn."""
    image = crop.copy()
    image[mask] = (0.4 * image[mask] + 0.6 * np.array(color)).astype(np.uint8)
    outline, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outline, -1, (255, 255, 0), 1)
    return image


def written(text: str, width_px: int) -> Image:
    """A dark bar with a line of text."""
    bar = np.full((TEXT_PX, width_px, 3), 30, np.uint8)
    cv2.putText(
        bar, text, (4, TEXT_PX - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (235, 235, 235), 1, cv2.LINE_AA
    )
    return bar
