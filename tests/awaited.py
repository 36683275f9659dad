"""Live sources that are there in a moment."""

from __future__ import annotations

import time

from stream.dial import LiveOptions
from stream.errors import SourceError
from stream.live import LiveSource

SOON = LiveOptions(open_seconds=5, read_seconds=5, give_up_seconds=8)

PATIENCE_SECONDS = 30


def opened(url: str, options: LiveOptions = SOON) -> LiveSource:
    """The source, as soon as somebody publishes to it."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return LiveSource(url, options)
        except SourceError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
