"""How a command refuses bad input: one line on stderr and exit status 2, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

BAD_INPUT = 2


@contextmanager
def bad_input(*kinds: type[Exception]) -> Iterator[None]:
    """Tell errors of these kinds in one line and exit with 2. All others are ours: a traceback."""
    try:
        yield
    except kinds as error:
        text = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            text = f"{error.filename}: {error.strerror}"
        say(" ".join(text.split()) or type(error).__name__)
        raise typer.Exit(BAD_INPUT) from None


def say(text: str) -> None:
    """A line on stderr."""
    typer.echo(f"s3pot: {text}", err=True)
