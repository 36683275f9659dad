"""Standard input and output as a source and a sink: between two programs in a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from io import BufferedReader
from typing import cast

import av

from stream.errors import NotAVideoError, SinkError
from stream.frame import Frame, FrameResult
from stream.raw import RawForm
from stream.sinks import line_of
from stream.sources import ContainerSource, SourceInfo

TIME_BASE = Fraction(1, 90000)


class Pipe:
    """Standard output without Python's buffer, whose lock a writer that is stuck would keep."""

    def write(self, data: bytes) -> int:
        """All of it; OSError where nobody reads."""
        left = memoryview(data)
        while left:
            left = left[os.write(sys.stdout.fileno(), left) :]
        return len(data)


class PipeSink:
    """Composited pictures, uncompressed, in a NUT stream on standard output; ``| ffmpeg -i - ...``.

    Args:
        info: of the source.

    Raises:
        SinkError: standard output is a terminal, or nobody reads it any longer.
    """

    def __init__(self, info: SourceInfo) -> None:
        if sys.stdout.isatty():
            raise SinkError("-: standard output is a terminal; send it to a program or a file")
        self.notes: list[str] = []
        self._output = av.open(Pipe(), "w", format="nut")
        self._stream = self._output.add_stream(
            "rawvideo", rate=info.rate or 25, width=info.width, height=info.height,
            pix_fmt="rgb24", time_base=TIME_BASE,
        )  # fmt: skip

    def write(self, result: FrameResult) -> None:
        """Write a picture."""
        picture = av.VideoFrame.from_ndarray(result.frame.image, format="rgb24")
        picture.pts, picture.time_base = round(result.frame.time / TIME_BASE), TIME_BASE
        try:
            self._output.mux(self._stream.encode(picture))
        except (OSError, av.FFmpegError) as error:
            raise SinkError(f"-: nobody reads it ({error.strerror or 'broken pipe'})") from None

    def close(self, *, cut: bool = False) -> None:
        """Finish the stream."""
        try:
            self._output.mux(self._stream.encode(None))
            self._output.close()
        except (OSError, av.FFmpegError) as error:
            raise SinkError(f"-: nobody reads it ({error.strerror or 'broken pipe'})") from None

    def abort(self) -> None:
        """What is written is written."""


class LinePipe:
    """The lines of :class:`stream.sinks.JsonSink` on standard output, each as soon as it is known.

    Raises:
        SinkError: nobody reads them any longer.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []

    def write(self, result: FrameResult) -> None:
        """Write the frame's line."""
        try:
            sys.stdout.write(line_of(result) + "\n")
            sys.stdout.flush()
        except OSError as error:
            raise SinkError(f"json:-: nobody reads it ({error.strerror})") from None

    def close(self, *, cut: bool = False) -> None:
        """What is written is written."""

    def abort(self) -> None:
        """What is written is written."""


class AsItComes:
    """A pipe read by what is there: ``read`` itself would wait until all that was asked for is.

    Attributes:
        taken: bytes so far.
    """

    def __init__(self, pipe: BufferedReader) -> None:
        self._pipe, self.taken = pipe, 0

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end."""
        data = self._pipe.read1(size)
        self.taken += len(data)
        return data


class StdinSource(ContainerSource):
    """Standard input: a container (NUT, Matroska, MPEG-TS, y4m ...), or raw pictures.

    ``ffmpeg ... -f nut - | s3pot run -``, ``... -f rawvideo - | s3pot run raw:640x480:rgb24:30``.

    Args:
        raw: how raw pictures lie in it; None: it is a container.

    Raises:
        NotAVideoError: no video comes, or standard input is a terminal.
    """

    def __init__(self, raw: RawForm | None = None) -> None:
        if sys.stdin.isatty():
            raise NotAVideoError("-: standard input is a terminal; send a video to it")
        self._raw, self._pipe = raw, AsItComes(cast(BufferedReader, sys.stdin.buffer))
        form, options = ("rawvideo", raw.options) if raw else (None, {})
        try:
            container = av.open(
                self._pipe, "r", format=form, options=options, metadata_errors="surrogateescape"
            )
        except av.FFmpegError as error:
            raise NotAVideoError(f"-: cannot be read as video ({error.strerror})") from None
        super().__init__(container, "-")

    def __iter__(self) -> Iterator[Frame]:
        """As of :class:`ContainerSource`; and whether raw pictures end where one does."""
        yield from super().__iter__()
        if self._raw and (rest := self._pipe.taken % self._raw.picture_bytes):
            size = self._raw.picture_bytes
            self._damaged(f"{rest} of the {size} bytes of a picture {self._place()}; another size?")
