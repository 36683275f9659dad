"""FE: contrast of raw and reference tokens, an initial prompt, SAM's cross-attention (method.md 2)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from s3pot.prompts import FACE, OCCLUDER, PADDING
from s3pot.sam import Sam


class Contrast(NamedTuple):
    """A raw crop and its reference, seen by SAM's image encoder.

    Attributes:
        raw: (B, C, G, G) tokens E_X.
        reference: (B, C, G, G) tokens E_Y.
        known: (B, G, G) bool, whether the reference is known at the token's centre.
    """

    raw: Tensor
    reference: Tensor
    known: Tensor


class Seed(NamedTuple):
    """The initial prompt: point (B, 1, 2) x y in px of the crop; label (B, 1), FACE, or PADDING
    where there is no face.
    """

    point: Tensor
    label: Tensor


def encode_pair(sam: Sam, raw: Tensor, reference: Tensor, known: Tensor) -> Contrast:
    """Raw and reference through the same frozen encoder (method.md 2.1).

    Args:
        sam: normalises what it encodes (mends Q1).
        raw: (B, 3, S, S) RGB 0-1.
        reference: the same, of any value where unknown.
        known: (B, 1, S, S), 0 where unknown. There the encoder is shown the raw crop, so that the
            known part stands in the same surroundings; those tokens cannot be contrasted.
    """
    painted = torch.where(known > 0, reference, raw)
    tokens = sam.encode(torch.cat([raw, painted]))
    e_x, e_y = tokens.chunk(2)
    return Contrast(e_x, e_y, at_centres(known, sam.grid) > 0)


def at_centres(field: Tensor, grid: int) -> Tensor:
    """(B, 1, S, S) -> (B, G, G): the pixel at each token's centre, as published (method.md 2.2).

    Of a token of 16 px this is its pixel 8 (from 0), half a pixel off the centre.
    """
    size = field.shape[-1]
    at = ((torch.arange(grid, device=field.device) + 0.5) * size / grid).long()
    return field[:, 0, at[:, None], at]


def centres_px(cells: Tensor, grid: int, size_px: int, offset: float = 0.5) -> Tensor:
    """Tokens' centres: (..., 2) x y in tokens -> px of the crop, pixel centres at integers.

    Args:
        cells: column and row of a token.
        grid: G.
        size_px: S.
        offset: where in the token; 0 is its corner, which the authors send first (Q3).
    """
    return (cells.float() + offset) * (size_px / grid) - 0.5


def position_contrast(raw: Tensor, reference: Tensor) -> Tensor:
    """q: (B, C, G, G) twice -> (B, G, G) cosine of the two tokens at each place (method.md 2.3)."""
    return F.cosine_similarity(raw.float(), reference.float(), dim=1, eps=1e-8)


def seed(sam: Sam, contrast: Contrast, face: Tensor, *, released: bool = False) -> Seed:
    """The initial prompt: the token that changed least, the surest one of the face.

    Args:
        sam: gives grid and size.
        contrast: of the faces.
        face: (B, G, G) bool.
        released: as the authors do: the argmax of q * m, where a 0 off the face beats what is below
            (Q2), and the token's corner (Q3).
    """
    q = position_contrast(contrast.raw, contrast.reference)
    masked = q * face if released else torch.where(face, q, -torch.inf)
    best = masked.flatten(1).argmax(1)
    cell = torch.stack([best % sam.grid, best // sam.grid], -1)
    point = centres_px(cell, sam.grid, sam.size_px, 0.0 if released else 0.5)
    label = torch.where(face.any((1, 2)), FACE, PADDING)
    return Seed(point[:, None], label[:, None])


def attended(sam: Sam, contrast: Contrast, initial: Seed) -> tuple[Tensor, Tensor]:
    """A_X and A_Y, (B, C, G, G): both crops' tokens re-expressed by SAM's cross-attention relative
    to the initial prompt (method.md 2.4). SAM is asked for the face: the point is its foreground.
    """
    labels = foreground(initial.label, "face")
    tokens = torch.cat([contrast.raw, contrast.reference])
    a_x, a_y = sam.attend(tokens, initial.point.repeat(2, 1, 1), labels.repeat(2, 1)).chunk(2)
    return a_x, a_y


def foreground(labels: Tensor, polarity: str) -> Tensor:
    """Our labels as SAM is to read them: its 1 is what it cuts out, the "occluder" or the "face"."""
    if polarity == "occluder":
        return labels
    return torch.where(labels == OCCLUDER, FACE, torch.where(labels == FACE, OCCLUDER, labels))
