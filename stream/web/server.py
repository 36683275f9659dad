"""Binds the page to a port; alone, or beside a run as one of its outputs."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from configs.settings import Settings
from stream.errors import SinkError, SinkPathError
from stream.frame import FrameResult
from stream.names import scheme_of, shown
from stream.queues import Prefetch
from stream.web.app import build_app
from stream.web.audits import AuditBook
from stream.web.board import Board
from stream.web.desk import Desk, Shown
from stream.web.gate import Gate, check_access
from stream.web.memory import few_arenas
from stream.web.rtc import keep_to
from stream.web.session import watched
from stream.web.switch import Switch

TOKEN_VARIABLE = "S3POT_TOKEN"

GOODBYE_SECONDS = 2
"""Connections are given so long to end."""

MOST_CONNECTIONS = 256

START_SECONDS = 10.0


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        SinkError: the address is not ours, or taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen()
    except (OSError, OverflowError) as error:
        listening.close()
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SinkError(f"web: {host}:{port} cannot be used ({reason})") from None
    return listening


@dataclass(frozen=True, slots=True)
class Door:
    """Where the page is, and who may come in.

    Attributes:
        host: bound.
        token: asked for, if not None.
        certificate: files of a certificate chain and its key, for HTTPS.
    """

    host: str = "127.0.0.1"
    token: str | None = field(default=None, repr=False)
    certificate: tuple[Path, Path] | None = None


def build_server(desk: Desk, door: Door) -> uvicorn.Server:
    """A server that is ready to run. Nothing of a request is logged: a query may hold the token.

    Raises:
        ValueError: others could come in without a token.
    """
    gate = Gate(build_app(desk), door.host, door.token, desk.settings.web.names)
    keep_to(door.host)
    chain, key = door.certificate or (None, None)
    config = uvicorn.Config(
        gate, log_level="error", access_log=False, server_header=False, ws="none", lifespan="on",
        proxy_headers=False, timeout_graceful_shutdown=GOODBYE_SECONDS, ssl_certfile=chain,
        ssl_keyfile=key, limit_concurrency=MOST_CONNECTIONS,
    )  # fmt: skip
    return uvicorn.Server(config)


def serve(
    source: str | None, settings: Settings, listening: socket.socket, door: Door,
    announce: Callable[[], None],
) -> None:  # fmt: skip
    """Serve the page until a signal ends it.

    Args:
        source: to be watched; None: only cameras.
        settings: of all pipelines.
        listening: see :func:`bind`.
        door: of the same host.
        announce: called when all that is known at once is right.

    Raises:
        ValueError, OSError: the source's name, the settings or the certificate are wrong, or the audit
            could not be written in the end.
    """
    few_arenas()
    Switch(settings)  # says what is wrong with them
    book = AuditBook(Path(settings.privacy.audit)) if settings.privacy.audit else None
    watch = None
    if source is not None:
        session = watched(source, settings)
        watch = Shown(session.board, session.switch, session, label(source))
    try:
        server = build_server(Desk(settings, watch, book=book), door)
        announce()
        server.run(sockets=[listening])
    finally:
        if watch is not None and watch.session is not None:
            watch.session.close()
    if book is not None and book.error is not None:
        raise book.error


def label(source: str) -> str:
    """A source's name for the page: of a path only its last part, of an address what is no secret."""
    return shown(source) if scheme_of(source) else Path(source).name


def place(rest: str) -> tuple[str, int]:
    """``8000`` or ``HOST:8000``.

    Raises:
        SinkPathError: there is no port.
    """
    host, _, port = rest.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise SinkPathError(f"web:{rest}: is to be web:PORT or web:HOST:PORT, PORT up to 65535")
    return host.strip("[]") or "127.0.0.1", int(port)


class WebSink:
    """The page beside a run: others watch what the run shows, and set nothing.

    The token of one that others can reach is read from the variable S3POT_TOKEN.

    Args:
        rest: see :func:`place`.
        name: of the source, for people.
        settings: of the run.

    Attributes:
        port: bound; asked for as 0, it is one that was free.

    Raises:
        SinkPathError: there is no port, or it would be open to others. SinkError: it is taken.
    """

    def __init__(self, rest: str, name: str, settings: Settings) -> None:
        host, port = place(rest)
        token = os.environ.get(TOKEN_VARIABLE) or None
        try:
            check_access(host, token)
        except ValueError as error:
            raise SinkPathError(f"web:{rest}: {error}") from None
        self._socket = bind(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._board = Board(settings)
        own = settings.model_copy(
            update={"web": settings.web.model_copy(update={"sessions": 0})}
        )  # cameras are for `s3pot serve`
        self._server = build_server(Desk(own, Shown(self._board, name=name)), Door(host, token))
        self._thread = Prefetch(self._serve())
        self._thread.__enter__()
        until = time.monotonic() + START_SECONDS
        while not self._server.started and time.monotonic() < until:
            time.sleep(0.01)

    @property
    def notes(self) -> list[str]:
        return self._board.notes

    def _serve(self) -> Iterator[None]:
        """What the thread does."""
        self._server.run(sockets=[self._socket])
        yield

    def write(self, result: FrameResult) -> None:
        """Show a result."""
        self._board.write(result)

    def close(self, *, cut: bool = False) -> None:
        """End the server."""
        self._board.close(cut=cut)
        self._server.should_exit = True
        self._thread.__exit__(None, None, None)
        self._socket.close()

    def abort(self) -> None:
        """The same."""
        self.close()
