"""The command ``s3pot bench coverage``."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from stream.refusal import BAD_INPUT, bad_input, say


def coverage_command(
    clips: Annotated[list[str], typer.Argument(metavar="CLIP...", help="Videos with faces.")],
    *,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="frame-by-frame, unsmoothed, config:NAME_OR_FILE, set:A.B=C, mediapipe, nothing, no-reference, "
            "person, onnx:FILE, paper or released; repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also coverage.png and coverage.csv.")
    ] = None,
    config: Annotated[str | None, typer.Option(help="Named config or a TOML file: ours.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one setting.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:  # fmt: skip
    """Plot how much of each face is covered over time, in your own clips; no truth is needed."""
    with bad_input(ValueError, OSError, ModuleNotFoundError), ExitStack() as stack:
        from stream.bench.coverage import LEGEND, follow, table, write_csv
        from stream.bench.coverage_plot import plot
        from stream.bench.entrants import make_entrant
        from stream.bench.speed_command import counter

        stems = [Path(clip).stem for clip in clips]
        if len(set(stems)) < len(stems):
            raise ValueError(f"clips must differ in name, got {', '.join(stems)}")
        names = list(dict.fromkeys(["ours", *(against or ())]))
        entrants = [
            stack.enter_context(closing(make_entrant(name, config, overrides or ())))
            for name in names
        ]
        step = stack.enter_context(counter("clips", len(clips) * len(names), quiet=quiet))
        moments = []
        for clip in clips:
            its = list(follow(clip, entrants, step))
            moments += its
            if not its:
                say(f"{clip}: no face found")
        if not moments:
            raise typer.Exit(BAD_INPUT)
        for text in table(moments, names[0]):
            typer.echo(text)
        typer.echo(LEGEND)
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            write_csv(out / "coverage.csv", moments)
            plot(out / "coverage.png", moments, names[0])
            typer.echo(f"{out / 'coverage.png'}")
