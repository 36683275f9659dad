"""The command ``s3pot bench faults``."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from stream.refusal import bad_input, say

if TYPE_CHECKING:
    from stream.bench.faults.outcome import Outcome, Scene


def faults_command(
    *,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Faults whose name begins so; repeatable."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="3 restarts for 20, 5,000 frames for 100,000.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of when servers die, what is lost.")] = 0,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also faults.json.")] = None,
) -> None:
    """Break what can break, on loopback, with the privacy policy on, and look at what comes out."""
    with bad_input(ValueError, OSError):
        from stream.bench.faults.outcome import LEGEND, table
        from stream.bench.faults.scenes import SCENES

        outcomes = play(chosen(SCENES, only or ()), quick=quick, seed=seed)
        typer.echo(table(outcomes))
        typer.echo(LEGEND)
        if out is not None:
            write(out, outcomes, quick=quick, seed=seed)
    broken = [outcome.fault for outcome in outcomes if outcome.broken]
    if broken:
        say(f"broken: {', '.join(broken)}")
        raise typer.Exit(1)


def chosen(scenes: dict[str, Scene], only: list[str] | tuple[str, ...]) -> dict[str, Scene]:
    """Those whose name begins with one of ``only``; all if there is none.

    Raises:
        ValueError: none begins so.
    """
    for name in only:
        if not any(fault.startswith(name) for fault in scenes):
            raise ValueError(f"--only {name}: no such fault; known: {', '.join(scenes)}")
    return {k: v for k, v in scenes.items() if not only or k.startswith(tuple(only))}


def play(scenes: dict[str, Scene], *, quick: bool, seed: int) -> list[Outcome]:
    """One after the other; a line on stderr for each."""
    from stream.bench.faults.outcome import played

    outcomes = []
    for name, scene in scenes.items():
        with TemporaryDirectory(prefix="s3pot-faults-") as folder:
            outcomes.append(played(name, scene, Path(folder), quick=quick, seed=seed))
        typer.echo(f"{name}: {outcomes[-1].verdict}", err=True)
    return outcomes


def write(folder: Path, outcomes: list[Outcome], *, quick: bool, seed: int) -> None:
    """faults.json."""
    import platform
    from importlib.metadata import version

    from stream.bench.faults.outcome import write_json

    about: dict[str, object] = {
        "command": " ".join(["s3pot", *sys.argv[1:]]), "version": version("s3pot-stream"),
        "machine": platform.processor() or platform.machine(), "quick": quick, "seed": seed,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "faults.json", outcomes, about)
