"""``s3pot run``: sources in, composited pictures, masks and lists of faces out."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.names import shown
from stream.refusal import BAD_INPUT, bad_input, say

if TYPE_CHECKING:
    from configs.settings import Settings
    from stream.run import RunReport

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


def run_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="IN",
            help="A file, camera:0, rtsp://, rtmp://, http(s)://, udp://, srt://, - or raw:640x480:rgb24:30 (stdin).",
        ),
    ],
    outputs: Annotated[
        list[str],
        typer.Argument(
            metavar="OUT...",
            help="Files (mp4, mov, mkv, webm), rtsp://, rtmp://, udp://, camera:/dev/video9, web:PORT, masks:DIR, json:FILE, or - (NUT).",
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
        typer.Option(metavar="WHO", help="Implies --policy privacy: all, ids=1,2 or all-but=1,2."),
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
    from stream.folder import runs

    named = [*outputs, *([f"masks:{masks}"] if masks else []), *([f"json:{json}"] if json else [])]
    with bad_input(ValueError, OSError):
        policy = policy or ("privacy" if hide else None)  # who is to be hidden is not shown
        chosen = [*(overrides or ()), *privacy_overrides(policy, hide)]
        if policy == "privacy" and config is None:
            config = "privacy"  # it also looks for faces in every frame
        settings = settings_of(config, chosen, effect, compute)
        todo = runs(source, named)
    piped = any(name in ("-", "json:-") for name in named)
    whole = [
        run_one(
            one, into, settings if len(todo) == 1 else apart(settings, one), quiet=quiet or piped
        )
        for one, into in todo
    ]
    if not all(whole):  # what was there is delivered, and no script takes it for all
        raise typer.Exit(BAD_INPUT)


def apart(settings: Settings, source: str) -> Settings:
    """The same for one of several files: each has an audit of its own, ``audit-talk.json`` of talk.mp4."""
    path = Path(settings.privacy.audit)
    if not path.name:
        return settings
    named = path.with_name(f"{path.stem}-{Path(source).stem}{path.suffix}")
    privacy = settings.privacy.model_copy(update={"audit": str(named)})
    return settings.model_copy(update={"privacy": privacy})


def run_one(source: str, outputs: list[str], settings: Settings, *, quiet: bool) -> bool:
    """Run one source; False where it was damaged."""
    from stream.errors import StreamError
    from stream.job import Job
    from stream.progress import ProgressBar

    with bad_input(ValueError, OSError):
        job = Job(source, outputs, settings, tell=lambda text: bar.say(text))  # noqa: PLW0108  it comes later
    output, live = shown(outputs[0]), job.info.live
    bar = ProgressBar(job.info.frames, live=live, quiet=quiet)
    with job, bar, bad_input(StreamError):
        try:
            with interruptible():
                report = job.run(bar)
        except KeyboardInterrupt as stop:
            how = str(stop) or "Ctrl-C"
            say(f"stopped by {how}; {output} holds the {counted(bar.frames, 'frame')} so far")
            raise typer.Exit(TERMINATED if how == "SIGTERM" else STOPPED) from None
    tell(report, job.info.name, output, quiet=quiet)
    return report.damage is None


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
    """``--policy privacy --hide all-but=3`` as settings.

    Raises:
        ValueError: somebody is to be hidden, by a policy that hides nobody.
    """
    if hide and policy != "privacy":
        raise ValueError(f"--hide goes with --policy privacy, got --policy {policy}")
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
    for name, lost in sorted(report.sink_drops.items()):
        for cause, count in sorted(lost.items()):
            say(f"{name}: {counted(count, 'picture')} dropped: {cause}")
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
