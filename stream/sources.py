"""Where frames come from.

To add a source: a class that satisfies ``Source`` and one entry in ``SOURCES``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import av

from stream.clock import Clock
from stream.demux import check_file, duration_seconds, early, open_container, video_stream
from stream.errors import NotAVideoError
from stream.frame import Frame
from stream.picture import Colour, Orientation, colour_of, orientation_of, to_rgb

NO_COLOUR = Colour(matrix=2, primaries=2, transfer=2, full_range=False, range_tag=0)


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source before its frames are read.

    Attributes:
        name: for people; credentials removed.
        height, width: px of the frames delivered, upright.
        time_base: seconds per tick; every ``Frame.time`` is a whole number of ticks.
        rate: frames per second on average; for information, timestamps never come from it.
        duration_seconds: None if not said.
        frames: how many to expect, for a progress bar; an estimate.
        live: frames come when they come, and waiting loses them.
        sound: frames bring sound with them; that of a file is copied from it.
        pix_fmt: FFmpeg's name of the pictures' format.
        bits: per component.
        colour: matrix, range, primaries, transfer.
        sample_aspect_ratio: width over height of a pixel, upright; None if not said.
        rotation_degrees: clockwise turn already applied to the frames.
    """

    name: str
    height: int
    width: int
    time_base: Fraction = Fraction(1, 90000)
    rate: Fraction | None = None
    duration_seconds: float | None = None
    frames: int | None = None
    live: bool = False
    sound: bool = False
    pix_fmt: str = "rgb24"
    bits: int = 8
    colour: Colour = NO_COLOUR
    sample_aspect_ratio: Fraction | None = None
    rotation_degrees: int = 0


class Source(Protocol):
    """Iterate once: every frame, in presentation order.

    Attributes:
        info: known at once.
        damage: what was wrong with the input, to be read after the iteration; None if nothing.
        notes: what a person should know (timestamps mended, parts not shown), grows on the way.
    """

    @property
    def info(self) -> SourceInfo: ...
    @property
    def damage(self) -> str | None: ...
    @property
    def notes(self) -> list[str]: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def close(self) -> None: ...


class FileSource:
    """A video file, decoded with PyAV.

    Frames before a damage are delivered; then the iteration ends and ``damage`` says what is wrong.

    Args:
        path: a regular file.

    Raises:
        SourceNotFoundError, NotAFileError, NotAVideoError, NoVideoError, PixelFormatError: see
            :mod:`stream.errors`; PermissionError where the file may not be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._path, self._name = Path(path), str(path)
        self.damage: str | None = None
        self.notes: list[str] = []
        self._missing_bytes = check_file(self._path)
        self._container = open_container(self._path)
        try:
            self._stream = video_stream(self._container, self._name, self._missing_bytes)
            self._clock = Clock(self._stream)
            self._decoded = 0
            self._pictures = self._whole()
            self._head = list(islice(self._pictures, 2))
            self._orientation, self.info = self._describe()
        except BaseException:
            self.close()
            raise

    def _describe(self) -> tuple[Orientation, SourceInfo]:
        """Read off the first picture what the container may not say, or say wrongly."""
        if not self._head:
            reason = self.damage or "no picture could be decoded"
            raise NotAVideoError(f"{self._name}: {reason}")
        first, stream = self._head[0], self._stream
        colour = colour_of(first, self._name)
        orientation, note = orientation_of(first)
        self.notes += [note] if note else []
        self._clock.start(self._head)
        height, width = first.height, first.width
        if orientation.swap:
            height, width = width, height
        rate = stream.average_rate or stream.guessed_rate
        seconds = duration_seconds(self._container, stream)
        frames = stream.frames or (round(seconds * rate) if seconds and rate else None)
        return orientation, SourceInfo(
            name=self._name, height=height, width=width, time_base=self._clock.time_base,
            rate=rate, duration_seconds=seconds, frames=frames, pix_fmt=first.format.name,
            bits=max((part.bits for part in first.format.components), default=8), colour=colour,
            sample_aspect_ratio=orientation.aspect(stream.sample_aspect_ratio or None),
            rotation_degrees=orientation.rotation_degrees,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Frame]:
        """Every frame once, in presentation order. Can be iterated once."""
        if not self._head:
            raise ValueError(f"{self._name}: was read already; open it again")
        size = self._head[0].height, self._head[0].width
        pictures, self._head = chain(self._head, self._pictures), []
        for index, picture in enumerate(pictures):
            self._watch(picture, index, size)
            time, duration = self._clock(picture)
            stored = to_rgb(picture, self.info.colour, *size)
            image = self._orientation.upright(stored)
            yield Frame(image, index, time, self._name, duration)
        if self._clock.mended:
            self._note(f"{self._clock.mended} timestamps were missing or went back; mended")

    def _watch(self, picture: av.VideoFrame, index: int, size: tuple[int, int]) -> None:
        """Say once what a person would want to know of a picture."""
        colour_of(picture, f"{self._name}, frame {index}")
        if (picture.height, picture.width) != size:
            self._note(
                f"the picture size changes within the file; all scaled to {size[1]}x{size[0]}"
            )
        if any(part.is_alpha for part in picture.format.components):
            self._note("transparent parts are shown on black")
        if picture.interlaced_frame:
            self._note("interlaced pictures are left as they are")
        if picture.is_corrupt:
            self._damaged(f"damaged picture: frame {index}")

    def _whole(self) -> Iterator[av.VideoFrame]:
        """All pictures, without a last one that the end of the file cut through."""
        held = None
        for picture in self._decode():
            if held is not None:
                self._decoded += 1
                yield held
            held = picture
        if held is not None and not held.is_corrupt:
            self._decoded += 1
            yield held
        if self._missing_bytes:
            self._damaged(f"truncated {self._place()}: {early(self._missing_bytes)}")
        elif held is not None and held.is_corrupt:
            self._damaged(f"truncated {self._place()}: the last picture is damaged")

    def _decode(self) -> Iterator[av.VideoFrame]:
        """All pictures; a packet that cannot be decoded is reported and the next one is tried."""
        for packet in chain(self._packets(), [None]):  # None makes the decoder give up its last
            try:
                yield from self._stream.decode(packet)
            except av.FFmpegError as error:
                self._damaged(f"undecodable data {self._place()}: {error.strerror}")

    def _place(self) -> str:
        """Where in the video the decoder is."""
        return f"after frame {self._decoded - 1}" if self._decoded else "before the first frame"

    def _packets(self) -> Iterator[av.Packet[av.VideoStream]]:
        """The stream's packets, without the last one if the file stops inside it."""
        held, read = None, 0
        try:
            for packet in self._container.demux(self._stream):
                if packet.size == 0:
                    break
                read += 1
                if held is not None:
                    yield held
                held = packet
        except av.FFmpegError as error:
            self._damaged(f"unreadable {self._place()}: {error.strerror}")
        if held is not None and not self._is_cut(held):
            yield held
        named = len(self._stream.index_entries)
        if "mp4" in self._container.format.name and read < named and not self._missing_bytes:
            self._damaged(f"the index names {named} pictures, {read} could be read")

    def _is_cut(self, last: av.Packet[av.VideoStream]) -> bool:
        """A transport stream does not say where a picture ends, so a cut one keeps no last."""
        in_parts = self._container.format.name == "mpegts"
        return last.is_corrupt or bool(self._missing_bytes and in_parts)

    def _damaged(self, what: str) -> None:
        self.damage = self.damage or what

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def close(self) -> None:
        """Let the file go. Safe to call twice."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
