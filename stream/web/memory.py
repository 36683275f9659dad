"""Memory of threads that come and go, where the C library is glibc; elsewhere nothing is done.

Each new thread may be given an arena of its own, which keeps what was freed in it: a server grew by 20
to 50 MB with every camera that came and went, though nothing was held.  With two arenas, and what is
free given back, it stays where it was after the first ones (30 cameras, one after the other).
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

M_ARENA_MAX = -8
"""mallopt(3)."""


def few_arenas() -> None:
    """To be called before threads are made."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


def give_back() -> None:
    """Give memory that is free back to the system."""
    gc.collect()
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
