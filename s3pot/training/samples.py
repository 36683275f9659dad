"""Endless composites from a folder of faces and a folder of occluders, split by identity."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from s3pot.network import INPUT_SIZE_PX
from s3pot.training.composite import COVERED, Faces, Sample, compose
from s3pot.training.found import found_in
from s3pot.training.invented import Inventors
from s3pot.training.occluders import Occluders, load_occluders

MIX = {
    "hand": 0.34, "drawn_hand": 0.15, "drawn": 0.17, "object": 0.09, "mask": 0.07,
    "scarf": 0.04, "sunglasses": 0.04, "glasses": 0.03, "hat": 0.03, "hair": 0.04,
}  # fmt: skip
"""How often each kind of occluder is laid on."""


LABELLED_SHARE = 0.15
"""So often a face with labels is taken on purpose."""


FOUND_WEIGHT = 0.05
"""How often, beside MIX, what was found before another face is laid on."""

COVERED_SHARE = 0.03
"""So often a photograph is taken on purpose that has something in front of the face itself."""


def load_faces(
    folder: Path, triangles: NDArray[np.int16], held_out: bool, covered: bool = False
) -> Faces:
    """Faces written by ``s3pot train prepare``; one identity in ten is held out.

    Args:
        folder: holds ``images.npy``, ``landmarks.npy``, ``index.json``, and maybe ``labels.npy``.
        triangles: (T, 3) of the mesh that the landmarks are points of.
        held_out: the held-out identities instead of the others.
        covered: also photographs in which something was found before the face, where
            :mod:`s3pot.training.agree` has looked.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: no face is left on this side of the split.
    """
    names = json.loads((folder / "index.json").read_text())["identity"]
    chosen = [i for i, n in enumerate(names) if (zlib.crc32(n.encode()) % 10 == 0) == held_out]
    agreed = _optional(folder / "agreed.npy")
    bare = np.array([agreed is None or not (agreed[i] == COVERED).any() for i in chosen], bool)
    if not covered:
        chosen, bare = [i for i, b in zip(chosen, bare, strict=True) if b], bare[bare]
    if not chosen:
        raise ValueError(f"{folder}: no {'held-out ' if held_out else ''}face among {len(names)}")
    people: dict[str, list[int]] = {}
    for place, i in enumerate(chosen):
        people.setdefault(names[i], []).append(place)
    siblings = [
        [j for j in people[names[i]] if j != place and bare[j]] for place, i in enumerate(chosen)
    ]
    images = np.load(folder / "images.npy", mmap_mode="r")
    landmarks = np.load(folder / "landmarks.npy")
    labels = _optional(folder / "labels.npy")
    return Faces(
        _Rows.of(images, chosen), landmarks[chosen], siblings, triangles,
        _Rows.of(labels, chosen), _Rows.of(agreed, chosen), np.flatnonzero(~bare),
    )  # fmt: skip


def _optional(path: Path) -> NDArray[np.uint8] | None:
    return np.load(path, mmap_mode="r") if path.is_file() else None


class _Rows:
    """Some rows of a memory-mapped array, read when asked for."""

    def __init__(self, array: NDArray[np.uint8], rows: list[int]) -> None:
        self._array, self._at = array, rows

    @classmethod
    def of(cls, array: NDArray[np.uint8] | None, rows: list[int]) -> Any:
        """Stands for the array that it reads from; None for none."""
        return None if array is None else cls(array, rows)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return np.asarray(self._array[self._at[index]])

    def __len__(self) -> int:
        return len(self._at)


def to_tensors(samples: list[Sample]) -> dict[str, Tensor]:
    """Stack samples: raw, reference, clean (B, 3, S, S) and known, target, region, judged
    (B, 1, S, S), all 0-1; kinds (B, S, S) int64.
    """

    def stack(field: str) -> Tensor:
        arrays = np.stack([np.atleast_3d(getattr(sample, field)) for sample in samples])
        scale = 1.0 if arrays.dtype == bool else 255.0
        return torch.from_numpy(arrays).permute(0, 3, 1, 2).float() / scale

    batch = {field: stack(field) for field in Sample._fields if field != "kinds"}
    return batch | {"kinds": torch.from_numpy(np.stack([s.kinds for s in samples])).long()}


class _Composites(IterableDataset[dict[str, Tensor]]):
    """Batches without end, each worker with its own stream of random numbers."""

    def __init__(
        self, faces: Faces, occluders: Occluders, size: int, batch: int, seed: int
    ) -> None:
        self._faces, self._occluders = faces, occluders
        self._size, self._batch, self._seed = size, batch, seed

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        worker = get_worker_info()
        rng = np.random.default_rng([self._seed, worker.id if worker else 0])
        cv2.setNumThreads(1)
        labelled = self._faces.labelled()
        while True:
            picks = rng.integers(len(self._faces.images), size=self._batch)
            if len(labelled):  # few are, and only they show what hair is
                chosen = labelled[rng.integers(len(labelled), size=self._batch)]
                picks = np.where(rng.random(self._batch) < LABELLED_SHARE, chosen, picks)
            if len(self._faces.covered):
                chosen = self._faces.covered[
                    rng.integers(len(self._faces.covered), size=self._batch)
                ]
                picks = np.where(rng.random(self._batch) < COVERED_SHARE, chosen, picks)
            yield to_tensors(
                [compose(self._faces, self._occluders, int(i), self._size, rng) for i in picks]
            )


@dataclass(frozen=True, slots=True)
class CompositeSource:
    """Where composites come from.

    Attributes:
        faces: folder written by ``s3pot train prepare``.
        occluders: folder of RGBA cut-outs, see :mod:`s3pot.training.occluders`.
        triangles: (T, 3) of the mesh.
        size: S, side of a sample in px.
        workers: processes that compose beside the one that trains; 0 for none.
        inventors: paint some of the references; None: no generator does.
        mix: how often each kind of occluder is laid on.
        covered: train also on photographs that have something before the face of their own.
    """

    faces: Path
    occluders: Path
    triangles: NDArray[np.int16]
    size: int = INPUT_SIZE_PX
    workers: int = 1
    inventors: Inventors | None = None
    mix: Mapping[str, float] = field(default_factory=lambda: MIX)
    covered: bool = False

    def batches(self, batch: int, seed: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches; a seed and a number of workers give the same ones again."""
        stream = self._stream(False, batch, seed)
        ahead = 12 if self.workers else None
        return iter(DataLoader(stream, None, num_workers=self.workers, prefetch_factor=ahead))

    def held_out(self, count: int) -> list[dict[str, Tensor]]:
        """``count`` fixed batches of 32 of held-out people and occluders."""
        return list(islice(iter(self._stream(True, 32, 99)), count))

    def _stream(self, held_out: bool, batch: int, seed: int) -> _Composites:
        faces = load_faces(
            self.faces, self.triangles, held_out, covered=self.covered and not held_out
        )
        faces = replace(faces, inventors=self.inventors)
        occluders = load_occluders(self.occluders, dict(self.mix), held_out)
        found = found_in(faces)
        if found:
            kinds = occluders.kinds | {"found": FOUND_WEIGHT}
            occluders = Occluders(occluders.cutouts | {"found": found}, kinds)
        return _Composites(faces, occluders, self.size, batch, seed)
