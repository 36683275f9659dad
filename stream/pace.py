"""Sources that come in bursts, a whole segment at once (HLS, DASH): at the pace of their time stamps.

As a player does: read ahead, and shown when it is time.  What waits is encoded, and bounded; what
does not fit stays with the server.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from typing import TypeVar

import av

from stream.queues import Prefetch

T = TypeVar("T")

FORMATS = ("hls", "dash")
"""FFmpeg's names of formats that come so."""

AHEAD_PACKETS = 400
"""Read ahead: some five seconds of pictures and sound."""

JUMP_SECONDS = Fraction(1)
"""From one picture to the next; a longer way is no pause but another clock."""

SLACK_SECONDS = 0.1
"""So late is caught up; what comes later still was not there in time, and all that follows waits."""

NAP_SECONDS = 0.1

PATIENCE_SECONDS = 0.5
"""FFmpeg cannot be told to stop waiting for the next segment; the thread ends when it comes."""

REMEMBERED = 64
"""Key frames."""


def comes_in_bursts(form: str) -> bool:
    """Whether FFmpeg's format of that name does."""
    return any(name in FORMATS for name in form.split(","))


def ahead(packets: Iterator[T], stopped: Callable[[], bool]) -> Generator[T, None, None]:
    """The same, read by a thread of its own before they are asked for.

    Args:
        packets: what may wait for its next.
        stopped: asked again and again; true: nobody wants more.
    """
    with Prefetch(packets, AHEAD_PACKETS, patience_seconds=PATIENCE_SECONDS) as waiting:
        while not stopped():
            try:
                yield waiting.get(NAP_SECONDS)
            except TimeoutError:
                continue
            except StopIteration:
                return


class Pace:
    """When a picture is due.  One for each connection."""

    def __init__(self) -> None:
        self._began = 0.0  # on the clock, of stamp 0
        self._last: Fraction | None = None

    def wait_seconds(self, stamp: Fraction | None, now: float) -> float:
        """How long it is until a picture may be shown; 0 of one that is late, or has no stamp.

        Args:
            stamp: in seconds.
            now: a clock that only rises.
        """
        if stamp is None:
            return 0.0
        last, self._last = self._last, stamp
        if last is None or not 0 < stamp - last <= JUMP_SECONDS:
            self._began = now - float(stamp)
        late = now - self._began - float(stamp)
        if late > SLACK_SECONDS:
            self._began += late
        return max(0.0, -late)


class Played:
    """Tells what was shown before the connection broke: a playlist begins some segments back."""

    def __init__(self) -> None:
        self._keys: deque[tuple[int | None, int]] = deque(maxlen=REMEMBERED)
        self._skipping = False

    def again(self) -> None:
        """Another connection begins."""
        self._skipping = bool(self._keys)

    def __call__(self, packet: av.Packet[av.VideoStream]) -> bool:
        """Whether a packet of pictures is of what was shown; they come in order."""
        if not packet.is_keyframe:
            return self._skipping
        key = packet.pts, zlib.crc32(bytes(packet))
        if self._skipping and key in self._keys:
            return True
        self._skipping = False
        self._keys.append(key)
        return False
