"""The routes of the page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from configs.settings import SettingsError
from stream.web.board import View
from stream.web.desk import Desk
from stream.web.metrics import exposition
from stream.web.pictures import Name, add_links, add_stills
from stream.web.state import state_of

STATIC = Path(__file__).parent / "static"


class Wish(BaseModel, extra="forbid"):
    """To see another view, to listen, or another effect."""

    id: Name
    view: View | None = None
    sound: bool | None = None
    effect: Name | None = None


class Named(BaseModel, extra="forbid"):
    """One of those that are here."""

    id: Name


def build_app(desk: Desk) -> FastAPI:
    """The page of a desk. Its tasks run while the application does."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            app.state.tasks = tasks
            tasks.start_soon(desk.watch_over)
            yield
            await desk.close()
            tasks.cancel_scope.cancel()

    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    app.mount("/static", StaticFiles(directory=STATIC), "static")
    add_pages(app, desk)
    add_links(app, desk)
    add_stills(app, desk)
    add_wishes(app, desk)
    return app


def add_pages(app: FastAPI, desk: Desk) -> None:
    """What is read: the page, what it offers, the state of a stream, the metrics."""

    @app.get("/")
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/healthz")
    async def healthz() -> dict[str, bool]:
        return {"ok": True}

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(exposition(desk), media_type="text/plain; version=0.0.4")

    @app.get("/api/about")
    async def about() -> dict[str, Any]:
        web = desk.settings.web
        return {
            "camera": web.sessions > 0, "watch": desk.watch.name if desk.watch else None,
            "width": web.width, "height": web.height,
        }  # fmt: skip

    @app.get("/api/state")
    async def state(of: str) -> dict[str, Any]:
        shown = desk.shown(of)
        if shown is None:
            raise HTTPException(404, desk.farewells.get(of, "it has gone"))
        camera = desk.cameras.get(of)
        return state_of(shown, camera)


def add_wishes(app: FastAPI, desk: Desk) -> None:
    """What a page may set."""

    @app.post("/api/wish")
    async def wish(wish: Wish) -> dict[str, bool]:
        link, shown = desk.link(wish.id), desk.shown(wish.id)
        if link is None and shown is None:
            raise HTTPException(404, "it has gone")
        if wish.view and link is not None:
            link.view = wish.view
        if wish.sound is not None and link is not None:
            link.listens = wish.sound
        if wish.effect and shown is not None:
            if shown.switch is None:
                raise HTTPException(409, "the effect is set by the program that runs the stream")
            try:
                shown.switch.to(wish.effect)
            except SettingsError as error:
                raise HTTPException(422, str(error)) from None
        return {"ok": True}

    @app.post("/api/close")
    async def close(named: Named) -> dict[str, bool]:
        await desk.dismiss(named.id)
        return {"ok": True}
