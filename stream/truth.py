"""Reads pictures, clips and the masks that say what covers a face in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.errors import StreamError
from stream.sources import FileSource

Image = NDArray[np.uint8]
Bool = NDArray[np.bool_]


class RefusedError(ValueError):
    """One case cannot be measured; the text names it and says why."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture with its truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) bool, something is in front of the face.
        visible: (H, W) bool, the visible face where it is labelled too.
        hides: whether a face that is not found here is a covered one.
    """

    image: Image
    truth: Bool
    visible: Bool | None
    hides: bool


@dataclass(frozen=True, slots=True)
class MaskValues:
    """What the numbers of a mask mean. None: 0 and 1, or 0 and 255, of which the larger is the occluder.

    Attributes:
        occluder: 0-255, the value of what covers the face.
        face: 0-255, the value of the visible face.
    """

    occluder: int | None = None
    face: int | None = None


def read_clip(path: Path) -> Iterator[Image]:
    """Every frame of a clip, (H, W, 3) uint8 RGB.

    Raises:
        RefusedError: it cannot be read, or only in part.
    """
    try:
        source = FileSource(path)
    except (StreamError, OSError) as error:
        raise RefusedError(str(error)) from None
    try:
        for frame in source:
            yield frame.image
        if source.damage:
            raise RefusedError(f"{path}: {source.damage}")
    finally:
        source.close()


def read_picture(path: Path) -> Image:
    """(H, W, 3) uint8 RGB, upright.

    Raises:
        RefusedError: it is no picture.
    """
    read = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if read is None:
        raise RefusedError(f"{path}: not a picture that can be read")
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)


def read_mask(path: Path, values: MaskValues, size: tuple[int, ...]) -> tuple[Bool, Bool | None]:
    """Where the occluder is, and where the visible face, if the mask says so.

    A coloured mask is taken for its grey value (BT.601, as OpenCV turns colour to grey).

    Raises:
        RefusedError: it cannot be read, is not of ``size`` (height, width), its values are
            ambiguous, or it says that all of the picture is occluder.
    """
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if read is None:
        raise RefusedError(f"{path}: not a mask that can be read")
    if read.dtype != np.uint8:
        raise RefusedError(f"{path}: a mask has 8 bits, this one is {read.dtype}")
    mask = read if read.ndim == 2 else cv2.cvtColor(read[..., :3], cv2.COLOR_BGR2GRAY)
    if mask.shape != tuple(size):
        raise RefusedError(f"{path}: the mask is {mask.shape}, its picture {tuple(size)}")
    seen = set(np.unique(mask).tolist())
    two = seen <= {0, 1} or seen <= {0, 255}
    truth = _occluder(path, mask, values, seen, plain=two)
    if truth.all():
        raise RefusedError(f"{path}: all of it is occluder (one value, {mask.flat[0]})")
    if values.face is None or (two and values.face not in seen):
        return truth, None  # of black and white masks beside such, none labels the face
    return truth, mask == values.face


def _occluder(path: Path, mask: Image, values: MaskValues, seen: set[int], *, plain: bool) -> Bool:
    if values.occluder is not None and (values.occluder in seen or not plain):
        return np.asarray(mask == values.occluder)
    if plain:
        return np.asarray(mask > 0)
    some = ", ".join(map(str, sorted(seen)[:8])) + (", ..." if len(seen) > 8 else "")
    raise RefusedError(
        f"{path}: which value is the occluder? it holds {some}; 0 and 1, or 0 and 255, need no "
        "telling; others need --occluder-value or a dataset.toml (occluder = N) in the folder"
    )
