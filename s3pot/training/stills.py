"""Pictures of a training run as it goes: the loss, and what the method sees and says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.prompts import FACE, OCCLUDER
from s3pot.types import Prompts

Image = NDArray[np.uint8]

COLOURS = {OCCLUDER: (255, 64, 64), FACE: (64, 220, 96)}
"""RGB of a point, by its label."""


def still(
    crop: Image, reference: Image, prompts: Prompts, logits: NDArray[np.float32],
    truth: NDArray[np.bool_] | None,
) -> Image:  # fmt: skip
    """Crop | reference | points | mask.

    Args:
        crop: (S, S, 3) uint8 RGB.
        reference: the same.
        prompts: occluder points are drawn red, face points green.
        logits: (S, S), positive = occluder, shown red.
        truth: (S, S) drawn as a white outline, if known.

    Returns:
        (S, 4 S, 3) uint8 RGB.
    """
    asked, answer = crop.copy(), crop.copy()
    for (x, y), label in zip(prompts.points, prompts.labels, strict=True):
        if int(label) in COLOURS:
            cv2.circle(asked, (round(float(x)), round(float(y))), 2, COLOURS[int(label)], -1)
    on = logits > 0
    answer[on] = (answer[on] * 0.4 + np.array(COLOURS[OCCLUDER]) * 0.6).astype(np.uint8)
    if truth is not None:
        outline = cv2.morphologyEx(truth.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((2, 2)))
        answer[outline > 0] = 255
    return np.hstack([crop, reference, asked, answer])


def write_picture(path: Path, image: Image) -> None:
    """Write (H, W, 3) uint8 RGB as PNG.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR)):
        raise OSError(f"{path}: cannot be written")


def plot_log(log: Path, path: Path) -> None:
    """Draw every figure of a ``log.jsonl`` over its step."""
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    names = [n for n in rows[-1] if n not in ("step", "samples", "minutes")]
    steps = [row["step"] for row in rows]
    plot({n: [row.get(n, np.nan) for row in rows] for n in names}, path, steps, "step")


def plot(curves: dict[str, Sequence[float]], path: Path, at: Sequence[float], across: str) -> None:
    """Draw curves, each in a field of its own, as PNG.

    Args:
        curves: by name; nan leaves a gap.
        path: to write.
        at: where on the x axis each value lies; a shorter curve ends early.
        across: name of the x axis.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow; no window, no global state

    figure = Figure(figsize=(7, 2 * len(curves)), layout="constrained")
    axes = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, values) in zip(axes, curves.items(), strict=True):
        axis.plot(at[: len(values)], values, marker=".")
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel(across)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
