"""The page's server in a thread, and a client that sends just what it is told."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from configs import load_settings
from stream.queues import Prefetch
from stream.web.board import Board
from stream.web.desk import Desk, Shown
from stream.web.peer import PeerSource
from stream.web.server import Door, bind, build_server
from stream.web.switch import Switch


class Mute:
    """A session that shows nothing and runs nothing."""

    def __init__(self, settings, source: PeerSource) -> None:
        self.board, self.switch = Board(settings), Switch(settings)
        self.ended, self.audit = "", None
        self.closed: list[str] = []

    def close(self, why: str = "") -> None:
        self.closed.append(why)


class Client:
    """Asks one server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body; an underscore in a header's name is a hyphen."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            sent = {key.replace("_", "-"): value for key, value in headers.items()}
            if data is not None and not isinstance(body, bytes):
                sent.setdefault("Content-Type", "application/json")
            connection.request(method, path, data, sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Any:
        """JSON, of an answer that is to be 200."""
        status, _, data = self.ask("GET", path, **headers)
        assert status == 200, (status, data)
        return json.loads(data)

    def post(self, path: str, body: Any) -> Any:
        """The same, of a POST."""
        status, _, data = self.ask("POST", path, body)
        assert status == 200, (status, data)
        return json.loads(data)

    def picture(self, path: str) -> NDArray[np.uint8]:
        """(H, W, 3) RGB: the first picture of an MJPEG stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200
            assert answer.readline() == b"--picture\r\n"
            head = http.client.parse_headers(answer)
            data = answer.read(int(head["Content-Length"]))
        finally:
            connection.close()
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


@contextmanager
def serving(
    *overrides: str,
    watch: Shown | None = None,
    token: str | None = None,
    start: Any = None,
    book: Any = None,
) -> Iterator[tuple[Client, Desk]]:
    """A server on a free port of the loopback, and its desk."""
    desk = Desk(load_settings("tiny", list(overrides)), watch, start, book)
    listening = bind("127.0.0.1", 0)
    server = build_server(desk, Door(token=token))

    def serve() -> Iterator[None]:
        server.run(sockets=[listening])
        yield

    with Prefetch(serve()):
        client = Client(listening.getsockname()[1])
        try:
            until(lambda: server.started)
            yield client, desk
        finally:
            server.should_exit = True
    listening.close()


def until(look: Callable[[], Any], seconds: float = 20.0) -> Any:
    """The first true thing that is seen."""
    end = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return seen


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """A picture as a browser sends it."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
