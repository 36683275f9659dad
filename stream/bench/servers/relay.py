"""A small RTSP server: one publishes to a path, others read from it; TCP, loopback only.

Requests and interleaved packets as in RFC 2326.  A publisher's ANNOUNCE and RECORD make a path, a
reader's DESCRIBE and PLAY ask for it; packets are passed on as they come.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from stream.bench.servers.spawn import Spawned

STATUS = {200: "OK", 404: "Not Found"}

METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, ANNOUNCE, RECORD, TEARDOWN"

MOST_WAITING_BYTES = 1 << 20
"""Of a reader that does not read; then it loses packets."""


class Relay:
    """The server in a process of its own (FFmpeg holds Python's lock while it connects to write).

    ``cut()`` kills it, as servers die; ``start()`` begins again on the same port.

    Attributes:
        port: on 127.0.0.1; 0 before the first start.
    """

    def __init__(self) -> None:
        self.port = 0
        self._server: Spawned | None = None

    def start(self) -> Self:
        """Begin, and wait until it listens."""
        self._server = Spawned(__name__, self.port)
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


@dataclass(eq=False)
class Path:
    """What one publishes.

    Attributes:
        sdp: its description.
        readers: who gets it.
    """

    sdp: str
    readers: list[asyncio.StreamWriter] = field(default_factory=list)

    def pass_on(self, packet: bytes) -> None:
        """To everybody who keeps up."""
        for reader in self.readers:
            if reader.transport.get_write_buffer_size() < MOST_WAITING_BYTES:
                reader.write(packet)


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


class Server:
    """Passes on what publishers send to whoever reads it."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}

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
                        mine.pass_on(first + head + data)
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
        elif request.method == "DESCRIBE" and path is not None:
            text = path.sdp
            extra = {"Content-Type": "application/sdp", "Content-Base": request.url + "/"}
        extra |= {"CSeq": request.headers["cseq"], "Content-Length": str(len(text))}
        rows = [f"RTSP/1.0 {status} {STATUS[status]}", *(f"{k}: {v}" for k, v in extra.items())]
        writer.write(("\r\n".join(rows) + "\r\n\r\n" + text).encode())
        if request.method == "PLAY" and path is not None:
            path.readers.append(writer)

    def _leave(self, writer: asyncio.StreamWriter, mine: Path | None) -> None:
        """Somebody has gone; with a publisher its readers go too."""
        for path in self._paths.values():
            if writer in path.readers:
                path.readers.remove(writer)
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
    asyncio.run(Server().run(int(sys.argv[1])))
