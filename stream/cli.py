"""The command ``s3pot``. Nothing heavy is imported before a command runs, so ``--help`` is at once.

Exit status: 0 done, 1 an internal failure, 2 bad input, 130 stopped by Ctrl-C, 143 by
SIGTERM.
"""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from stream import train_generators, train_prompts  # noqa: F401  they add commands to `train`
from stream.bench.command import app as bench
from stream.eval_command import eval_command
from stream.refusal import BAD_INPUT, bad_input, say
from stream.run_command import (
    STOPPED,
    ComputeMode,
    Config,
    EffectName,
    Overrides,
    run_command,
    settings_of,
    tell,
)
from stream.train import app as train
from stream.weights import app as weights

app = typer.Typer(
    name="s3pot", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Finds what stands in front of each face in a video, and composites with that mask.",
)  # fmt: skip

app.add_typer(train, name="train")
app.add_typer(weights, name="weights")
app.add_typer(bench, name="bench")
app.command("run")(run_command)
app.command("eval")(eval_command)


@app.command("info")
def info_command(config: Config = None, overrides: Overrides = None) -> None:
    """Say the versions, the devices, and the weights with their checksums."""
    import platform

    from s3pot.model import pick_device
    from s3pot.weights import catalogue

    typer.echo(f"s3pot      {version('s3pot-stream')}")
    typer.echo(f"python     {platform.python_version()}")
    for package in ("torch", "av", "mediapipe"):
        typer.echo(f"{package:<10} {version(package)}")
    typer.echo(f"device     {pick_device('auto')}")
    with bad_input(ValueError, OSError):
        entries = catalogue(settings_of(config, overrides, None, None).model.weights)
    broken = []
    for entry in entries:
        state = "ok" if entry.ok else "missing or damaged"
        typer.echo(f"weights    {entry.name}  {entry.parameters:,} parameters  {state}")
        typer.echo(f"           {entry.path}\n           sha256 {entry.sha256}")
        broken += [] if entry.ok else [entry]
    for entry in broken:
        say(f"{entry.path}: missing, or its checksum is another; install the package again")
    if broken:
        raise typer.Exit(BAD_INPUT)


@app.command("demo")
def demo_command(
    *,
    source: Annotated[
        str | None, typer.Option("--input", metavar="FILE", help="A video of your own.")
    ] = None,
    output: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")] = Path(
        "out"
    ),
    effect: EffectName = None,
    compute: ComputeMode = None,
    config: Config = None,
    overrides: Overrides = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Make a clip whose truth is known, run it, and say how well and how fast it went."""
    from stream.demo import Demo
    from stream.errors import StreamError
    from stream.progress import ProgressBar

    if source is None and not quiet:
        typer.echo("drawing the clip ...", err=True)
    with bad_input(ValueError, OSError):
        demo = Demo(settings_of(config, overrides, effect, compute), output, source)
    with demo, ProgressBar(demo.info.frames, quiet=quiet) as bar, bad_input(StreamError):
        try:
            report = demo.run(bar)
        except KeyboardInterrupt:
            say("stopped by Ctrl-C")
            raise typer.Exit(STOPPED) from None
    tell(report, demo.info.name, str(demo.composite), quiet=True)
    for line in demo.lines(report):
        typer.echo(line)


@app.callback(invoke_without_command=True)
def root(
    show_version: Annotated[bool, typer.Option("--version", help="Say the version.")] = False,
) -> None:
    """Finds what stands in front of each face in a video, and composites with that mask."""
    if show_version:
        typer.echo(version("s3pot-stream"))
        raise typer.Exit


def main() -> None:
    """Entry point of the console script."""
    app()
