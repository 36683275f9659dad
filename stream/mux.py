"""Copies what is not picture from the source file, while the pictures are being written.

Sound, subtitles, data and attachments go packet by packet, unchanged.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.stream import Discard, Stream

from stream.demux import open_container

# What the muxer writes itself, or what was true of the old file only.
_STALE = ("major_brand", "minor_version", "compatible_brands", "encoder", "vendor_id", "duration",
          "rotate", "bps", "number_of_", "_statistics")  # fmt: skip
_END_OF_TEXT = b"\0\0"  # in mov_text, an empty sample ends the subtitle on screen


def fresh(metadata: dict[str, str]) -> dict[str, str]:
    """The entries of a container's or a stream's metadata that stay true in another file."""
    return {key: value for key, value in metadata.items() if not key.lower().startswith(_STALE)}


class StreamCopier:
    """The second reader of the source file, for everything but its pictures.

    Timestamps are kept, so sound stays with the picture. Reading goes along with the pictures, so
    that the output is interleaved and little is held in memory.

    Args:
        source: the file that the frames come from.
        output: opened, not started, with its picture stream; gets one for each that its container accepts.

    Attributes:
        refused: one line for each stream, or group of packets, that could not be copied, and why.
    """

    def __init__(self, source: Path, output: OutputContainer) -> None:
        self.refused: list[str] = []
        self._output = output
        self._input = open_container(source)
        self._copies: dict[int, Stream] = {}
        self._left_out: Counter[tuple[int, str]] = Counter()
        main = self._input.streams.best("video")
        for stream in self._input.streams:
            if main is None or stream.index != main.index:
                self._add(stream)
        if main is not None:
            main.discard = Discard.all
            _tag_like(output.streams.video[0], main)
        output.metadata.update(fresh(self._input.metadata))
        output.set_chapters(self._input.chapters())
        self._packets = self._demux()
        self._held: av.Packet[Stream] | None = None

    def _add(self, stream: Stream) -> None:
        """Give the output a stream like this one, or note why not."""
        if stream.discard == Discard.all:  # FFmpeg's own marker, e.g. the text track of chapters
            return
        container = self._output.format.name
        if container == "mov" and stream.type == "data" and "timecode" in stream.metadata:
            return  # the mov muxer makes this track itself, from the same entry of the pictures
        reason = _refusal(container, stream)
        if reason is not None:
            self.refused.append(f"{_label(stream)} not copied: {reason}")
            stream.discard = Discard.all
            return
        copy = self._output.add_stream_from_template(stream)
        _tag_like(copy, stream)
        self._copies[stream.index] = copy

    def _demux(self) -> Iterator[av.Packet[Stream]]:
        """Packets in file order; a damaged end is an end (the picture's reader reports it)."""
        try:
            for packet in self._input.demux(*(self._input.streams[i] for i in self._copies)):
                if packet.is_corrupt:
                    self._left_out[packet.stream_index, "damaged"] += 1
                elif packet.size or packet.dts is not None:  # else a decoder's flush mark
                    yield packet
        except av.FFmpegError as error:
            self._left_out[-1, f"unreadable ({error.strerror}), the rest"] += 1

    def copy_until(self, seconds: Fraction, shift: Fraction = Fraction(0)) -> None:
        """Copy what belongs before a moment of the source.

        Args:
            seconds: the moment, in the source's time.
            shift: added to every timestamp.
        """
        while self._copies:
            packet = self._held or next(self._packets, None)
            self._held = None
            if packet is None:
                return
            if _seconds(packet) > seconds:
                self._held = packet
                return
            self._write(packet, shift)

    def copy_rest(self, shift: Fraction = Fraction(0)) -> None:
        """Copy what comes after the last picture."""
        while self._copies and (packet := self._held or next(self._packets, None)):
            self._held = None
            self._write(packet, shift)

    def _write(self, packet: av.Packet[Stream], shift: Fraction) -> None:
        index = packet.stream_index
        if self._output.format.name in ("mp4", "mov"):
            if bytes(packet) == _END_OF_TEXT and packet.stream.type == "subtitle":
                return  # this muxer writes one of its own after every subtitle
            packet.duration = packet.duration or 1  # a last sample of no length would be cut off
        ticks = round(shift / packet.time_base) if shift else 0
        packet.pts = None if packet.pts is None else packet.pts + ticks
        packet.dts = None if packet.dts is None else packet.dts + ticks
        packet.stream = self._copies[index]
        try:
            self._output.mux_one(packet)
        except (av.error.ArgumentError, av.error.InvalidDataError) as error:
            self._left_out[index, f"refused ({error.strerror})"] += 1

    def close(self) -> None:
        """Let the source file go and complete ``refused``."""
        for (index, reason), count in sorted(self._left_out.items()):
            name = _label(self._input.streams[index]) if index >= 0 else "end of the source"
            self.refused.append(f"{name}: {count} packets {reason}, not copied")
        self._left_out.clear()
        self._input.close()


def _tag_like(copy: Stream, stream: Stream) -> None:
    """Language, title, handler and disposition of the old stream."""
    copy.metadata.update(fresh(stream.metadata))
    copy.disposition = stream.disposition


def _refusal(container: str, stream: Stream) -> str | None:
    """Why a container will not take a stream; None if it will. Found by trying, in memory."""
    if stream.type == "video":
        return "another picture stream would show what the effect hides"
    if stream.type == "attachment" and not is_font(stream.metadata.get("mimetype", "")):
        return "a file that is no font may show what the effect hides"
    trial = av.open(io.BytesIO(), "w", format=container)
    try:
        trial.add_stream_from_template(stream)
        trial.start_encoding()
    except (av.FFmpegError, ValueError) as error:
        return f"{container} does not take it ({getattr(error, 'strerror', None) or error})"
    finally:
        _discard(trial)
    return None


def is_font(kind: str) -> bool:
    """Whether an attachment of a MIME type is what subtitles are written with."""
    return any(word in kind.lower() for word in ("font", "opentype"))


def _discard(trial: OutputContainer) -> None:
    """Close a container without caring for what it holds."""
    try:
        trial.close()
    except av.FFmpegError:
        return


def _seconds(packet: av.Packet[Stream]) -> Fraction:
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * packet.time_base


def _label(stream: Stream) -> str:
    name = stream.codec_context.name if stream.codec_context else stream.name or "unknown"
    return f"{stream.type} stream #{stream.index} ({name})"
