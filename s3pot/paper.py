"""FE and PS as published (method.md 2 and 3), their defects mended; the released form beside it.

Read :meth:`Paper.logits` first: it is the whole of it.  What is mended of the authors' code: Q1 to
Q5, Q9 and Q11 of method.md 6.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from s3pot.adapter import Adapter
from s3pot.contrast import (
    Contrast,
    at_centres,
    attended,
    centres_px,
    encode_pair,
    foreground,
    position_contrast,
    seed,
)
from s3pot.matching import likeness
from s3pot.prompts import FACE, OCCLUDER, PADDING, PromptBatch, spread
from s3pot.sam import Sam, resize

POLARITIES = ("occluder", "face")

NOTHING = -8.0
"""Logit where nothing is in front, and off the face."""

LEAST_DEVIATION = 0.01
"""Cosine; the spread of a face's similarities is never taken for smaller than this, or on a face
that is its own reference rounding would be evidence."""

SURE = 4.0
"""Robust deviations beyond the threshold at which evidence counts in full; a token without partner
has as many."""


@dataclass(frozen=True, slots=True)
class PaperOptions:
    """Section [paper] of the settings.

    Attributes:
        polarity: what SAM is asked to cut out, "occluder" (the paper) or "face" (the code) (Q9).
        attend: FE: match attended features A; False matches the encoder's own, E.
        match: PS: one-to-one matching; False compares position with position.
        window: tokens, a partner is looked for within, on the face (Q4, Q5); 0 is everywhere, also
            off the face, as released.
        sticky: robust deviations by which a token leans towards what the mask carried here from the
            last frame says of it, so that points stay; ours, the paper has pictures; 0 is none.
        threshold: robust deviations (median absolute deviation times 1.4826) below the face's
            median similarity from which a token is the occluder's; 0 sets no threshold: who finds
            no partner is, as released.
        points: at most so many of each kind, well spread; 0 is all.
        mask: also send the contrast as dense mask prompt.
        screen: let the adapter screen the prompts.
        released: the authors' code as it stands, see :func:`as_released`.
    """

    polarity: str = "occluder"
    attend: bool = True
    match: bool = True
    window: int = 4
    threshold: float = 1.0
    sticky: float = 0.5
    points: int = 0
    mask: bool = False
    screen: bool = True
    released: bool = False


def as_released(options: PaperOptions) -> PaperOptions:
    """The authors' matching as it stands, whatever the other options say (method.md 2.3, 3.1-3.5).

    All raw tokens of the picture compete, without window or threshold; all points are sent, asking
    for the face; the initial point is the argmax of q * m at its token's corner; no screening, for
    no weights of it were released.  Two things are not reproduced: the picture is normalised as the
    SAM wants it (Q1), and points are half a pixel nearer to their token's centre.
    """
    return replace(
        options, polarity="face", attend=True, match=True, window=0, threshold=0.0, sticky=0.0,
        points=0, mask=False, screen=False, released=True,
    )  # fmt: skip


class Selection(NamedTuple):
    """What PS found.

    Attributes:
        prompts: to ask SAM; labels as in :class:`s3pot.types.Prompts`.
        confidence: (B, N) 0-1 of each point.
        excess: (B, G, G) robust deviations beyond the threshold, within SURE; positive = occluder;
            -SURE off the face.
    """

    prompts: PromptBatch
    confidence: Tensor
    excess: Tensor


class Paper(nn.Module):
    """S3POT's FE and PS around a frozen SAM.

    Args:
        sam: any variant.
        options: see :class:`PaperOptions`.
        adapter: screens the prompts; None leaves them.

    Raises:
        ValueError: unknown polarity, or a negative window, threshold, stickiness or number of points.
    """

    cold = False

    def __init__(self, sam: Sam, options: PaperOptions, adapter: Adapter | None) -> None:
        super().__init__()
        if options.polarity not in POLARITIES:
            raise ValueError(f"unknown polarity {options.polarity!r}; allowed: {POLARITIES}")
        if min(options.window, options.threshold, options.sticky, options.points) < 0:
            raise ValueError(f"window, threshold, sticky and points must be 0 or more: {options}")
        self.options = as_released(options) if options.released else options
        self.sam = sam
        self.adapter = adapter

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Contrast:
        """Encode crops and references; see :func:`s3pot.contrast.encode_pair`."""
        return encode_pair(self.sam, raw, reference, known)

    def logits(self, contrast: Contrast, region: Tensor, carried: Tensor | None = None) -> Tensor:
        """FE, PS, SAM's mask decoder.

        Args:
            contrast: of :meth:`enhance`.
            region: (B, 1, S, S) 0 or 1, the face.
            carried: (B, 1, S, S) from -1, face, to 1, occluder: how sure the last frame's mask is,
                brought here; 0 where it says nothing; None for a picture alone.

        Returns:
            (B, 1, S, S) logits, positive = occluder. Off the face NOTHING; and where no token is
            the occluder's, for SAM cuts something out whatever it is asked (not so if released).
        """
        prompts = self.select(contrast, region, carried).prompts
        return self.mask(self.decode(contrast.raw, prompts), prompts, region)

    def prompts(self, contrast: Contrast, region: Tensor) -> PromptBatch:
        """What SAM is asked; shapes as for :meth:`logits`. The mask is 0 where none is sent."""
        return self.select(contrast, region).prompts

    def select(
        self, contrast: Contrast, region: Tensor, carried: Tensor | None = None
    ) -> Selection:
        """FE's attended features and PS's points (method.md 2.3 to 3.3)."""
        o = self.options
        face = at_centres(region, self.sam.grid) > 0
        if not o.released:  # a token whose reference is unknown is neither face nor occluder
            face = face & contrast.known
        a_x, a_y = contrast.raw, contrast.reference
        if o.attend:
            a_x, a_y = attended(
                self.sam, contrast, seed(self.sam, contrast, face, released=o.released)
            )
        partners = self._likeness(a_x, a_y, face)
        excess = beyond(partners, face, o.threshold)
        if carried is not None and o.threshold:
            excess = leaning(excess, face, o.sticky * carried)
        return Selection(*self._points(excess, face, partners.isfinite()), excess)

    def decode(self, tokens: Tensor, prompts: PromptBatch) -> Tensor:
        """SAM's mask decoder on E_X (method.md 3.5).

        Picture by picture, without its padding, so that nobody's answer depends on who else is in
        the batch.

        Args:
            tokens: (B, C, G, G), E_X.
            prompts: labels in our meaning.

        Returns:
            (B, 1, L, L) logits, positive = occluder; not clipped to the face.
        """
        labels = foreground(prompts.labels, self.options.polarity)
        screen = self.adapter if self.options.screen else None
        answers = []
        for i, real in enumerate(labels != PADDING):
            mask = prompts.mask[i : i + 1] if self.options.mask else None
            asked = prompts.points[i : i + 1, real], labels[i : i + 1, real]
            answers.append(self.sam.decode(tokens[i : i + 1], *asked, mask, screen))
        answer = torch.cat(answers)
        return answer if self.options.polarity == "occluder" else -answer

    def mask(self, answer: Tensor, prompts: PromptBatch, region: Tensor) -> Tensor:
        """What :meth:`decode` said -> (B, 1, S, S), see :meth:`logits`.

        Enlarged by half-pixel centres; as released corner on corner (Q11).
        """
        size, released = self.sam.size_px, self.options.released
        if released:
            answer = F.interpolate(answer, (size, size), mode="bilinear", align_corners=True)
        else:
            found = (prompts.labels == OCCLUDER).any(1)
            answer = torch.where(found[:, None, None, None], resize(answer, size), NOTHING)
        return torch.where(region > 0, answer, NOTHING)

    def _likeness(self, a_x: Tensor, a_y: Tensor, face: Tensor) -> Tensor:
        """(B, G, G): how like its partner each raw token is; -inf without partner, nan off the face.

        One-to-one within a window leaves a tenth of a clean face over, and it is no more often the
        occluder's than the rest (TinyViT tokens, composites: 0.17 against 0.16).  So with a
        threshold a token left over is judged by the reference at its own place: false points on
        clean faces fall from 16 to 7 %.
        """
        o = self.options
        value = position_contrast(a_x, a_y)
        if o.match:
            columns = face if o.window else torch.ones_like(face)
            matched = likeness(a_y, a_x, face, columns, o.window)
            value = torch.where(matched.isfinite(), matched, value) if o.threshold else matched
        return torch.where(face, value, torch.nan)

    def _points(self, excess: Tensor, face: Tensor, matched: Tensor) -> tuple[PromptBatch, Tensor]:
        o, sam = self.options, self.sam
        on = face & (excess > 0) if o.threshold else face & ~matched
        off = face & ~on
        confidence = (excess.abs() / SURE).clamp(0.05, 1) * face
        if o.points:
            on, off = (thinned(confidence * kind, o.points) for kind in (on, off))
        labels = torch.where(on, OCCLUDER, torch.where(off, FACE, PADDING)).flatten(1)
        order = (labels == PADDING).to(torch.uint8).argsort(dim=1, stable=True)
        order = order[:, : int((labels != PADDING).sum(1).max())]
        cells = torch.stack([order % sam.grid, order // sam.grid], -1)
        points = centres_px(cells, sam.grid, sam.size_px)
        prompts = PromptBatch(points, labels.gather(1, order), self._mask(excess, face))
        return prompts, confidence.flatten(1).gather(1, order)

    def _mask(self, excess: Tensor, face: Tensor) -> Tensor:
        """(B, 1, L, L) dense prompt in the sense SAM is asked in; 0 if none is sent."""
        side = self.sam.mask_side
        if not self.options.mask:
            return excess.new_zeros(len(excess), 1, side, side)
        sign = 1 if self.options.polarity == "occluder" else -1
        return resize(torch.where(face, 2 * sign * excess, NOTHING)[:, None], side)


def beyond(value: Tensor, face: Tensor, threshold: float) -> Tensor:
    """How far below the face's own median each token is, beyond the threshold.

    The median and 1.4826 times the median absolute deviation stand for mean and deviation, so that
    an occluder of less than half the face does not move its own yardstick.

    Args:
        value: (B, G, G) cosine; -inf for a token without partner.
        face: (B, G, G) bool.
        threshold: in robust deviations.

    Returns:
        (B, G, G) within SURE; SURE without partner, -SURE off the face.
    """
    known = torch.where(face & value.isfinite(), value, torch.nan).flatten(1)
    median = known.nanmedian(1, keepdim=True).values
    deviation = 1.4826 * (known - median).abs().nanmedian(1, keepdim=True).values
    below = (median - known) / deviation.clamp(min=LEAST_DEVIATION)
    excess = (below - threshold).clamp(-SURE, SURE).view(face.shape)
    return torch.where(face, torch.where(value.isfinite(), excess, SURE), -SURE)


def leaning(excess: Tensor, face: Tensor, carried: Tensor) -> Tensor:
    """Points with hysteresis: evidence near the threshold goes on saying what it said.

    SAM cuts a worn mask out whole or in part by a few points that come and go from frame to frame.

    Args:
        excess: (B, G, G), of :func:`beyond`.
        face: (B, G, G) bool.
        carried: (B, 1, S, S) robust deviations, positive = occluder; a token takes its mean.

    Returns:
        (B, G, G) within SURE; off the face as it was.
    """
    lean = F.adaptive_avg_pool2d(carried, excess.shape[-1])[:, 0]
    return torch.where(face, (excess + lean).clamp(-SURE, SURE), excess)


def thinned(score: Tensor, count: int) -> Tensor:
    """(B, G, G) scores above 0 -> bool, at most ``count`` of them, well spread."""
    chosen = spread(score, count)
    at = chosen.cells[..., 1].long() * score.shape[-1] + chosen.cells[..., 0].long()
    picked = torch.zeros_like(score).flatten(1).scatter_add(1, at, chosen.found.to(score.dtype))
    return picked.view(score.shape) > 0
