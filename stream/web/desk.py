"""Who is here: cameras, each with a session of its own, and those who watch. Within bounds."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

import anyio
from anyio.to_thread import run_sync

from configs.settings import Settings
from stream.errors import SinkError
from stream.web.audits import AuditBook
from stream.web.board import Board, View
from stream.web.peer import PeerSource
from stream.web.session import Session
from stream.web.switch import Switch
from stream.web.tally import Tally

ROUND_SECONDS = 1.0
"""From one look at who is still here to the next."""

RATE_SECONDS, RATE_SLACK = 5.0, 2.0
"""What a camera sends is averaged over so long, and may be so many times what is allowed."""

READER_SECONDS = 5.0
"""A camera by HTTP whose pictures nobody has fetched for so long, and that sends none, has gone."""

AUDIT_SECONDS = 60.0
"""From one writing of the audit to the next."""

FAREWELLS = 32

WATCH = "watch"
"""The id of the stream that all may watch."""


class FullError(Exception):
    """No place is left."""


class Link(Protocol):
    """A connection to a browser.

    Attributes:
        view: what it is shown.
        listens: it is sent sound, too.
        dead: it will show nothing more.
        encoding_seconds: what encoding a picture for it takes.
    """

    view: View
    listens: bool

    @property
    def dead(self) -> bool: ...
    @property
    def encoding_seconds(self) -> float: ...
    async def received_bytes(self) -> int:
        """So far; asked often, for ``dead`` goes by it."""
        ...

    async def close(self) -> None: ...


@dataclass(slots=True)
class Shown:
    """A stream that may be looked at.

    Attributes:
        board: what there is to see.
        switch: what is drawn; None where that is not the page's to say.
        session: runs it; None where it runs elsewhere.
        name: for people.
    """

    board: Board
    switch: Switch | None = None
    session: Session | None = None
    name: str = ""


@dataclass(slots=True)
class Camera:
    """A camera that is here.

    Attributes:
        source: fed by a link, or by single pictures.
        shown: its session.
        link: None while there is none.
        readers: of its pictures over HTTP; ``left_seconds``: when the last one went.
    """

    source: PeerSource
    shown: Shown
    link: Link | None = None
    uploaded_bytes: int = 0
    readers: int = 0
    left_seconds: float | None = None
    _rate: tuple[float, int] = field(default_factory=lambda: (time.monotonic(), 0))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While somebody fetches its pictures over HTTP."""
        self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1
            self.left_seconds = time.monotonic()

    @property
    def abandoned(self) -> bool:
        """Whether a browser without a link has gone: it fetches nothing any more, and sends nothing."""
        if self.link is not None or self.readers or self.left_seconds is None:
            return False
        return time.monotonic() - max(self.left_seconds, self.source.fed_seconds) > READER_SECONDS

    async def sends_too_much(self, kilobits: int) -> bool:
        """Whether more came in since the last time asked than may; asked often, it waits."""
        since, before = self._rate
        seconds = time.monotonic() - since
        if seconds < RATE_SECONDS:
            return False
        received = self.uploaded_bytes
        if self.link is not None:
            received += await self.link.received_bytes()
        self._rate = time.monotonic(), received
        return (received - before) * 8 / 1000 / seconds > RATE_SLACK * kilobits


class Desk:
    """Keeps sessions and links. All but the sessions' own work happens in the loop's thread.

    Args:
        settings: of every camera's pipeline, and section [web].
        watch: what all may watch; None: nothing.
        start: makes a camera's session of its source.
        book: of what the privacy policy did; None: it is not written.

    Attributes:
        cameras: by id. viewers: links of those who watch, by id.
        past: counts of the cameras that have gone; ``refused``: how many found no place.
    """

    def __init__(
        self, settings: Settings, watch: Shown | None,
        start: Callable[[Settings, PeerSource], Session] | None = None,
        book: AuditBook | None = None,
    ) -> None:  # fmt: skip
        self.settings, self.watch = settings, watch
        self.cameras: dict[str, Camera] = {}
        self.viewers: dict[str, Link] = {}
        self.past, self.refused = Tally(), 0
        self.farewells: dict[str, str] = {}  # why a camera had to go, of the last ones
        self.readers = 0  # of pictures over HTTP
        self.book, self._one = book, anyio.CapacityLimiter(1)
        self._start = start or camera_session

    def shown(self, name: str) -> Shown | None:
        """A stream by its id."""
        if name == WATCH:
            return self.watch
        camera = self.cameras.get(name)
        return camera.shown if camera else None

    def link(self, name: str) -> Link | None:
        """A link by its id, which is its camera's if it has one."""
        camera = self.cameras.get(name)
        return camera.link if camera else self.viewers.get(name)

    def admit_camera(self) -> tuple[str, Camera]:
        """A new session.

        Raises:
            FullError: there are as many as may be.
        """
        web = self.settings.web
        if len(self.cameras) >= web.sessions:
            self.refused += 1
            raise FullError(f"all {web.sessions} places for cameras are taken; try again later")
        source = PeerSource((web.height, web.width))
        session = self._start(self.settings, source)
        name, shown = secrets.token_urlsafe(16), Shown(session.board, session.switch, session)
        self.cameras[name] = Camera(source, shown)
        return name, self.cameras[name]

    def admit_viewer(self, link: Link) -> str:
        """One more who watches.

        Raises:
            FullError: there are as many as may be.
        """
        self.check_viewers()
        name = secrets.token_urlsafe(16)
        self.viewers[name] = link
        return name

    def check_viewers(self) -> None:
        """Raise FullError where there is no place for one more who watches."""
        if len(self.viewers) + self.readers >= self.settings.web.viewers:
            self.refused += 1
            raise FullError(f"{self.settings.web.viewers} are watching already; try again later")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """While somebody watches over HTTP."""
        self.readers += 1
        try:
            yield
        finally:
            self.readers -= 1

    async def watch_over(self) -> None:
        """Close what is idle, dead or sends too much, and keep the audit, for ever."""
        audited = time.monotonic()
        while True:
            await anyio.sleep(ROUND_SECONDS)
            if time.monotonic() - audited > AUDIT_SECONDS:
                audited = time.monotonic()
                await self.audit()
            for name, camera in list(self.cameras.items()):
                why = await self._why_not(camera)
                if why:
                    await self.dismiss(name, why)
            for name, link in list(self.viewers.items()):
                await link.received_bytes()
                if link.dead:
                    await self.dismiss(name)

    async def _why_not(self, camera: Camera) -> str:
        """Why a camera is to go; empty if it is not."""
        session, web = camera.shown.session, self.settings.web
        if session is not None and session.ended:
            return session.ended
        if camera.link is not None:
            await camera.link.received_bytes()
        if camera.abandoned or (camera.link is not None and camera.link.dead):
            return "the browser has gone"
        if time.monotonic() - camera.source.fed_seconds > web.idle_seconds:
            return f"no picture came for {web.idle_seconds:g} s"
        if await camera.sends_too_much(web.kilobits):
            return f"it sent more than {web.kilobits} kilobits a second"
        return ""

    async def dismiss(self, name: str, why: str = "it was closed") -> None:
        """Close a camera or one who watches; nothing if it has gone."""
        viewer = self.viewers.pop(name, None)
        if viewer is not None:
            await viewer.close()
        camera = self.cameras.pop(name, None)
        if camera is None:
            return
        self.farewells = dict([*self.farewells.items(), (name, why)][-FAREWELLS:])
        if camera.link is not None:
            await camera.link.close()
        session = camera.shown.session
        if session is not None:
            await run_sync(session.close, why)
            if self.book is not None and session.audit is not None:
                self.book.add("camera", session.audit)
                await self.audit()
        tally = camera.shown.board.tally
        tally.drops.update(camera.source.dropped)
        self.past.merge(tally)

    async def audit(self) -> None:
        """Write what the privacy policy did so far; what cannot be written now is tried again."""
        if self.book is None:
            return
        watched = self.watch.session.audit if self.watch and self.watch.session else None
        cameras = [camera.shown.session for camera in self.cameras.values()]
        running = [("camera", one.audit) for one in cameras if one is not None and one.audit]
        running += [("watch", watched)] if watched is not None else []
        with suppress(SinkError):  # the book counts it
            await run_sync(self.book.write, self.book.text(running), limiter=self._one)

    async def close(self) -> None:
        """Close everything."""
        for name in [*self.viewers, *self.cameras]:
            await self.dismiss(name, "the server has stopped")
        if self.watch is not None and self.watch.session is not None:
            await run_sync(self.watch.session.close, "the server has stopped")
        await self.audit()


def camera_session(settings: Settings, source: PeerSource) -> Session:
    """The session of a camera."""
    return Session(settings, lambda: source, again=False)
