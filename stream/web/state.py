"""What the page is told about a stream, twice a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream.web.desk import Shown


def state_of(shown: Shown, dropped: Mapping[str, int] | None = None) -> dict[str, Any]:
    """A stream as JSON: plain words and figures, no name of a file or a host.

    Args:
        shown: the stream.
        dropped: frames that were lost on the way to it, by cause.
    """
    board, switch, session = shown.board, shown.switch, shown.session
    seen, tally = board.seen, board.tally
    latency = tally.percentiles()
    height, width = seen.image.shape[:2]
    return {
        "signal": seen.signal,
        "ended": session.ended if session else "",
        "note": board.note,
        "width": width, "height": height,
        "fps": round(tally.fps, 1),
        "frames": tally.frames,
        "latency_ms": [round(1000 * seconds) for seconds in latency] if latency else None,
        "drops": {k: v for k, v in {**tally.drops, **(dropped or {})}.items() if v},
        "failures": dict(tally.failures),
        "faces": [
            {"id": face.track_id, "state": face.state, "coverage": round(face.coverage, 3),
             "carried": face.carried}
            for face in seen.faces
        ],
        "effect": switch.name if switch else None,
        "effects": list(switch.names) if switch else [],
        "private": switch.private if switch else False,
        "covered_frames": session.covered_frames if session else None,
    }  # fmt: skip
