"""``python -m stream.sender``: the process behind :class:`stream.publish.PublishSink`.

Standard input: a line of JSON (url, format, transport), then a NUT stream, which is sent on as it is.
"""

from __future__ import annotations

import json
import sys
from io import BufferedReader
from typing import cast

import av

from stream.trickle import AsItComes

LIMITS_SECONDS = (5.0, 5.0)
"""To connect, and for a packet to be taken."""

AT_ONCE = {"probesize": "32", "analyzeduration": "0"}
"""The header says all; nothing is read ahead."""


def send(source: BufferedReader) -> None:
    """Read an order and a stream, and pass the stream on until it ends.

    Raises:
        av.FFmpegError: the receiver cannot be reached, or is lost.
    """
    order = json.loads(source.readline())
    options = {"rtsp_transport": order["transport"]} if order["format"] == "rtsp" else {}
    with (
        av.open(AsItComes(source), "r", format="nut", options=AT_ONCE) as stream,
        av.open(
            order["url"], "w", format=order["format"], options=options, timeout=LIMITS_SECONDS
        ) as output,
    ):
        copies = {s.index: output.add_stream_from_template(s) for s in stream.streams}
        for packet in stream.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                output.mux_one(packet)


if __name__ == "__main__":
    try:
        send(cast(BufferedReader, sys.stdin.buffer))
    except (av.FFmpegError, OSError):
        sys.exit(1)  # who started it sees that; no message, for it could hold a password
