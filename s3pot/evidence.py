"""Our method in the paper's boxes: evidence of a siamese network (FE), dense prompts (PS), SAM.

Read :meth:`EvidenceMethod.logits` first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from s3pot.contrast import Contrast, at_centres
from s3pot.network import Evidence
from s3pot.paper import Paper
from s3pot.policy import check, judge
from s3pot.prompts import PromptBatch, select_prompts
from s3pot.sam import Sam, resize


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """Attributes: as in :func:`s3pot.prompts.select_prompts`; ``decoder_weight`` is the decoder's
    share of the final logits, the evidence has the rest; ``contrast_weight`` adds the paper's FE:
    so many logits for each robust deviation of the attended tokens' contrast; ``treat`` is the label
    policy, kind -> "face" or "occlusion", see :mod:`s3pot.policy`.
    """

    positive: int = 4
    negative: int = 4
    box: bool = True
    mask_scale: float = 1.0
    min_area: float = 0.004
    decoder_weight: float = 0.25
    contrast_weight: float = 0.0
    treat: Mapping[str, str] = field(default_factory=dict)


class Features(NamedTuple):
    """What FE made of B faces.

    Attributes:
        evidence: of the siamese network, under the label policy.
        contrast: of SAM's tokens; None where it has no weight.
    """

    evidence: Evidence
    contrast: Contrast | None


class EvidenceMethod(nn.Module):
    """Evidence, prompts and the decoder's answer to them.

    Args:
        sam: whose decoder is asked.
        options: see :class:`PromptOptions`.
        paper: whose FE joins the evidence, by ``contrast_weight``; None leaves it out.

    Raises:
        ValueError: the label policy names a kind or a treatment that nobody knows.
    """

    cold = True
    """Whether it finds anything without a reference."""

    def __init__(self, sam: Sam, options: PromptOptions, paper: Paper | None = None) -> None:
        super().__init__()
        check(options.treat)
        self.sam, self.options, self.paper = sam, options, paper

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Features:
        """FE: contrast raw with reference, (B, 3, S, S) RGB 0-1; known is (B, 1, S, S)."""
        evidence = self.sam.enhance(raw, reference, known)
        evidence = evidence._replace(logits=self._judge(evidence.logits, evidence))
        contrast = None if self.paper is None else self.paper.enhance(raw, reference, known)
        return Features(evidence, contrast)

    def logits(self, features: Features, region: Tensor, carried: Tensor | None = None) -> Tensor:
        """PS and SAM's decoder -> (B, 1, S, S) logits, positive = occluder.

        The decoder's logits, brought to the crop's size, are mixed with the evidence's: its grid is
        half as fine, and what it adds and what the evidence keeps is measured in the README.

        Args:
            features: of :meth:`enhance`.
            region: (B, 1, S, S) 0 or 1, the face.
            carried: not looked at: points that stay were measured, and change nothing here.
        """
        share, logits = self.options.decoder_weight, self.joined(features, region)
        if share <= 0:
            return logits
        evidence, asked = features.evidence, self._ask(logits, region)
        coarse = self.sam.decode(evidence.tokens, asked.points, asked.labels, asked.mask)
        answer = self._judge(resize(coarse, logits.shape[-1]), evidence)
        return torch.lerp(logits, answer, share)

    def prompts(self, features: Features, region: Tensor) -> PromptBatch:
        """PS: what SAM is asked."""
        return self._ask(self.joined(features, region), region)

    def joined(self, features: Features, region: Tensor) -> Tensor:
        """(B, 1, S, S) logits: the evidence, with the paper's contrast where it has a weight."""
        logits = features.evidence.logits
        if features.contrast is None or self.paper is None:
            return logits
        judged = (at_centres(region, self.sam.grid) > 0) & features.contrast.known
        excess = self.paper.select(features.contrast, region).excess
        deviations = torch.where(judged, excess, 0.0)[:, None]
        return logits + self.options.contrast_weight * resize(deviations, logits.shape[-1])

    def _ask(self, logits: Tensor, region: Tensor) -> PromptBatch:
        o = self.options
        return select_prompts(
            logits, region, positive=o.positive, negative=o.negative, box=o.box,
            mask_scale=o.mask_scale, mask_side=self.sam.mask_side, min_area=o.min_area,
        )  # fmt: skip

    def _judge(self, logits: Tensor, evidence: Evidence) -> Tensor:
        return judge(logits, evidence.kinds, self.options.treat)
