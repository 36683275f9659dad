"""Sources that come when they come: over a network, or from a camera. They break, and come back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.errors import NoVideoError, SourceError
from stream.frame import Frame
from stream.names import scheme_of, shown
from stream.picture import colour_of, to_rgb
from stream.sound import Hearing, Sound
from stream.sources import ContainerSource, Source, SourceInfo
from stream.timeline import TIME_BASE, Strays, Timeline
from stream.v4l2 import Wish

Image = NDArray[np.uint8]

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 0.5
"""Between two tries to connect; doubled each time."""

KEY_SECONDS = 3.0
"""For so long a key frame is waited for: what comes before it is told by pictures nobody has."""

AT_ONCE = {"fpsprobesize": "0", "analyzeduration": "1000000"}
"""FFmpeg would watch a second of pictures to guess their rate, and be a second late from then on.
Not "nobuffer": it throws the pictures away that it looked at, key frames among them."""

NAP_SECONDS = 0.05
"""A pause is slept in such pieces, so that nobody waits for it to end."""


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


class LiveSource:
    """A stream by FFmpeg's protocols; opened again whenever it breaks or ends.

    All frames have the size of the first one: what comes in another size later is fitted in, with
    black beside it. A frame's ``epoch`` counts the connections.

    Args:
        name: ``rtsp://``, ``rtmp://``, ``http(s)://``, ``udp://``, ``srt://``.
        options: see :class:`LiveOptions`.

    Attributes:
        breaks: how often the source was lost, by cause.
        damaged: packets that could not be decoded, and pictures made up for what was lost.

    Raises:
        SourceError: it cannot be opened now. NoVideoError: it has no pictures.
    """

    def __init__(self, name: str, options: LiveOptions | None = None) -> None:
        self._name, self._options = name, options or LiveOptions()
        self.damage: str | None = None
        self.breaks: dict[str, int] = {}
        self.damaged = 0
        self._closed = False
        self._heard: list[Sound] = []
        self._timeline = Timeline()
        self._container: av.container.InputContainer | None = None
        self._pictures: Iterator[av.VideoFrame] = iter(())
        self._first = self._connect()
        stream = self._container.streams.video[0] if self._container else None
        self.info = SourceInfo(
            name=shown(name), height=self._first.height, width=self._first.width,
            time_base=TIME_BASE, rate=stream.average_rate if stream else None, live=True,
            sound=bool(self._container and self._container.streams.audio),
            pix_fmt=self._first.format.name, colour=colour_of(self._first, shown(name)),
        )  # fmt: skip

    @property
    def notes(self) -> list[str]:
        """How often it was lost, and what could not be followed."""
        found = [f"lost {count} times: {cause}" for cause, count in sorted(self.breaks.items())]
        if self.damaged:
            found.append(f"{self.damaged} packets or pictures were damaged")
        mended = self._timeline.mended.items()
        found += [f"{count} time stamps were {how}; mended" for how, count in mended if count]
        return [f"{shown(self._name)}: {what}" for what in found]

    def _connect(self) -> av.VideoFrame:
        """Open it, and decode the first picture."""
        limits = (self._options.open_seconds, self._options.read_seconds)
        place, form, options = self._place()
        self._connected = time.monotonic()
        try:
            self._container = av.open(place, format=form, options=options, timeout=limits)
            if not self._container.streams.video:
                raise NoVideoError(f"{shown(self._name)}: has no video stream")
            self._pictures = self._decoded(self._container)
            return next(self._pictures)
        except (av.FFmpegError, StopIteration) as error:
            self._disconnect()
            raise SourceError(f"{shown(self._name)}: cannot be opened ({reason(error)})") from None
        except SourceError:
            self._disconnect()
            raise

    def _decoded(self, container: av.container.InputContainer) -> Iterator[av.VideoFrame]:
        """Pictures from the first key frame on; what is heard between them is kept for the next.

        A packet that is damaged costs what is in it, and nothing else.

        Raises:
            SourceError: nothing can be decoded, or it is of a kind that is not handled.
        """
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"  # frame threads would hold pictures back
        stream.codec_context.flags |= av.codec.context.Flags.low_delay
        since, keyed, hearing, strays = time.monotonic(), False, Hearing(), Strays()
        for packet in container.demux(stream, *container.streams.audio[:1]):
            waited = time.monotonic() - since
            if waited > self._options.read_seconds:
                raise SourceError("nothing in it can be decoded")
            if packet.stream is stream and not keyed:
                keyed = packet.is_keyframe or waited > KEY_SECONDS
                if not keyed:
                    continue
            try:
                pieces = packet.decode()
            except (av.error.InvalidDataError, av.error.ArgumentError):
                self.damaged += 1  # lost on the way; the next one may be whole
                continue
            for piece in pieces:
                if isinstance(piece, av.VideoFrame) and strays(piece.pts):
                    self.damaged += 1
                elif isinstance(piece, av.VideoFrame):
                    colour_of(piece, shown(self._name))  # of another connection it may be HDR
                    yield piece
                    since = time.monotonic()
                elif isinstance(piece, av.AudioFrame):
                    self._hear(piece, hearing)

    def _hear(self, piece: av.AudioFrame, hearing: Hearing) -> None:
        """Keep a piece of sound for the next frame, if its place is known."""
        if piece.time_base and piece.pts is not None:
            time_seconds = self._timeline.place(piece.pts * piece.time_base)
            if time_seconds is not None:
                self._heard.append(Sound(time_seconds, hearing(piece)))

    def _place(self) -> tuple[str, str | None, dict[str, str]]:
        """What FFmpeg is told: where, in what format, how."""
        if scheme_of(self._name) == "rtsp":
            return self._name, None, AT_ONCE | {"rtsp_transport": self._options.transport}
        return self._name, None, dict(AT_ONCE)

    def __iter__(self) -> Iterator[Frame]:
        """Every frame, until :meth:`close` (or the source is away for ``give_up_seconds``)."""
        index = epoch = 0
        picture: av.VideoFrame | None = self._first
        try:
            while picture is not None and not self._closed:
                yield self._frame(picture, index, epoch)
                index += 1
                picture = self._next()
                if picture is None:
                    epoch += 1
                    picture = self._again()
        finally:
            self._disconnect()

    def _next(self) -> av.VideoFrame | None:
        """The next picture; None where the connection ends here."""
        try:
            return next(self._pictures)
        except (av.FFmpegError, SourceError, StopIteration) as error:
            cause = reason(error)
        if not self._closed:
            self.breaks[cause] = self.breaks.get(cause, 0) + 1
        self._disconnect()
        return None

    def _again(self) -> av.VideoFrame | None:
        """Connect anew, as often as it takes; None where nobody waits any longer."""
        pause, since = FIRST_PAUSE_SECONDS, time.monotonic()
        limit = self._options.give_up_seconds
        self._timeline.interrupt()
        if since - self._connected < LONGEST_PAUSE_SECONDS:  # it ends as soon as it begins
            self._sleep(pause)
        while not self._closed and not (limit and time.monotonic() - since > limit):
            try:
                return self._connect()
            except SourceError:
                self._sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return None

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._closed and time.monotonic() < until:
            time.sleep(NAP_SECONDS)

    def _frame(self, picture: av.VideoFrame, index: int, epoch: int) -> Frame:
        now = time.monotonic()
        base = picture.time_base
        stamp = None if picture.pts is None or base is None else picture.pts * base
        colour = colour_of(picture, self.info.name)
        image = to_rgb(picture, colour, picture.height, picture.width)
        image = fitted(image, self.info.height, self.info.width)
        time_seconds = self._timeline(stamp, now)
        heard, self._heard = tuple(self._heard), []
        return Frame(
            image,
            index,
            time_seconds,
            self.info.name,
            epoch=epoch,
            received_seconds=now,
            sound=heard,
        )

    def _disconnect(self) -> None:
        container, self._container = self._container, None
        self._pictures = iter(())
        if container is not None:
            container.close()

    def close(self) -> None:
        """Let it go; from another thread the iteration ends after the packet it waits for."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


def reason(error: Exception) -> str:
    """What went wrong, in FFmpeg's words and without the name, which may hold a password."""
    if isinstance(error, StopIteration):
        return "it ended"
    if isinstance(error, av.error.ExitError):
        return "no answer in time"
    if isinstance(error, SourceError):
        return str(error)
    return str(getattr(error, "strerror", None) or type(error).__name__)


def fitted(image: Image, height: int, width: int) -> Image:
    """(H, W, 3) scaled to fit into (height, width, 3), in its middle, with black beside it."""
    if image.shape[:2] == (height, width):
        return image
    scale = min(height / image.shape[0], width / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    return canvas


def open_remote(name: str, options: LiveOptions) -> Source:
    """``http(s)://``: a file that lies elsewhere and has an end, or a stream that has none.

    Raises:
        SourceError: it cannot be opened.
    """
    try:
        container = av.open(name, timeout=(options.open_seconds, options.read_seconds))
    except av.FFmpegError as error:
        raise SourceError(f"{shown(name)}: cannot be opened ({reason(error)})") from None
    if container.duration is not None:
        return ContainerSource(container, shown(name))
    container.close()
    return LiveSource(name, options)
