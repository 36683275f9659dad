"""What happens in a scene of the benchmark: who stands where, what comes in front of them, and how.

Only plans here, made from a seed; :mod:`stream.bench.stage` draws them.  Lengths are in widths of the
face, speeds in face widths a second, places of a face in shares of the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

Rng = np.random.Generator
Rows = tuple[tuple[float, float, float], ...]

FREE_SECONDS = 0.6
"""A face is first seen uncovered for so long."""


@dataclass(frozen=True, slots=True)
class Way:
    """One thing's way in front of a face.

    Attributes:
        kind: what, see :data:`stream.drawn.kinds`.
        start_seconds, stop_seconds: when it sets out and when it has left.
        path: at least two rows x, y, turn in degrees, evenly spread in time, passed smoothly; x y
            in face widths from the middle of the face to the middle of the drawing.
        side: of the drawing's square, in face widths.
        worn: it moves and turns with the head; else with the air.
        actor: in front of whose face.
        seed: for its colours.
    """

    kind: str
    start_seconds: float
    stop_seconds: float
    path: Rows
    side: float = 1.9
    worn: bool = False
    actor: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Stand:
    """Where an actor's face is: rows x, y in shares of the picture, evenly spread in time.

    Attributes:
        path: at least one row.
        face: height of the face, in shares of the picture's.
        mirrored: the actor is seen in a mirror.
        tint: what each of R, G, B is multiplied with.
    """

    path: tuple[tuple[float, float], ...] = ((0.5, 0.45),)
    face: float = 0.42
    mirrored: bool = False
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """A plan.

    Attributes:
        kind: a key of :data:`kinds`.
        turn: which of its kind.
        seconds: length.
        stands: the actors, the farthest first.
        ways: what comes in front of them.
        fps: frames a second.
        varied: the time between two frames varies by up to a third.
        light: rows of gains of the light, evenly spread in time, passed smoothly.
        cut_seconds: from here on the first actor stands at the last of ``stands`` alone; None: never.
        shake: of the camera, in face widths.
        crf: of H.264, through which the frames went; None: not compressed.
        seed: of everything that is left to chance.
    """

    kind: str
    turn: int
    seconds: float
    stands: tuple[Stand, ...] = (Stand(),)
    ways: tuple[Way, ...] = ()
    fps: Fraction = Fraction(30)
    varied: bool = False
    light: tuple[float, ...] = (1.0,)
    cut_seconds: float | None = None
    shake: float = 0.02
    crf: int | None = None
    seed: tuple[int, ...] = field(default=(0,))

    @property
    def name(self) -> str:
        """``fast/0``."""
        return f"{self.kind}/{self.turn}"

    @property
    def times(self) -> list[Fraction]:
        """Presentation times of its frames, seconds."""
        count = int(self.seconds * self.fps)
        if not self.varied:
            return [Fraction(i) / self.fps for i in range(count)]
        drift = np.random.default_rng([*self.seed, 5]).uniform(-1 / 6, 1 / 6, count)
        return [(i + Fraction(float(d)).limit_denominator(1000)) / self.fps
                if i else Fraction(0) for i, d in enumerate(drift)]  # fmt: skip


def outside(angle: float, reach: float) -> tuple[float, float]:
    """A place off the face in a direction, 0 = the picture's right, a quarter turn = below."""
    return reach * float(np.cos(angle)), reach * float(np.sin(angle))


def turned(kind: str, angle: float, rng: Rng) -> float:
    """Turn in degrees with which a thing comes from a direction: a hand reaches with its fingers."""
    leaning = float(rng.normal(0, 6))
    return float(np.degrees(angle)) - 90 + leaning if kind == "hand" else leaning


def visit(
    kind: str, angle: float, rng: Rng, *, rest_seconds: float, speed: float = 1.5,
    side: float = 1.9, start: float = FREE_SECONDS,
) -> Way:  # fmt: skip
    """Come from a direction, rest on the face, go back."""
    spot = rng.normal(0, 0.1, 2) + np.array(outside(angle, 0.35 if kind == "hand" else 0.1))
    turn, reach = turned(kind, angle, rng), 0.6 + 0.5 * side
    away = outside(angle, reach)
    travel = 1.5 * (reach - 0.3) / speed  # the smooth step's top speed is half more than its mean
    parts = max(1, round(rest_seconds / travel))
    rests = [(float(spot[0]), float(spot[1]), turn)] * (parts + 1)
    rows = ((*away, turn), *rests, (*away, turn))
    return Way(kind, start, start + travel * (parts + 2), rows, side, seed=int(rng.integers(99)))


def crossing(kind: str, angle: float, rng: Rng, *, speed: float, side: float = 1.7) -> Way:
    """Go past the face without a rest, at a top speed."""
    turn, reach = turned(kind, np.pi / 2, rng), 0.6 + 0.5 * side
    from_, to = outside(angle, reach), outside(angle + np.pi, reach)
    low = 0.25 * side if kind == "hand" else 0.0
    rows = ((from_[0], from_[1] + low, turn), (to[0], to[1] + low, turn))
    seconds = 1.5 * 2 * reach / speed
    return Way(kind, FREE_SECONDS, FREE_SECONDS + seconds, rows, side, seed=int(rng.integers(99)))


def ended(kind: str, turn: int, seed: tuple[int, ...], *ways: Way) -> Scene:
    """A scene that ends soon after the last thing has left."""
    stop = max(way.stop_seconds for way in ways)
    return Scene(kind, turn, stop + 0.6, ways=ways, seed=seed)


RIGHT, BELOW, LEFT, ABOVE = 0.0, np.pi / 2, np.pi, 3 * np.pi / 2
THINGS = ("cup", "phone", "microphone", "ball")

Plan = Callable[[Rng, int, tuple[int, ...]], Scene]


def _slow(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    kind = str(rng.choice(["hand", "cup", "phone"]))
    return ended("slow", turn, seed, crossing(kind, rng.choice([RIGHT, LEFT]), rng, speed=1.0))


def _fast(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    kind = str(rng.choice(["hand", "phone", "ball"]))
    return ended("fast", turn, seed, crossing(kind, rng.choice([RIGHT, LEFT]), rng, speed=2.0))


def _resting(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    way = visit("hand", rng.choice([BELOW, LEFT, RIGHT]), rng, rest_seconds=2.5)
    return ended("resting", turn, seed, way)


def _worn(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    on = (0.0, 0.27, 0.0)
    rows = ((0.0, 1.6, 0.0), on, on, on, on, on, (0.0, 1.6, 0.0))
    way = Way("mask", FREE_SECONDS, FREE_SECONDS + 3, rows, 1.1, True, seed=int(rng.integers(99)))
    return ended("worn", turn, seed, way)


def _side(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    angle = (LEFT, ABOVE, RIGHT, BELOW)[turn % 4]
    kind = str(rng.choice(["hand", *THINGS]))
    return ended("side", turn, seed, visit(kind, angle, rng, rest_seconds=0.8, side=1.6))


def _fingers(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    spread = tuple((0.05 * np.sin(2 * i), 0.75, 4 * np.sin(3 * i)) for i in range(5))
    rows = ((0.2, 2.4, 0.0), *spread, (0.2, 2.4, 0.0))
    way = Way("hand", FREE_SECONDS, FREE_SECONDS + 2.8, rows, 1.7, seed=int(rng.integers(99)))
    return ended("fingers", turn, seed, way)


def _two(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    first = visit("hand", LEFT, rng, rest_seconds=1.5, side=1.6)
    other = visit(str(rng.choice(THINGS)), BELOW, rng, rest_seconds=0.8, side=1.1, start=1.3)
    return ended("two", turn, seed, first, other)


def _cover(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    kind = str(rng.choice(["hand", "phone", "ball"]))
    side = {"hand": 2.9, "phone": 2.2, "ball": 1.75}[kind]
    low = 0.55 if kind == "hand" else 0.12
    on = (0.0, low, 0.0)
    rows = ((0.0, 3.2, 0.0), *[on] * 6, (0.0, 3.2, 0.0))
    way = Way(kind, FREE_SECONDS, FREE_SECONDS + 5, rows, side, seed=int(rng.integers(99)))
    return ended("cover", turn, seed, way)


def _exit(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    edge = float(rng.choice([1.25, -0.25]))
    path = ((0.5, 0.45), (0.5, 0.45), (edge, 0.45), (edge, 0.45), *[(0.5, 0.45)] * 4)
    seconds = 7.7  # back in the middle at 4.4
    way = visit("hand", BELOW, rng, rest_seconds=0.6, start=4.6)
    return Scene("exit", turn, max(seconds, way.stop_seconds), (Stand(path),), (way,), seed=seed)


def _passing(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    back = Stand(((0.25, 0.42), (0.75, 0.42)), 0.36)
    tint = (0.72, 0.66, 0.62)
    front = Stand(((0.8, 0.5), (0.2, 0.5)), 0.42, mirrored=True, tint=tint)
    return Scene("passing", turn, 3.6, (back, front), seed=seed)


def _light(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    way = visit("hand", rng.choice([LEFT, RIGHT]), rng, rest_seconds=2.0)
    gains = tuple(float(v) for v in (1, 1, rng.uniform(0.35, 0.6), rng.uniform(1.2, 1.4), 1, 0.7))
    return replace(ended("light", turn, seed, way), light=gains)


def _cut(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    way = visit("hand", rng.choice([LEFT, BELOW]), rng, rest_seconds=1.2, start=0.5)
    after = Stand(((0.3, 0.5),), 0.6, mirrored=True)
    return replace(ended("cut", turn, seed, way), cut_seconds=1.7, stands=(Stand(), after))


def _shake(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    way = visit("hand", rng.choice([LEFT, RIGHT]), rng, rest_seconds=1.2)
    return replace(ended("shake", turn, seed, way), shake=0.12)


def _compressed(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    way = visit(str(rng.choice(["hand", "cup"])), BELOW, rng, rest_seconds=1.2)
    return replace(ended("compressed", turn, seed, way), crf=(38, 32, 44)[turn % 3])


def _rate(rng: Rng, turn: int, seed: tuple[int, ...]) -> Scene:
    way = visit("hand", rng.choice([LEFT, RIGHT]), rng, rest_seconds=0.8)
    rate = (Fraction(24), Fraction(60), Fraction(30000, 1001))[turn % 3]
    return replace(ended("rate", turn, seed, way), fps=rate, varied=turn % 3 == 2)


kinds: dict[str, Plan] = {
    "slow": _slow, "fast": _fast, "resting": _resting, "worn": _worn, "side": _side,
    "fingers": _fingers, "two": _two, "cover": _cover, "exit": _exit, "passing": _passing,
    "light": _light, "cut": _cut, "shake": _shake, "compressed": _compressed, "rate": _rate,
}  # fmt: skip
"""Kinds of scenes by name."""

SIZES = {"small": 1, "full": 6}
"""How often each kind is planned ..."""

SIDES = {"side": 4, "rate": 3, "compressed": 3}
"""... times the cases that it has."""


def plan(size: str, seed: int, only: Sequence[str] = ()) -> list[Scene]:
    """The scenes of a benchmark.

    Args:
        size: a key of :data:`SIZES`.
        seed: of everything that is left to chance; the same seed plans the same scenes.
        only: these kinds; all if empty.

    Raises:
        ValueError: no such size or kind.
    """
    if size not in SIZES:
        raise ValueError(f"unknown size {size!r}; allowed: {', '.join(SIZES)}")
    for name in only:
        if name not in kinds:
            raise ValueError(f"unknown kind of scene {name!r}; allowed: {', '.join(kinds)}")
    scenes = []
    for kind in only or kinds:
        for turn in range(SIZES[size] * SIDES.get(kind, 1)):
            chance = (seed, *kind.encode(), turn)
            scenes.append(kinds[kind](np.random.default_rng(chance), turn, chance))
    return scenes
