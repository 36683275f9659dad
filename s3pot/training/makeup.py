"""Make-up painted on faces that wear none: red lips and dark lids are face.

Lips as red as any ball were taken for something in front of a face that nobody had seen before.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from s3pot.training.references import LEFT_EYE, LIPS, RIGHT_EYE, FacePhoto

Field = NDArray[np.float32]


def _soft(photo: FacePhoto, which: NDArray[np.int_], grow_px: int, blur_px: float) -> Field:
    """(H, W, 1) 0-1 over some landmarks' hull, widened and blurred."""
    mask = np.zeros(photo.image.shape[:2], np.float32)
    hull = cv2.convexHull(photo.landmarks[which, :2].astype(np.float32)).astype(np.int32)
    cv2.fillConvexPoly(mask, hull, 1.0)
    if grow_px:
        mask = cv2.dilate(mask, np.ones((2 * grow_px + 1,) * 2, np.uint8))
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), blur_px)[..., None], np.float32)


def _tinted(skin: Field, colour: Field, amount: Field) -> Field:
    """Give skin a colour and leave it its own light and shade."""
    shade = skin.mean(-1, keepdims=True)
    usual = max(float(np.median(shade[amount > 0.3])) if (amount > 0.3).any() else 0.5, 0.05)
    painted = np.clip(colour * np.clip(shade / usual, 0.3, 1.8), 0, 1)
    return np.asarray(skin * (1 - amount) + painted * amount, np.float32)


def make_up(photo: FacePhoto, rng: Generator) -> FacePhoto:
    """The same face with painted lips, and half the time painted lids."""
    skin = photo.image.astype(np.float32) / 255
    red = np.array([0.75, 0.08, 0.15]) * np.exp(rng.normal(0, 0.3, 3))
    any_colour = rng.random(3) * rng.uniform(0.3, 1)
    colour = (red if rng.random() < 0.75 else any_colour).clip(0, 1).astype(np.float32)
    lips = _soft(photo, LIPS, 0, 1.0) * np.float32(rng.uniform(0.4, 0.95))
    skin = _tinted(skin, colour, lips)
    if rng.random() < 0.5:
        shadow = (rng.random(3) * rng.uniform(0.1, 0.7)).astype(np.float32)
        strength = np.float32(rng.uniform(0.2, 0.7))
        for eye in (RIGHT_EYE, LEFT_EYE):
            bare = 1 - _soft(photo, eye, 0, 0.8)  # the eye itself is not painted
            lid = _soft(photo, eye, int(rng.integers(3, 8)), 2.5)
            skin = _tinted(skin, shadow, lid * bare * strength)
    return replace(photo, image=(np.clip(skin, 0, 1) * 255 + 0.5).astype(np.uint8))
