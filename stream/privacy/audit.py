"""What a run under the privacy policy showed, covered, and may have let through, in figures.

Nothing in it names anybody: no file, no address, no text from outside.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from stream.outputs import naming, partial_of

LEAK = (
    "a face is first found, or jumps, within a run: each of the {frames} frames before it, unless it "
    "was covered there, counts once; how often a mask was wrong cannot be counted without a truth"
)


@dataclass(slots=True)
class Audit:
    """Counts of one run.

    Attributes:
        hide, rest, who, ids, effect: as set.
        frames: that left.
        covered_frames: of them covered as a whole, by cause in ``causes``.
        faces: faces times frames, by certainty.
        doubts: of those that were unsure, by what spoke against them.
        possible_leaks: frames in which an uncovered face could have leaked; ``leak`` says how counted.
        covered_late: frames covered in a place where a face was found only after them.
        unlooked_frames: shown without the detector having run.
        given_up: lost faces that were not found again while the detector looked for them.
        hidden_ids, shown_ids: track ids that were covered at some time, and shown at some time.
    """

    hide: str
    rest: str
    who: str
    ids: Sequence[int]
    effect: str
    leak: str = ""
    frames: int = 0
    covered_frames: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    faces: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    possible_leaks: int = 0
    covered_late: int = 0
    unlooked_frames: int = 0
    given_up: int = 0
    hidden_ids: set[int] = field(default_factory=set)
    shown_ids: set[int] = field(default_factory=set)

    def as_json(self) -> str:
        """The file's text."""
        counts = {one.name: getattr(self, one.name) for one in fields(self)}
        counts |= {key: sorted(counts[key]) for key in ("ids", "hidden_ids", "shown_ids")}
        return json.dumps(counts, indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Write the file; under its name it is whole or not there.

        Raises:
            SinkError: it cannot be written there.
        """
        partial = partial_of(path)
        with naming(path):
            partial.write_text(self.as_json(), encoding="utf-8")
            partial.replace(path)


def in_a_word(cause: str) -> str:
    """A cause as it may stand in the audit: some plain words, for an error's text may name anything."""
    return cause if re.fullmatch(r"[a-z][a-z ]{0,31}", cause) else "other"
