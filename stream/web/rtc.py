"""WebRTC: pictures of a browser's camera in, pictures of a board out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction

import aioice.ice
import anyio
import av
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
    VideoStreamTrack,
)
from aiortc.mediastreams import MediaStreamError

from stream.web.board import Board, View

TICKS = 90_000

POLL_SECONDS = 0.004
REPEAT_SECONDS = 0.5
"""A picture that nothing follows is sent again after so long."""

LEAST_STEP_SECONDS = 1 / 31

CONNECT_SECONDS = 15.0
"""A link that is not up after so long is dead."""


class BoardTrack(VideoStreamTrack):
    """Sends each new picture of a board, and the last one again where nothing comes.

    Args:
        board: looked at.
        view: says what of it.
    """

    def __init__(self, board: Board, view: Callable[[], View]) -> None:
        super().__init__()
        self._board, self._view = board, view
        self._number, self._sent = -1, 0.0
        self._began = time.monotonic()

    async def recv(self) -> av.VideoFrame:
        """The next picture to send.

        Raises:
            MediaStreamError: the track was stopped.
        """
        while self.readyState == "live":
            now = time.monotonic()
            fresh = self._board.seen.number != self._number
            if now - self._sent > (LEAST_STEP_SECONDS if fresh else REPEAT_SECONDS):
                break
            await anyio.sleep(POLL_SECONDS)
        else:
            raise MediaStreamError
        self._number, image = self._board.picture(self._view())
        height, width = (side // 2 * 2 for side in image.shape[:2])  # 4:2:0
        frame = av.VideoFrame.from_ndarray(image[:height, :width], format="rgb24")
        frame.pts = max(round((now - self._began) * TICKS), 1)
        frame.time_base = Fraction(1, TICKS)
        self._sent = now
        return frame


class Peer:
    """A connection to a browser; it is a ``Link`` of the desk.

    Args:
        board: what it is sent.

    Attributes:
        view: what of it.
    """

    def __init__(self, board: Board) -> None:
        self.view: View = "picture"
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # asks nobody outside
        self._began = time.monotonic()
        self._tracks: list[MediaStreamTrack] = []
        self._connection.on("track", self._tracks.append)
        self._sent = BoardTrack(board, lambda: self.view)
        self._connection.addTrack(self._sent)

    async def answer(self, sdp: str, kilobits: int) -> tuple[str, MediaStreamTrack | None]:
        """The answer to an offer, and the camera's track if it has one.

        Args:
            sdp: the offer.
            kilobits: a second, at most; the browser is told.

        Raises:
            ValueError: it is no offer that could be answered.
        """
        if len(re.findall(r"^m=", sdp, re.MULTILINE)) != 1 or "\nm=video" not in sdp:
            raise ValueError("the offer must be of exactly one video")
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            answer = await self._connection.createAnswer()
            if answer is None:
                raise ValueError("no answer")
            await self._connection.setLocalDescription(answer)
        except Exception as error:  # noqa: BLE001  aiortc says in many kinds what is wrong
            await self._connection.close()
            raise ValueError(f"the offer cannot be answered ({type(error).__name__})") from None
        track = self._tracks[0] if self._tracks else None
        return bounded(self._connection.localDescription.sdp, kilobits), track

    @property
    def dead(self) -> bool:
        """Whether it has gone, or never came."""
        state = self._connection.connectionState
        late = time.monotonic() - self._began > CONNECT_SECONDS
        return state in ("closed", "failed") or (late and state in ("new", "connecting"))

    async def received_bytes(self) -> int:
        """So far, of its camera."""
        reports = (await self._connection.getStats()).values()
        return sum(getattr(report, "bytesReceived", 0) for report in reports)

    async def close(self) -> None:
        """Let it go."""
        self._sent.stop()
        with suppress(Exception):  # one that is broken cannot be closed any better
            await self._connection.close()


async def feed(track: MediaStreamTrack, take: Callable[[av.VideoFrame], bool]) -> None:
    """Hand over every picture of a camera until it ends or nobody takes them."""
    while True:
        try:
            picture = await track.recv()
        except Exception:  # noqa: BLE001  it has ended, or broke in one of many ways: it alone
            return
        if not isinstance(picture, av.VideoFrame) or not take(picture):
            return


def bounded(sdp: str, kilobits: int) -> str:
    """An answer that says how much may be sent (RFC 8866, ``b=AS``), behind its video's address."""
    return re.sub(r"(^m=video.*?^c=[^\n]*\n)", rf"\1b=AS:{kilobits}\r\n", sdp, count=1,
                  flags=re.MULTILINE | re.DOTALL)  # fmt: skip


def keep_to(host: str) -> None:
    """Let WebRTC use this one address of this machine; "0.0.0.0" and "::" leave it all of them.

    aioice has no setting for it: without this it would take any but the loopback.
    """
    if host in ("0.0.0.0", "::"):
        return

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return ["127.0.0.1" if host == "localhost" else host]

    aioice.ice.get_host_addresses = addresses
