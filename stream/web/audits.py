"""One audit for all sessions of a server: what each of them counted, summed.

Not a file for each session: who may open the page could fill a disk with them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from stream.errors import SinkError
from stream.outputs import check_path, naming, partial_of
from stream.privacy.audit import Audit

KINDS = ("camera", "watch")

AS_SET = ("hide", "rest", "who", "ids", "effect", "leak")
"""The same in all sessions."""


class AuditBook:
    """Sums audits, and writes ``{"hide": ..., "camera": {"sessions": 3, "frames": ...}, "watch": ...}``.

    The counts are those of :class:`stream.privacy.audit.Audit`; of ids, which mean nothing beyond their
    session, only the number.  ``sessions`` counts those that run, too.

    Args:
        path: of the file.

    Attributes:
        error: why it could not be written the last time.

    Raises:
        SinkError: it cannot be written there.
    """

    def __init__(self, path: Path) -> None:
        check_path(path, None)
        self._path = path
        self._past: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        self._detail: dict[str, dict[str, Counter[str]]] = {kind: {} for kind in KINDS}
        self._as_set: dict[str, Any] = {}
        self.error: SinkError | None = None

    def add(self, kind: str, audit: Audit) -> None:
        """A session has ended."""
        self._note(audit)
        sum_up(self._past[kind], self._detail[kind], audit)

    def _note(self, audit: Audit) -> None:
        self._as_set = {name: getattr(audit, name) for name in AS_SET}

    def text(self, running: Iterable[tuple[str, Audit]] = ()) -> str:
        """What is to be written.

        Args:
            running: kinds and audits of sessions that go on.
        """
        counts = {kind: Counter(past) for kind, past in self._past.items()}
        detail = {k: {n: Counter(c) for n, c in d.items()} for k, d in self._detail.items()}
        for kind, audit in running:
            self._note(audit)
            sum_up(counts[kind], detail[kind], audit)
        told = self._as_set | {
            kind: dict(counts[kind]) | {name: dict(c) for name, c in detail[kind].items()}
            for kind in KINDS
            if counts[kind]
        }
        return json.dumps(told, indent=1) + "\n"

    def write(self, text: str) -> None:
        """Write the file; under its name it is whole or as it was.

        Raises:
            SinkError: it cannot be written.
        """
        partial = partial_of(self._path)
        try:
            with naming(self._path):
                partial.write_text(text, encoding="utf-8")
                partial.replace(self._path)
        except SinkError as error:
            self.error = error
            raise
        self.error = None


def sum_up(counts: Counter[str], detail: dict[str, Counter[str]], audit: Audit) -> None:
    """Add one audit to sums of figures, and of figures by cause or state."""
    counts["sessions"] += 1
    for one in fields(audit):
        value = getattr(audit, one.name)
        if isinstance(value, Counter):
            detail.setdefault(one.name, Counter()).update(value.copy())
        elif isinstance(value, set):
            counts[one.name] += len(value)
        elif isinstance(value, int):
            counts[one.name] += value
