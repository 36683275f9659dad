"""``s3pot serve``: the browser page."""

# ruff: noqa: PLC0415  a command pays for its own imports only

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from stream.refusal import BAD_INPUT, bad_input, say

EXTRA = "the page needs more packages: pip install 's3pot-stream[web]'"


def serve_command(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[SOURCE]", help="To be watched: a file, camera:0 or an address."),
    ] = None,
    *,
    host: Annotated[str, typer.Option(help="Address to bind; others than this machine's own need a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free.")] = 8000,
    token: Annotated[
        str | None,
        typer.Option(envvar="S3POT_TOKEN", help="Asked for once; 16 characters or more.", show_envvar=True),
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="PEM chain, for HTTPS; with --key.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="PEM key of it.")] = None,
    effect: Annotated[str | None, typer.Option(help="What is drawn at first.")] = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="POLICY", help="privacy: what cannot be believed is covered; open."),
    ] = None,
    config: Annotated[str | None, typer.Option(help="Named config or a TOML file.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override one setting.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what is wrong.")] = False,
) -> None:  # fmt: skip
    """Open a page: your own camera with the effect on it, or a source that all may watch."""
    from json import dumps

    from configs.settings import load_settings

    short = {"effect.name": effect, "privacy.policy": policy}
    chosen = [*(overrides or ()), *(f"{k}={dumps(v)}" for k, v in short.items() if v is not None)]
    with web_packages(), bad_input(ValueError, OSError):
        from stream.web.gate import check_access
        from stream.web.server import Door, bind, serve

        if (certificate is None) != (key is None):
            raise ValueError("--certificate and --key go together")
        settings = load_settings(
            config or ("privacy" if policy == "privacy" else "realtime"), chosen
        )
        check_access(host, token)
        pair = (certificate, key) if certificate and key else None
        with bind(host, port) as listening:

            def announce() -> None:
                if not quiet:
                    number = listening.getsockname()[1]
                    tell(host, number, secure=pair is not None, token=bool(token))

            try:
                serve(source, settings, listening, Door(host, token, pair), announce)
            except KeyboardInterrupt:
                return  # it has no other end


def tell(host: str, port: int, *, secure: bool, token: bool) -> None:
    """Where the page is."""
    place = f"[{host}]" if ":" in host else host
    typer.echo(f"http{'s' if secure else ''}://{place}:{port}/{'?token=...' if token else ''}")
    if not secure and host not in ("127.0.0.1", "::1", "localhost"):
        say(
            "without --certificate, browsers elsewhere can watch, but give their camera to HTTPS only"
        )


@contextmanager
def web_packages() -> Iterator[None]:
    """Say in one line that the extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in (
            "fastapi",
            "uvicorn",
            "aiortc",
            "aioice",
            "prometheus_client",
            "anyio",
            "starlette",
        ):
            raise
        say(EXTRA)
        raise typer.Exit(BAD_INPUT) from None
