"""Waits for work in the background without a clock."""

from __future__ import annotations

from concurrent.futures import wait
from typing import Any

from stream.background import Background


def settle(background: Background[Any, Any] | None) -> None:
    """Until all that was asked for, and is still wanted, is done."""
    assert background is not None
    assert not wait(background._jobs.values(), timeout=20).not_done
