"""Names of SRT's connections, as FFmpeg has them: ``srt://host:port?passphrase=...&latency=MICROSECONDS``."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from urllib.parse import unquote

TEXTS = {"passphrase": 26, "streamid": 46, "srt_streamid": 46}
MICROSECONDS = {"latency": 23, "rcvlatency": 43, "peerlatency": 44}
NUMBERS = {"pbkeylen": 27, "maxbw": 16}
WIDE = ("maxbw",)
"""Those of 64 bits."""

LEFT_OUT = ("mode", "timeout", "connect_timeout", "listen_timeout", "pkt_size", "payload_size",
            "transtype")  # fmt: skip
"""Of FFmpeg's options: known, and said in another way, or what is done anyway."""


class SrtError(OSError):
    """A connection could not be made, or has ended; the text names no address."""


@dataclass(frozen=True, slots=True)
class Place:
    """What a name says.

    Attributes:
        host, port: of the peer; or where to wait for one.
        listens: whoever calls is the peer.
        options: FFmpeg's name -> value.
    """

    host: str
    port: int
    listens: bool
    options: dict[str, str]


def place_of(url: str) -> Place:
    """Read a name.

    Raises:
        SrtError: it has no port, or an option that is not known.
    """
    rest, _, query = url.partition("://")[2].partition("?")  # a stream id may hold "#"
    host, _, port = rest.partition("/")[0].rpartition("@")[2].rpartition(":")
    pairs = (item.partition("=") for item in query.split("&") if item)
    options = {key: unquote(value) for key, _, value in pairs}
    known = (*TEXTS, *MICROSECONDS, *NUMBERS, *LEFT_OUT)
    if wrong := sorted(set(options) - set(known)):
        raise SrtError(f"unknown option {wrong[0]!r}; known: {', '.join(known)}")
    if not port.isdigit():
        raise SrtError("no port; the form is srt://host:port")
    mode = options.get("mode", "caller" if host else "listener")
    if mode not in ("caller", "listener"):
        raise SrtError(f"mode must be caller or listener, not {mode!r}")
    return Place(host.strip("[]"), int(port), mode == "listener", options)


def number(name: str, value: str) -> int:
    """Of an option."""
    if not value.lstrip("-").isdigit():
        raise SrtError(f"{name} must be a whole number")
    return int(value)


def address_of(place: Place) -> bytes:
    """As the system's ``struct sockaddr``.

    Raises:
        SrtError: the host is not known.
    """
    try:
        found = socket.getaddrinfo(place.host or "0.0.0.0", place.port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise SrtError(error.strerror or "the host is not known") from None
    family, *_, where = found[0]
    host, port = str(where[0]), int(where[1])
    head = struct.pack("=H", family) + struct.pack("!H", port)
    if family == socket.AF_INET6:
        return head + bytes(4) + socket.inet_pton(family, host.partition("%")[0]) + bytes(4)
    return head + socket.inet_pton(family, host) + bytes(8)
