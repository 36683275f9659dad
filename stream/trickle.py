"""A pipe as FFmpeg should see it. Imports nothing: the sender's process starts in a tenth of a second."""

from __future__ import annotations

from io import BufferedReader


class AsItComes:
    """A pipe read by what is there: ``read`` itself would wait until all that was asked for is."""

    def __init__(self, pipe: BufferedReader) -> None:
        self._pipe = pipe

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end."""
        return self._pipe.read1(size)
