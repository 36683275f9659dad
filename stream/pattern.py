"""``pattern:`` a face that moves and is covered, drawn as it is needed: a source without a camera."""

from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

from stream.clip import HEIGHT, WIDTH, clip
from stream.frame import Frame
from stream.sources import SourceInfo
from stream.timeline import TIME_BASE, whole

RATE = Fraction(25)


class PatternSource:
    """The demo's clip over and over, at its own pace, as a camera would give it.

    Args:
        name: "pattern:", or "pattern:SECONDS" to end after so many.

    Raises:
        ValueError: the seconds are no number.
    """

    def __init__(self, name: str) -> None:
        seconds = name.removeprefix("pattern:")
        self._frames = int(Fraction(seconds) * RATE) if seconds else None
        self.info = SourceInfo(
            name=name, height=HEIGHT, width=WIDTH, time_base=TIME_BASE, rate=RATE,
            frames=self._frames, live=True,
        )  # fmt: skip
        self.damage: str | None = None
        self.notes: list[str] = []
        self._closed = False

    def __iter__(self) -> Iterator[Frame]:
        """Every frame when its time has come; one that is late comes at once."""
        began, index = 0.0, 0
        while not self._closed:
            for drawn in clip():
                if self._closed or index == self._frames:
                    return
                began = began or time.monotonic()  # the first one takes its time
                due = began + index / float(RATE)
                time.sleep(max(0.0, due - time.monotonic()))
                yield Frame(
                    drawn.image, index, whole(index / RATE), self.info.name,
                    received_seconds=time.monotonic(),
                )  # fmt: skip
                index += 1

    def close(self) -> None:
        """Draw no more."""
        self._closed = True
