"""The command ``s3pot bench latency``."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from stream.refusal import bad_input


def latency_command(
    *,
    rate: Annotated[int, typer.Option(min=1, max=60, help="Pictures a second.")] = 15,
    seconds: Annotated[float, typer.Option(min=1, help="How long to look.")] = 20.0,
    config: Annotated[str | None, typer.Option(help="Named config or a TOML file.")] = None,
    policy: Annotated[str | None, typer.Option(metavar="POLICY", help="As of `s3pot run`.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one setting.")
    ] = None,
) -> None:
    """Measure glass to glass: a picture that says when it was drawn, from server to server."""
    with bad_input(ValueError, OSError):
        from stream.bench.latency import latency

        arguments = [f"--config={config}"] if config else []
        arguments += [f"--policy={policy}"] if policy else []
        for one in overrides or ():
            arguments += ["--set", one]
        with TemporaryDirectory(prefix="s3pot-latency-") as folder:
            for found in latency(Path(folder), arguments, rate=rate, seconds=seconds):
                typer.echo(found.line)
