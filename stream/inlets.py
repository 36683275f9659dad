"""Opens the input that a run names.

To add one: a function and an entry in :data:`INLETS`.
"""

from __future__ import annotations

from collections.abc import Callable

import av

from configs.settings import LiveSettings
from stream.camera import open_camera
from stream.dial import LiveOptions, reason
from stream.errors import SourceError
from stream.live import LiveSource
from stream.names import scheme_of, shown
from stream.pattern import PatternSource
from stream.raw import raw_form
from stream.sources import ContainerSource, FileSource, Source
from stream.stdio import StdinSource
from stream.v4l2 import Wish


def file(name: str, options: LiveOptions) -> Source:
    """A path, or ``file://path``."""
    return FileSource(name.removeprefix("file://"))


def live(name: str, options: LiveOptions) -> Source:
    """What comes when it comes."""
    return LiveSource(name, options)


def camera(name: str, options: LiveOptions) -> Source:
    """Of this machine."""
    return open_camera(name, options)


def standard_input(name: str, options: LiveOptions) -> Source:
    """A pipe."""
    return StdinSource()


def raw(name: str, options: LiveOptions) -> Source:
    """Raw pictures in a pipe."""
    return StdinSource(raw_form(name))


def web(name: str, options: LiveOptions) -> Source:
    """A file that lies elsewhere and has an end, or a stream that has none."""
    try:
        container = av.open(name, timeout=(options.open_seconds, options.read_seconds))
    except av.FFmpegError as error:
        raise SourceError(f"{shown(name)}: cannot be opened ({reason(error)})") from None
    if container.duration is not None:
        return ContainerSource(container, shown(name))
    container.close()
    return LiveSource(name, options)


def pattern(name: str, options: LiveOptions) -> Source:
    """A drawn face."""
    return PatternSource(name)


INLETS: dict[str, Callable[[str, LiveOptions], Source]] = {
    "": file, "file": file, "pattern": pattern, "-": standard_input, "raw": raw,
    "http": web, "https": web,
    "camera": camera, **dict.fromkeys(("rtsp", "rtsps", "rtmp", "rtmps", "udp", "srt"), live),
}  # fmt: skip
"""Kind of the name -> what opens it. A name of no kind is a path."""


DEVICES = ("camera", "pattern", "raw")
"""Kinds that are named without slashes."""


def open_source(name: str, settings: LiveSettings | None = None) -> Source:
    """Open a source by name.

    Args:
        name: a path, ``file://path``, ``camera:0``, or an address of a registered kind.
        settings: of sources that come when they come.

    Raises:
        ValueError: unknown kind.
        SourceError: see :class:`FileSource`, :class:`LiveSource`.
    """
    kind = (
        "-"
        if name == "-"
        else next((k for k in DEVICES if name.startswith(f"{k}:")), scheme_of(name))
    )
    if kind not in INLETS:
        # Only the scheme is repeated: the rest may hold a password.
        known = ", ".join(f"{k}://" for k in sorted(INLETS) if k not in ("", "-", *DEVICES))
        raise ValueError(
            f"unknown source {kind}://...; known: a path, -, raw:WxH, camera:N, pattern:, {known}"
        )
    return INLETS[kind](name, options_of(settings))


def options_of(settings: LiveSettings | None) -> LiveOptions:
    """Section [live], as far as it is about sources."""
    if settings is None:
        return LiveOptions()
    return LiveOptions(
        settings.open_seconds, settings.read_seconds, settings.transport, settings.give_up_seconds,
        Wish(settings.camera_size, settings.camera_rate, settings.camera_format),
    )  # fmt: skip
