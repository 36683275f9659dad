"""A network that loses packets: ``python -m stream.bench.servers.lossy TO_PORT SHARE SEED``.

UDP on loopback; prints the port that it listens on.  What it loses is the same for the same seed.
"""

from __future__ import annotations

import random
import socket
import sys

from stream.bench.servers.spawn import Spawned

MOST_BYTES = 65536


class Lossy(Spawned):
    """Passes datagrams on, but for some.

    Args:
        to_port: on 127.0.0.1.
        share: 0-1 of the datagrams that are lost.
        seed: says which.

    Attributes:
        port: to send to.
    """

    def __init__(self, to_port: int, share: float, seed: int = 0) -> None:
        super().__init__(__name__, to_port, share, seed)
        self.port = int(self.line())


def forward(to_port: int, share: float, seed: int) -> None:
    """Do it, for ever."""
    chance = random.Random(seed)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        way.bind(("127.0.0.1", 0))
        sys.stdout.write(f"{way.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            packet = way.recv(MOST_BYTES)
            if chance.random() >= share:
                way.sendto(packet, ("127.0.0.1", to_port))


if __name__ == "__main__":
    forward(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
