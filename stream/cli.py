"""The command ``s3pot``. Nothing heavy is imported before a command runs, so ``--help`` is at once.

Exit status: 0 done, 1 an internal failure, 2 bad input, 130 stopped by Ctrl-C, 143 by
SIGTERM.
"""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream import train_generators, train_prompts  # noqa: F401  they add commands to `train`
from stream.bench.command import app as bench
from stream.eval_command import eval_command
from stream.names import shown
from stream.refusal import BAD_INPUT, bad_input, say
from stream.train import app as train
from stream.web.command import serve_command
from stream.weights import app as weights

if TYPE_CHECKING:
    from configs.settings import Settings
    from stream.run import RunReport

app = typer.Typer(
    name="s3pot", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Finds what stands in front of each face in a video, and composites with that mask.",
)  # fmt: skip

app.add_typer(train, name="train")
app.add_typer(weights, name="weights")
app.add_typer(bench, name="bench")
app.command("eval")(eval_command)
app.command("serve")(serve_command)

STOPPED, TERMINATED = 130, 143

Config = Annotated[
    str | None,
    typer.Option(help="Named config (realtime, quality, privacy, paper) or a TOML file."),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one setting.")
]
ComputeMode = Annotated[
    str | None,
    typer.Option(
        metavar="MODE",
        help="full: the network looks at every face of every frame; auto, saver: at those that changed.",
    ),
]
EffectName = Annotated[
    str | None,
    typer.Option(help="none, overlay, matte, cutout, blur, pixelate, solid, restore or sticker."),
]


@app.command("run")
def run_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN", help="A file, camera:0, rtsp://, rtmp://, http(s)://, udp:// or srt://."
        ),
    ],
    outputs: Annotated[
        list[str],
        typer.Argument(
            metavar="OUT...",
            help="Files (mp4, mov, mkv, webm), rtsp://, rtmp://, udp://, web:PORT, masks:DIR, json:FILE, or - (NUT).",
        ),
    ],
    *,
    effect: EffectName = None,
    compute: ComputeMode = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="POLICY", help="privacy: what cannot be believed is covered; open."),
    ] = None,
    hide: Annotated[
        str | None,
        typer.Option(metavar="WHO", help="With --policy privacy: all, ids=1,2 or all-but=1,2."),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The same as masks:DIR.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The same as json:FILE.")
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what is wrong.")] = False,
) -> None:
    """Composite a video: what stands in front of each face, told from the face."""
    from stream.errors import StreamError
    from stream.job import Job
    from stream.progress import ProgressBar

    named = [*outputs, *([f"masks:{masks}"] if masks else []), *([f"json:{json}"] if json else [])]
    with bad_input(ValueError, OSError):
        chosen = [*(overrides or ()), *privacy_overrides(policy, hide)]
        job = Job(source, named, settings_of(config, chosen, effect, compute))
    output = shown(outputs[0])
    with job, ProgressBar(job.info.frames, quiet=quiet) as bar, bad_input(StreamError):
        try:
            with interruptible():
                report = job.run(bar)
        except KeyboardInterrupt as stop:
            how = str(stop) or "Ctrl-C"
            say(f"stopped by {how}; {output} holds the {counted(bar.frames, 'frame')} so far")
            raise typer.Exit(TERMINATED if how == "SIGTERM" else STOPPED) from None
    tell(report, job.info.name, output, quiet=quiet or "-" in outputs)
    if report.damage:  # the frames before it are delivered, and no script takes them for the whole
        raise typer.Exit(BAD_INPUT)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM ends a run as Ctrl-C does: what was begun is finished."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt("SIGTERM")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def privacy_overrides(policy: str | None, hide: str | None) -> list[str]:
    """``--policy privacy --hide all-but=3`` as settings."""
    chosen = [f'privacy.policy="{policy}"'] if policy else []
    if hide:
        who, _, ids = hide.partition("=")
        chosen += [f'privacy.who="{who}"'] + ([f"privacy.ids=[{ids}]"] if ids else [])
    return chosen


def settings_of(
    config: str | None, overrides: list[str] | None, effect: str | None, compute: str | None
) -> Settings:
    """Settings of a command line; ``--effect`` and ``--compute`` are short ways to say ``--set``."""
    from json import dumps

    from configs.settings import load_settings

    short = {"effect.name": effect, "model.compute": compute}
    chosen = [f"{key}={dumps(value)}" for key, value in short.items() if value is not None]
    return load_settings(config, [*(overrides or ()), *chosen])


def tell(report: RunReport, source: str, output: str, *, quiet: bool) -> None:
    """What was wrong on stderr, then one line of what was done; no name holds a password."""
    if report.damage:
        text = report.damage
        say(text if text.startswith(source) else f"{source}: {text}")
    for note in report.notes:
        say(note)
    for cause, count in sorted(report.drops.items()):
        say(f"{counted(count, 'frame')} dropped: {cause}")
    for kind, count in sorted(report.failures.items()):
        say(f"the model failed in {counted(count, 'frame')}: {kind}")
    if report.filled:
        say(f"no signal for {counted(report.filled, 'picture')}")
    if not report.faces:
        say(f"{source}: no face was found; the video passes through without an effect")
    if not quiet:
        typer.echo(f"{output}: {summary(report)}")


def summary(report: RunReport) -> str:
    """``150 frames, 1 face, covered in 63 frames; 11.8 s, 12.7 frames a second``."""
    parts = [counted(report.frames, "frame"), counted(report.faces, "face")]
    if report.faces:
        parts.append(f"covered in {counted(report.covered_frames, 'frame')}")
    if report.carried:
        share = report.looks / (report.looks + report.carried)
        parts.append(f"network on {100 * share:.0f} % of the faces")
    speed = report.frames / max(report.seconds, 1e-9)
    done = f"{', '.join(parts)}; {report.seconds:.1f} s, {speed:.1f} frames a second"
    if report.latency_seconds is None:
        return done
    p50, p95, p99 = (f"{1000 * seconds:.0f}" for seconds in report.latency_seconds)
    return f"{done}; latency p50 {p50}, p95 {p95}, p99 {p99} ms"


def counted(number: int, noun: str) -> str:
    """``1 face``, ``2 faces``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


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
