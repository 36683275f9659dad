"""A camera in somebody's browser, as a source."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from stream.errors import SourceError
from stream.frame import Frame
from stream.live import fitted
from stream.queues import Channel
from stream.sources import SourceInfo
from stream.timeline import Timeline

Image = NDArray[np.uint8]

LEAST_PX, MOST_PX = 32, 4096
"""Of a side. A picture beyond this is not decoded further."""

TRANSITS = 150


class PeerSource:
    """Takes pictures from the thread of the network and gives them to the model's: the newest one.

    All frames have one size, made smaller where it does not fit: what the browser said, for it begins
    with smaller pictures than it will send, or that of the first one.

    Args:
        most: (height, width) px.

    Attributes:
        fed_seconds: ``time.monotonic()`` when the last picture came.
        told: (height, width) px as the browser said; None if it did not.
        waited_seconds: what its pictures took to get here, on average, beyond what the quickest of the
            last ones took.
    """

    def __init__(self, most: tuple[int, int]) -> None:
        self.info = SourceInfo("camera", *most, live=True)
        self.damage: str | None = None
        self.notes: list[str] = []
        self.fed_seconds = time.monotonic()
        self.told: tuple[int, int] | None = None
        self._most = most
        self._transits: deque[float] = deque(maxlen=TRANSITS)
        self._pictures: Channel[tuple[float, av.VideoFrame | bytes]] = Channel(1, "newest")
        self._timeline = Timeline()

    @property
    def dropped(self) -> Counter[str]:
        """Pictures that came faster than they were taken."""
        return self._pictures.dropped

    @property
    def waited_seconds(self) -> float:
        transits = self._transits.copy()
        return sum(transits) / len(transits) - min(transits) if transits else 0.0

    def feed(self, picture: av.VideoFrame | bytes) -> bool:
        """Hand over a picture, decoded or a JPEG. False if nobody takes it any longer."""
        self.fed_seconds = time.monotonic()
        if isinstance(picture, av.VideoFrame) and picture.time is not None:
            self._transits.append(self.fed_seconds - picture.time)
        return self._pictures.put((self.fed_seconds, picture))

    def __iter__(self) -> Iterator[Frame]:
        """Every picture that is taken, until :meth:`close`.

        Raises:
            SourceError: a picture is too large, or none.
        """
        size: tuple[int, int] | None = None
        for index, (now, picture) in enumerate(self._pictures):
            image, stamp = opened(picture)
            size = size or self._size(*image.shape[:2])
            time_seconds = self._timeline(stamp, now)
            yield Frame(
                fitted(image, *size), index, time_seconds, self.info.name, received_seconds=now
            )

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Even sides, within ``most``; a picture that stands may be as high as one that lies is wide."""
        if self.told is not None:  # a phone that is turned says it the other way round
            low, high = sorted(self.told)
            height, width = (high, low) if height > width else (low, high)
        most = sorted(self._most, reverse=height > width)
        scale = min(1.0, most[0] / height, most[1] / width)
        return max(2, int(height * scale) // 2 * 2), max(2, int(width * scale) // 2 * 2)

    def close(self) -> None:
        """Nothing more comes; from any thread."""
        self._pictures.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


def opened(picture: av.VideoFrame | bytes) -> tuple[Image, Fraction | None]:
    """(H, W, 3) uint8 RGB of what came, and its time stamp in seconds.

    Raises:
        SourceError: it is too large or too small, or no JPEG.
    """
    if isinstance(picture, bytes):
        check_size(*jpeg_size(picture))
        bgr = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        if bgr is None:
            raise SourceError("camera: what came is no JPEG picture")
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8), None
    check_size(picture.height, picture.width)
    base = picture.time_base
    stamp = None if picture.pts is None or base is None else picture.pts * Fraction(base)
    return np.asarray(picture.to_ndarray(format="rgb24"), np.uint8), stamp


def check_size(height: int, width: int) -> None:
    """Raise SourceError unless both sides are within LEAST_PX and MOST_PX."""
    if not (LEAST_PX <= height <= MOST_PX and LEAST_PX <= width <= MOST_PX):
        raise SourceError(
            f"camera: pictures may have {LEAST_PX} to {MOST_PX} px a side, these have {width}x{height}"
        )


def jpeg_size(data: bytes) -> tuple[int, int]:
    """(height, width) as a JPEG's frame header says, before anything is decoded.

    ITU-T T.81, annex B: segments of a marker (FF xx) and a length; SOF0 to SOF15 hold the size.

    Raises:
        SourceError: it is no JPEG.
    """
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
        at += 2 + max(length, 2)
    raise SourceError("camera: what came is no JPEG picture")
