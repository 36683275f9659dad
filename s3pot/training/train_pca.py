"""Fit the linear model of shape-free faces: ``s3pot train pca``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from s3pot.parse import mesh_structure
from s3pot.pca import ATLAS_PX, fit_light, unrolled
from s3pot.reference import stack
from s3pot.repose import mesh_map
from s3pot.sam import resize
from s3pot.training.composite import Faces
from s3pot.training.samples import load_faces

FILLINGS = 3
"""Rounds in which what was not seen of a face is filled in from the model so far."""


def train_pca(
    folder: Path, template: NDArray[np.float32], triangles: NDArray[np.int16], *,
    components: int = 60, count: int = 4000, seed: int = 1,
) -> dict[str, Tensor]:  # fmt: skip
    """Mean, basis and spread of the training faces, each one also mirrored.

    Args:
        folder: written by ``s3pot train prepare``; held-out identities are left out.
        template: (N, 2) float32, the mean mesh in px of a square as large as the photographs.
        triangles: (T, 3) of the mesh.
        components: K.
        count: faces to use, drawn at random; all where there are fewer.
        seed: of the draw and of the randomised SVD.

    Returns:
        The state of a :class:`s3pot.pca.PcaGenerator`.

    Raises:
        ValueError: fewer faces than half the components.
    """
    faces = load_faces(folder, triangles, held_out=False)
    total = len(faces.images)
    if 2 * min(count, total) <= components:
        raise ValueError(f"{components} components need more than {min(count, total)} faces")
    picks = np.sort(np.random.default_rng(seed).permutation(total)[:count])
    inside = atlas_inside(template, triangles, faces.images[0].shape[0])
    rows = [_texture(faces, int(i), template) for i in picks]
    both = torch.stack([row for texture in rows for row in (texture, texture.flip(-1))])
    # The outline is seldom seen whole, and of what nobody saw there is no mean.
    inside &= both[:, 3].mean(0) > 0.5
    spots = inside.flatten()
    colours = both[:, :3].flatten(2)[..., spots].transpose(1, 2).contiguous()
    seen = both[:, 3].flatten(1)[:, spots]
    torch.manual_seed(seed)
    return {"inside": inside, **linear_model(colours, seen, components)}


def atlas_inside(template: NDArray[np.float32], triangles: NDArray[np.int16], size: int) -> Tensor:
    """(ATLAS_PX, ATLAS_PX) bool: pixels most of which lie on the mean mesh; left like right."""
    maps, _ = mesh_map(template, template, triangles, size)
    share = resize(torch.from_numpy(maps[..., 0] >= 0)[None, None].float(), ATLAS_PX)[0, 0]
    return (share + share.flip(-1)) / 2 > 0.5


def _texture(faces: Faces, index: int, template: NDArray[np.float32]) -> Tensor:
    """(4, ATLAS_PX, ATLAS_PX): RGB 0-1 on the atlas and how much of it was seen."""
    photo = faces.photo(index)
    size = photo.image.shape[0]
    structure = mesh_structure(photo.landmarks, template, faces.triangles, {}, size)
    raw = torch.from_numpy(photo.image.copy()).permute(2, 0, 1)[None].float() / 255
    texture, seen = unrolled(raw, torch.zeros_like(raw[:, :1]), stack([structure]))
    return torch.cat([texture, seen], 1)[0]


def linear_model(colours: Tensor, seen: Tensor, components: int) -> dict[str, Tensor]:
    """PCA of faces brought to the mean's light, gaps filled from the model so far.

    Args:
        colours: (N, P, 3) RGB; overwritten.
        seen: (N, P) 0-1.
        components: K.

    Returns:
        "mean" (P, 3), "basis" (K, P, 3) of length 1, "spread" (K,) and "noise" (), the spreads of
        the codes and of what the basis leaves over; as :class:`s3pot.pca.PcaGenerator` has them.
    """
    mean = (colours * seen[..., None]).sum(0) / seen.sum(0)[..., None].clamp(min=1)
    gain, bias = fit_light(mean.expand_as(colours), colours, seen)
    colours.sub_(bias).div_(gain)
    gaps = seen < 0.5
    filled = mean.expand_as(colours)
    for _ in range(FILLINGS):
        colours[gaps] = filled[gaps]
        mean = colours.mean(0)
        flat = (colours - mean).flatten(1)
        _, sizes, basis = torch.svd_lowrank(flat, components + 10, niter=3)
        basis, sizes = basis[:, :components].T, sizes[:components]
        left = flat - flat @ basis.T @ basis
        filled = colours - left.view_as(colours)
    noise = left.view_as(colours)[~gaps].square().mean().sqrt()
    spread = sizes / len(colours) ** 0.5
    return {
        "mean": mean,
        "basis": basis.reshape(components, -1, 3),
        "spread": spread,
        "noise": noise,
    }
