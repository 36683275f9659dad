"""Sends the composited pictures to a server: RTSP, RTMP, SRT, or MPEG-TS over UDP.

A process of its own does the sending, for FFmpeg holds Python's lock while it connects, and a mute
server would hold up every thread here.  Through a pipe it is given the encoded stream (NUT, which
keeps time stamps exactly); when it dies or stops reading it is replaced, and what comes in between
is dropped and counted.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from fractions import Fraction
from urllib.parse import urlsplit

import av

from stream.errors import SinkPathError
from stream.frame import FrameResult
from stream.names import scheme_of, shown
from stream.picture import from_rgb
from stream.sound import SoundTrack
from stream.sources import SourceInfo

FORMATS = {"rtsp": "rtsp", "rtmp": "flv", "rtmps": "flv", "udp": "mpegts", "srt": "mpegts"}
"""Scheme of the name -> FFmpeg's format."""

STUCK_SECONDS = 3.0
"""A sender that takes nothing for so long is replaced."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 0.5

PORTS = {"rtsp": 554, "rtmp": 1935, "rtmps": 443}
"""Where it is asked whether anybody listens, before a sender is started for the second time."""

ANSWER_SECONDS = 1.0

TIME_BASE = Fraction(1, 90000)


class Pipe:
    """The way into the sender: a file to write to, which never waits longer than STUCK_SECONDS."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        self._descriptor = process.stdin.fileno()
        os.set_blocking(self._descriptor, False)

    def write(self, data: bytes) -> int:
        """All of it.

        Raises:
            BrokenPipeError: the sender has gone. TimeoutError: it does not read.
        """
        left = memoryview(data)
        while left:
            _, ready, _ = select.select([], [self._descriptor], [], STUCK_SECONDS)
            if not ready:
                raise TimeoutError(f"the sender took nothing for {STUCK_SECONDS} s")
            left = left[os.write(self._descriptor, left) :]
        return len(data)


class Sending:
    """One sender process and the encoder that feeds it, until either fails."""

    def __init__(self, url: str, info: SourceInfo, crf: int, preset: str, transport: str) -> None:
        order = {"url": url, "format": FORMATS[scheme_of(url)], "transport": transport}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "stream.sender"], stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._begin(order, info, crf, preset)
        except BaseException:
            self._end(0)
            raise

    def _begin(self, order: dict[str, str], info: SourceInfo, crf: int, preset: str) -> None:
        self._pipe = Pipe(self._process)
        self._pipe.write(json.dumps(order).encode() + b"\n")  # not as an argument: `ps` shows those
        self._output = av.open(self._pipe, "w", format="nut")
        rate = info.rate or Fraction(25)
        options = {"crf": str(crf), "preset": preset, "tune": "zerolatency", "bf": "0",
                   "g": str(max(1, round(rate))), "x264-params": "repeat-headers=1"}  # fmt: skip
        self._stream = self._output.add_stream(
            "libx264", rate=rate, options=options, width=info.width - info.width % 2,
            height=info.height - info.height % 2, time_base=TIME_BASE,
        )  # fmt: skip
        self._stream.pix_fmt = "yuv420p"
        self._sound = SoundTrack(self._output) if info.sound else None
        self._info = info

    def send(self, result: FrameResult) -> None:
        """Encode a picture and pass it on; errors as of :class:`Pipe`."""
        if self._process.poll() is not None:
            raise BrokenPipeError("the sender has gone")
        height, width = self._stream.height, self._stream.width
        image = result.frame.image[:height, :width]
        picture = from_rgb(image, self._info.colour, "yuv420p")
        picture.pts, picture.time_base = round(result.frame.time / TIME_BASE), TIME_BASE
        self._output.mux(self._stream.encode(picture))
        if self._sound is not None:
            frame = result.frame
            self._output.mux(list(self._sound.write(frame.sound, until=frame.time)))

    def close(self, *, drain: bool) -> None:
        """End it; with ``drain`` it may first send what it has."""
        if not drain:
            self._process.kill()  # first: what the muxer still writes would wait for it
        with suppress(OSError, av.FFmpegError):
            if drain:
                self._output.mux(self._stream.encode(None))
                self._output.mux(list(self._sound.close()) if self._sound else [])
            self._output.close()
        self._end(STUCK_SECONDS if drain else 0)

    def _end(self, seconds: float) -> None:
        """The process ends, by itself within so many seconds or killed."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class PublishSink:
    """Sends composited pictures to a server; comes back when the server does.

    Args:
        url: see FORMATS.
        info: of the source.
        crf, preset: of x264.
        transport: of RTSP, "tcp" or "udp".

    Attributes:
        dropped: pictures that were not sent, by cause.
        notes: what a person should know.

    Raises:
        SinkPathError: the scheme is unknown.
    """

    def __init__(
        self, url: str, info: SourceInfo, *, crf: int = 20, preset: str = "veryfast",
        transport: str = "tcp",
    ) -> None:  # fmt: skip
        if scheme_of(url) not in FORMATS:
            known = ", ".join(f"{scheme}://" for scheme in FORMATS)
            raise SinkPathError(f"{shown(url)}: nothing can be sent there; known: {known}")
        self._url, self._info = url, info
        self._how = (crf, preset, transport)
        self._sending: Sending | None = None
        self._pause, self._next_try, self._breaks = FIRST_PAUSE_SECONDS, 0.0, 0
        self._began = 0.0
        self.dropped: Counter[str] = Counter()
        self.notes: list[str] = []

    def write(self, result: FrameResult) -> None:
        """Send a picture, or count it as dropped while there is nobody to send it to."""
        if self._sending is None and not self._begin():
            self.dropped["no receiver"] += 1
            return
        assert self._sending is not None
        try:
            self._sending.send(result)
        except (OSError, av.FFmpegError) as error:
            cause = "receiver stuck" if isinstance(error, TimeoutError) else "receiver lost"
            self.dropped[cause] += 1
            self._lose()

    def _begin(self) -> bool:
        """Start a sender, unless the last one has only just failed, or nobody listens."""
        if time.monotonic() < self._next_try:
            return False
        if self._next_try and not answers(self._url):
            self._wait()
            return False
        self._began = time.monotonic()
        try:
            self._sending = Sending(self._url, self._info, *self._how)
        except (OSError, av.FFmpegError):
            self._lose()
        return self._sending is not None

    def _wait(self) -> None:
        self._next_try = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)

    def _lose(self) -> None:
        lived = time.monotonic() - self._began
        if lived > ANSWER_SECONDS:  # it was more than a try
            self._pause = FIRST_PAUSE_SECONDS
        self._breaks += 1
        self._wait()
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.close(drain=False)

    def close(self, *, cut: bool = False) -> None:
        """Send what is encoded, and go."""
        if self._sending is not None:
            self._sending.close(drain=True)
            self._sending = None
        if self._breaks:
            self.notes.append(f"{shown(self._url)}: lost {self._breaks} times")

    def abort(self) -> None:
        """Go."""
        if self._sending is not None:
            self._sending.close(drain=False)
            self._sending = None


def answers(url: str) -> bool:
    """Whether anybody listens at an address: a process that would find nobody is dear."""
    place = urlsplit(url)
    port = place.port or PORTS.get(place.scheme, 0)
    if not port or place.scheme not in PORTS:
        return True
    try:
        with socket.create_connection((place.hostname or "", port), ANSWER_SECONDS):
            return True
    except OSError:
        return False
