"""A drawn thing that is worn: a surgical mask; see :mod:`stream.drawn`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stream.drawn import capsule, dome, finish, grid, lit, melt, noise, paint, rounded_box

CLOTHS = ((150, 190, 214), (226, 228, 230), (46, 48, 54), (176, 204, 180))


def mask(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A pleated mask that nearly fills the square's width, with its loops to the ears."""
    x, y = grid(size)
    cloth = np.array(CLOTHS[rng.integers(len(CLOTHS))], np.float32)
    bulge = 0.1 * (1 - x * x)
    body = rounded_box(x, y + bulge * np.sign(-y), (0.82, 0.5), 0.16)
    chin = capsule(x, y, (-0.25, 0.42), (0.25, 0.42), (0.2, 0.2))
    distance = melt(body, chin, 0.2)
    folds = np.sin((y + 0.25 * x * x) * 17)
    base = cloth + 6 * noise(size, 60, rng)[..., None] + 10 * folds[..., None]
    seam = np.exp(-(((distance + 0.05) / 0.02) ** 2))[..., None]
    base = base * (1 - 0.18 * seam)
    height = 0.5 * (1 - 0.7 * x * x - 0.5 * y * y) + dome(distance, 0.05) + 0.012 * folds
    light, shine = lit(np.asarray(height, np.float32), size, gloss=0.03)
    loops = np.minimum.reduce([
        capsule(x, y, (side * 0.78, top), (side * 0.96, top - 0.2), (0.016, 0.016))
        for side in (-1, 1) for top in (-0.4, 0.34)
    ])  # fmt: skip
    return finish(paint(base, light, shine), np.minimum(distance, loops), size)
