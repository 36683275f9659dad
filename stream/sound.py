"""The sound of a live source: decoded to one form, moved with the pictures, encoded beside them.

Decoded, it survives a source that comes back with another codec; and what is lost on the way is
silence, so that the rest stays where it belongs.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48_000

Samples = NDArray[np.float32]

CODECS = {"aac": "fltp", "libopus": "flt"}
"""Encoder -> the form it takes."""

LAG_SECONDS = Fraction(3, 10)
"""So long behind the pictures a piece is waited for at least; what does not come then is silence, for
a muxer would keep the pictures back until it had sound for them."""

MOST_LAG_SECONDS = Fraction(3)
"""So long at most, of a source whose sound comes that late."""

SLACK_SECONDS = Fraction(1, 25)
"""A piece this little off its place is put right behind the one before: clocks of sources wobble."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A piece of sound.

    Attributes:
        time: of its first sample, in seconds on the stream's timeline.
        samples: (2, N) float32, left and right, -1 to 1, RATE_HZ a second.
    """

    time: Fraction
    samples: Samples


class Hearing:
    """Any sound as stereo at RATE_HZ; it may become another on the way."""

    def __init__(self) -> None:
        self._form: tuple[str, str, int] | None = None

    def __call__(self, heard: av.AudioFrame) -> Samples:
        """(2, N) of a decoded piece; N may be 0 at first."""
        form = heard.format.name, heard.layout.name, heard.sample_rate
        if form != self._form:
            self._form = form
            self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE_HZ)
        pieces = [piece.to_ndarray() for piece in self._resampler.resample(heard)]
        return np.concatenate(pieces, axis=1) if pieces else np.zeros((2, 0), np.float32)


class SoundTrack:
    """The sound of an output: pieces in, packets out, no gaps in between.

    Args:
        output: to which it is added, before anything is written.
        codec: FFmpeg's name of the encoder.
    """

    def __init__(self, output: av.container.OutputContainer, codec: str = "aac") -> None:
        stream = output.add_stream(codec, rate=RATE_HZ)
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        context = self._stream.codec_context
        context.layout, context.format = "stereo", av.AudioFormat(CODECS[codec])
        context.bit_rate = 128_000
        self._began: Fraction | None = None
        self._written = 0  # samples, silence and all
        self._shown: Fraction | None = None  # the first picture
        self._lag = LAG_SECONDS

    def write(
        self, pieces: Iterable[Sound], shift: Fraction = Fraction(0),
        until: Fraction | None = None,
    ) -> Iterator[av.Packet[av.AudioStream]]:  # fmt: skip
        """Encode some pieces, and silence where none come.

        Args:
            pieces: in order.
            shift: added to their times, as to the pictures'.
            until: time of the picture that is written with them.
        """
        for piece in pieces:
            start = piece.time + shift
            if self._began is None:
                self._began = max(start, Fraction(0))
            missing = yield from self._silence(start)
            yield from self._encode(piece.samples[:, max(0, -missing) :])
            if until is not None:
                late = until - piece.time - Fraction(piece.samples.shape[1], RATE_HZ)
                self._lag = min(max(self._lag, late + LAG_SECONDS), MOST_LAG_SECONDS)
        if until is not None:
            yield from self._keep_up(until + shift)

    def _keep_up(self, until: Fraction) -> Iterator[av.Packet[av.AudioStream]]:
        """Silence, if it is already too late for sound."""
        if self._shown is None:
            self._shown = max(until, Fraction(0))
        if self._began is None and until - self._shown > self._lag:
            self._began = self._shown
        if self._began is not None and until - self._lag > self._end:
            yield from self._silence(until - self._lag)

    @property
    def _end(self) -> Fraction:
        """Of what is written, in seconds."""
        assert self._began is not None
        return self._began + Fraction(self._written, RATE_HZ)

    def _silence(self, start: Fraction) -> Generator[av.Packet[av.AudioStream], None, int]:
        """Fill up to a start; what was missing, in samples."""
        missing = self._missing(start)
        for silent in range(0, missing, RATE_HZ):
            yield from self._encode(np.zeros((2, min(RATE_HZ, missing - silent)), np.float32))
        return missing

    def _missing(self, start: Fraction) -> int:
        """Samples between the end of what is written and a start; negative where they overlap."""
        off = start - self._end
        return 0 if abs(off) <= SLACK_SECONDS else round(off * RATE_HZ)

    def _encode(self, samples: Samples) -> Iterator[av.Packet[av.AudioStream]]:
        if samples.shape[1] == 0:
            return
        assert self._began is not None
        heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), "fltp", "stereo")
        heard.sample_rate, heard.time_base = RATE_HZ, Fraction(1, RATE_HZ)
        heard.pts = round(self._began * RATE_HZ) + self._written
        self._written += samples.shape[1]
        yield from self._stream.encode(heard)

    def close(self) -> Iterator[av.Packet[av.AudioStream]]:
        """What is left."""
        if self._began is not None:
            yield from self._stream.encode(None)
