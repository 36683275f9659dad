"""``s3pot eval``: measures the masks against truth, ours and others', on the same faces."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.refusal import BAD_INPUT, bad_input, say

if TYPE_CHECKING:
    from stream.competitors import Competitor
    from stream.contact import Worst
    from stream.evaluate import EvalSet, Finder, Row

Folders = list[Path] | None


@dataclass(frozen=True, slots=True)
class Sources:
    """What is measured, as the command line says it; see :func:`eval_command`."""

    data: tuple[Path, ...]
    clean: tuple[Path, ...]
    clips: Path | None
    occluders: Path | None
    values: tuple[int | None, int | None]
    plan: tuple[int, int, int]


def eval_command(
    *,
    data: Annotated[
        Folders, typer.Option(metavar="DIR", help="Pictures or clips with masks; repeatable.")
    ] = None,
    clean: Annotated[
        Folders, typer.Option(metavar="DIR", help="Uncovered faces, for false alarms; repeatable.")
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Clips of one uncovered face each, .mp4.")
    ] = None,
    occluders: Annotated[
        Path | None, typer.Option(metavar="DIR", help="RGBA cut-outs to lay over the clips.")
    ] = None,
    per_clip: Annotated[int, typer.Option(min=1, help="Composites of each clip.")] = 3,
    frames: Annotated[int, typer.Option(min=10, help="At most so many frames of each clip.")] = 120,
    cold: Annotated[
        int, typer.Option(min=0, help="So many single covered frames of each composite, no history.")
    ] = 0,
    occluder_value: Annotated[
        int | None, typer.Option(min=0, max=255, help="Value of the occluder in the masks.")
    ] = None,
    face_value: Annotated[
        int | None, typer.Option(min=0, max=255, help="Value of the visible face in the masks.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="nothing, released, paper, box, no-reference, person, onnx:FILE, "
            "config:NAME_OR_FILE or box:NAME_OR_FILE; repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also results.csv, results.json, worst.png.")
    ] = None,
    detail: Annotated[bool, typer.Option("--detail", help="Also by kind, size and skin.")] = False,
    config: Annotated[str | None, typer.Option(help="Named config or a TOML file: ours.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Override one setting, of all competitors."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:  # fmt: skip
    """Measure the masks against truth: any folder of pictures or clips with masks, composites."""
    sources = Sources(
        tuple(data or ()), tuple(clean or ()), clips, occluders, (occluder_value, face_value),
        (per_clip, frames, cold),
    )  # fmt: skip
    if (clips is None) != (occluders is None) or not (data or clean or clips):
        say("nothing to measure: give --data, --clean, or --clips and --occluders")
        raise typer.Exit(BAD_INPUT)
    with bad_input(ValueError, OSError, ModuleNotFoundError), ExitStack() as stack:
        groups = given_sets(sources)  # a wrong folder is told before anything is loaded
        rivals, finder = build(against or (), config, overrides or (), stack)
        groups += composites(sources, finder)
        run(named_apart(groups), finder, rivals, out, detail=detail, quiet=quiet)


def given_sets(sources: Sources) -> list[EvalSet]:
    """The folders that hold their own truth, or nothing to find."""
    from stream.evaluate import clean_set, paired_set
    from stream.truth import MaskValues

    values = MaskValues(*sources.values)
    return [paired_set(folder, values) for folder in sources.data] + [
        clean_set(folder) for folder in sources.clean
    ]


def composites(sources: Sources, finder: Finder) -> list[EvalSet]:
    """The set of composites, if it is asked for."""
    from stream.composites import CompositePlan
    from stream.evaluate import composite_set

    if sources.clips is None or sources.occluders is None:
        return []
    plan = CompositePlan(*sources.plan)
    return [composite_set(sources.clips, sources.occluders, finder.first_box, plan)]


def named_apart(groups: list[EvalSet]) -> list[EvalSet]:
    """Sets of one name are told apart by a number: sums over both would be of neither."""
    counts: dict[str, int] = {}
    apart = []
    for group in groups:
        counts[group.name] = number = counts.get(group.name, 0) + 1
        name = group.name if number == 1 else f"{group.name} ({number})"
        apart.append(replace(group, name=name))
    return apart


def build(
    against: Sequence[str], config: str | None, overrides: Sequence[str], stack: ExitStack
) -> tuple[list[Competitor], Finder]:
    """Ours first, then the others, each built once; and who finds the faces for all."""
    from configs.settings import load_settings
    from stream.competitors import PipelineCompetitor, make_competitor
    from stream.evaluate import Finder

    ours = PipelineCompetitor("ours", load_settings(config, overrides))
    rivals: list[Competitor] = [stack.enter_context(closing(ours))]
    for name in dict.fromkeys(against):
        rival = make_competitor(name, config, overrides, ours.size)
        rivals.append(stack.enter_context(closing(rival)))
    names = [rival.name for rival in rivals]
    if len(set(names)) < len(names):
        raise ValueError(f"two competitors have one name: {', '.join(names)}")
    return rivals, Finder(ours)


def run(
    groups: Sequence[EvalSet], finder: Finder, rivals: Sequence[Competitor], out: Path | None, *,
    detail: bool, quiet: bool,
) -> None:  # fmt: skip
    """Measure, tell, write."""
    from stream.contact import Worst
    from stream.report import table, write_csv, write_json

    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    worst, refused = Worst(), list[str]()
    rows = measure(groups, finder, rivals, worst, refused, quiet=quiet)
    for text in table(rows, detail=detail):
        typer.echo(text)
    if out is not None:
        write_csv(out / "results.csv", rows)
        command = ["s3pot", *sys.argv[1:]]
        write_json(out / "results.json", rows, rivals, command=command, refused=refused)
        worst.write(out)
    tell(rows, refused)
    if not any(row.score for row in rows):
        say("nothing was measured: no face was found in any picture")
        raise typer.Exit(BAD_INPUT)


def measure(
    groups: Sequence[EvalSet], finder: Finder, rivals: Sequence[Competitor], worst: Worst,
    refused: list[str], *, quiet: bool,
) -> list[Row]:  # fmt: skip
    """All rows of all sets; a bar on stderr counts the cases."""
    from rich.console import Console
    from rich.progress import Progress

    from stream.evaluate import evaluate

    console = Console(stderr=True)
    rows: list[Row] = []
    with Progress(console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("cases", total=sum(group.count for group in groups))
        for group in groups:
            rows += evaluate(
                group, finder, rivals, watch=worst, refuse=refused.append,
                step=lambda: bar.advance(task),
            )  # fmt: skip
    return rows


def tell(rows: Sequence[Row], refused: Sequence[str]) -> None:
    """What was not measured, and what was taken for clean, by name, on stderr."""
    for text in refused:
        say(f"left out: {text}")
    if refused:
        say(f"{len(refused)} left out")
    ours = [row for row in rows if row.competitor == "ours"]
    blind = [f"{row.set}: {row.case}" for row in ours if row.score is None]
    for name, frames in Counter(blind).items():
        say(f"no face found: {name}" + (f" ({frames} frames)" if frames > 1 else ""))
    free = {(r.set, r.case) for r in ours if r.score} - {
        (r.set, r.case) for r in ours if r.kind == "clean" or (r.score and not r.score.is_clean)
    }
    for name, case in sorted(free):
        say(f"nothing in front of the face, counted as clean: {name}: {case}")
