"""What the page is told about a stream, twice a second."""

from __future__ import annotations

from typing import Any

from stream.web.desk import Camera, Shown


def state_of(shown: Shown, camera: Camera | None = None) -> dict[str, Any]:
    """A stream as JSON: plain words and figures, no name of a file or a host.

    Args:
        shown: the stream.
        camera: whose stream it is, if it is one's.
    """
    board, switch, session = shown.board, shown.switch, shown.session
    seen, tally = board.seen, board.tally
    latency, link = tally.percentiles(), camera.link if camera else None
    dropped = camera.source.dropped if camera else {}
    height, width = seen.image.shape[:2]
    return {
        "signal": seen.signal,
        "ended": session.ended if session else "",
        "note": board.note,
        "width": width, "height": height,
        "fps": round(tally.fps, 1),
        "frames": tally.frames,
        "latency_ms": [round(1000 * seconds) for seconds in latency] if latency else None,
        "waited_ms": round(1000 * camera.source.waited_seconds) if camera else None,
        "encoding_ms": round(1000 * link.encoding_seconds) if link else None,
        "drops": {k: v for k, v in {**tally.drops, **dropped}.items() if v},
        "failures": dict(tally.failures),
        "faces": [
            {"id": face.track_id, "state": face.state, "carried": face.carried,
             "coverage": None if face.coverage is None else round(face.coverage, 3),
             "certainty": face.certainty}
            for face in seen.faces
        ],
        "effect": switch.name if switch else None,
        "effects": list(switch.names) if switch else [],
        "private": board.private,
        "covered": seen.covered,
        "causes": dict(tally.causes),
        "sound": board.heard.lately,
    }  # fmt: skip
