"""The label policy: which kinds of cover count as in front of the face, and which as part of it.

The evidence was taught one policy (everything is in front but :data:`s3pot.types.PART_OF_FACE`);
any other is made from it with the network's opinion of what each place is covered by.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from s3pot.types import KINDS, PART_OF_FACE

TREATMENTS = ("face", "occlusion")

SURE = 1e-4
"""Probabilities keep this distance from 0 and 1."""


def check(treat: Mapping[str, str]) -> None:
    """Refuse a policy with a kind or a treatment that nobody knows.

    Raises:
        ValueError: which, and what is allowed.
    """
    kinds = KINDS[1:]
    for kind, treatment in treat.items():
        if kind not in kinds:
            raise ValueError(f"treat: unknown kind {kind!r}; allowed: {kinds}")
        if treatment not in TREATMENTS:
            raise ValueError(f"treat.{kind} must be one of {TREATMENTS}, got {treatment!r}")


def judge(logits: Tensor, kinds: Tensor, treat: Mapping[str, str]) -> Tensor:
    """Apply a policy to what was decided under the one that was taught.

    With p the probability of an occluder and k that of each kind: what is now face leaves p by its
    share of the occluders there, what is now in front joins as p or k.

    Args:
        logits: (B, 1, S, S), positive = occluder, as taught.
        kinds: (B, K, G, G) logits, see :data:`s3pot.types.KINDS`.
        treat: kind -> "face" or "occlusion"; what is not named stays as taught.

    Returns:
        (B, 1, S, S) logits; the very same where the policy is the one that was taught.
    """
    spared = [k for k, t in treat.items() if t == "face" and k not in PART_OF_FACE]
    added = [k for k, t in treat.items() if t == "occlusion" and k in PART_OF_FACE]
    if not (spared or added):
        return logits
    side = logits.shape[-1]
    large = torch.nn.functional.interpolate(
        kinds.float(), (side, side), mode="bilinear", align_corners=False
    )
    p = torch.sigmoid(logits)
    if spared:
        taught = [k for k in KINDS[1:] if k not in PART_OF_FACE]
        among = large[:, [KINDS.index(k) for k in taught]].softmax(1)
        p = p * (1 - among[:, [taught.index(k) for k in spared]].sum(1, keepdim=True))
    if added:
        share = large.softmax(1)[:, [KINDS.index(k) for k in added]].sum(1, keepdim=True)
        p = 1 - (1 - p) * (1 - share)
    return torch.logit(p.clamp(SURE, 1 - SURE)).to(logits.dtype)
