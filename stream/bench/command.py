"""``s3pot bench``: masks over time, measured and shown, speed, latency, and what faults do."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.bench.coverage_command import coverage_command
from stream.bench.faults_command import faults_command
from stream.bench.latency_command import latency_command
from stream.bench.speed_command import speed_command
from stream.refusal import BAD_INPUT, bad_input, say

if TYPE_CHECKING:
    from stream.bench.entrants import Answer, Entrant
    from stream.bench.film import Told
    from stream.bench.judge import Part
    from stream.bench.results import Results
    from stream.bench.scene import Scene
    from stream.bench.shot import Shot
    from stream.bench.video import Benchmark

app = typer.Typer(
    no_args_is_help=True,
    help="Measure masks over time (video), speed, latency, what faults do; plot your clips (coverage).",
)

Config = Annotated[str | None, typer.Option(help="Named config or a TOML file: ours.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one setting.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]


@app.command("video")
def video_command(
    *,
    size: Annotated[str, typer.Option(help="small: each kind of scene once; full: six times.")] = "small",
    seed: Annotated[int, typer.Option(min=0, help="Of everything left to chance.")] = 0,
    only: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="These kinds of scenes; repeatable.")
    ] = None,
    clips: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Clips of one uncovered face each; else a photograph."),
    ] = None,
    occluders: Annotated[
        Path | None, typer.Option(metavar="DIR", help="RGBA cut-outs; else drawn things.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="frame-by-frame, unsmoothed, config:NAME_OR_FILE, set:A.B=C, masks:DIR, python:MODULE:NAME, onnx:FILE, "
            "mediapipe, nothing, no-reference, person, paper or released; repeatable.",
        ),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Only write the scenes' frames there, for masks:DIR."),
    ] = None,
    film: Annotated[
        list[str] | None,
        typer.Option(metavar="SCENE", help="Also a film of a scene, like fast/0; all: one of each kind."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also CSV, JSON, plots, report.html; goes on where it stopped."),
    ] = None,
    config: Config = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Measure masks in video: flicker, lag, trail, leak, and how well they fit; exact truth."""
    from stream.bench.scene import plan

    with bad_input(ValueError, OSError, ModuleNotFoundError), ExitStack() as stack:
        bench = planned(plan(size, seed, only or ()), clips, occluders, out)
        if frames is not None:
            write_scenes(bench, frames)
            return
        films = filmed(film or (), [scene.name for scene in bench.scenes], out)
        entrants = entered(against or (), config, overrides or (), stack)
        album = Album(out, films)
        results = run(bench, entrants, album, quiet=quiet)
        album.finish()
        tell(bench, results, album)


def filmed(asked: Sequence[str], names: Sequence[str], out: Path | None) -> list[str]:
    """The scenes of which there is to be a film.

    Raises:
        ValueError: no such scene, or no folder.
    """
    for wanted in asked:
        if wanted not in (*names, "all") or out is None:
            raise ValueError(f"--film {wanted}: needs --out, and all or one of {', '.join(names)}")
    firsts = {name.partition("/")[0]: name for name in reversed(names)}.values()
    return [name for name in names if name in asked or ("all" in asked and name in firsts)]


def planned(
    scenes: Sequence[Scene], clips: Path | None, occluders: Path | None, out: Path | None
) -> Benchmark:
    """The benchmark as the command line says it."""
    from stream.bench.cast import ClipCast, PhotographCast
    from stream.bench.occluders import cutout_props, drawn_props
    from stream.bench.store import Store
    from stream.bench.video import Benchmark

    return Benchmark(
        scenes, PhotographCast() if clips is None else ClipCast(clips),
        drawn_props if occluders is None else cutout_props(occluders),
        about=f"{clips} {occluders}", store=Store(out and out / "scenes"),
    )  # fmt: skip


def entered(
    against: Sequence[str], config: str | None, overrides: Sequence[str], stack: ExitStack
) -> list[Entrant]:
    """Ours first, then the others, each built once."""
    from stream.bench.entrants import make_entrant

    names = list(dict.fromkeys(["ours", *against]))
    return [stack.enter_context(closing(make_entrant(name, config, overrides))) for name in names]


def write_scenes(bench: Benchmark, folder: Path) -> None:
    """All scenes as pictures, for tools that are not ours."""
    from stream.bench.shot import shoot
    from stream.bench.video import write_frames

    for scene in bench.scenes:
        write_frames(folder, shoot(scene, bench.cast, bench.props).frames, scene.name)
    typer.echo(f"{folder}: {len(bench.scenes)} scenes")


class Album:
    """Pictures and films of what was measured, if there is a folder for them.

    A scene's film is written once the next one begins: no two scenes are held at a time.
    """

    def __init__(self, folder: Path | None, films: Sequence[str]) -> None:
        self.folder, self.films = folder, films
        self._shot: Shot | None = None
        self._told: dict[str, Told] = {}

    def see(
        self, shot: Shot, who: str, answers: Sequence[Sequence[Answer]], parts: Sequence[Part]
    ) -> None:
        """Keep what is asked for; see :data:`stream.bench.video.Watch`."""
        import cv2

        from stream.bench.film import Told
        from stream.bench.pictures import stills

        if self.folder is None:
            return
        path = self.still(shot.scene.name, who)
        path.parent.mkdir(parents=True, exist_ok=True)
        strip = cv2.cvtColor(stills(shot, answers), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(path), strip, [cv2.IMWRITE_JPEG_QUALITY, 80])
        if shot.scene.name in self.films:
            if shot is not self._shot:
                self.finish()
            self._shot = shot
            self._told[who] = Told(answers, parts)

    def finish(self) -> None:
        """Write the film of the scene that was seen last, if one is wanted."""
        from stream.bench.film import Film

        if self._shot is not None and self.folder is not None:
            Film(self.folder / "films").write(self._shot, self._told)
        self._shot, self._told = None, {}

    def still(self, scene: str, who: str) -> Path:
        """Where an entrant's strip of a scene lies."""
        assert self.folder is not None
        plain = "".join(c if c.isalnum() or c in "-." else "_" for c in who)
        return self.folder / "scenes" / scene / f"{plain}.jpg"


def run(bench: Benchmark, entrants: Sequence[Entrant], album: Album, *, quiet: bool) -> Results:
    """Measure; a bar on stderr counts scenes times entrants."""
    from rich.console import Console
    from rich.progress import Progress

    from stream.bench.video import measure

    console = Console(stderr=True)
    with Progress(console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("scenes", total=len(bench.scenes) * len(entrants))
        return measure(
            bench, entrants, watch=album.see, step=lambda: bar.advance(task), anew=album.films
        )


def tell(bench: Benchmark, results: Results, album: Album) -> None:
    """The table on stdout, what was not measured on stderr, the files in the folder."""
    from stream.bench.results import LEGEND, table

    if not any(results.values()):
        for text in bench.refused:
            say(f"not measured: {text}")
        raise typer.Exit(BAD_INPUT)
    for text in table(results):
        typer.echo(text)
    typer.echo(LEGEND)
    for text in bench.refused:
        say(f"not measured: {text}")
    if bench.refused:
        say(f"{len(bench.refused)} not measured")
    if album.folder is not None:
        write_report(album, bench, results)
        typer.echo(f"{album.folder / 'report.html'}")


def write_report(album: Album, bench: Benchmark, results: Results) -> None:
    """results.csv, results.json, a plot of each scene, report.html."""
    import platform
    from importlib.metadata import version

    from stream.bench.page import page
    from stream.bench.pictures import plot_coverage
    from stream.bench.results import write_csv, write_json

    folder = album.folder
    assert folder is not None
    about = {
        "command": " ".join(["s3pot", *sys.argv[1:]]), "version": version("s3pot-stream"),
        "machine": platform.processor() or platform.machine(), "python": platform.python_version(),
        "cast": bench.cast.name, "scenes": len(bench.scenes), "not measured": bench.refused,
    }  # fmt: skip
    write_csv(folder / "results.csv", results)
    write_json(folder / "results.json", results, about)
    pictures: dict[str, dict[str, Path]] = {}
    for scene in dict.fromkeys(p.rows[0].scene for parts in results.values() for p in parts):
        plot = folder / "scenes" / scene / "coverage.png"
        plot_coverage(plot, results, scene)
        strips = {who: album.still(scene, who) for who in results}
        pictures[scene] = {who: path for who, path in strips.items() if path.is_file()}
        pictures[scene]["coverage"] = plot
    (folder / "report.html").write_text(
        page(results, about, bench.refused, pictures), encoding="utf-8"
    )


app.command("speed")(speed_command)
app.command("faults")(faults_command)
app.command("latency")(latency_command)
app.command("coverage")(coverage_command)
