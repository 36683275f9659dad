"""The routes of pictures, up and down: WebRTC; and over HTTP, where that does not get through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Annotated, Literal

import anyio
import cv2
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from stream.web.board import Board, Image, View
from stream.web.desk import WATCH, Desk, FullError
from stream.web.peer import LEAST_PX, MOST_PX
from stream.web.rtc import Peer, feed

MJPEG_STEP_SECONDS, POLL_SECONDS, REPEAT_SECONDS = 1 / 20, 0.01, 1.0
JPEG_QUALITY = 80

STUCK_SECONDS = 10.0


Side = Annotated[int | None, Field(ge=LEAST_PX, le=MOST_PX)]
Name = Annotated[str, Field(max_length=64)]


class Offer(BaseModel, extra="forbid"):
    """Of a browser: its camera, whose pictures have so many px, or to watch.

    Attributes:
        after: id of a connection of the same page that this one follows; it is closed first.
    """

    sdp: Annotated[str, Field(max_length=65536)]
    mode: Literal["camera", "watch"]
    width: Side = None
    height: Side = None
    after: Name | None = None


class Camera(BaseModel, extra="forbid"):
    """One that sends single pictures; see :class:`Offer`."""

    after: Name | None = None


def add_links(app: FastAPI, desk: Desk) -> None:
    """By WebRTC."""

    @app.post("/api/offer")
    async def offer(wish: Offer) -> dict[str, str]:
        with refusals():
            if wish.after:
                await desk.dismiss(wish.after)
            if wish.mode == "camera":
                return await offer_camera(desk, wish, app.state.tasks)
            return await offer_watch(desk, wish.sdp)


def add_stills(app: FastAPI, desk: Desk) -> None:
    """By HTTP: one JPEG after the other."""

    @app.post("/api/camera")
    async def camera(wish: Camera) -> dict[str, str]:
        if wish.after:
            await desk.dismiss(wish.after)
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
        shown, shared, camera = desk.shown(of), of == WATCH, desk.cameras.get(of)
        if shown is None:
            raise HTTPException(404, "there is nothing to watch")
        with refusals():
            if shared:
                desk.check_viewers()
        reading = desk.reading() if camera is None else camera.reading()
        return Mjpeg(jpegs(shown.board, view), reading)


async def offer_watch(desk: Desk, sdp: str) -> dict[str, str]:
    """Let in one who watches.

    Raises:
        FullError: there is no place. ValueError: the offer is none.
    """
    if desk.watch is None:
        raise HTTPException(404, "there is nothing to watch")
    desk.check_viewers()
    peer = Peer(desk.watch.board)
    answer, _ = await peer.answer(sdp, desk.settings.web.kilobits, sound=True)
    try:
        return {"sdp": answer, "id": desk.admit_viewer(peer), "of": WATCH}
    except FullError:  # somebody was quicker
        await peer.close()
        raise


async def offer_camera(desk: Desk, wish: Offer, tasks: TaskGroup) -> dict[str, str]:
    """Let a camera in and answer it.

    Raises:
        FullError: there is no place. ValueError: the offer is none, or without a camera.
    """
    name, camera = desk.admit_camera()
    if wish.width and wish.height:
        camera.source.told = wish.height, wish.width
    peer = Peer(camera.shown.board)
    try:
        answer, track = await peer.answer(wish.sdp, desk.settings.web.kilobits)
        if track is None:
            raise ValueError("the offer has no camera")
    except ValueError:
        await peer.close()
        await desk.dismiss(name)
        raise
    camera.link = peer
    tasks.start_soon(feed, track, camera.source.feed)
    return {"sdp": answer, "id": name, "of": name}


class Mjpeg(StreamingResponse):
    """An MJPEG stream; whoever takes nothing for ``STUCK_SECONDS`` loses it."""

    def __init__(self, parts: AsyncIterator[bytes], reading: AbstractContextManager[None]) -> None:
        self._reading = reading
        super().__init__(parts, media_type="multipart/x-mixed-replace; boundary=picture")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""

        async def soon(message: Message) -> None:
            with anyio.fail_after(STUCK_SECONDS):
                await send(message)

        with self._reading, suppress(TimeoutError, ClientDisconnect):
            await super().__call__(scope, receive, soon)


async def jpegs(board: Board, view: View) -> AsyncIterator[bytes]:
    """The parts of an MJPEG stream. A browser shows a part when the next one's boundary is there."""
    number, sent = -1, 0.0
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
