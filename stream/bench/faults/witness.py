"""Reads what comes out, as anybody would, and says what is in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from types import TracebackType
from typing import IO, Self

import av
import numpy as np

from stream.bench.servers.card import Image, number_of, shows_face
from stream.queues import Prefetch

Place = tuple[slice, slice]

WHOLE: Place = (slice(None), slice(None))

MOST_WAITING = 100_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """One picture that came out.

    Attributes:
        at: ``time.monotonic()`` when it was decoded.
        number: the milliseconds that it shows; None where it shows none (covered, "no signal").
        bare: a face can be seen in it.
        stamp: its time, in seconds, as the stream says.
    """

    at: float
    number: int | None
    bare: bool
    stamp: Fraction


@dataclass(slots=True)
class Look:
    """How pictures are looked at.

    Attributes:
        bare: whether a face can be seen.
        places: where in the picture a number may be.
        closed: nobody looks any longer.
    """

    bare: Callable[[Image], bool] = shows_face
    places: Sequence[Place] = (WHOLE,)
    closed: bool = False

    def __call__(self, picture: av.VideoFrame) -> Sighting:
        """What is in a picture."""
        at = time.monotonic()
        image = np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
        numbers = (number_of(image[place]) for place in self.places)
        number = next((n for n in numbers if n is not None), None)
        stamp = Fraction(picture.pts or 0) * (picture.time_base or 1)
        return Sighting(at, number, self.bare(image), stamp)

    def of_pipe(self, pipe: IO[bytes]) -> Iterator[Sighting]:
        """A NUT stream that a process writes to its standard output."""
        with (
            suppress(av.FFmpegError, OSError, ValueError),
            av.open(pipe, "r", format="nut") as stream,
        ):
            for picture in stream.decode(video=0):
                if self.closed:
                    return
                yield self(picture)

    def of_url(self, url: str) -> Iterator[Sighting]:
        """A stream of a server; connects again whenever it is cut off."""
        options = {"rtsp_transport": "tcp", "fpsprobesize": "0", "analyzeduration": "100000"}
        while not self.closed:
            with (
                suppress(av.FFmpegError, OSError),
                av.open(url, options=options, timeout=(2.0, 2.0)) as stream,
            ):
                stream.streams.video[0].thread_type = "SLICE"
                for picture in stream.decode(video=0):
                    if self.closed:
                        return
                    yield self(picture)
            time.sleep(0.05)


@dataclass
class Witness:
    """Looks in a thread of its own, and remembers.

    Attributes:
        look: how.
        sightings: where from.
        seen: in order.
    """

    look: Look
    sightings: Iterator[Sighting]
    seen: list[Sighting] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._prefetch = Prefetch(self.sightings, MOST_WAITING)
        self._channel = self._prefetch.__enter__()
        return self

    def until(self, wanted: Callable[[Sighting], bool], seconds: float) -> Sighting | None:
        """Wait for such a picture; None if none comes in time, or the stream ends."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                sighting = self._channel.get(left)
            except (TimeoutError, StopIteration):
                return None
            self.seen.append(sighting)
            if wanted(sighting):
                return sighting
        return None

    def watch(self, seconds: float) -> None:
        """Look for so long."""
        self.until(lambda _: False, seconds)

    def numbered(self, number: int, seconds: float) -> Sighting | None:
        """Wait for a picture that was drawn then or later."""
        return self.until(lambda s: s.number is not None and s.number >= number, seconds)

    @property
    def numbers(self) -> list[int]:
        """Of all pictures that show one."""
        return [s.number for s in self.seen if s.number is not None]

    @property
    def out_of_order(self) -> int:
        """Pictures that show an earlier moment than the one before."""
        return sum(b < a for a, b in pairwise(self.numbers))

    @property
    def falling(self) -> int:
        """Pictures whose time stamp is not later than the one before."""
        return sum(b.stamp <= a.stamp for a, b in pairwise(self.seen))

    @property
    def uncovered(self) -> int:
        """Pictures in which a face can be seen."""
        return sum(s.bare for s in self.seen)

    @property
    def longest_gap(self) -> float:
        """Seconds in which nothing came."""
        return max((b.at - a.at for a, b in pairwise(self.seen)), default=0.0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.look.closed = True
        self._prefetch.__exit__(kind, error, trace)
