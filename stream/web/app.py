"""The routes of the page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
import cv2
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

from configs.settings import SettingsError
from stream.web.board import Board, Image, View
from stream.web.desk import WATCH, Desk, FullError
from stream.web.metrics import exposition
from stream.web.rtc import Peer, feed
from stream.web.state import state_of

STATIC = Path(__file__).parent / "static"

MJPEG_STEP_SECONDS, POLL_SECONDS, REPEAT_SECONDS = 1 / 20, 0.01, 1.0
JPEG_QUALITY = 80

Name = Annotated[str, Field(max_length=64)]


class Offer(BaseModel):
    """Of a browser: its camera, or to watch."""

    sdp: Annotated[str, Field(max_length=65536)]
    mode: Literal["camera", "watch"]


class Wish(BaseModel):
    """To see another view, or another effect."""

    id: Name
    view: View | None = None
    effect: Annotated[str, Field(max_length=32)] | None = None


class Named(BaseModel):
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
    add_pictures(app, desk)
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
        return state_of(shown, camera.source.dropped if camera else None)


def add_pictures(app: FastAPI, desk: Desk) -> None:
    """Pictures, up and down: WebRTC; and over HTTP, where that does not get through."""

    @app.post("/api/offer")
    async def offer(wish: Offer) -> dict[str, str]:
        tasks: TaskGroup = app.state.tasks
        with refusals():
            if wish.mode == "camera":
                return await offer_camera(desk, wish.sdp, tasks)
            if desk.watch is None:
                raise HTTPException(404, "there is nothing to watch")
            desk.check_viewers()
            peer = Peer(desk.watch.board)
            sdp, _ = await peer.answer(wish.sdp, desk.settings.web.kilobits)
            try:
                return {"sdp": sdp, "id": desk.admit_viewer(peer), "of": WATCH}
            except FullError:  # somebody was quicker
                await peer.close()
                raise

    @app.post("/api/camera")
    async def camera() -> dict[str, str]:
        with refusals():
            name, _ = desk.admit_camera()
        return {"id": name, "of": name}

    @app.post("/api/frame")
    async def frame(of: str, request: Request) -> dict[str, bool]:
        camera = desk.cameras.get(of)
        if camera is None:
            raise HTTPException(404, desk.farewells.get(of, "it has gone"))
        data = await request.body()
        camera.uploaded_bytes += len(data)
        return {"taken": camera.source.feed(data)}

    @app.get("/stream.mjpg")
    async def mjpeg(of: str = WATCH, view: View = "picture") -> StreamingResponse:
        shown = desk.shown(of)
        if shown is None:
            raise HTTPException(404, "there is nothing to watch")
        if of == WATCH:
            with refusals():
                desk.check_viewers()
        parts = jpegs(desk, shown.board, view, shared=of == WATCH)
        return StreamingResponse(parts, media_type="multipart/x-mixed-replace; boundary=picture")


def add_wishes(app: FastAPI, desk: Desk) -> None:
    """What a page may set."""

    @app.post("/api/wish")
    async def wish(wish: Wish) -> dict[str, bool]:
        link, shown = desk.link(wish.id), desk.shown(wish.id)
        if link is None and shown is None:
            raise HTTPException(404, "it has gone")
        if wish.view and link is not None:
            link.view = wish.view
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


async def offer_camera(desk: Desk, sdp: str, tasks: TaskGroup) -> dict[str, str]:
    """Let a camera in and answer it.

    Raises:
        FullError: there is no place. ValueError: the offer is none, or without a camera.
    """
    name, camera = desk.admit_camera()
    peer = Peer(camera.shown.board)
    try:
        answer, track = await peer.answer(sdp, desk.settings.web.kilobits)
        if track is None:
            raise ValueError("the offer has no camera")
    except ValueError:
        await peer.close()
        await desk.dismiss(name)
        raise
    camera.link = peer
    tasks.start_soon(feed, track, camera.source.feed)
    return {"sdp": answer, "id": name, "of": name}


async def jpegs(desk: Desk, board: Board, view: View, *, shared: bool) -> AsyncIterator[bytes]:
    """The parts of an MJPEG stream. A browser shows a part when the next one's boundary is there."""
    number, sent = -1, 0.0
    desk.readers += shared
    try:
        yield b"--picture\r\n"
        while True:
            waited, fresh = anyio.current_time() - sent, board.seen.number != number
            if waited < (MJPEG_STEP_SECONDS if fresh else REPEAT_SECONDS):
                await anyio.sleep(POLL_SECONDS)
                continue
            sent = anyio.current_time()
            number, image = board.picture(view)
            data = await run_sync(jpeg, image)
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            yield head.encode() + data + b"\r\n--picture\r\n"
    finally:
        desk.readers -= shared


def jpeg(image: Image) -> bytes:
    """A picture as JPEG."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(data)


@contextmanager
def refusals() -> Iterator[None]:
    """No place is 503, a bad offer 422."""
    try:
        yield
    except FullError as error:
        raise HTTPException(503, str(error)) from None
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
