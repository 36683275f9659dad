"""Sound of a board as a WebRTC track, in step with the pictures that are sent to the same browser."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import anyio
import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from stream.sound import RATE_HZ
from stream.web.heard import Heard

BLOCK = RATE_HZ // 50
"""Samples of a packet: Opus likes 20 ms."""

BLOCK_SECONDS = BLOCK / RATE_HZ

ASTRAY_SECONDS = 0.04
"""What is played follows what is due only if it is further off than this: each step can be heard."""

LATE_SECONDS = 0.3
"""If we come so late, what was to be sent meanwhile is left out."""

ASLEEP_SECONDS = 0.05


class SpeakerTrack(MediaStreamTrack):
    """Sends what there is to hear, block by block, and nothing while nobody listens.

    Args:
        heard: listened to.
        wanted: whether anybody does.
    """

    kind = "audio"

    def __init__(self, heard: Heard, wanted: Callable[[], bool]) -> None:
        super().__init__()
        self._heard, self._wanted = heard, wanted
        self._began = time.monotonic()
        self._block: int | None = None  # number of the next one since then
        self._at = 0  # its first sample on the stream's timeline

    async def recv(self) -> av.AudioFrame:
        """The next block, when it is due.

        Raises:
            MediaStreamError: the track was stopped.
        """
        due = await self._due()
        wanted = round((due - self._heard.lag_seconds) * RATE_HZ)
        if abs(wanted - self._at) > ASTRAY_SECONDS * RATE_HZ:
            self._at = wanted
        samples = self._heard.samples(self._at, BLOCK)
        levels = np.clip(samples.T * 32767, -32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(levels.reshape(1, -1), "s16", "stereo")
        frame.sample_rate, frame.time_base = RATE_HZ, Fraction(1, RATE_HZ)
        assert self._block is not None
        frame.pts = self._block * BLOCK
        self._block, self._at = self._block + 1, self._at + BLOCK
        return frame

    async def _due(self) -> float:
        """Wait for the time of the next block, and say it."""
        while self.readyState == "live":
            since = time.monotonic() - self._began
            if not self._wanted():
                self._block = None
                await anyio.sleep(ASLEEP_SECONDS)
                continue
            if self._block is None or since > self._block * BLOCK_SECONDS + LATE_SECONDS:
                self._block = int(since / BLOCK_SECONDS) + 1
            left = self._block * BLOCK_SECONDS - since
            if left <= 0:
                return self._began + self._block * BLOCK_SECONDS
            await anyio.sleep(left)
        raise MediaStreamError
