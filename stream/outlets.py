"""Opens the outputs that a run names.

``OUT`` is a file, an address, ``camera:/dev/video9``, ``web:PORT``, ``masks:DIR`` or ``json:FILE``.

To add one: a function and an entry in :data:`OUTLETS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.settings import Settings
from s3pot.types import OcclusionMask
from stream.errors import SinkPathError
from stream.names import scheme_of, shown
from stream.patch import Image
from stream.publish import FORMATS, PublishSink
from stream.sinks import JsonSink, MaskSink, Sink, VideoSink
from stream.sources import SourceInfo
from stream.stdio import LinePipe, PipeSink
from stream.virtual_camera import VirtualCameraSink


@dataclass(frozen=True, slots=True)
class Context:
    """What every outlet may need.

    Attributes:
        info: of the source.
        settings: section [output] is theirs.
        source_path: the file that is read, if it is one: never to be replaced, and copied from.
        tell: told what a person should know while it goes on.
    """

    info: SourceInfo
    settings: Settings
    source_path: Path | None
    tell: Callable[[str], None] = lambda text: None


def as_composed(image: Image, masks: Sequence[OcclusionMask]) -> Image:
    """The composer has drawn already: not even a copy is made."""
    return image


def video(name: str, context: Context) -> Sink:
    """A video file."""
    output = context.settings.output
    return VideoSink(
        Path(name), context.info, as_composed, source_path=context.source_path,
        crf=output.crf, preset=output.preset,
    )  # fmt: skip


def masks(name: str, context: Context) -> Sink:
    """A folder of PNG masks."""
    return MaskSink(name, source_path=context.source_path)


def json(name: str, context: Context) -> Sink:
    """A line a frame; "-" is standard output."""
    if name == "-":
        return LinePipe()
    return JsonSink(name, source_path=context.source_path)


def publish(name: str, context: Context) -> Sink:
    """A server."""
    output = context.settings.output
    return PublishSink(
        name, context.info, crf=output.crf, preset=output.preset,
        transport=context.settings.live.transport, tell=context.tell,
    )  # fmt: skip


def camera(name: str, context: Context) -> Sink:
    """A virtual camera."""
    return VirtualCameraSink(name, context.info)


def pipe(name: str, context: Context) -> Sink:
    """Standard output."""
    return PipeSink(context.info)


def web(name: str, context: Context) -> Sink:
    """A page, on a port of this machine."""
    try:
        from stream.web.server import WebSink  # noqa: PLC0415  an extra, and heavy
    except ModuleNotFoundError as error:
        raise SinkPathError(
            f"web:{name}: needs the extra s3pot-stream[web] ({error.name})"
        ) from None
    return WebSink(name, Path(context.info.name).name, context.settings)


OUTLETS: dict[str, Callable[[str, Context], Sink]] = {
    "": video, "masks": masks, "json": json, "-": pipe, "web": web, "camera": camera,
    **dict.fromkeys(FORMATS, publish),
}  # fmt: skip
"""Kind of the name -> what opens it; see :func:`kind_of`."""


def kind_of(name: str) -> tuple[str, str]:
    """Kind and the rest: ``rtsp://host/x`` is ("rtsp", itself), ``masks:DIR`` ("masks", "DIR")."""
    if name == "-":
        return "-", name
    if scheme := scheme_of(name):
        return scheme, name
    match = re.match(r"(masks|json|web|camera):(.+)", name)
    return (match[1], match[2]) if match else ("", name)


def open_outlet(name: str, context: Context) -> Sink:
    """Open an output by name.

    Raises:
        SinkPathError: its kind is unknown. And what the sink itself raises.
    """
    kind, rest = kind_of(name)
    if kind not in OUTLETS:
        known = ", ".join(sorted(f"{k}://" for k in FORMATS))
        raise SinkPathError(
            f"{shown(name)}: nothing is known to write there; known: a file, masks:DIR, json:FILE, web:PORT, camera:/dev/video9, -, {known}"
        )
    return OUTLETS[kind](rest, context)


def is_remote(name: str) -> bool:
    """Whether pictures sent there may come too late, so that old ones are dropped."""
    return kind_of(name)[0] in {*FORMATS, "web"}
