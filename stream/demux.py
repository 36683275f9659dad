"""Opens a file to read its packets, or says why it cannot be read."""

from __future__ import annotations

from pathlib import Path

import av
from av.stream import Disposition

from stream.errors import (
    NotAFileError,
    NotAVideoError,
    NoVideoError,
    SourceError,
    SourceNotFoundError,
)
from stream.truncation import missing_bytes

_LOCAL_ONLY = {"protocol_whitelist": "file"}  # a playlist named .mp4 must not reach the network


def check_file(path: Path) -> int | None:
    """Refuse what is no readable file; return the bytes known to be missing at its end."""
    if not path.exists():
        raise SourceNotFoundError(f"{path}: no such file")
    if not path.is_file():
        kind = "a directory" if path.is_dir() else "not a regular file"
        raise NotAFileError(f"{path}: is {kind}, not a video file")
    if path.stat().st_size == 0:
        raise NotAVideoError(f"{path}: the file is empty (0 bytes)")
    try:
        return missing_bytes(path)
    except PermissionError as error:
        raise SourceError(f"{path}: may not be read ({error.strerror})") from error


def open_container(path: Path) -> av.container.InputContainer:
    try:
        # "surrogateescape": titles in an unknown encoding are no reason to refuse a video
        container = av.open(str(path), options=dict(_LOCAL_ONLY), metadata_errors="surrogateescape")
    except av.FFmpegError as error:
        cut = missing_bytes(path)
        hint = f"; {early(cut)}" if cut else ""
        raise NotAVideoError(f"{path}: cannot be read as video ({error.strerror}){hint}") from error
    if container.format.name == "tty":  # FFmpeg would play any text as ANSI art
        container.close()
        raise NotAVideoError(f"{path}: is text, not video")
    return container


def video_stream(
    container: av.container.InputContainer, name: str, missing: int | None
) -> av.VideoStream:
    """The main picture stream, ready to decode on all threads."""
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream) or stream.disposition & Disposition.attached_pic:
        if missing:
            raise NotAVideoError(f"{name}: its video stream cannot be read; {early(missing)}")
        found = ", ".join(sorted({kind.type for kind in container.streams})) or "nothing"
        cover = " (a cover picture only)" if stream is not None else ""
        raise NoVideoError(f"{name}: has no video stream{cover}; it holds: {found}")
    if stream.codec_context is None:
        raise NotAVideoError(f"{name}: no decoder for its video stream")
    stream.thread_type = "AUTO"
    return stream


def early(missing: int) -> str:
    return f"the file ends {missing} bytes early"


def duration_seconds(
    container: av.container.InputContainer, stream: av.VideoStream
) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base
