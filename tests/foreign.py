"""Debian's ffmpeg as somebody else's program at the other end: what it sends, what it sees."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from stream.bench.servers.card import drawn, number_of
from stream.bench.servers.publisher import tone
from stream.frame import Frame, FrameResult

FFMPEG = Path("/usr/bin/ffmpeg")
HEIGHT, WIDTH, RATE = 240, 320, 25
STEP_MS = 1000 // RATE

needs_ffmpeg = pytest.mark.skipif(
    os.environ.get("S3POT_SERVERS") != "required" and not FFMPEG.exists(),
    reason="Debian's ffmpeg: make apt",
)


def card_clip(path: Path, seconds: int) -> Path:
    """Numbered pictures, each showing its own time in ms, and a tone in every other second."""
    with av.open(str(path), "w") as out:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(RATE)}
        stream = out.add_stream("libx264", rate=RATE, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        heard = out.add_stream("aac", rate=48000, layout="stereo")
        for index in range(seconds * RATE):
            image = drawn(STEP_MS * index, HEIGHT, WIDTH)
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, RATE)
            out.mux(stream.encode(picture))
            out.mux(heard.encode(tone(STEP_MS * index, index, RATE)))
        out.mux(stream.encode(None))
        out.mux(heard.encode(None))
    return path


def ffmpeg(*words: object, **more: object) -> subprocess.Popen[bytes]:
    command = [str(FFMPEG), "-v", "error", "-nostdin", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, **more)  # type: ignore[call-overload,no-any-return]


@contextmanager
def sending(clip: Path, *to: object) -> Iterator[subprocess.Popen[bytes]]:
    """It sends a clip at its own pace, as it is, until it is killed."""
    process = ffmpeg("-re", "-i", clip, "-c", "copy", *to)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Seeing:
    """It decodes what it is sent, until it is killed; started again if it ends before that.

    Args:
        source: its options.

    Attributes:
        pictures: (H, W, 3), of all runs.
    """

    def __init__(self, *source: object) -> None:
        self.pictures: list[NDArray[np.uint8]] = []
        self._source, self._over = source, False
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            # A short look: it would watch five seconds before it shows anything.
            at_once = "-probesize", 50000, "-analyzeduration", 300000
            self._process = ffmpeg(*at_once, *self._source, "-pix_fmt", "rgb24", "-f", "rawvideo",
                                   "-", stdout=subprocess.PIPE)  # fmt: skip
            if self._over:
                self._process.kill()
            self._read(self._process)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as pipe:
            while len(raw := pipe.read(HEIGHT * WIDTH * 3)) == HEIGHT * WIDTH * 3:
                self.pictures.append(np.frombuffer(raw, np.uint8).reshape(HEIGHT, WIDTH, 3))
        process.wait()

    @property
    def numbers(self) -> list[int | None]:
        return [number_of(picture) for picture in self.pictures]

    def kill(self) -> None:
        """This run of it."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """For good."""
        self._over = True
        self.kill()
        self._thread.join()


def card(index: int) -> FrameResult:
    """A picture that shows its own time."""
    image = drawn(STEP_MS * index, HEIGHT, WIDTH)
    return FrameResult(Frame(image, index, Fraction(index, RATE), "x"), (), ())
