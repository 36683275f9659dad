"""A camera whose clock is broken: ``python -m stream.bench.servers.stamps ZERO KIND``.

Serves pictures of :mod:`stream.bench.servers.card` over HTTP, as they are drawn, and prints its
port.  Kinds: "jumps", MPEG-TS whose time stamps jump forward, back, over the end of their 33 bits,
and come twice; "none", bare H.264, which has no time stamps at all.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction

import av

from stream.bench.servers.card import drawn
from stream.bench.servers.spawn import Spawned

HEIGHT, WIDTH, RATE = 240, 320, 25
TICKS = 90000
STEP = TICKS // RATE

SEGMENT = 40
"""Pictures from one fault to the next."""

FIRST_STAMPS = 10 * TICKS, 1010 * TICKS, 510 * TICKS, 2**33 - SEGMENT // 2 * STEP
"""Of a segment each, in ticks; the last goes over the end.  One more has every stamp twice."""

HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n"


class OddStamps(Spawned):
    """The camera's process.

    Args:
        zero: ``time.monotonic()`` from which the pictures' numbers count.
        kind: see the module.

    Attributes:
        url: to read from.
    """

    def __init__(self, zero: float, kind: str) -> None:
        super().__init__(__name__, zero, kind)
        self.url = f"http://127.0.0.1:{int(self.line())}/live"


class Wire:
    """A connection as a file to write to."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def write(self, data: bytes) -> int:
        """All of it."""
        self._connection.sendall(data)
        return len(data)


def stamps() -> Iterator[tuple[int, int]]:
    """Which muxer takes it, and its ticks, of each picture of "jumps"."""
    for segment, first in enumerate(FIRST_STAMPS):
        for index in range(SEGMENT):
            over, stamp = divmod(first + index * STEP, 2**33)
            yield segment + over, stamp
    for index in range(SEGMENT):
        yield 100 + index, 2000 * TICKS + (index // 2) * 2 * STEP


def packets(zero: float) -> Iterator[av.Packet[av.VideoStream]]:
    """Pictures as they are drawn, at their pace, for ever; a key frame every second."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, TICKS), Fraction(RATE)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(SEGMENT // 2)}
    began = time.monotonic()
    for index in range(sys.maxsize):
        image = drawn(round(1000 * (time.monotonic() - zero)), HEIGHT, WIDTH)
        picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
        picture.pts, picture.time_base = index * STEP, Fraction(1, TICKS)
        yield from encoder.encode(picture)
        time.sleep(max(0.0, began + (index + 1) / RATE - time.monotonic()))


def jumps(wire: Wire, zero: float) -> None:
    """One muxer a segment: none would write such stamps."""
    before, out = None, None
    for (segment, stamp), packet in zip(stamps(), packets(zero), strict=False):
        if segment != before:
            before, out = (
                segment,
                av.open(wire, "w", format="mpegts", options={"flush_packets": "1"}),
            )
            stream = out.add_stream("libx264", rate=RATE)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        assert out is not None
        packet.pts = packet.dts = stamp
        packet.time_base, packet.stream = Fraction(1, TICKS), stream
        out.mux_one(packet)


def bare(wire: Wire, zero: float) -> None:
    """What the encoder makes and nothing else."""
    for packet in packets(zero):
        wire.write(bytes(packet))


def serve(zero: float, kind: str) -> None:
    """One who reads after the other."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            connection, _ = server.accept()
            with connection, suppress(OSError, av.FFmpegError):
                connection.recv(65536)
                connection.sendall(HEAD)
                (bare if kind == "none" else jumps)(Wire(connection), zero)


if __name__ == "__main__":
    serve(float(sys.argv[1]), sys.argv[2])
