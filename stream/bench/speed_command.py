"""The command ``s3pot bench speed``."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from stream.refusal import bad_input, say

if TYPE_CHECKING:
    from configs.settings import Settings
    from stream.bench.growth import Point
    from stream.bench.race import Lane, Painter

ROUNDS, ROUND_FRAMES = 5, 50


def speed_command(
    *,
    frames: Annotated[int, typer.Option(help="Length of the clip.")] = 600,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Also, in turns: copy (decode and encode only), config:NAME_OR_FILE, set:A.B=C, mediapipe, "
            "xseg-size (a random U-Net of that size in ONNX Runtime), sam (a random vit_b on every "
            "frame, half a minute each), or an entrant of `bench video`; repeatable.",
        ),
    ] = None,
    growth: Annotated[
        bool, typer.Option("--growth", help="Also with 1-16 faces, 360p to 4K, 100-1600 frames.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also speed.json, and growth.png.")
    ] = None,
    effect: Annotated[str | None, typer.Option(help="As of `s3pot run`.")] = None,
    config: Annotated[str | None, typer.Option(help="Named config or a TOML file: ours.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one setting.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:  # fmt: skip
    """Measure speed on a drawn clip: by stage, beside its floor, beside others, and how it grows."""
    from json import dumps

    with bad_input(ValueError, OSError, ModuleNotFoundError):
        from configs.settings import load_settings
        from stream.bench import speed_report
        from stream.bench.speed import bench
        from stream.progress import ProgressBar

        chosen = [] if effect is None else [f"effect.name={dumps(effect)}"]
        asked = [*(overrides or ()), *chosen]
        settings = load_settings(config, asked)
        with ProgressBar(frames, quiet=quiet) as bar:
            speed = bench(settings, frames, bar)  # first: the most memory is then its own
        points = grown(settings, quiet=quiet) if growth else []
        lanes = raced(against or (), config, asked, quiet=quiet)  # last: others may be large
        parts = [
            speed_report.race_lines(lanes) if lanes else (), speed_report.speed_lines(speed),
            speed_report.growth_lines(points), [speed_report.machine()],
        ]  # fmt: skip
        typer.echo("\n\n".join("\n".join(lines) for lines in map(list, parts) if lines))
        if out is not None:
            write(out, points)
            command = " ".join(["s3pot", *sys.argv[1:]])
            speed_report.write_json(out / "speed.json", speed, lanes, points, command)


def raced(
    against: Sequence[str], config: str | None, overrides: Sequence[str], *, quiet: bool
) -> list[Lane]:
    """Ours and the others, in turns on one clip; none if there are no others."""
    from stream.bench.race import race
    from stream.bench.speed import write_long_clip

    if not against:
        return []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="s3pot-race-")))
        names = list(dict.fromkeys(["ours", *against]))
        painters = [
            stack.enter_context(closing(make_painter(name, config, overrides, folder)))
            for name in names
        ]
        clip = write_long_clip(folder / "clip.mp4", ROUNDS * ROUND_FRAMES)
        step = stack.enter_context(counter("lanes", ROUNDS * len(names), quiet=quiet))
        return race(clip, painters, folder, rounds=ROUNDS, frames=ROUND_FRAMES, step=step)


def make_painter(name: str, config: str | None, overrides: Sequence[str], folder: Path) -> Painter:
    """A lane by name.

    Args:
        name: "ours", "copy", "sam", "xseg-size", "config:X", or an entrant of the other benchmark.
        config: of the command.
        overrides: of the command.
        folder: for weights that are made up.

    Raises:
        ValueError: nobody has that name, or a setting is wrong.
        FileNotFoundError: no such file.
    """
    from configs.settings import load_settings
    from stream.bench.entrants import Cropped, make_entrant
    from stream.bench.race import Copy, Floats, Product
    from stream.bench.rivals import random_sam, xseg_size
    from stream.competitors import PipelineCompetitor

    prefix, _, rest = name.partition(":")
    if name == "copy":
        return Copy()
    if name == "ours" or (prefix == "config" and rest):
        return Product(name, rest or config, overrides)
    if prefix == "set" and rest:
        return Product(name, config, [*overrides, rest])
    if name == "sam":
        return Product("sam", "paper-sam", [*overrides, *random_sam(folder)])
    if name == "xseg-size":
        ours = PipelineCompetitor("ours", load_settings(config, overrides))
        return Floats(Cropped(xseg_size(ours.size), ours))
    if prefix in {"masks", "python"}:
        say(f"{name}: is timed as it answers; what made it is not")
    return Floats(make_entrant(name, config, overrides))


def grown(settings: Settings, *, quiet: bool) -> list[Point]:
    """All points of growth."""
    from stream.bench.growth import FACES, HEIGHTS_PX, growth
    from stream.clip import clip

    base = [frame.image for frame in clip()]
    with counter("growth", len(FACES) + len(HEIGHTS_PX) + 1, quiet=quiet) as step:
        return list(growth(settings, base, step))


@contextmanager
def counter(name: str, total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar on stderr, if that is a terminal; call what it gives after each step."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(name, total=total)
        yield lambda: bar.advance(task)


def write(folder: Path, points: Sequence[Point]) -> None:
    """The folder, and the plot of growth."""
    from stream.bench.growth import plot

    folder.mkdir(parents=True, exist_ok=True)
    if points:
        plot(folder / "growth.png", points)
