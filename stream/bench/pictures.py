"""What a benchmark looks like: a strip of a scene, its coverage over time; films are in ``film.py``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.bench.entrants import Answer
from stream.bench.judge import Part, Truth
from stream.bench.results import Results
from stream.bench.shot import Shot

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Color = tuple[int, int, int]

RIGHT, WRONG, MISSED = (40, 200, 90), (235, 60, 60), (70, 130, 255)
OUTLINE = (255, 255, 0)

TILES = 6
TILE_PX = 150


def stills(shot: Shot, answers: Sequence[Sequence[Answer]]) -> Image:
    """Six moments of a scene in which its first face is most in question: above the truth, below the
    answer.
    """
    picked = moments(shot.truths)
    pictures = [(painted(shot, index), painted(shot, index, answers[index])) for index in picked]
    tiles = [
        np.vstack([close(p, shot, i) for p in pair])
        for i, pair in zip(picked, pictures, strict=True)
    ]
    return np.hstack(tiles)


def moments(truths: Sequence[Truth]) -> list[int]:
    """Frames of the first face to be looked at: spread evenly over those in which it is covered."""
    first = truths[0].actor
    covered = [t.frame for t in truths if t.actor == first and (t.covered > 0.5)[t.region].any()]
    if not covered:
        covered = [t.frame for t in truths if t.actor == first]
    return [covered[int(i)] for i in np.linspace(0, len(covered) - 1, TILES)]


def painted(shot: Shot, index: int, answers: Sequence[Answer] | None = None) -> Image:
    """A frame with the truth on it, or with what is right, wrong and missed in an entrant's answers.

    What is marked beside the true face counts for nothing, and is paler.
    """
    image = shot.frames[index].image.copy()
    face, covered = true_masks([t for t in shot.truths if t.frame == index], image.shape[:2])
    if answers is None:
        tint(image, covered, RIGHT, 0.5)
    else:
        marked = np.zeros(image.shape[:2], np.bool_)
        for answer in answers:
            marked |= answer.alpha > 0.5
        tint(image, marked & covered, RIGHT, 0.5)
        tint(image, marked & face & ~covered, WRONG, 0.65)
        tint(image, covered & ~marked, MISSED, 0.65)
        tint(image, marked & ~face, WRONG, 0.25)
    outline, _ = cv2.findContours(face.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, outline, -1, OUTLINE, 1)
    return image


def true_masks(truths: Sequence[Truth], shape: tuple[int, ...]) -> tuple[Mask, Mask]:
    """(H, W) bool each: where the faces of a frame are, and what of them is covered."""
    face, covered = np.zeros(shape, np.bool_), np.zeros(shape, np.bool_)
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    for truth in truths:
        inside = truth.region.astype(np.float32)
        layers = [
            cv2.warpAffine(layer, truth.frame_to_face, shape[::-1], flags=flags) > 0.5
            for layer in (inside, inside * truth.covered)
        ]
        face |= layers[0]
        covered |= layers[1]
    return face, covered


def tint(image: Image, where: Mask, color: Color, share: float) -> None:
    """Lay a colour over a picture, in place."""
    image[where] = ((1 - share) * image[where] + share * np.array(color)).astype(np.uint8)


def close(image: Image, shot: Shot, index: int) -> Image:
    """The first face of a frame and as much again around it, as a square tile."""
    box = next(t.box_px for t in shot.truths if t.frame == index)
    middle, half = (box[:2] + box[2:]) / 2, 0.8 * float((box[2:] - box[:2]).max())
    scale = TILE_PX / (2 * half)
    matrix = np.array(
        [[scale, 0, TILE_PX / 2 - scale * middle[0]], [0, scale, TILE_PX / 2 - scale * middle[1]]]
    )
    return np.asarray(
        cv2.warpAffine(image, matrix, (TILE_PX, TILE_PX), flags=cv2.INTER_AREA), np.uint8
    )


def plot_coverage(path: Path, results: Results, scene: str) -> None:
    """Covered share of the first face over the frames of a scene: the truth, and what each marked."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(7, 2.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for who, parts in results.items():
        its = [p for p in parts if p.rows[0].scene == scene and p.rows[0].actor == 0]
        frames, marked, truth = series(its)
        if not axes.lines:
            axes.plot(frames, truth, "k", lw=2, alpha=0.5, label="truth")
        axes.plot(frames, marked, lw=1, label=who)
    axes.set(title=scene, ylim=(0, 1), xlabel="frame", ylabel="marked share of the face")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=80)


def series(parts: Sequence[Part]) -> tuple[list[float], list[float], list[float]]:
    """Frames, marked and covered shares, with a gap between two parts."""
    frames: list[float] = []
    marked: list[float] = []
    truth: list[float] = []
    for part in parts:
        for row in part.rows:
            frames.append(row.frame)
            marked.append(row.score.marked / row.score.area)
            truth.append(row.score.covered)
        for line in (frames, marked, truth):
            line.append(float("nan"))
    return frames, marked, truth
