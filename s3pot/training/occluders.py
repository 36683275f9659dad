"""What is put in front of faces to train on: cut-outs from a folder, and shapes (drawn.py).

An occluder is RGBA float32, (H, W, 4), 0-1, colour not multiplied by alpha.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from s3pot.training.cutout import Rgba, read_cutout
from s3pot.training.drawn import DRAWN
from s3pot.training.split import split

FOLDERS = {
    "hand": ("hands",),
    "object": ("objects/object_train", "objects/object_test"),
    "scarf": ("objects/scarf_crop",),
    "sunglasses": ("objects/glasses_crop",),
    "glasses": ("objects/eleglasses_crop",),
    "mask": ("surgical_masks",),
}
"""Folders of RGBA cut-outs by kind; a kind whose folders are missing is left out."""

WORN = ("hat", "hair", "glasses", "sunglasses", "mask")
"""What sits on the head: anything else may come in front of it."""


@dataclass(frozen=True, slots=True)
class Occluders:
    """Cut-outs by kind. ``kinds`` weighs them; "drawn" needs no files."""

    cutouts: dict[str, list[Rgba]]
    kinds: dict[str, float]

    def pick(self, rng: Generator) -> tuple[str, Rgba]:
        """A kind and an occluder of that kind, at random."""
        names = list(self.kinds)
        weights = np.array([self.kinds[name] for name in names])
        kind = names[rng.choice(len(names), p=weights / weights.sum())]
        if kind in DRAWN:
            return kind, DRAWN[kind](rng)
        return kind, self.cutouts[kind][rng.integers(len(self.cutouts[kind]))]


def load_occluders(folder: Path, kinds: dict[str, float], held_out: bool) -> Occluders:
    """Read cut-outs; every sixth group of near ones of each kind is held out for validation.

    Args:
        folder: holds the folders named in FOLDERS; hands must enter from their right edge.
        kinds: weight by kind, those of DRAWN among them.
        held_out: the held-out files instead of the others.

    Raises:
        FileNotFoundError: there is no such folder, or neither cut-outs nor drawn kinds are left to
            choose from. (A folder without cut-outs is allowed: drawn occluders need none.)
        ValueError: a cut-out is no RGBA picture of 8 bits, or has nothing in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of occluders")
    cutouts: dict[str, list[Rgba]] = {}
    for kind, places in FOLDERS.items():
        paths = [path for place in places for path in (folder / place).glob("*.png")]
        chosen = split(paths, held_out) if kind in kinds else []
        if chosen:
            cutouts[kind] = [read_cutout(path, arm=kind == "hand") for path in chosen]
    usable = {k: w for k, w in kinds.items() if k in DRAWN or k in cutouts}
    if not usable:
        raise FileNotFoundError(f"{folder}: no cut-outs of {sorted(kinds)}; known: {FOLDERS}")
    return Occluders(cutouts, usable)
