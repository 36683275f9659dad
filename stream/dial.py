"""Opens what comes over a network: how FFmpeg is asked, and what it says."""

from __future__ import annotations

import errno
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import av

from stream import srt
from stream.errors import NoVideoError, SourceError
from stream.names import scheme_of, shown
from stream.pace import ahead, comes_in_bursts
from stream.srt_name import SrtError, place_of
from stream.v4l2 import Wish

AT_ONCE = {"fpsprobesize": "0", "analyzeduration": "1000000"}
"""FFmpeg would watch a second of pictures to guess their rate, and be a second late from then on.
Not "nobuffer": it throws the pictures away that it looked at, key frames among them."""

RTSP = AT_ONCE | {"analyzeduration": "200000"}
"""Its description says what streams there are; in a second more than half a second piles up."""

SEGMENT_SECONDS = 15.0
"""Until a playlist has its next segment: one and a half of the longest that are usual."""

LISTEN = "listen=1"
"""In an address of RTMP: wait for one who publishes."""


if TYPE_CHECKING:  # PyAV's packets are generic for a checker only
    Packets = Generator[av.Packet[Any], None, None]


class NobodyCalledError(SourceError):
    """Nobody has connected yet to where it is listened."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a live source is opened.

    Attributes:
        open_seconds, read_seconds: longer waits for an answer, for a packet, count as a break.
        transport: of RTSP, "tcp" or "udp".
        give_up_seconds: away for so long, the source has ended; 0: it is waited for.
        camera: what a camera is asked for.
    """

    open_seconds: float = 5.0
    read_seconds: float = 5.0
    transport: str = "tcp"
    give_up_seconds: float = 0.0
    camera: Wish = field(default_factory=Wish)


class Call:
    """A connection that was made.

    Args:
        name: see :class:`stream.live.LiveSource`.
        options: as of there.
        stopped: asked again and again; true: nobody waits any longer.

    Attributes:
        container: open, with pictures in it.
        bursts: it comes a segment at a time.

    Raises:
        av.FFmpegError, SrtError: none can be made.
        NobodyCalledError: none was made yet. NoVideoError: it has no pictures.
    """

    def __init__(self, name: str, options: LiveOptions, stopped: Callable[[], bool]) -> None:
        self._stopped, self._wire = stopped, _wire(name, options, stopped)
        place, form, given = _asked(name, options)
        limits = options.open_seconds, options.read_seconds
        if scheme_of(name) in ("http", "https"):
            limits = options.open_seconds, max(options.read_seconds, SEGMENT_SECONDS)
        try:
            self.container = av.open(
                self._wire or place, "r", format=form, options=given, timeout=limits
            )
            if not self.container.streams.video:
                raise NoVideoError(f"{shown(name)}: has no video stream")
        except av.FFmpegError as error:
            self._hang_up()
            silent = isinstance(error, av.error.ExitError) or error.errno == errno.EIO
            if listens(name) and silent:  # or somebody called and left
                raise NobodyCalledError(f"{shown(name)}: nobody called in time") from None
            raise
        except BaseException:
            self._hang_up()
            raise
        self.bursts = comes_in_bursts(self.container.format.name)
        video = self.container.streams.video[0]
        sound = [one for one in self.container.streams.audio if one.codec_context is not None][:1]
        self._packets = cast("Packets", self.container.demux(video, *sound))

    def packets(self) -> Packets:
        """Of its first pictures and its first sound, as they come; to be closed before :meth:`close`."""
        return ahead(self._packets, self._stopped) if self.bursts else self._packets

    def _hang_up(self) -> None:
        if self._wire is not None:
            self._wire.close()

    def close(self) -> None:
        """Let it go.  Where a thread still waits for a packet, it goes as soon as that returns."""
        self._hang_up()
        with suppress(ValueError):  # the generator is running
            self._packets.close()
            self.container.close()


def _wire(name: str, options: LiveOptions, stopped: Callable[[], bool]) -> srt.Connection | None:
    """What FFmpeg reads from, where it has no way of its own."""
    if scheme_of(name) != "srt":
        return None
    try:
        return srt.Connection(
            name, open_seconds=options.open_seconds, read_seconds=options.read_seconds,
            stopped=stopped,
        )  # fmt: skip
    except srt.NobodyCalledError as error:
        raise NobodyCalledError(f"{shown(name)}: {error}") from None


def _asked(name: str, options: LiveOptions) -> tuple[str, str | None, dict[str, str]]:
    """What FFmpeg is told: where, in what format, how."""
    scheme = scheme_of(name)
    if scheme == "rtsp":
        return name, None, RTSP | {"rtsp_transport": options.transport}
    if scheme == "srt":
        return name, "mpegts", dict(AT_ONCE)
    if scheme in ("http", "https"):
        return name, None, AT_ONCE | {"rw_timeout": str(round(1e6 * options.read_seconds))}
    if listens(name):
        return name.replace(f"?{LISTEN}", ""), None, AT_ONCE | {"listen": "1"}
    return name, None, dict(AT_ONCE)


def listens(name: str) -> bool:
    """Whether an address says to wait for one who connects to it."""
    if scheme_of(name) == "srt":
        with suppress(SrtError):
            return place_of(name).listens
    return scheme_of(name) in ("rtmp", "rtmps") and name.endswith(f"?{LISTEN}")


def reason(error: Exception) -> str:
    """What went wrong, in FFmpeg's words and without the name, which may hold a password."""
    if isinstance(error, StopIteration):
        return "it ended"
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    if isinstance(error, (SourceError, SrtError)):
        return str(error)
    return str(getattr(error, "strerror", None) or type(error).__name__)
