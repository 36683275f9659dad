"""WebRTC: pictures of a browser's camera in, pictures and sound of a board out."""

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
from stream.web.speaker import SpeakerTrack

TICKS = 90_000

POLL_SECONDS = 0.004
REPEAT_SECONDS = 0.5
"""A picture that nothing follows is sent again after so long."""

LEAST_STEP_SECONDS = 1 / 31

CONNECT_SECONDS = 15.0
"""A link that is not up after so long is dead."""

SILENT_SECONDS = 5.0
"""So is one over which nothing came for so long: a browser that shows pictures reports on them every
second.  (ICE's own check would take half a minute.)"""

SMOOTH = 0.1
"""Weight of one picture in an average."""


class BoardTrack(VideoStreamTrack):
    """Sends each new picture of a board, and the last one again where nothing comes.

    Args:
        board: looked at.
        view: says what of it.
        listens: whether the pictures are to be in step with the sound, rather than to come at once.

    Attributes:
        encoding_seconds: from giving a picture to being asked for the next one, on average.
    """

    def __init__(
        self, board: Board, view: Callable[[], View], listens: Callable[[], bool] = lambda: False
    ) -> None:
        super().__init__()
        self._board, self._view, self._listens = board, view, listens
        self._number, self._sent = -1, 0.0
        self._began = time.monotonic()
        self._given: float | None = None
        self.encoding_seconds = 0.0

    async def recv(self) -> av.VideoFrame:
        """The next picture to send.

        Raises:
            MediaStreamError: the track was stopped.
        """
        if self._given is not None:
            spent = time.monotonic() - self._given
            self.encoding_seconds += SMOOTH * (spent - self.encoding_seconds)
        while self.readyState == "live":
            now = time.monotonic()
            seen = self._board.in_step() if self._listens() else self._board.seen
            fresh = seen.number != self._number
            if now - self._sent > (LEAST_STEP_SECONDS if fresh else REPEAT_SECONDS):
                break
            await anyio.sleep(POLL_SECONDS)
        else:
            raise MediaStreamError
        self._number, image = self._board.picture(self._view(), seen)
        height, width = (side // 2 * 2 for side in image.shape[:2])  # 4:2:0
        frame = av.VideoFrame.from_ndarray(image[:height, :width], format="rgb24")
        frame.pts = max(round((now - self._began) * TICKS), 1)
        frame.time_base = Fraction(1, TICKS)
        self._sent, self._given = now, time.monotonic()
        return frame


class Peer:
    """A connection to a browser; it is a ``Link`` of the desk.

    Args:
        board: what it is sent.

    Attributes:
        view: what of it.
        listens: whether sound is sent too, if the browser asked for a track of it.
    """

    def __init__(self, board: Board) -> None:
        self.view: View = "picture"
        self.listens = False
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # asks nobody outside
        self._began = self._alive = time.monotonic()
        self._received_bytes = 0
        self._tracks: list[MediaStreamTrack] = []
        self._connection.on("track", self._tracks.append)
        self._heard = SpeakerTrack(board.heard, lambda: self.listens)
        self._sent = BoardTrack(board, lambda: self.view, lambda: self.listens)
        self._connection.addTrack(self._sent)

    async def answer(
        self, sdp: str, kilobits: int, *, sound: bool = False
    ) -> tuple[str, MediaStreamTrack | None]:
        """The answer to an offer, and the camera's track if it has one.

        Args:
            sdp: the offer.
            kilobits: a second, at most; the browser is told.
            sound: the offer may ask for sound, too.

        Raises:
            ValueError: it is no offer that could be answered.
        """
        kinds = re.findall(r"^m=(\w*)", sdp, re.MULTILINE)
        if sorted(kinds) not in ([["audio", "video"], ["video"]] if sound else [["video"]]):
            raise ValueError("the offer must be of exactly one video")
        if "audio" in kinds:
            self._connection.addTrack(self._heard)
        try:
            offer = RTCSessionDescription(without_names(sdp), "offer")
            await self._connection.setRemoteDescription(offer)
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
        state, now = self._connection.connectionState, time.monotonic()
        late = now - self._began > CONNECT_SECONDS
        silent = state == "connected" and now - self._alive > SILENT_SECONDS
        return silent or state in ("closed", "failed") or (late and state in ("new", "connecting"))

    @property
    def encoding_seconds(self) -> float:
        """What encoding and sending a picture takes, on average."""
        return self._sent.encoding_seconds

    async def received_bytes(self) -> int:
        """So far, of its camera and of its reports. To be asked often: silence is noticed here."""
        reports = (await self._connection.getStats()).values()
        received = sum(getattr(report, "bytesReceived", 0) for report in reports)
        if received != self._received_bytes or self._connection.connectionState != "connected":
            self._received_bytes, self._alive = received, time.monotonic()
        return received

    async def close(self) -> None:
        """Let it go."""
        self._sent.stop()
        self._heard.stop()
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


def without_names(sdp: str) -> str:
    """An offer without candidates that hide their address behind a name of mDNS, and without an end of them.

    A browser whose camera is not used names itself so.  To look that up takes a second and mostly fails,
    and then aioice has nobody to connect to and gives up: so it does with Firefox, which says where its
    candidates end.  It need not: the browser knows our address, and calls.
    """
    return re.sub(r"^a=(candidate:[^\n]*\.local [^\n]*|end-of-candidates *\r?)\n", "", sdp,
                  flags=re.MULTILINE)  # fmt: skip


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
