"""Where an output may be written, and errors that name it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from stream.errors import SinkError, SinkPathError


def check_path(path: Path, source_path: Path | None) -> None:
    """Refuse an output that would replace the input, or that has nowhere to go.

    Raises:
        SinkPathError: the output is the input, also through a link.
        SinkError: the directory is missing or no directory.
    """
    if source_path is not None and path.exists() and path.samefile(source_path):
        raise SinkPathError(f"{path}: is the input itself ({source_path}); give another name")
    if path.is_dir():
        raise SinkError(f"{path}: is a directory, not a file name")
    if not path.parent.is_dir():
        reason = "is not a directory" if path.parent.exists() else "does not exist"
        raise SinkError(f"{path}: cannot be written, {path.parent} {reason}")


def partial_of(path: Path) -> Path:
    """The hidden name beside the final one, under which an output is made."""
    return path.with_name(f".{path.name}.partial")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the output's name into errors of the operating system and of FFmpeg."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        if isinstance(error, SinkError):
            raise
        reason = error.strerror or error
        raise SinkError(f"{path}: cannot be written ({reason})") from error
