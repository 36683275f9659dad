"""The video file that comes out: pictures encoded, everything else copied."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from fractions import Fraction
from math import lcm
from pathlib import Path

import av
import numpy as np
from av.codec import Codec
from av.codec.context import Flags

from stream.effects import Effect
from stream.errors import SinkPathError
from stream.frame import FrameResult
from stream.mux import StreamCopier
from stream.outputs import check_path, naming, partial_of
from stream.picture import from_rgb
from stream.recording import RECOVERABLE, mend
from stream.sound import SoundTrack
from stream.sources import SourceInfo

CONTAINERS = {
    ".mp4": ("mp4", "libx264"),
    ".m4v": ("mp4", "libx264"),
    ".mov": ("mov", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
}
"""Suffix of the output -> FFmpeg's format and the default codec."""


SOUND = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus"}
"""Container -> the encoder of a live source's sound."""


def codec_options(codec: str, crf: int, preset: str) -> dict[str, str]:
    """Options of an encoder.

    No B-frames or hidden frames anywhere: then packets leave in the order of presentation,
    dts = pts, and no container has to shift time.
    """
    if codec == "libx264":
        return {"crf": str(crf), "preset": preset, "bf": "0"}
    if codec == "libvpx-vp9":
        # VP9's crf scale is coarser; + 8 looks alike. Realtime speed 6, rows in parallel.
        return {"crf": str(crf + 8), "b": "0", "deadline": "realtime", "cpu-used": "6",
                "row-mt": "1", "lag-in-frames": "0", "auto-alt-ref": "0"}  # fmt: skip
    return {"bf": "0"}


class VideoSink:
    """Composites and encodes every frame; copies sound, subtitles and data beside it.

    Timestamps are the source's, exact in mp4 and mov. Matroska and WebM count milliseconds: there
    they are rounded, and ``notes`` says so. 4:2:0 chroma, as every player wants; H.264 has no odd
    sizes in 4:2:0, so an odd-sized video keeps its size and is written as 4:4:4. The file is made
    under a hidden name beside the final one and renamed by ``close``.

    A live source does not come again: its file plays however it ends (mp4 and mov are written in
    fragments, which ``close`` joins), and ``abort`` keeps it.

    Args:
        path: output file; its suffix chooses the container, see ``CONTAINERS``.
        info: of the source.
        effect: what is drawn; must keep the size.
        source_path: the file to copy the other streams, the metadata and the chapters from.
        codec: an FFmpeg encoder instead of the container's usual one.
        crf: constant quality, x264's scale; 18 is held to look like the source.
        preset: x264's speed.
        options: further options of the encoder.

    Attributes:
        refused: streams and packets that the container would not take; complete after ``close``.
        notes: ``refused`` and anything else a person should know.

    Raises:
        SinkPathError: unknown suffix, or the output is the input.
        SinkError: it cannot be written there.
        ValueError: codec unknown or refused by the container.
    """

    def __init__(
        self, path: str | Path, info: SourceInfo, effect: Effect, *,
        source_path: Path | None = None, codec: str | None = None, crf: int = 18,
        preset: str = "veryfast", options: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._path, self._info, self._effect = Path(path), info, effect
        suffix = self._path.suffix.lower()
        if suffix not in CONTAINERS:
            known = ", ".join(CONTAINERS)
            raise SinkPathError(f"{path}: unknown kind of video {suffix!r}; known: {known}")
        check_path(self._path, source_path)
        self._container, usual = CONTAINERS[suffix]
        self._partial = partial_of(self._path)
        self._shift: Fraction | None = None  # unknown before the first frame
        self._first = Fraction(0)
        self._copier: StreamCopier | None = None
        self.notes: list[str] = []
        with naming(self._path):
            self._partial.touch()
        self._output = av.open(
            str(self._partial), "w", format=self._container, metadata_errors="surrogateescape",
            options={"flush_packets": "1"} if info.live else {},
        )  # fmt: skip
        try:
            codec = codec or usual
            merged = codec_options(codec, crf, preset) | dict(options or {})
            self._stream = self._add_pictures(codec, merged)
            self._sound = SoundTrack(self._output, SOUND[self._container]) if info.sound else None
            self._start(source_path)
        except BaseException:
            self.abort()
            raise
        self._note_losses()

    def _start(self, source_path: Path | None) -> None:
        """Add what is copied, then write the header."""
        if source_path is not None:
            self._copier = StreamCopier(source_path, self._output)
        if self._container in ("mp4", "mov"):
            # Where a track starts is told in this unit; the usual 1/1000 s would round it.
            self._output.container_options["movie_timescale"] = str(self._common_timescale())
        if self._info.live:
            self._output.container_options.update(RECOVERABLE[self._container])
        with naming(self._path):
            self._output.start_encoding()

    def _add_pictures(self, codec: str, options: dict[str, str]) -> av.VideoStream:
        info = self._info
        if Codec(codec, "w").type != "video":
            raise ValueError(f"{codec!r} is no video encoder")
        stream = self._output.add_stream(
            codec, rate=info.rate or 25, options=options, width=info.width, height=info.height,
            time_base=info.time_base,
        )  # fmt: skip
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        odd = info.width % 2 or info.height % 2
        context.pix_fmt = "yuv444p" if odd and codec == "libx264" else "yuv420p"
        context.flags |= int(Flags.frame_duration)  # else the last frame lasts as long as any
        context.color_range, context.colorspace = info.colour.range_tag, info.colour.matrix
        context.color_primaries = info.colour.primaries
        context.color_trc = info.colour.transfer
        if info.sample_aspect_ratio:
            context.sample_aspect_ratio = info.sample_aspect_ratio
        return stream

    def _common_timescale(self) -> int:
        """Ticks per second in which every stream's time is whole; the pictures' if that is huge."""
        bases = [stream.time_base for stream in self._output.streams if stream.time_base]
        common = lcm(*(base.denominator for base in bases))
        return common if common < 2**31 else self._info.time_base.denominator

    def _note_losses(self) -> None:
        """Say what this container cannot hold."""
        shape, tick = self._info.sample_aspect_ratio, self._stream.time_base
        if shape not in (None, 1) and self._container == "webm":
            self.notes.append(f"webm cannot hold the pixels' shape {shape}: shown as square")
        if tick is not None and (self._info.time_base / tick).denominator != 1:
            what = f"{self._container} counts in steps of {tick} s"
            self.notes.append(f"{what}: timestamps are rounded to it")

    @property
    def refused(self) -> list[str]:
        return self._copier.refused if self._copier else []

    def write(self, result: FrameResult) -> None:
        """Composite, encode, and copy the sound that belongs before this frame."""
        frame = result.frame
        image = self._effect(frame.image, result.masks)
        wanted = (self._info.height, self._info.width, 3)
        if image.shape != wanted or image.dtype != np.uint8:
            raise ValueError(f"the effect gave {image.shape} {image.dtype}, not {wanted} uint8")
        picture = from_rgb(image, self._info.colour, str(self._stream.codec_context.pix_fmt))
        if self._shift is None:
            self._shift = self._shift_to_zero(frame.time)
            self._first = frame.time + self._shift
        picture.pts = round((frame.time + self._shift) / self._info.time_base)
        picture.time_base = self._info.time_base
        if frame.duration is not None:
            picture.duration = round(frame.duration / self._info.time_base)
        with naming(self._path):
            self._output.mux(self._stream.encode(picture))
            if self._copier:
                self._copier.copy_until(frame.time, self._shift)
            if self._sound:
                self._output.mux(list(self._sound.write(frame.sound, self._shift, frame.time)))

    def _shift_to_zero(self, first: Fraction) -> Fraction:
        """No container shows a frame before 0: a video that starts earlier is moved as a whole."""
        if first >= 0:
            return Fraction(0)
        self.notes.append(f"the video starts at {float(first):g} s; all of it was moved to 0")
        return -first

    def close(self, *, cut: bool = False) -> None:
        """Finish the file and give it its name.

        Args:
            cut: the frames stopped before the source's end, so the sound stops with them.
        """
        shift = self._shift or Fraction(0)
        with naming(self._path):
            self._output.mux(self._stream.encode(None))
            if self._sound:
                self._output.mux(list(self._sound.close()))
            if self._copier and not cut:
                self._copier.copy_rest(shift)
            self._output.close()
            self._check_start()
            self._partial.replace(self._path)
        if self._copier:
            self._copier.close()
            self.notes += self._copier.refused

    def _check_start(self) -> None:
        """Say so if the muxer moved everything, as Matroska must for sound that starts before 0."""
        if self._shift is None:
            return  # no frame was written
        with av.open(str(self._partial)) as written:
            stream = written.streams.video[0]
            first = next(written.demux(stream))
        if first.pts is None or stream.time_base is None:
            return
        moved = first.pts * first.time_base - self._first
        if abs(moved) > stream.time_base:
            self.notes.append(f"{self._container} moved all timestamps by {float(moved):g} s")

    def abort(self) -> None:
        """Leave nothing behind, but for what was recorded live. Safe at any time, also twice."""
        if self._copier:
            self._copier.close()
        with suppress(OSError, av.FFmpegError):  # it ends here all the same
            self._output.close()
        if self._info.live and self._shift is not None and self._partial.exists():
            mend(self._partial, self._container)
            self._partial.replace(self._path)
            self.notes.append(f"{self._path}: what was recorded until then is kept")
        self._partial.unlink(missing_ok=True)
