"""Reading from a pipe.  Nothing else of this package is imported here: a sender has to start at once."""

from __future__ import annotations

from io import BufferedReader


class AsItComes:
    """A pipe read by what is there: ``read`` itself would wait until all that was asked for is.

    Attributes:
        taken: bytes so far.
    """

    def __init__(self, pipe: BufferedReader) -> None:
        self._pipe, self.taken = pipe, 0

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end."""
        data = self._pipe.read1(size)
        self.taken += len(data)
        return data
