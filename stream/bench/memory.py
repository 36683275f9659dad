"""Memory of this process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

PEAK_UNIT = 2**20 if sys.platform == "darwin" else 2**10
"""Bytes in which the system tells the peak."""


def resident_mb() -> float:
    """Memory that the process holds now; its peak where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_mb()
    line = next(x for x in status.read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def peak_mb() -> float:
    """Most memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT / 2**20
