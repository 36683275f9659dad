"""What a benchmark looks like: a strip of a scene, a film of it, its coverage over time."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.bench.entrants import Answer
from stream.bench.judge import Part, Truth
from stream.bench.results import Results
from stream.bench.shot import Shot
from stream.contact import ANSWER, TRUTH, written

Image = NDArray[np.uint8]

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
    """A frame with what covers its faces: truth, or an entrant's answers."""
    image = shot.frames[index].image.copy()
    height, width = image.shape[:2]
    for truth in (t for t in shot.truths if t.frame == index):
        inverse = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
        region = (
            cv2.warpAffine(
                truth.region.astype(np.uint8) * 255,
                truth.frame_to_face,
                (width, height),
                flags=inverse,
            )
            > 127
        )
        if answers is None:
            covered = np.where(truth.region, truth.covered, 0).astype(np.float32)
            mask = cv2.warpAffine(covered, truth.frame_to_face, (width, height), flags=inverse)
            tint(image, mask > 0.5, TRUTH)
        outline, _ = cv2.findContours(
            region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(image, outline, -1, (255, 255, 0), 1)
    for answer in answers or ():
        tint(image, answer.alpha > 0.5, ANSWER)
    return image


def tint(image: Image, where: NDArray[np.bool_], color: tuple[int, ...]) -> None:
    """Lay a colour over a picture, in place."""
    image[where] = (0.4 * image[where] + 0.6 * np.array(color)).astype(np.uint8)


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


class Film:
    """A film of one scene: frame, truth, and each entrant side by side.

    Args:
        folder: where ``SCENE.mp4`` is written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, shot: Shot, answers: dict[str, Sequence[Sequence[Answer]]]) -> Path:
        """Write it; a variable rate is shown at the scene's own."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{shot.scene.name.replace('/', '-')}.mp4"
        with av.open(str(path), "w") as out:
            stream = out.add_stream("mpeg4", rate=Fraction(shot.scene.fps).limit_denominator(1001))
            stream.pix_fmt, stream.bit_rate = "yuv420p", 6_000_000
            stream.height, stream.width = beside(shot, 0, answers).shape[:2]
            for index in range(len(shot.frames)):
                picture = beside(shot, index, answers)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            out.mux(stream.encode())
        return path


def beside(shot: Shot, index: int, answers: dict[str, Sequence[Sequence[Answer]]]) -> Image:
    """One picture of the film."""
    panes = {"truth": painted(shot, index)}
    panes |= {name: painted(shot, index, its[index]) for name, its in answers.items()}
    named = [np.vstack([written(name, pane.shape[1]), pane]) for name, pane in panes.items()]
    picture = np.hstack(named)
    height, width = (side // 2 * 2 for side in picture.shape[:2])
    return np.ascontiguousarray(picture[:height, :width])


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
