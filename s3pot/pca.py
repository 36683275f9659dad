"""The generator "pca": a gappy, robust fit of a linear model of faces without shape.

Crops are unrolled onto the mean mesh, so that a pixel of the atlas is one place of the face whatever
the pose (shape-free textures: Craw & Cameron 1991).  A face is light * (mean + basis * code) there.
The code is fitted to what is seen alone (gappy PCA: Everson & Sirovich 1995), and robustly, by
iteratively reweighted least squares, so that an occluder that nobody declared does not bend it
(De la Torre & Black 2003).  The paper has no such generator; it is ours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from s3pot import weights
from s3pot.labels import facial
from s3pot.reference import StructureBatch
from s3pot.sam import resize

ATLAS_PX = 96
"""Side of the model's atlas."""

SAME_PLACE_PX = 4.0
"""A way to the crop and back that ends farther off than this is another, nearer part of the face."""

Light = tuple[Tensor, Tensor]
"""Gain and bias, (B, 1, 3) each: a colour of the model times gain plus bias is one of the picture."""


class Fit(NamedTuple):
    """Attributes:
    faces: (B, P, 3) RGB, the model's faces in the light of the pictures.
    trust: (B, P) 0-1, the weights of the last round: near 0 where the picture is no such face.
    """

    faces: Tensor
    trust: Tensor


def grid_sample_px(field: Tensor, maps: Tensor) -> Tensor:
    """(B, C, S, S) sampled bilinearly at (B, s, s, 2) x y px, pixel centres at integers; 0 outside."""
    scale = 2 / field.shape[-1]
    return nn.functional.grid_sample(field, (maps + 0.5) * scale - 1, align_corners=False)


def unrolled(raw: Tensor, hidden: Tensor, structure: StructureBatch) -> tuple[Tensor, Tensor]:
    """Crops and what is visible of them, on the model's atlas.

    Args:
        raw: (B, 3, S, S) RGB 0-1.
        hidden: (B, 1, S, S) 0-1.
        structure: of the crops.

    Returns:
        (B, 3, ATLAS_PX, ATLAS_PX) texture and (B, 1, ., .) visible share 0-1: 0 off the mesh, where
        hidden, and where a nearer part of the face lies in front.
    """
    own = _pixels(structure.unroll)
    back = grid_sample_px(structure.roll.permute(0, 3, 1, 2), structure.unroll)
    near = (back.permute(0, 2, 3, 1) - own).abs().amax(-1) < SAME_PLACE_PX
    on_mesh = (structure.unroll >= 0).all(-1) & near
    visible = on_mesh[:, None] * grid_sample_px(1 - hidden, structure.unroll)
    texture = grid_sample_px(raw, structure.unroll)
    share = resize(visible, ATLAS_PX)
    return resize(texture * visible, ATLAS_PX) / share.clamp(min=1e-3), share


def _pixels(maps: Tensor) -> Tensor:
    """(S, S, 2): each pixel's own x y."""
    axis = torch.arange(maps.shape[1], device=maps.device, dtype=maps.dtype)
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)


class PcaGenerator(nn.Module):
    """Mean, basis and spread of shape-free faces, and their robust fit.

    Args:
        pixels: P, of the atlas that lie on the mesh.
        components: K.
        rounds: of reweighting.
    """

    whole = True

    def __init__(self, pixels: int, components: int, rounds: int = 8) -> None:
        super().__init__()
        self.rounds = rounds
        self.inside: Tensor
        self.mean: Tensor
        self.basis: Tensor
        self.spread: Tensor
        self.noise: Tensor
        self.register_buffer("inside", torch.zeros(ATLAS_PX, ATLAS_PX, dtype=torch.bool))
        self.register_buffer("mean", torch.zeros(pixels, 3))
        self.register_buffer("basis", torch.zeros(components, pixels, 3))
        self.register_buffer("spread", torch.ones(components))
        self.register_buffer("noise", torch.tensor(0.03))

    def forward(self, raw: Tensor, hidden: Tensor, structure: StructureBatch) -> Tensor:
        """See :class:`s3pot.reference.ReferenceGenerator`."""
        texture, visible = unrolled(raw, hidden, structure)
        spots = self.inside.flatten()
        seen = visible.flatten(1)[:, spots]
        faces = self.fit(texture.flatten(2)[..., spots].transpose(1, 2), seen).faces
        return self._rolled(faces.clamp(0, 1), raw, structure)

    def fit(self, colours: Tensor, seen: Tensor) -> Fit:
        """Fit the model to partly seen faces.

        Each round solves ``min sum w (x - mean - basis c)^2 / noise^2 + sum (c / spread)^2`` for the
        code c, then the light, then sets the weights of Geman and McClure (1987),
        ``w = seen / (1 + (r / s)^2)^2``, r being a pixel's residual over its three channels and s the
        median of r, at least noise.  They fall faster than Cauchy's: on held-out composites whose
        occluder nobody declared, 31.4 of 255 are left where Cauchy's left 34.7.

        Args:
            colours: (B, P, 3) RGB.
            seen: (B, P) 0-1, weight of each pixel.
        """
        faces = self.mean.expand_as(colours)
        light = fit_light(faces, colours, seen)
        trust = self._weights(faces, colours, seen, light)
        for _ in range(self.rounds):
            light = fit_light(faces, colours, trust)
            gain, bias = light
            faces = self._solve((colours - bias) / gain, trust)
            trust = self._weights(faces, colours, seen, light)
        gain, bias = light
        return Fit(faces * gain + bias, trust)

    def _weights(self, faces: Tensor, colours: Tensor, seen: Tensor, light: Light) -> Tensor:
        gain, bias = light
        residual = ((colours - faces * gain - bias) ** 2).mean(2).sqrt()
        known = torch.where(seen > 0.05, residual, torch.nan)
        scale = (known.nanmedian(1, keepdim=True).values).nan_to_num(1.0)
        return seen / (1 + (residual / scale.clamp(min=float(self.noise))) ** 2) ** 2

    def _solve(self, colours: Tensor, trust: Tensor) -> Tensor:
        basis = self.basis
        weighted = basis[None] * trust[:, None, :, None]  # (B, K, P, 3)
        flat = basis.flatten(1)
        square = weighted.flatten(2) @ flat.T / self.noise**2 + torch.diag(self.spread**-2)
        towards = (weighted.flatten(2) @ (colours - self.mean).flatten(1)[..., None])[..., 0]
        code = torch.linalg.solve(square, towards / self.noise**2)
        return self.mean + (code @ flat).view(-1, *self.mean.shape)

    def _rolled(self, faces: Tensor, raw: Tensor, structure: StructureBatch) -> Tensor:
        """(B, P, 3) back into the crops; off the face the crop's own pixels."""
        spots = self.inside.flatten()
        atlas = torch.zeros(len(faces), 4, spots.numel(), device=raw.device)
        atlas[:, :3, spots] = faces.transpose(1, 2)
        atlas[:, 3, spots] = 1.0
        fine = resize(_extended(atlas.view(-1, 4, ATLAS_PX, ATLAS_PX)), raw.shape[-1])
        carried = grid_sample_px(fine, structure.roll)
        colour = (carried[:, :3] / carried[:, 3:].clamp(min=1e-3)).clamp(0, 1)
        on_face = facial(structure.labels) & (structure.roll >= 0).all(-1)
        on_face &= carried[:, 3] > 0.05
        return torch.where(on_face[:, None], colour, raw)


def _extended(atlas: Tensor) -> Tensor:
    """(B, 4, H, W) RGB and 0 or 1: the known colours grown outwards, for the outline's sake."""
    for _ in range(3):
        near = nn.functional.avg_pool2d(atlas, 3, 1, 1)
        grown = near / near[:, 3:].clamp(min=1e-6)
        atlas = torch.where(atlas[:, 3:] > 0, atlas, grown)
    return atlas


def fit_light(faces: Tensor, colours: Tensor, weights: Tensor) -> Light:
    """Weighted least squares of colours = faces * gain + bias, a channel at a time.

    Gain is kept within 0.2 to 5; a ridge of a few pixels keeps it at 1 where little is seen.
    """
    w = weights[..., None]
    total = w.sum(1, keepdim=True) + 1e-3
    fm, cm = (w * faces).sum(1, keepdim=True) / total, (w * colours).sum(1, keepdim=True) / total
    cross = (w * (faces - fm) * (colours - cm)).sum(1, keepdim=True)
    square = (w * (faces - fm) ** 2).sum(1, keepdim=True)
    gain = ((cross + 0.05) / (square + 0.05)).clamp(0.2, 5)
    return gain, cm - gain * fm


def load_pca(folder: str = "") -> PcaGenerator:
    """The generator with the weights "pca" of a folder ("" is the package's).

    Raises:
        WeightsError: they cannot be loaded, or were made for another model.
    """
    tensors = weights.load("pca", folder)
    if "basis" not in tensors or tensors["basis"].ndim != 3:
        raise weights.WeightsError(f"weights 'pca' of {folder or 'the package'}: hold no basis")
    components, pixels, _ = tensors["basis"].shape
    generator = PcaGenerator(pixels, components)
    weights.fill(generator, "pca", folder)
    return generator
