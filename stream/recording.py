"""Files of live sources, which do not come again: they play however they end, but for their last second."""

from __future__ import annotations

import os
import struct
from pathlib import Path

_FRAGMENTS = {"movflags": "hybrid_fragmented+empty_moov", "frag_duration": "1000000"}
"""FFmpeg's mp4 that plays where its end is missing, and is an ordinary one where it is not.  Without
empty_moov FFmpeg 8 crashes where no picture was written."""

_CLUSTERS = {"cluster_time_limit": "1000"}

RECOVERABLE = {"mp4": _FRAGMENTS, "mov": _FRAGMENTS, "matroska": _CLUSTERS, "webm": _CLUSTERS}
"""Container -> the muxer's options."""

PLAYS_IN_PART = b"mdat"


def mend(path: Path, container: str) -> None:
    """Take off the end of a file that broke off, where it would keep players from all before it.

    That is the index of an mp4's last fragment, if it was cut (ISO/IEC 14496-12, 4.2: boxes).  What
    else is cut plays as far as it goes.
    """
    if container not in ("mp4", "mov"):
        return
    with path.open("r+b") as file:
        length, start = os.fstat(file.fileno()).st_size, 0
        while start + 8 <= length:
            file.seek(start)
            size, kind = struct.unpack(">I4s", file.read(8))
            if size < 8:  # 64 bits, or "to the end": of pictures, as FFmpeg writes it
                return
            if start + size > length:
                break
            start += size
        if start < length and not (start + 8 <= length and kind == PLAYS_IN_PART):
            file.truncate(start)
