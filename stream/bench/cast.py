"""Who plays in which scene, in what room: the photograph, or the clips of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from stream.bench.actors import Actor, Alpha, Sitter, astronaut
from stream.bench.footage import Footage
from stream.bench.portrait import Portrait
from stream.bench.scene import Scene, Stand
from stream.bench.stage import Layer, room

SIZE = (360, 640)
"""(height, width) of a scene in px."""


@dataclass(frozen=True, slots=True)
class Setting:
    """All that a scene is drawn from, but for what comes in front.

    Attributes:
        scene: the plan, with its stands fitted to the actors.
        actors: one for each stand.
        size: (height, width) of the picture.
        room: what is behind; None: the first actor's own picture is.
    """

    scene: Scene
    actors: Sequence[Actor]
    size: tuple[int, int]
    room: Layer | None


class Cast(Protocol):
    """Chooses who plays.

    Attributes:
        name: for the report.
    """

    @property
    def name(self) -> str: ...
    def setting(self, scene: Scene) -> Setting:
        """The same for the same scene at every call."""
        ...


class PhotographCast:
    """Everybody is the photograph, moved differently: it needs no data."""

    name = "photograph"

    def setting(self, scene: Scene) -> Setting:
        """See :class:`Cast`."""
        portrait, matte = self._sitter
        actors = [
            Sitter(portrait, matte, (*scene.seed, i), self.name) for i in range(len(scene.stands))
        ]
        return Setting(scene, actors, SIZE, room(SIZE, scene.seed))

    @cached_property
    def _sitter(self) -> tuple[Portrait, Alpha]:
        return astronaut()


class ClipCast:
    """Clips of one uncovered face each, .mp4.  Where faces go through the picture the persons are cut
    out and put into a room; else the clip is shown as it is.

    Raises:
        FileNotFoundError: there are no clips.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = sorted(folder.glob("*.mp4"))
        if not self._paths:
            raise FileNotFoundError(f"{folder}: no .mp4 files")
        self.name = folder.name
        self._kept: dict[Path, Footage] = {}

    def setting(self, scene: Scene) -> Setting:
        """See :class:`Cast`.

        Raises:
            RefusedError: a clip cannot be read, or a frame of it shows no face.
        """
        first = sum(scene.seed) % len(self._paths)
        actors = [self._footage(first + i) for i in range(len(scene.stands))]
        moving = len(scene.stands) > 1 or len(scene.stands[0].path) > 1
        if moving:
            return Setting(scene, actors, SIZE, room(SIZE, scene.seed))
        (actor,) = actors
        height, width = actor.size
        scale = max(SIZE) / max(height, width)
        size = (round(height * scale / 2) * 2, round(width * scale / 2) * 2)
        spot = (actor.rest.x / width, actor.rest.y / height)
        stand = Stand((spot,), face=actor.rest.height / height)
        return Setting(replace(scene, stands=(stand,), shake=0.0), actors, size, None)

    def _footage(self, number: int) -> Footage:
        path = self._paths[number % len(self._paths)]
        if path not in self._kept:
            if len(self._kept) > 2:  # a clip is some hundred MB
                self._kept.pop(next(iter(self._kept)))
            self._kept[path] = Footage(path)
        return self._kept[path]
