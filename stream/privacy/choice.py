"""Of whom is what hidden?"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from stream.privacy.cover import Hide

Who = Literal["all", "ids", "all-but"]


class Choice:
    """Of each track id, what is hidden. In doubt, somebody is one of those who are to be hidden.

    Args:
        who: "all"; "ids", those named; "all-but", everybody else.
        ids: the ids named.
        hide: what is hidden of those whom ``who`` chooses.
        rest: what is hidden of the others.

    Raises:
        ValueError: somebody is chosen and nothing hidden of them, or nobody is named.
    """

    def __init__(self, who: Who, ids: Collection[int], hide: Hide, rest: Hide) -> None:
        if who != "all" and hide == "neither":
            raise ValueError(f"who is {who!r}, but hide is 'neither'; choose those to be hidden")
        if (who == "all") == bool(ids):
            raise ValueError(
                f"ids go with who 'ids' or 'all-but', got who {who!r}, ids {list(ids)}"
            )
        self._who, self._ids, self._hide, self._rest = who, frozenset(ids), hide, rest
        self.reset()

    def reset(self) -> None:
        """Another stream begins, whose ids are those that were meant."""
        self._here: list[int] = []
        self._known: set[int] = set()
        self._suspects: set[int] = set()
        self._void = False

    def void(self) -> None:
        """Ids mean nothing any more, for they were counted anew: everybody is chosen from now on."""
        self._void = True

    def see(self, track_ids: Iterable[int], seen_ids: Collection[int]) -> None:
        """These are in the frame, and of these a face can be seen there.

        Who comes while one of those named cannot be seen may be that one under a new id, until that one
        is seen again.
        """
        now = set(track_ids)
        came = now.difference(self._here)
        self._here = [k for k in self._here if k in now] + sorted(came)
        self._known |= now & self._ids
        if self._known <= set(seen_ids):
            self._suspects.clear()
        else:
            self._suspects |= came - self._ids

    def gone(self, track_id: int, in_place_ids: Collection[int]) -> None:
        """A face ended, and these have its place: one that came later may be it under a new id.

        Call it before :meth:`see`.
        """
        if track_id in self._ids and track_id in self._here:
            later = self._here[self._here.index(track_id) + 1 :]
            self._suspects |= set(later).intersection(in_place_ids) - self._ids

    def hides(self, track_id: int) -> Hide:
        """What is hidden of a face that can be believed."""
        if self._who == "all":
            return self._hide
        if self._void or track_id in self._suspects:
            return self._hide if self._rest in (self._hide, "neither") else "both"
        chosen = (track_id in self._ids) == (self._who == "ids")
        return self._hide if chosen else self._rest

    @property
    def hides_any(self) -> bool:
        """Whether anything is hidden of anybody: then all is hidden of who cannot be believed."""
        return self._hide != "neither"
