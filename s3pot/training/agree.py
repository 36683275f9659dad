"""Self-supervision on real photographs: what stands in front of the faces that we train on.

Photographs of faces hold hands, microphones and sunglasses that nobody has marked, and training on
them as bare faces teaches to overlook just these.  There is no truth to be had, so only what several
looks agree on is believed, looks that have different reasons to err (the paper, too, learns without
occlusion truth, by objectives of its own: method.md 4.1): the face and its mirror image, the evidence and SAM's
decoder, and a painted reference beside none.  A cycle ends it: with what was found painted away, a
second look must find nothing.  Where the looks differ, nothing is taught.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s3pot.network import INPUT_SIZE_PX
from s3pot.parse import mesh_structure
from s3pot.reference import stack
from s3pot.sam import FaceSam
from s3pot.training.composite import COVERED, FACE, UNSURE
from s3pot.training.invented import MARGIN_PX, TRUST, Inventors
from s3pot.training.train_head import decoded

MIN_SHARE = 0.006
"""Less of the face is a speck: unsure."""

SURE_FACE = -2.0
"""Logits under which all looks take a place of a covered face for face."""

BATCH = 32


@dataclass(frozen=True, slots=True)
class Looker:
    """A trained network and a generator, to look at photographs with.

    Attributes:
        sam: the network and its decoder.
        painters: whose first generator paints references.
        bf16: the first look at each face in bfloat16, see :class:`s3pot.training.loop.Schedule`.
    """

    sam: FaceSam
    painters: Inventors
    bf16: bool = False

    def bare(self, raw: Tensor, region: Tensor) -> Tensor:
        """(B, 3, S, S) -> (2, B, 1, S, S) logits without a reference: as it is, and mirrored."""
        both = torch.cat([raw, raw.flip(3)])
        none = torch.zeros_like(both)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            evidence = self.sam.enhance(both, none, none[:, :1])
        plain, mirrored = evidence.logits.float().chunk(2)
        return torch.stack([plain, mirrored.flip(3)])

    def painted(self, raw: Tensor, hidden: Tensor, landmarks: NDArray[np.float32]) -> Tensor:
        """(B, 3, S, S): the faces without what is hidden, (B, 1, S, S) 0-1."""
        p = self.painters
        structures = [
            mesh_structure(points, p.template, p.triangles, p.parts, raw.shape[-1])
            for points in landmarks
        ]
        return p.generators[0](raw, hidden, stack(structures))

    def closer(
        self, raw: Tensor, region: Tensor, found: Tensor, landmarks: NDArray[np.float32]
    ) -> tuple[Tensor, Tensor]:
        """Two more looks, with a painted reference, and the look at the face painted bare.

        Returns:
            (2, B, 1, S, S) logits of evidence and decoder; (B, 1, S, S) logits once painted away.
        """
        side = 2 * MARGIN_PX + 1
        hidden = torch.nn.functional.max_pool2d(found, side, 1, side // 2)
        painted = self.painted(raw, hidden, landmarks)
        known = region * (1.0 if self.painters.generators[0].whole else hidden)
        evidence = self.sam.enhance(raw, painted * (known > 0), known * TRUST)
        answer = decoded(self.sam, evidence, evidence.logits, region)
        again = self.bare(torch.lerp(raw, painted, hidden * region), region).amax(0)
        return torch.stack([evidence.logits, answer]), again


@torch.inference_mode()
def look(
    looker: Looker, raw: Tensor, region: Tensor, landmarks: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Label faces by what all looks agree on.

    Args:
        looker: looks.
        raw: (B, 3, S, S) RGB 0-1.
        region: (B, 1, S, S) 0 or 1, the face.
        landmarks: (B, N, 3) px of the crops.

    Returns:
        (B, S, S) uint8 of FACE, UNSURE and COVERED.
    """
    looks = looker.bare(raw, region)
    said = torch.where((looks > 0).any(0) & (region > 0), UNSURE, FACE).to(torch.uint8)
    agreed = ((looks > 0).all(0) & (region > 0)).float()
    some = (agreed.sum((1, 2, 3)) > MIN_SHARE * region.sum((1, 2, 3))).nonzero()[:, 0]
    if len(some):
        face = region[some]
        more, again = looker.closer(raw[some], face, agreed[some], landmarks[some.numpy()])
        every = torch.cat([looks[:, some], more])
        found = (every > 0).all(0) & (face > 0) & (again < 0)
        enough = found.sum((1, 2, 3), keepdim=True) > MIN_SHARE * face.sum((1, 2, 3), keepdim=True)
        near = torch.nn.functional.max_pool2d(agreed[some], 21, 1, 10) > 0
        # A hand found in part: the rest of it must not be taught as face.
        sure_face = (every < SURE_FACE).all(0) & ~near
        of_covered = torch.where(found, COVERED, torch.where(sure_face, FACE, UNSURE))
        said[some] = torch.where(enough, of_covered, UNSURE).to(torch.uint8)
    return np.asarray(said[:, 0].numpy())


def agree(folder: Path, looker: Looker, advance: Callable[[int], None]) -> int:
    """Look at all faces of a folder and write ``agreed.npy`` beside them.

    Args:
        folder: written by ``s3pot train prepare``.
        looker: looks.
        advance: told how many faces are done since it was last told.

    Returns:
        How many faces were found covered.

    Raises:
        FileNotFoundError: ``images.npy`` or ``landmarks.npy`` is missing.
    """
    images = np.load(folder / "images.npy", mmap_mode="r")
    landmarks = np.load(folder / "landmarks.npy")
    height, side = images.shape[1], INPUT_SIZE_PX
    edge = (height - side) // 2
    inner = slice(edge, edge + side)
    said = np.zeros(images.shape[:3], np.uint8)
    for start in range(0, len(images), BATCH):
        at = slice(start, start + BATCH)
        crops = np.ascontiguousarray(images[at, inner, inner])
        raw = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
        inside = (landmarks[at] - np.array([edge, edge, 0])).astype(np.float32)
        region = torch.from_numpy(np.stack([_hull(points, side) for points in inside]))[:, None]
        said[at, inner, inner] = look(looker, raw, region, inside)
        advance(len(crops))
    np.save(folder / "agreed.npy", said)
    return int((said == COVERED).any((1, 2)).sum())


def _hull(points: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    hull = cv2.convexHull(points[:, :2].astype(np.float32)).astype(np.int32)
    return cv2.fillConvexPoly(np.zeros((side, side), np.float32), hull, 1.0)
