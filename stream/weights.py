"""``s3pot weights``: which weights there are, whether they are right, and how to get more."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from stream.refusal import BAD_INPUT, bad_input, say

if TYPE_CHECKING:
    from s3pot.official import OfficialFile

RESEARCH = "research only"
"""The packaged weights were made from data with such licences: see their card."""

app = typer.Typer(help="List, verify and download weights: the package's and SAM's official ones.")

STOPPED = 130

Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder; else S3POT_CACHE, or this user's cache."),
]


class Row(NamedTuple):
    """A line of the list."""

    name: str
    size: str
    parameters: str
    licence: str
    state: str
    sha256: str


@app.callback(invoke_without_command=True)
def bare(context: typer.Context) -> None:
    """List, verify and download weights: the package's and SAM's official ones."""
    if context.invoked_subcommand is None:
        list_command()


@app.command("list")
def list_command(*, out: Out = None) -> None:
    """Every file: size, parameters, licence, SHA-256, and whether it is here."""
    with bad_input(ValueError, OSError):
        rows = [
            Row("NAME", "SIZE", "PARAMETERS", "LICENCE", "STATE", "SHA-256"),
            *packaged_rows(), *official_rows(folder_of(out)),
        ]  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())
    typer.echo(f"`s3pot weights download NAME` fetches to {folder_of(out)}")


@app.command()
def verify(*, out: Out = None) -> None:
    """Compare every file that is here with its SHA-256; status 2 if one is damaged or missing."""
    from s3pot.official import OFFICIAL, fault
    from s3pot.weights import catalogue

    faults = 0
    with bad_input(ValueError, OSError):
        checks = {file.path: "" if file.ok else "damaged or missing" for file in catalogue()}
        for path, official in placed(OFFICIAL, folder_of(out)):
            checks[path] = fault(path, official)
    for path, wrong in checks.items():
        faults += bool(wrong)
        typer.echo(f"{path}: {wrong or 'ok'}")
    if faults:
        say(f"{faults} of {len(checks)} files are not what they should be")
        raise typer.Exit(BAD_INPUT)


@app.command()
def download(
    name: Annotated[str, typer.Argument(metavar="NAME", help="vit_b, vit_l or vit_h.")],
    *, out: Out = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what is wrong.")] = False,
) -> None:  # fmt: skip
    """Fetch an official SAM checkpoint, or the rest of it, and verify it."""
    from s3pot.official import LICENCE, OFFICIAL
    from s3pot.official import download as fetch

    folder = folder_of(out)
    with bad_input(ValueError, OSError):
        official = chosen(OFFICIAL, name)
        with bar(official, quiet=quiet) as progress:
            path = fetch(official, folder, progress)
    if not quiet:
        setting = f"--set model.name={official.name}"
        if out is not None:
            setting += f" --set model.checkpoint={path}"
        typer.echo(f"{path}: verified, {LICENCE}; use it with {setting}")


def chosen(files: dict[str, OfficialFile], name: str) -> OfficialFile:
    """The file of a model's name, or of its own.

    Raises:
        ValueError: there is none of the name.
    """
    for official in files.values():
        if name in (official.name, official.file):
            return official
    raise ValueError(f"no official checkpoint {name!r}; allowed: {sorted(files)}")


@contextmanager
def bar(official: OfficialFile, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Bytes, speed and time left on stderr, on a terminal only; Ctrl-C leaves the partial file."""
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    with Progress(
        *Progress.get_default_columns()[:2], DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(), console=console, auto_refresh=False,
        disable=quiet or not console.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(official.file, total=official.size_bytes)
        try:
            yield lambda done: progress.update(task, completed=done, refresh=True)
        except KeyboardInterrupt:
            say("stopped by Ctrl-C; run it again to fetch the rest")
            raise typer.Exit(STOPPED) from None


def folder_of(out: Path | None) -> Path:
    """The folder of downloads."""
    from s3pot.official import cache_folder

    return out or cache_folder()


def placed(files: dict[str, OfficialFile], folder: Path) -> Iterator[tuple[Path, OfficialFile]]:
    """The official files that are in the folder, with their paths."""
    for official in files.values():
        if (folder / official.file).is_file():
            yield folder / official.file, official


def packaged_rows() -> Iterator[Row]:
    """Of the package's own files."""
    from s3pot.weights import catalogue

    for file in catalogue():
        size = megabytes(file.path.stat().st_size) if file.path.is_file() else "-"
        state = "ok" if file.ok else "damaged or missing"
        yield Row(file.name, size, f"{file.parameters:,}", RESEARCH, state, file.sha256)


def official_rows(folder: Path) -> Iterator[Row]:
    """Of SAM's files; their sums are for ``verify``: they are large."""
    from s3pot.official import LICENCE, OFFICIAL

    here = {official.name: path for path, official in placed(OFFICIAL, folder)}
    for o in OFFICIAL.values():
        state = "not downloaded"
        if o.name in here:
            whole = here[o.name].stat().st_size == o.size_bytes
            state = "downloaded" if whole else "damaged"
        yield Row(o.name, megabytes(o.size_bytes), f"{o.parameters:,}", LICENCE, state, o.sha256)


def megabytes(size_bytes: int) -> str:
    """``375.0 MB``."""
    return f"{size_bytes / 1e6:,.1f} MB"
