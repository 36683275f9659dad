"""Draws the clips that the tests read: every frame carries its number, so that none can be lost,
doubled or swapped without being noticed, through any lossy codec."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

from s3pot.types import OcclusionMask
from stream.frame import Frame, FrameResult
from trackers.faces import TrackedFace, TrackState

Image = NDArray[np.uint8]
BITS = 8
MS = Fraction(1, 1000)


def numbered(index: int, height: int = 48, width: int = 64) -> Image:
    """(height, width, 3) uint8: the number as eight black or white bars above, a colour below."""
    image = np.empty((height, width, 3), np.uint8)
    bits = [index >> (BITS - 1 - i) & 1 for i in range(BITS)]
    bars = np.repeat(np.array(bits, np.uint8) * 255, -(-width // BITS))[:width]
    image[: height // 2] = bars[None, :, None]
    image[height // 2 :] = (180, 90, 60)
    return image


def number_of(image: Image) -> int:
    """Read the number off a picture; works on any size."""
    height, width = image.shape[:2]
    step = -(-width // BITS)
    row = image[height // 4, step // 2 :: step].mean(1) > 127
    return int("".join("1" if bit else "0" for bit in row[:BITS]), 2)


def write_clip(
    path: Path,
    ticks: Sequence[int] = range(12),
    *,
    time_base: Fraction = Fraction(1, 30),
    size: tuple[int, int] = (48, 64),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    last_ticks: int | None = None,
    draw: Callable[[int, int, int], Image] = numbered,
    setup: Callable[[av.VideoStream], None] | None = None,
    extras: Sequence[Extra] = (),
    tune: Callable[[av.container.OutputContainer], None] | None = None,
) -> Path:
    """Write a clip whose frames have exactly these timestamps.

    Args:
        ticks: timestamp of each frame, in ``time_base``.
        last_ticks: duration of the last frame.
        setup: changes the picture stream before anything is written.
        extras: further streams, see below.
        tune: changes the container before anything is written.
    """
    height, width = size
    with av.open(str(path), "w", options=container_options or {}) as out:
        stream = out.add_stream(
            codec, rate=30, options=options or {}, width=width, height=height, time_base=time_base
        )
        stream.pix_fmt = pix_fmt
        stream.codec_context.flags |= int(Flags.frame_duration)
        if setup:
            setup(stream)
        writers = [extra(out) for extra in extras]
        if tune:
            tune(out)
        for index, tick in enumerate(ticks):
            after = ticks[index + 1] if index + 1 < len(ticks) else tick + (last_ticks or 1)
            picture = av.VideoFrame.from_ndarray(draw(index, height, width), format="rgb24")
            picture = picture.reformat(
                format=pix_fmt, dst_colorspace="ITU601", src_color_range="JPEG"
            )
            picture.pts, picture.time_base, picture.duration = tick, time_base, after - tick
            out.mux(stream.encode(picture))
            for writer in writers:
                writer(float(after * time_base))
        out.mux(stream.encode(None))
        for writer in writers:
            writer(None)
    return path


Writer = Callable[[float | None], None]
"""Writes its stream up to a moment in seconds; None: finish."""
Extra = Callable[[av.container.OutputContainer], Writer]


def tone(
    language: str = "und", hertz: float = 440.0, codec: str = "aac", disposition: int = 1
) -> Extra:
    """A sound track, 48 kHz stereo, as long as the pictures."""

    def start(out: av.container.OutputContainer) -> Writer:
        stream = out.add_stream(codec, rate=48000)
        stream.metadata["language"] = language
        stream.disposition = disposition
        done = 0

        def write(until: float | None) -> None:
            nonlocal done
            while until is not None and done < until * 48000:
                phase = (np.arange(done, done + 960) * 2 * np.pi * hertz / 48000)[None].repeat(2, 0)
                samples = (np.sin(phase) * 0.3).astype(np.float32)
                if codec == "libopus":
                    sound = av.AudioFrame.from_ndarray(
                        samples.T.reshape(1, -1).copy(), format="flt", layout="stereo"
                    )
                else:
                    sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
                sound.sample_rate, sound.pts, sound.time_base = 48000, done, Fraction(1, 48000)
                out.mux(stream.encode(sound))
                done += 960
            if until is None:
                out.mux(stream.encode(None))

        return write

    return start


def texts(codec: str, every_ms: int = 100, add: str = "add_mux_stream") -> Extra:
    """Subtitles (``mov_text``, ``subrip``) or a data stream, one packet every so often."""

    def start(out: av.container.OutputContainer) -> Writer:
        stream = getattr(out, add)(codec)
        stream.time_base = MS
        stream.metadata["language"] = "fre"
        now = 0

        def write(until: float | None) -> None:
            nonlocal now
            while until is not None and now < until * 1000:
                text = f"at {now} ms".encode()
                packet = av.Packet(
                    struct.pack(">H", len(text)) + text if codec == "mov_text" else text
                )
                packet.pts = packet.dts = now
                packet.duration, packet.time_base, packet.is_keyframe = every_ms // 2, MS, True
                packet.stream = stream
                out.mux(packet)
                now += every_ms

        return write

    return start


def numbers_and_times(path: Path) -> list[tuple[int, Fraction]]:
    """Number and exact time of every frame shown, in order."""
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        return [
            (number_of(picture.to_ndarray(format="rgb24")), picture.pts * stream.time_base)
            for picture in file.decode(stream)
        ]


def packets(path: Path, kind: str, nth: int = 0) -> list[tuple[Fraction, Fraction, bytes]]:
    """Time, duration and bytes of every packet of a stream."""
    with av.open(str(path)) as file:
        stream = [s for s in file.streams if s.type == kind][nth]
        return [
            (packet.pts * packet.time_base, packet.duration * packet.time_base, bytes(packet))
            for packet in file.demux(stream)
            if packet.pts is not None
        ]


def cut(path: Path, share: float, name: str | None = None) -> Path:
    """A copy that ends early, in the middle of the bytes."""
    data = path.read_bytes()
    shorter = path.with_name(name or f"cut_{path.name}")
    shorter.write_bytes(data[: int(len(data) * share)])
    return shorter


def passing(frames: Iterable[Frame]) -> Iterator[FrameResult]:
    """A pipeline that finds nothing."""
    for frame in frames:
        yield FrameResult(frame, (), ())


def finding(frames: Iterable[Frame]) -> Iterator[FrameResult]:
    """A pipeline that finds one face, covered at its right half, in odd frames only."""
    for frame in frames:
        if frame.index % 2:
            yield FrameResult(frame, (face(),), (half_covered(),))
        else:
            yield FrameResult(frame, (), ())


def unchanged(image: Image, masks: Sequence[OcclusionMask]) -> Image:
    """An effect that draws nothing."""
    return image


def face(track_id: int = 1, box: tuple[float, ...] = (8.04, 4, 40, 36.26)) -> TrackedFace:
    points = np.zeros((468, 3), np.float32)
    return TrackedFace(
        track_id=track_id, identity=track_id, landmarks=points, trust=np.ones(468, np.float32),
        box_px=np.array(box, np.float32), score=0.9, age=3, state=TrackState.COASTING,
    )  # fmt: skip


def half_covered(x: int = 8, y: int = 4, side: int = 32, track_id: int = 1) -> OcclusionMask:
    """Mask of a square face at (x, y), its right half covered; one mask px is one frame px."""
    probability = np.zeros((side, side), np.float32)
    probability[:, side // 2 :] = 0.9
    to_face = np.array([[1, 0, -x], [0, 1, -y]], np.float64)
    region = np.ones((side, side), bool)
    return OcclusionMask(track_id, probability, region, to_face, coverage=0.5, confidence=0.8)


def plain_frame(index: int = 0, height: int = 48, width: int = 64) -> Frame:
    return Frame(numbered(index, height, width), index, Fraction(index, 30), "drawn")
