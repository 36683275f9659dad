"""What was measured of a scene, kept in a file, so that a long benchmark goes on where it stopped."""

from __future__ import annotations

import json
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

from s3pot.metrics import FaceScore
from s3pot.temporal import Event
from stream.bench.judge import Part, Row


def fingerprint(*texts: str) -> str:
    """Of everything that a result depends on."""
    return sha256("\0".join(texts).encode()).hexdigest()


class Store:
    """A folder of results, a file for each scene and entrant.

    Args:
        folder: made when needed; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self, scene: str, entrant: str, key: str) -> list[Part] | None:
        """What was kept under the same key; None if nothing was, or under another."""
        path = self._path(scene, entrant)
        if path is None or not path.is_file():
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        return [_part(entry) for entry in content["parts"]] if content["key"] == key else None

    def save(self, scene: str, entrant: str, key: str, parts: list[Part]) -> None:
        """Keep a result; a file appears whole or not at all."""
        path = self._path(scene, entrant)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        content = {"key": key, "parts": [asdict(part) for part in parts]}
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(path)

    def _path(self, scene: str, entrant: str) -> Path | None:
        if self._folder is None:
            return None
        plain = "".join(c if c.isalnum() or c in "-." else "_" for c in entrant)
        return self._folder / scene / f"{plain}.json"


def _part(entry: dict[str, Any]) -> Part:
    rows = [Row(**{**row, "score": FaceScore(**row["score"])}) for row in entry["rows"]]
    onsets, releases = ([Event(**event) for event in entry[n]] for n in ("onsets", "releases"))
    return Part(rows, onsets, releases, entry["latency_frames"])
