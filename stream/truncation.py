"""Whether a media file stops early, told by the container's own sizes, without decoding.

Demuxers end quietly where the bytes end; a file cut in half then looks like a shorter video.
ISO base media (mp4, mov), Matroska (mkv, webm) and RIFF (avi) state their sizes; a transport
stream is whole packets of 188 bytes.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

_BMFF_FIRST = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"pnot"}
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_TS_PACKET_BYTES = 188


def missing_bytes(path: Path) -> int | None:
    """How many bytes the file lacks at its end.

    Returns:
        0 for a whole file, None where the container does not say.
    """
    with path.open("rb") as file:
        head, size = file.read(12), os.fstat(file.fileno()).st_size
        file.seek(0)
        if head[4:8] in _BMFF_FIRST:
            return _bmff(file, size)
        if head[:4] == _EBML:
            return _matroska(file, size)
        if head[:4] == b"RIFF":
            return _riff(file, size)
        if head[:1] == b"\x47" and path.suffix.lower() in {".ts", ".mpegts", ".mts"}:
            return -size % _TS_PACKET_BYTES
    return None


def _bmff(file: BinaryIO, size: int) -> int:
    """Walk the top-level boxes (ISO/IEC 14496-12, 4.2): 32-bit size, type, maybe 64-bit size."""
    offset = 0
    while offset < size:
        file.seek(offset)
        head = file.read(16)
        if len(head) < 8:
            return 8 - len(head)
        length = struct.unpack(">I", head[:4])[0]
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        if length < 8 or not head[4:8].isascii():  # 0: "to the end"; else padding, not a box
            return 0
        offset += length
    return offset - size


def _matroska(file: BinaryIO, size: int) -> int | None:
    """EBML header, then one Segment with its size (RFC 8794, 9559); all ones = unknown."""
    for name in (_EBML, _SEGMENT):
        if file.read(4) != name:
            return None
        length = _vint(file)
        if length is None:
            return None
        file.seek(length, os.SEEK_CUR)
    return max(0, file.tell() - size)


def _vint(file: BinaryIO) -> int | None:
    """EBML's variable-size integer: leading zero bits of the first byte = bytes that follow."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    value = (first[0] & ((1 << (7 - extra)) - 1)) << (8 * extra)
    value |= int.from_bytes(file.read(extra), "big")
    return None if value == (1 << (7 * (extra + 1))) - 1 else value


def _riff(file: BinaryIO, size: int) -> int:
    """Walk the RIFF chunks (OpenDML files have several): type, 32-bit size, even padding."""
    offset = 0
    while offset + 8 <= size:
        file.seek(offset)
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF":
            return 0
        offset += 8 + length + length % 2
    return max(0, offset - size)
