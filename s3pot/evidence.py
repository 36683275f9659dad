"""Our method in the paper's boxes: evidence of a siamese network (FE), dense prompts (PS), SAM.

Read :meth:`EvidenceMethod.logits` first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from s3pot.network import Evidence
from s3pot.policy import check, judge
from s3pot.prompts import PromptBatch, select_prompts
from s3pot.sam import Sam, resize


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """Attributes: as in :func:`s3pot.prompts.select_prompts`; ``decoder_weight`` is the decoder's
    share of the final logits, the evidence has the rest; ``treat`` is the label policy, kind ->
    "face" or "occlusion", see :mod:`s3pot.policy`.
    """

    positive: int = 4
    negative: int = 4
    box: bool = True
    mask_scale: float = 1.0
    min_area: float = 0.004
    decoder_weight: float = 0.5
    treat: Mapping[str, str] = field(default_factory=dict)


class EvidenceMethod(nn.Module):
    """Evidence, prompts and the decoder's answer to them.

    Args:
        sam: whose decoder is asked.
        options: see :class:`PromptOptions`.

    Raises:
        ValueError: the label policy names a kind or a treatment that nobody knows.
    """

    cold = True
    """Whether it finds anything without a reference."""

    def __init__(self, sam: Sam, options: PromptOptions) -> None:
        super().__init__()
        check(options.treat)
        self.sam, self.options = sam, options

    def enhance(self, raw: Tensor, reference: Tensor, known: Tensor) -> Evidence:
        """FE: contrast raw with reference, (B, 3, S, S) RGB 0-1; known is (B, 1, S, S)."""
        evidence = self.sam.enhance(raw, reference, known)
        return evidence._replace(logits=self._judge(evidence.logits, evidence))

    def logits(self, evidence: Evidence, region: Tensor) -> Tensor:
        """PS and SAM's decoder -> (B, 1, S, S) logits, positive = occluder.

        The decoder's logits, brought to the crop's size, are mixed with the evidence's: its grid is
        half as fine, and what it adds and what the evidence keeps is measured in the README.

        Args:
            evidence: of :meth:`enhance`.
            region: (B, 1, S, S) 0 or 1, the face.
        """
        share, logits = self.options.decoder_weight, evidence.logits
        if share <= 0:
            return logits
        asked = self.prompts(evidence, region)
        coarse = self.sam.decode(evidence.tokens, asked.points, asked.labels, asked.mask)
        answer = self._judge(resize(coarse, logits.shape[-1]), evidence)
        return torch.lerp(logits, answer, share)

    def prompts(self, evidence: Evidence, region: Tensor) -> PromptBatch:
        """PS: what SAM is asked."""
        o = self.options
        return select_prompts(
            evidence.logits, region, positive=o.positive, negative=o.negative, box=o.box,
            mask_scale=o.mask_scale, mask_side=self.sam.mask_side, min_area=o.min_area,
        )  # fmt: skip

    def _judge(self, logits: Tensor, evidence: Evidence) -> Tensor:
        return judge(logits, evidence.kinds, self.options.treat)
