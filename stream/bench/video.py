"""``s3pot bench video``: scenes with exact truth, entrants that see nothing but frames, figures.

Read :func:`measure` first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from stream.bench.cast import Cast
from stream.bench.entrants import Answer, Entrant
from stream.bench.judge import Part, judge
from stream.bench.occluders import Props
from stream.bench.results import Results
from stream.bench.scene import Scene
from stream.bench.shot import Shot, shoot
from stream.bench.store import Store, fingerprint
from stream.frame import Frame
from stream.truth import RefusedError

Watch = Callable[[Shot, str, Sequence[Sequence[Answer]], Sequence[Part]], None]
"""Is shown each scene with an entrant's answers to it."""


@dataclass(slots=True)
class Benchmark:
    """What is measured, and where it is kept.

    Attributes:
        scenes: the plan.
        cast: who plays.
        props: what comes in front.
        about: of cast and props, for the fingerprint of a result.
        store: of results.
        refused: why a scene, or an entrant's answers to it, could not be measured; filled.
    """

    scenes: Sequence[Scene]
    cast: Cast
    props: Props
    about: str
    store: Store
    refused: list[str] = field(default_factory=list)


def measure(
    bench: Benchmark, entrants: Sequence[Entrant], *, watch: Watch = lambda *_: None,
    step: Callable[[], None] = lambda: None, anew: Collection[str] = (),
) -> Results:  # fmt: skip
    """Every entrant's parts of every scene.  A scene is drawn once, and only if somebody needs it.

    Args:
        bench: what is measured.
        entrants: who is.
        watch: is shown what was not in the store.
        step: is called after each entrant's scene.
        anew: scenes that are not taken from the store.
    """
    results: Results = {entrant.name: [] for entrant in entrants}
    for scene in bench.scenes:
        shot: Shot | None = None
        for entrant in entrants:
            key = fingerprint(repr(scene), bench.about, entrant.fingerprint)
            kept = entrant.fingerprint and scene.name not in anew
            parts = bench.store.load(scene.name, entrant.name, key) if kept else None
            try:
                if parts is None:
                    shot = shot or shoot(scene, bench.cast, bench.props)
                    parts = answered(shot, entrant, watch)
                    bench.store.save(scene.name, entrant.name, key, parts)
                results[entrant.name] += parts
            except (RefusedError, FileNotFoundError, ValueError) as error:
                bench.refused.append(f"{scene.name}, {entrant.name}: {error}")
            step()
    return results


def answered(shot: Shot, entrant: Entrant, watch: Watch) -> list[Part]:
    """Ask an entrant for a scene, and score it.

    Raises:
        ValueError: it answered more or fewer frames than it was given.
    """
    scene = shot.scene
    answers = list(entrant(scene.name, iter(shot.frames)))
    if len(answers) != len(shot.frames):
        raise ValueError(f"{len(answers)} answers to {len(shot.frames)} frames")
    parts = judge(scene.name, scene.kind, entrant.name, shot.truths, answers)
    watch(shot, entrant.name, answers, parts)
    return parts


def write_frames(folder: Path, frames: Iterable[Frame], scene: str) -> None:
    """A scene for other tools: SCENE/000000.png ... and times.txt, a presentation time in seconds a line."""
    target = folder / scene
    target.mkdir(parents=True, exist_ok=True)
    times = []
    for frame in frames:
        path = target / f"{frame.index:06d}.png"
        cv2.imwrite(str(path), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
        times.append(f"{float(frame.time):.6f}\n")
    (target / "times.txt").write_text("".join(times), encoding="utf-8")
