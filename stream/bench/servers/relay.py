"""A small RTSP server: one publishes to a path, others read from it; loopback only.

Requests and interleaved packets as in RFC 2326.  A publisher's ANNOUNCE and RECORD make a path, a
reader's DESCRIBE and PLAY ask for it; packets are passed on as they come: to who asks for it by UDP,
where a share of them is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import sys
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from stream.bench.servers.spawn import Spawned

STATUS = {200: "OK", 404: "Not Found"}

METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, ANNOUNCE, RECORD, TEARDOWN"

DISCARD = 9
"""The port where nobody listens."""

MOST_WAITING_BYTES = 1 << 20
"""Of a reader that does not read; then it loses packets."""


class Relay:
    """The server in a process of its own (FFmpeg holds Python's lock while it connects to write).

    ``cut()`` kills it, as servers die; ``start()`` begins again on the same port.

    Args:
        lost: 0-1 of the packets to who reads by UDP.

    Attributes:
        port: on 127.0.0.1; 0 before the first start.
    """

    def __init__(self, lost: float = 0.0) -> None:
        self.port, self._lost = 0, lost
        self._server: Spawned | None = None

    def start(self) -> Self:
        """Begin, and wait until it listens."""
        self._server = Spawned(__name__, self.port, self._lost)
        self.port = int(self._server.line())
        return self

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._server is not None

    def cut(self) -> None:
        """Kill it. Safe to call twice."""
        if self._server is not None:
            self._server.kill()
            self._server = None

    def hang(self) -> None:
        """Stop answering, with all connections open, until :meth:`go_on`."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._server is not None
        os.kill(self._server.process.pid, number)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.cut()

    def url(self, path: str = "live") -> str:
        """The address of a path."""
        return f"rtsp://127.0.0.1:{self.port}/{path}"


class Airwaves:
    """Packets to who reads by UDP: some are lost, always the same ones.

    Args:
        lost: 0-1 of them.

    Attributes:
        port: they come from there.
    """

    def __init__(self, lost: float) -> None:
        self._lost, self._chance = lost, random.Random(0)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    def send(self, channel: int, data: bytes, port: int) -> None:
        """One packet; of a control channel (they are odd) it arrives."""
        if channel % 2 or self._chance.random() >= self._lost:
            with contextlib.suppress(OSError):  # nobody listens any longer, or it is too much
                self._socket.sendto(data, ("127.0.0.1", port))


@dataclass(eq=False)
class Path:
    """What one publishes.

    Attributes:
        sdp: its description.
        readers: who gets it, and of those who read by UDP, the port of each channel.
    """

    sdp: str
    readers: dict[asyncio.StreamWriter, dict[int, int]] = field(default_factory=dict)

    def pass_on(self, head: bytes, data: bytes, air: Airwaves) -> None:
        """To everybody who keeps up."""
        for reader, ports in self.readers.items():
            if ports:
                air.send(head[1], data, ports.get(head[1], DISCARD))
            elif reader.transport.get_write_buffer_size() < MOST_WAITING_BYTES:
                reader.write(head + data)


@dataclass(frozen=True)
class Request:
    """One of RTSP.

    Attributes:
        method, url: of the first line.
        headers: by lower-case name.
        body: what follows them.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: str

    @property
    def key(self) -> str:
        """The path of the url, without the track."""
        return self.url.split("://", 1)[1].partition("/")[2].split("/")[0]

    @property
    def ports(self) -> dict[int, int]:
        """Of a SETUP by UDP: channel -> port; FFmpeg's tracks are ``streamid=0``, ``streamid=1``."""
        wanted = re.search(r"client_port=(\d+)-(\d+)", self.headers.get("transport", ""))
        track = re.search(r"streamid=(\d+)", self.url)
        if wanted is None or track is None:
            return {}
        return {2 * int(track[1]) + i: int(wanted[i + 1]) for i in (0, 1)}


class Server:
    """Passes on what publishers send to whoever reads it."""

    def __init__(self, lost: float) -> None:
        self._paths: dict[str, Path] = {}
        self._air = Airwaves(lost)
        self._ports: dict[asyncio.StreamWriter, dict[int, int]] = {}

    async def run(self, port: int) -> None:
        """Listen on a port of 127.0.0.1 (0: any) and print it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
        sys.stdout.flush()
        await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine: Path | None = None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                first = await reader.readexactly(1)
                if first == b"$":  # an interleaved packet: channel, length, data
                    head = await reader.readexactly(3)
                    data = await reader.readexactly(int.from_bytes(head[1:], "big"))
                    if mine is not None:
                        mine.pass_on(first + head, data, self._air)
                    continue
                request = await receive(first, reader)
                if request.method == "ANNOUNCE":
                    mine = self._paths[request.key] = Path(request.body)
                self._answer(request, writer)
        self._leave(writer, mine)

    def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        path, extra, text = self._paths.get(request.key), {"Session": "1"}, ""
        status = 404 if request.method in ("DESCRIBE", "PLAY") and path is None else 200
        if request.method == "OPTIONS":
            extra = {"Public": METHODS}
        elif request.method == "SETUP":
            extra["Transport"] = request.headers["transport"]
            if ports := request.ports:
                self._ports.setdefault(writer, {}).update(ports)
                extra["Transport"] += f";server_port={self._air.port}-{self._air.port}"
        elif request.method == "DESCRIBE" and path is not None:
            text = path.sdp
            extra = {"Content-Type": "application/sdp", "Content-Base": request.url + "/"}
        extra |= {"CSeq": request.headers["cseq"], "Content-Length": str(len(text))}
        rows = [f"RTSP/1.0 {status} {STATUS[status]}", *(f"{k}: {v}" for k, v in extra.items())]
        writer.write(("\r\n".join(rows) + "\r\n\r\n" + text).encode())
        if request.method == "PLAY" and path is not None:
            path.readers[writer] = self._ports.get(writer, {})

    def _leave(self, writer: asyncio.StreamWriter, mine: Path | None) -> None:
        """Somebody has gone; with a publisher its readers go too."""
        self._ports.pop(writer, None)
        for path in self._paths.values():
            path.readers.pop(writer, None)
        if mine is not None:
            self._paths = {k: v for k, v in self._paths.items() if v is not mine}
            for other in mine.readers:
                other.close()
        writer.close()


async def receive(first: bytes, reader: asyncio.StreamReader) -> Request:
    """The rest of a request whose first byte is known."""
    lines = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, url, _ = lines[0].split(" ")
    headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:]) if k}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, url, headers, body.decode())


if __name__ == "__main__":
    asyncio.run(Server(float(sys.argv[2])).run(int(sys.argv[1])))
