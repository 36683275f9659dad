"""A small RTSP server for tests: one publishes to a path, others read from it; TCP, loopback only.

Requests and interleaved packets as in RFC 2326.  A publisher's ANNOUNCE and RECORD make a path, a
reader's DESCRIBE and PLAY ask for it; packets are passed on as they come.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from dataclasses import dataclass, field

STATUS = {200: "OK", 404: "Not Found"}


@dataclass
class Path:
    sdp: str
    readers: list[asyncio.StreamWriter] = field(default_factory=list)


class Relay:
    """The server in a process of its own (FFmpeg holds Python's lock while it connects to write).

    ``cut()`` kills it, as servers die; ``start()`` begins again on the same port.
    """

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Relay:
        command = [sys.executable, "-m", "tests.relay", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    @property
    def alive(self) -> bool:
        return self._process is not None

    def cut(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def __enter__(self) -> Relay:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.cut()

    def url(self, path: str = "live") -> str:
        return f"rtsp://127.0.0.1:{self.port}/{path}"


class Server:
    """Passes on what publishers send to whoever reads it."""

    def __init__(self) -> None:
        self._paths: dict[str, Path] = {}

    async def run(self, port: int) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine: Path | None = None
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                first = await reader.readexactly(1)
                if first == b"$":  # an interleaved packet: channel, length, data
                    head = await reader.readexactly(3)
                    data = await reader.readexactly(int.from_bytes(head[1:], "big"))
                    for other in mine.readers if mine else ():
                        other.write(first + head + data)
                    continue
                mine = await self._answer(first, reader, writer, mine)
        for path in self._paths.values():
            if writer in path.readers:
                path.readers.remove(writer)
        if mine is not None:  # the publisher has gone, and so have its readers
            self._paths = {k: v for k, v in self._paths.items() if v is not mine}
            for other in mine.readers:
                other.close()
        writer.close()

    async def _answer(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
        mine: Path | None,
    ) -> Path | None:  # fmt: skip
        lines = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, url, _ = lines[0].split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:]) if k}
        body = (await reader.readexactly(int(headers.get("content-length", 0)))).decode()
        key = url.split("://", 1)[1].partition("/")[2].split("/")[0]
        status, extra, text = 200, {"Session": "1"}, ""
        if method == "OPTIONS":
            extra = {"Public": "OPTIONS, DESCRIBE, SETUP, PLAY, ANNOUNCE, RECORD, TEARDOWN"}
        elif method == "ANNOUNCE":
            mine = self._paths[key] = Path(body)
        elif method == "SETUP":
            extra["Transport"] = headers["transport"]
        elif method in ("DESCRIBE", "PLAY") and key not in self._paths:
            status = 404
        elif method == "DESCRIBE":
            text, extra = (
                self._paths[key].sdp,
                {"Content-Type": "application/sdp", "Content-Base": url + "/"},
            )
        rows = [f"RTSP/1.0 {status} {STATUS[status]}", f"CSeq: {headers['cseq']}"]
        rows += [f"{k}: {v}" for k, v in extra.items()] + (
            [f"Content-Length: {len(text)}"] if text else []
        )
        writer.write(("\r\n".join(rows) + "\r\n\r\n" + text).encode())
        if method == "PLAY" and status == 200:
            self._paths[key].readers.append(writer)
        return mine


if __name__ == "__main__":
    asyncio.run(Server().run(int(sys.argv[1])))
