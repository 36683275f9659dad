"""``python -m stream.sender``: the process behind :class:`stream.publish.PublishSink`.

Standard input: a line of JSON (url, format, transport), then a NUT stream, which is sent on as it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from io import BufferedReader
from typing import Any, cast

import av

from stream import srt
from stream.names import scheme_of
from stream.srt_name import place_of
from stream.stdio import AsItComes

LIMITS_SECONDS = (5.0, 5.0)
"""To connect, and for a packet to be taken."""

AT_ONCE = {"probesize": "32", "analyzeduration": "0"}
"""The header says all; nothing is read ahead."""


def send(source: BufferedReader) -> None:
    """Read an order and a stream, and pass the stream on until it ends.

    Raises:
        av.FFmpegError, OSError: the receiver cannot be reached, or is lost.
    """
    order = json.loads(source.readline())
    with av.open(AsItComes(source), "r", format="nut", options=AT_ONCE) as stream:
        packets = timed(stream)
        with receiver(order, packets) as output:
            copies = {s.index: output.add_stream_from_template(s) for s in stream.streams}
            for packet in packets:
                packet.stream = copies[packet.stream_index]
                output.mux_one(packet)


def timed(stream: av.container.InputContainer) -> Iterator[av.Packet[Any]]:
    """All packets of a stream, each with both its times."""
    for packet in stream.demux():
        if packet.dts is None:  # the first key frame, without which a second cannot be decoded
            packet.dts = packet.pts
        if packet.dts is not None:
            yield packet


@contextmanager
def receiver(
    order: dict[str, str], packets: Iterator[av.Packet[Any]]
) -> Iterator[av.container.OutputContainer]:
    """Open the way out.

    Args:
        order: url, format, transport.
        packets: dropped while one who listens waits to be called.
    """
    options = {"rtsp_transport": order["transport"]} if order["format"] == "rtsp" else {}
    if scheme_of(order["url"]) == "srt":
        at_once = {"flush_packets": "1"}  # what the muxer keeps for itself is latency
        with (
            closing(called(order["url"], packets)) as wire,
            av.open(wire, "w", format="mpegts", options=at_once) as output,
        ):
            yield output
        return
    with av.open(
        order["url"], "w", format=order["format"], options=options, timeout=LIMITS_SECONDS
    ) as output:
        yield output


def called(url: str, packets: Iterator[av.Packet[Any]]) -> srt.Connection:
    """A connection; who listens is called whenever it pleases the other, and drops what comes till then."""
    listens = place_of(url).listens
    open_seconds = 0.0 if listens else LIMITS_SECONDS[0]
    return srt.Connection(
        url, open_seconds=open_seconds, read_seconds=LIMITS_SECONDS[1], sends=True,
        stopped=lambda: listens and next(packets, None) is None,
    )  # fmt: skip


if __name__ == "__main__":
    try:
        send(cast(BufferedReader, sys.stdin.buffer))
    except (av.FFmpegError, OSError):
        sys.exit(1)  # who started it sees that; no message, for it could hold a password
