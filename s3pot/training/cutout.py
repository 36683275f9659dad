"""Cut-outs: RGBA pictures of what may stand before a face."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Rgba = NDArray[np.float32]
"""(H, W, 4), 0-1, colour not multiplied by alpha."""


def read_cutout(path: Path, arm: bool = False) -> Rgba:
    """An RGBA file as an occluder, at most 256 px long, cropped to what is not transparent.

    Args:
        path: of a picture with 8 bits and alpha.
        arm: it is a hand keyed from green that enters from the right edge.

    Raises:
        ValueError: it is no such picture, or nothing is in it.
    """
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 4:
        raise ValueError(f"{path}: a cut-out is an RGBA picture of 8 bits")
    scale = 256 / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if arm:
        # The cut edge of the wrist must not lie on the face: the arm goes on,
        image = cv2.copyMakeBorder(image, 0, 0, 0, image.shape[1], cv2.BORDER_REPLICATE)
        # and the dark fringe that keying leaves must not give a hand away
        image[..., 3] = cv2.erode(image[..., 3], np.ones((3, 3), np.uint8), iterations=2)
    rgba = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA).astype(np.float32) / 255
    rows, columns = np.nonzero(rgba[..., 3] > 0.02)
    if not rows.size:
        raise ValueError(f"{path}: a cut-out of nothing, all of it is transparent")
    return rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
