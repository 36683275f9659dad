"""Sources that come when they come: over a network, or from a camera. They break, and come back."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.dial import Call, LiveOptions, NobodyCalledError, reason
from stream.errors import SourceError
from stream.frame import Frame
from stream.names import shown
from stream.pace import Pace, Played
from stream.picture import colour_of, to_rgb
from stream.sound import Hearing, Sound
from stream.sources import SourceInfo
from stream.srt_name import SrtError
from stream.timeline import TIME_BASE, Strays, Timeline

Image = NDArray[np.uint8]

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 0.5
"""Between two tries to connect; doubled each time."""

KEY_SECONDS = 3.0
"""For so long a key frame is waited for: what comes before it is told by pictures nobody has."""

NAP_SECONDS = 0.05
"""A pause is slept in such pieces, so that nobody waits for it to end."""


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
        self._torn = False
        self._closed = self._unheard = False
        self._heard: list[Sound] = []
        self._timeline = Timeline()
        self._played = Played()
        self._call: Call | None = None
        self._pictures: Generator[av.VideoFrame, None, None] | None = None
        self._first = self._first_connection()
        streams = self._call.container.streams if self._call else None
        self.info = SourceInfo(
            name=shown(name), height=self._first.height, width=self._first.width,
            time_base=TIME_BASE, rate=streams.video[0].average_rate if streams else None,
            live=True, sound=bool(streams and streams.audio),
            pix_fmt=self._first.format.name, colour=colour_of(self._first, shown(name)),
        )  # fmt: skip

    @property
    def notes(self) -> list[str]:
        """How often it was lost, and what could not be followed."""
        found = [f"lost {count} times: {cause}" for cause, count in sorted(self.breaks.items())]
        if self.damaged:
            found.append(f"{self.damaged} packets or pictures were damaged")
        if self._unheard:
            found.append("sound came later; it is left out, for the outputs began without")
        mended = self._timeline.mended.items()
        found += [f"{count} time stamps were {how}; mended" for how, count in mended if count]
        return [f"{shown(self._name)}: {what}" for what in found]

    def _first_connection(self) -> av.VideoFrame:
        """As :meth:`_connect`; who listens waits until somebody calls."""
        since = time.monotonic()
        while True:
            try:
                return self._connect()
            except NobodyCalledError:
                limit = self._options.give_up_seconds
                if limit and time.monotonic() - since > limit:
                    raise

    def _connect(self) -> av.VideoFrame:
        """Open it, and decode the first picture."""
        self._connected = time.monotonic()
        try:
            self._call = Call(self._name, self._options, lambda: self._closed)
            self._pictures = self._decoded(self._call)
            return next(self._pictures)
        except (av.FFmpegError, SrtError, StopIteration) as error:
            self._disconnect()
            raise SourceError(f"{shown(self._name)}: cannot be opened ({reason(error)})") from None
        except BaseException:
            self._disconnect()
            raise

    def _decoded(self, call: Call) -> Generator[av.VideoFrame, None, None]:
        """Pictures from the first key frame on; what is heard between them is kept for the next.

        A packet that is damaged costs what is in it, and nothing else.

        Raises:
            SourceError: nothing can be decoded, or it is of a kind that is not handled.
        """
        stream = call.container.streams.video[0]
        # Frame threads would hold pictures back; with a thread for each slice, of a picture whose first
        # slice was lost the second last one is shown, and it is not marked as damaged.
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.low_delay
        since, keyed, hearing, strays = time.monotonic(), False, Hearing(), Strays()
        pace = Pace() if call.bursts else None
        self._played.again()
        self._torn = True  # until there is a key frame
        with closing(call.packets()) as packets:
            for packet in packets:
                waited = time.monotonic() - since
                if waited > self._options.read_seconds and not call.bursts:
                    raise SourceError("nothing in it can be decoded")
                if packet.stream is stream and not keyed:
                    keyed = packet.is_keyframe or waited > KEY_SECONDS
                if packet.stream is stream and (not keyed or (pace and self._played(packet))):
                    continue
                for piece in self._pieces(packet):
                    if isinstance(piece, av.AudioFrame):
                        self._hear(piece, hearing)
                    elif strays(piece.pts):
                        self._lost()
                    else:
                        colour_of(piece, shown(self._name))  # of another connection it may be HDR
                        self._torn &= not piece.key_frame
                        if packet.is_corrupt or piece.is_corrupt:
                            self._lost()
                        if pace:
                            self._sleep(pace.wait_seconds(stamp_of(piece), time.monotonic()))
                        yield piece
                        since = time.monotonic()

    def _pieces(self, packet: av.Packet[Any]) -> Sequence[av.VideoFrame | av.AudioFrame]:
        """What is in a packet; nothing where it is damaged, for the next one may be whole."""
        try:
            return packet.decode()
        except (av.error.InvalidDataError, av.error.ArgumentError):
            self._lost(torn=packet.stream.type == "video")
        except av.FFmpegError:
            if packet.stream.type == "video":
                raise
            self.damaged += 1  # sound of a kind that is not handled is no reason to break off
        return []

    def _lost(self, *, torn: bool = True) -> None:
        """Something was lost on the way; until the next key frame pictures are told by what is not there."""
        self.damaged += 1
        self._torn |= torn

    def _hear(self, piece: av.AudioFrame, hearing: Hearing) -> None:
        """Keep a piece of sound for the next frame, if its place is known."""
        if piece.time_base and piece.pts is not None:
            time_seconds = self._timeline.place(piece.pts * piece.time_base)
            if time_seconds is not None:
                self._heard.append(Sound(time_seconds, hearing(piece)))

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
            return next(self._pictures) if self._pictures else None
        except (av.FFmpegError, SourceError, SrtError, StopIteration) as error:
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
        while not self._closed and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, NAP_SECONDS))

    def _frame(self, picture: av.VideoFrame, index: int, epoch: int) -> Frame:
        now = time.monotonic()
        stamp = stamp_of(picture)
        colour = colour_of(picture, self.info.name)
        image = to_rgb(picture, colour, picture.height, picture.width)
        image = fitted(image, self.info.height, self.info.width)
        time_seconds = self._timeline(stamp, now)
        heard, self._heard = tuple(self._heard), []
        self._unheard |= bool(heard) and not self.info.sound
        return Frame(
            image, index, time_seconds, self.info.name, epoch=epoch, received_seconds=now,
            sound=heard, damaged=self._torn,
        )  # fmt: skip

    def _disconnect(self) -> None:
        call, pictures = self._call, self._pictures
        self._call = self._pictures = None
        if pictures is not None:
            pictures.close()
        if call is not None:
            call.close()

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


def stamp_of(picture: av.VideoFrame) -> Fraction | None:
    """When it is to be shown, in seconds of the source's clock; None if it does not say."""
    if picture.pts is None or picture.time_base is None:
        return None
    return picture.pts * picture.time_base


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
