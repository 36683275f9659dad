"""Several files at once: a folder, or a pattern such as ``clips/*.mp4``."""

from __future__ import annotations

from collections.abc import Sequence
from glob import has_magic, iglob
from pathlib import Path

from stream.encode import CONTAINERS
from stream.errors import SinkPathError, SourceNotFoundError
from stream.names import scheme_of
from stream.outlets import kind_of

VIDEOS = {*CONTAINERS, ".avi", ".flv", ".m2ts", ".mpeg", ".mpg", ".mts", ".ts", ".wmv", ".3gp"}
"""Suffixes of the files that are taken from a folder."""

Run = tuple[str, list[str]]
"""A source and its outputs."""


def runs(source: str, outputs: Sequence[str]) -> list[Run]:
    """What is to be run: of a folder or a pattern each file, else the source itself.

    Of several files each output is a folder, in which every file has its own, under its own name.

    Raises:
        SourceNotFoundError: no video is there. SinkPathError: an output is no folder's name.
    """
    path = Path(source)
    if scheme_of(source) or not (path.is_dir() or (has_magic(source) and not path.exists())):
        return [(source, list(outputs))]
    found = path.iterdir() if path.is_dir() else map(Path, iglob(source))  # noqa: PTH207  a pattern may begin at the root
    files = sorted(p for p in found if p.suffix.lower() in VIDEOS and p.is_file())
    if not files:
        raise SourceNotFoundError(f"{source}: no video is there ({', '.join(sorted(VIDEOS))})")
    if len({file.stem for file in files}) < len(files):
        raise SinkPathError(f"{source}: two files have one name but for the suffix")
    return [(str(file), [of_one(output, file) for output in outputs]) for file in files]


def of_one(output: str, file: Path) -> str:
    """Where one file's output goes; its folder is made."""
    kind, name = kind_of(output)
    folder = Path(name)
    if kind not in ("", "masks", "json") or (kind == "" and folder.suffix.lower() in CONTAINERS):
        raise SinkPathError(f"{output}: of several files each output must be a folder")
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "masks":
        return f"masks:{folder / file.stem}"
    if kind == "json":
        return f"json:{folder / file.stem}.jsonl"
    suffix = file.suffix if file.suffix.lower() in CONTAINERS else ".mp4"
    return str(folder / f"{file.stem}{suffix}")
