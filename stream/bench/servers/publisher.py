"""A camera: publishes pictures of :mod:`stream.bench.servers.card`, again whenever it is cut off.

``python -m stream.bench.servers.publisher ORDER`` in a process of its own, for FFmpeg holds
Python's lock while it connects to write.  ``ORDER`` is :class:`Order` as JSON.  After the first
picture of each connection it prints the number on that picture.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from fractions import Fraction

import av
import numpy as np

from stream.bench.servers.card import Image, drawn, photo
from stream.bench.servers.spawn import Spawned

PICTURES: dict[str, Callable[[int, int, int], Image]] = {"drawn": drawn, "photo": photo}

FORMATS = {"rtsp": "rtsp", "udp": "mpegts", "rtmp": "flv"}

PAUSE_SECONDS = 0.05

RATE_HZ = 48000

OPTIONS = {
    "libx264": {"preset": "ultrafast", "tune": "zerolatency"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "mpeg4": {},
}
"""Encoder -> its options for pictures that leave at once."""


@dataclass(frozen=True, slots=True)
class Take:
    """How the pictures of one connection are made.

    Attributes:
        height, width: px.
        rate: pictures a second.
        codec: one of ``OPTIONS``.
        picture: one of ``PICTURES``.
        pix_fmt: FFmpeg's name of their format.
        sound: a tone in every other second of the numbers.
        sound_codec, sound_rate, sound_layout: of the tone.
        extra: more options of the encoder.
    """

    height: int = 240
    width: int = 320
    rate: int = 25
    codec: str = "libx264"
    picture: str = "drawn"
    pix_fmt: str = "yuv420p"
    sound: bool = False
    sound_codec: str = "aac"
    sound_rate: int = 48000
    sound_layout: str = "stereo"
    extra: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Order:
    """What is published.

    Attributes:
        url: where.
        zero: ``time.monotonic()`` from which the numbers count.
        takes: of the first connection, the second, ...; the last one goes on.
        frames: after so many it ends; 0: it does not.
    """

    url: str
    zero: float
    takes: list[Take]
    frames: int = 0


class Publisher(Spawned):
    """The camera's process.

    Args:
        url: where to.
        zero: see :class:`Order`.
        takes: one or more.
        frames: see :class:`Order`.
    """

    def __init__(self, url: str, zero: float, *takes: Take, frames: int = 0) -> None:
        order = Order(url, zero, list(takes) or [Take()], frames)
        super().__init__(__name__, json.dumps(asdict(order)))

    def first_ms(self) -> int:
        """Wait for the first picture of a new connection; the number on it."""
        return int(self.line())


def publish(order: Order) -> None:
    """Send pictures until told to stop; whoever cuts the connection gets a new one."""
    left, takes = order.frames or sys.maxsize, list(order.takes)
    while left > 0:
        try:
            left -= connection(order, takes[0], left)
        except Cut as cut:
            left -= cut.sent
            takes = takes[1:] or takes
        except (av.FFmpegError, OSError):
            pass  # nobody there
        time.sleep(PAUSE_SECONDS)


class Cut(Exception):  # noqa: N818  it is what is done here
    """The connection was cut after ``sent`` pictures."""

    def __init__(self, sent: int) -> None:
        super().__init__(f"after {sent}")
        self.sent = sent


def connection(order: Order, take: Take, left: int) -> int:
    """Send pictures at their pace, at most ``left`` of them.

    Raises:
        Cut: the receiver left. av.FFmpegError, OSError: there is none.
    """
    form = FORMATS[order.url.partition(":")[0]]
    options = {"rtsp_transport": "tcp"} if form == "rtsp" else {}
    out = av.open(order.url, "w", format=form, options=options)
    stream = add_pictures(out, take)
    heard = add_sound(out, take) if take.sound else None
    began, sent = time.monotonic(), 0
    try:
        out.start_encoding()
        while sent < left:
            number = round(1000 * (time.monotonic() - order.zero))
            image = PICTURES[take.picture](number, take.height, take.width)
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = sent, Fraction(1, take.rate)
            out.mux(stream.encode(picture))
            if heard is not None:
                out.mux(heard.encode(tone(number, sent, take.rate)))
            if not sent:
                sys.stdout.write(f"{number}\n")
                sys.stdout.flush()
            sent += 1
            time.sleep(max(0.0, began + sent / take.rate - time.monotonic()))
        out.close()
    except (av.FFmpegError, OSError):
        with suppress(av.FFmpegError, OSError):
            out.close()
        if not sent:
            raise
        raise Cut(sent) from None
    return sent


def tone(number: int, index: int, rate: int) -> av.AudioFrame:
    """The sound of a picture's time: 440 Hz where its number lies in an odd second, else silence."""
    count = RATE_HZ // rate
    loud = 0.5 if number // 1000 % 2 else 0.0
    wave = loud * np.sin(2 * np.pi * 440 * np.arange(count) / RATE_HZ).astype(np.float32)
    sound = av.AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), "fltp", "stereo")
    sound.sample_rate, sound.pts, sound.time_base = RATE_HZ, index * count, Fraction(1, RATE_HZ)
    return sound


def add_pictures(out: av.container.OutputContainer, take: Take) -> av.VideoStream:
    """The encoder; a key frame every second."""
    options = OPTIONS[take.codec] | {"g": str(take.rate)} | take.extra
    stream = out.add_stream(take.codec, rate=take.rate, options=options)
    assert isinstance(stream, av.VideoStream)
    stream.width, stream.height, stream.pix_fmt = take.width, take.height, take.pix_fmt
    stream.bit_rate = 2_000_000 if take.codec != "libx264" else 0
    return stream


def add_sound(out: av.container.OutputContainer, take: Take) -> av.AudioStream:
    """The encoder of the tone."""
    stream = out.add_stream(take.sound_codec, rate=take.sound_rate, layout=take.sound_layout)
    assert isinstance(stream, av.AudioStream)
    return stream


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    publish(Order(**given | {"takes": [Take(**take) for take in given["takes"]]}))
