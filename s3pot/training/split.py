"""Cut-outs in two halves that share few twins: groups of near pictures go to one side together.

A split by file is none where one hand was photographed forty times.  Nor is this one clean: groups
are apart on average, and their nearest members may still be alike, as many of the hands are.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.training.cutout import Rgba, read_cutout

SIDE = 24
"""Cut-outs are compared at this size."""

TWINS = 0.2
"""Root mean square difference, 0-1, under which two groups of cut-outs are one (average linkage).
By eye: under it are one hand in one pose; over it another pose, sleeve or light."""

EVERY = 6


def split(paths: list[Path], held_out: bool) -> list[Path]:
    """One group of near cut-outs in six is held out; of two to five groups the last is.

    Args:
        paths: of RGBA pictures.
        held_out: the held-out ones instead of the others.

    Raises:
        ValueError: a picture is no cut-out.
    """
    if not paths:
        return []
    paths = sorted(paths)
    groups = twins(np.stack([signature(read_cutout(path)) for path in paths]))
    order = {group: place for place, group in enumerate(dict.fromkeys(groups.tolist()))}
    every = min(EVERY, max(2, len(order)))
    out = [order[group] % every == every - 1 for group in groups.tolist()]
    return [path for path, held in zip(paths, out, strict=True) if held == held_out]


def signature(occluder: Rgba) -> NDArray[np.float32]:
    """(2304,) colour times alpha, and alpha, at 24 x 24 whatever the shape; distances are RMS."""
    flat = np.dstack([occluder[..., :3] * occluder[..., 3:], occluder[..., 3:]])
    small = cv2.resize(flat, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return (small.ravel() / np.sqrt(small.size)).astype(np.float32)


def twins(signatures: NDArray[np.float32]) -> NDArray[np.int64]:
    """(N,) the group of each of N signatures."""
    from scipy.cluster.hierarchy import fcluster, linkage  # noqa: PLC0415 - slow to import

    if len(signatures) < 2:
        return np.zeros(len(signatures), np.int64)
    groups = fcluster(linkage(signatures, "average"), TWINS, "distance")
    return np.asarray(groups, np.int64)
