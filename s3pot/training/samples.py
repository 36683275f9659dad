"""Endless composites from a folder of faces and a folder of occluders, split by identity."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from s3pot.network import INPUT_SIZE_PX
from s3pot.training.composite import Faces, Sample, compose
from s3pot.training.invented import Inventors
from s3pot.training.occluders import Occluders, load_occluders

MIX = {
    "hand": 0.34, "drawn_hand": 0.15, "drawn": 0.17, "object": 0.09, "mask": 0.07,
    "scarf": 0.04, "sunglasses": 0.04, "glasses": 0.03, "hat": 0.03, "hair": 0.04,
}  # fmt: skip
"""How often each kind of occluder is laid on."""


LABELLED_SHARE = 0.15
"""So often a face with labels is taken on purpose."""


def load_faces(folder: Path, triangles: NDArray[np.int16], held_out: bool) -> Faces:
    """Faces written by ``s3pot train prepare``; one identity in ten is held out.

    Args:
        folder: holds ``images.npy``, ``landmarks.npy``, ``index.json``, and maybe ``labels.npy``.
        triangles: (T, 3) of the mesh that the landmarks are points of.
        held_out: the held-out identities instead of the others.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: no face is left on this side of the split.
    """
    names = json.loads((folder / "index.json").read_text())["identity"]
    chosen = [i for i, n in enumerate(names) if (zlib.crc32(n.encode()) % 10 == 0) == held_out]
    if not chosen:
        raise ValueError(f"{folder}: no {'held-out ' if held_out else ''}face among {len(names)}")
    people: dict[str, list[int]] = {}
    for place, i in enumerate(chosen):
        people.setdefault(names[i], []).append(place)
    siblings = [[j for j in people[names[i]] if j != place] for place, i in enumerate(chosen)]
    images = np.load(folder / "images.npy", mmap_mode="r")
    landmarks = np.load(folder / "landmarks.npy")
    labels = None
    if (folder / "labels.npy").is_file():
        labels = _Rows(np.load(folder / "labels.npy", mmap_mode="r"), chosen)
    return Faces(_Rows(images, chosen), landmarks[chosen], siblings, triangles, labels)  # type: ignore[arg-type]


class _Rows:
    """Some rows of a memory-mapped array, read when asked for."""

    def __init__(self, array: NDArray[np.uint8], rows: list[int]) -> None:
        self._array, self._at = array, rows

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return np.asarray(self._array[self._at[index]])

    def __len__(self) -> int:
        return len(self._at)


def to_tensors(samples: list[Sample]) -> dict[str, Tensor]:
    """Stack samples: raw, reference, clean (B, 3, S, S) and known, target, region (B, 1, S, S), all
    0-1; kinds (B, S, S) int64.
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
    """

    faces: Path
    occluders: Path
    triangles: NDArray[np.int16]
    size: int = INPUT_SIZE_PX
    workers: int = 1
    inventors: Inventors | None = None
    mix: Mapping[str, float] = field(default_factory=lambda: MIX)

    def batches(self, batch: int, seed: int) -> Iterator[dict[str, Tensor]]:
        """Endless training batches; a seed and a number of workers give the same ones again."""
        stream = self._stream(False, batch, seed)
        ahead = 12 if self.workers else None
        return iter(DataLoader(stream, None, num_workers=self.workers, prefetch_factor=ahead))

    def held_out(self, count: int) -> list[dict[str, Tensor]]:
        """``count`` fixed batches of 32 of held-out people and occluders."""
        return list(islice(iter(self._stream(True, 32, 99)), count))

    def _stream(self, held_out: bool, batch: int, seed: int) -> _Composites:
        faces = replace(load_faces(self.faces, self.triangles, held_out), inventors=self.inventors)
        occluders = load_occluders(self.occluders, dict(self.mix), held_out)
        return _Composites(faces, occluders, self.size, batch, seed)
