"""A network before an RTSP server that loses packets on their way to who reads by UDP."""

from __future__ import annotations

import random
import re
import selectors
import socket
import threading
from types import TracebackType
from typing import Self

PORTS = re.compile(rb"client_port=(\d+)-(\d+)")


class LossyRtsp:
    """Passes on what one reader and the server say, with ports of its own for the packets.

    Args:
        to_port: of the server, on 127.0.0.1.
        share: 0-1 of the packets of pictures that are lost, always the same ones.

    Attributes:
        port: to read from.
        passed, lost: packets of pictures.
    """

    def __init__(self, to_port: int, share: float) -> None:
        self._to_port, self._share, self._chance = to_port, share, random.Random(0)
        self.passed = self.lost = 0
        self._ways: dict[socket.socket, int] = {}  # a socket of ours -> port of the reader's
        self._select, self._over = selectors.DefaultSelector(), False
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        """One reader after the other."""
        self._door.settimeout(0.2)
        while not self._over:
            try:
                reader, _ = self._door.accept()
            except TimeoutError:
                continue
            with reader, socket.create_connection(("127.0.0.1", self._to_port)) as server:
                self._talk(reader, server)

    def _talk(self, reader: socket.socket, server: socket.socket) -> None:
        for one in (reader, server):
            self._select.register(one, selectors.EVENT_READ)
        while not self._over:
            for key, _ in self._select.select(0.2):
                one = key.fileobj
                assert isinstance(one, socket.socket)
                if one in self._ways:
                    self._pass(one)
                    continue
                words = one.recv(65536)
                if not words:
                    return self._hang_up()
                if one is reader:
                    server.sendall(PORTS.sub(self._own, words))
                else:
                    reader.sendall(PORTS.sub(self._theirs, words))
        return self._hang_up()

    def _own(self, found: re.Match[bytes]) -> bytes:
        """Ports of ours for those of the reader."""
        pair = []
        for port in (int(found[1]), int(found[2])):
            way = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            way.bind(("127.0.0.1", 0))
            self._ways[way] = port
            self._select.register(way, selectors.EVENT_READ)
            pair.append(way.getsockname()[1])
        return b"client_port=%d-%d" % tuple(pair)

    def _theirs(self, found: re.Match[bytes]) -> bytes:
        ports = {way.getsockname()[1]: port for way, port in self._ways.items()}
        return b"client_port=%d-%d" % (ports[int(found[1])], ports[int(found[2])])

    def _pass(self, way: socket.socket) -> None:
        packet = way.recv(65536)
        control = 192 <= packet[1] <= 223  # RTCP, see RFC 5761
        if not control and self._chance.random() < self._share:
            self.lost += 1
            return
        self.passed += not control
        way.sendto(packet, ("127.0.0.1", self._ways[way]))

    def _hang_up(self) -> None:
        for one in [key.fileobj for key in self._select.get_map().values()]:
            self._select.unregister(one)
        for way in self._ways:
            way.close()
        self._ways.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._over = True
        self._thread.join()
        self._door.close()
