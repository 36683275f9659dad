"""Pictures and clips with their truth, from folders as people keep them.

What cannot be used is named, one case at a time: the others go on.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stream.truth import (
    Image,
    MaskValues,
    RefusedError,
    Shot,
    read_clip,
    read_mask,
    read_picture,
)

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
CLIPS = (".mp4", ".mov", ".mkv", ".webm", ".avi")
SUFFIXES = ("gt", "mask", "hand")
"""Endings of a mask's name that are asked for first: ``X_gt.png`` beside ``X.jpg``."""


@dataclass(frozen=True, slots=True)
class Case:
    """A picture, or a clip, with its truth.

    Attributes:
        name: relative to its folder.
        kind: of what covers the face.
        shots: reads the frames, in order; raises RefusedError.
        clip: whether they are the frames of one clip.
    """

    name: str
    kind: str
    shots: Callable[[], Iterator[Shot]]
    clip: bool = False


def find_cases(folder: Path, values: MaskValues) -> tuple[list[Case], list[str]]:
    """Pairs in a folder and its sub-folders, by name; the sub-folder, else the mask's ending, is the kind.

    A picture ``X.jpg`` has its mask beside it (``X_gt.png``, ``X_mask.png``, ``X_hand.png`` or the only
    ``X_*.png``), or lies in ``images/`` with one of its name in ``masks/``.  A clip ``X.mp4`` has a
    folder ``X_masks/`` or ``X/`` with a PNG for each frame.

    Args:
        folder: where to look.
        values: of the masks; a ``dataset.toml`` in the folder (``occluder = 75``, ``face = 38``) says
            what the command line does not.

    Returns:
        The cases, and why others are none.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: dataset.toml is none.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of pictures")
    values = _told(folder, values)
    cases, refused = [], []
    masks: set[Path] = set()
    media = [p for p in sorted(folder.rglob("*")) if p.suffix.lower() in PICTURES + CLIPS]
    for path in media:
        if path not in masks:  # pictures come before their masks; to ask each mask takes its square
            masks |= _claimed(path)
    for path in [p for p in media if p not in masks]:
        try:
            cases.append(_case(path, folder, values))
        except RefusedError as error:
            refused.append(str(error))
    return cases, refused


def clean_cases(folder: Path) -> list[Case]:
    """Pictures and clips of faces that nothing covers: what is marked in them is a false alarm.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of pictures")
    cases = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix.lower() in PICTURES:
            cases.append(Case(name, "clean", partial(_free_picture, path)))
        elif path.suffix.lower() in CLIPS:
            cases.append(Case(name, "clean", partial(_free_clip, path), clip=True))
    return cases


def _free(image: Image) -> Shot:
    return Shot(image, np.zeros(image.shape[:2], bool), None, hides=False)


def _free_picture(path: Path) -> Iterator[Shot]:
    yield _free(read_picture(path))


def _free_clip(path: Path) -> Iterator[Shot]:
    for image in read_clip(path):
        yield _free(image)


def _told(folder: Path, values: MaskValues) -> MaskValues:
    """What the folder's own dataset.toml adds to the command line."""
    path = folder / "dataset.toml"
    if not path.is_file():
        return values
    try:
        table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from None
    for key, value in table.items():
        whole = isinstance(value, int) and not isinstance(value, bool)
        if key not in {"occluder", "face"} or not whole or not 0 <= value <= 255:
            raise ValueError(
                f"{path}: {key} = {value!r}; allowed: occluder and face, from 0 to 255"
            )
    return MaskValues(
        table.get("occluder") if values.occluder is None else values.occluder,
        table.get("face") if values.face is None else values.face,
    )


def _claimed(path: Path) -> set[Path]:
    """Files that are the truth of ``path`` and no pictures of their own."""
    if path.suffix.lower() in CLIPS:
        return {file for folder in _frame_folders(path) for file in folder.glob("*.png")}
    if path.parent.name == "images":
        return set(_same_name(path))
    chosen = _named(path)
    return {chosen} if chosen else set(_candidates(path))


def _candidates(path: Path) -> list[Path]:
    """``X_*.png`` beside ``X.jpg`` that have no mask of their own, by name."""
    around = sorted(path.parent.glob(f"{_escaped(path.stem)}_*.png"))
    return [p for p in around if p != path and _named(p) is None]


def _escaped(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)


def _named(path: Path) -> Path | None:
    """The mask beside a picture whose ending is one of :data:`SUFFIXES`."""
    options = (path.with_name(f"{path.stem}_{suffix}.png") for suffix in SUFFIXES)
    return next((p for p in options if p.is_file()), None)


def _same_name(path: Path) -> list[Path]:
    folder = path.parent.parent / "masks"
    around = sorted(folder.glob(f"{_escaped(path.stem)}.*"))
    return [p for p in around if p.suffix.lower() in PICTURES]


def _frame_folders(path: Path) -> list[Path]:
    options = (path.with_name(f"{path.stem}_masks"), path.with_suffix(""))
    return [p for p in options if p.is_dir()][:1]


def _case(path: Path, folder: Path, values: MaskValues) -> Case:
    """The case of one picture or clip.

    Raises:
        RefusedError: it has no mask, or nobody can tell which.
    """
    name, home = path.relative_to(folder).as_posix(), path.parent
    if path.suffix.lower() in CLIPS:
        found = _frame_folders(path)
        if not found:
            raise RefusedError(f"{path}: no folder {path.stem}_masks or {path.stem} with its masks")
        kind = home.name if home != folder else "clip"
        return Case(name, kind, partial(_clip, path, found[0], values), clip=True)
    paired = home.name == "images"
    if paired:
        home, found = home.parent, _same_name(path)
    else:
        named = _named(path)
        found = [named] if named else _candidates(path)
    if not found:
        place = "in masks/" if paired else f"beside it ({path.stem}_gt.png, _mask.png, _hand.png)"
        raise RefusedError(f"{path}: no mask {place}")
    if len(found) > 1:
        raise RefusedError(f"{path}: which is its mask? {', '.join(p.name for p in found)}")
    ending = "mask" if paired else found[0].stem.removeprefix(f"{path.stem}_")
    inner = home != folder and home.is_relative_to(folder)  # ``folder`` may be ``images/`` itself
    kind = home.relative_to(folder).as_posix() if inner else ending
    return Case(name, kind, partial(_pair, path, found[0], values))


def _pair(path: Path, mask: Path, values: MaskValues) -> Iterator[Shot]:
    image = read_picture(path)
    truth, visible = read_mask(mask, values, image.shape[:2])
    yield Shot(image, truth, visible, hides=bool(truth.any()))


def _clip(path: Path, folder: Path, values: MaskValues) -> Iterator[Shot]:
    masks, count = sorted(folder.glob("*.png")), 0
    for image in read_clip(path):
        if count < len(masks):
            truth, visible = read_mask(masks[count], values, image.shape[:2])
            yield Shot(image, truth, visible, hides=bool(truth.any()))
        count += 1
    if count != len(masks):
        raise RefusedError(f"{path}: {count} frames, but {len(masks)} masks in {folder.name}/")
