"""Lets in who may: the host that was meant, the same origin, the token, no more than is sensible."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterable, Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "s3pot"
OPEN_PATHS = ("/healthz", "/static/page.css", "/static/icon.svg")
"""Asked for by those too who have no token: nothing is in there."""
MOST_BYTES = 1 << 20
"""Of the body of a request."""

LEAST_TOKEN = 16
"""Characters; a shorter one could be guessed."""

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: mediastream:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=()",
    "Cache-Control": "no-store",
}

ASK = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>S3POT Stream</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/page.css">
<body class="ask">
<header><h1><img src="/static/icon.svg" alt="" width="26" height="26">S3POT <span>Stream</span></h1></header>
<form class="card" action="/" method="get">
<label for="token">A token is needed</label>
<input id="token" name="token" type="password" autocomplete="off" required autofocus>
<button class="main">Open</button>
<p class="faint small">The one that the server was started with.</p>
</form>
</body>
</html>
"""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address that is bound to ``host``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_access(host: str, token: str | None) -> None:
    """Raise ValueError where others than this machine could come in without a token."""
    if token is not None and len(token) < LEAST_TOKEN:
        raise ValueError(f"the token has {len(token)} characters, it needs {LEAST_TOKEN} or more")
    if token is None and not is_loopback(host):
        raise ValueError(
            f"{host}: others can reach this address, so a token is needed: --token, or S3POT_TOKEN"
        )


class Gate:
    """ASGI middleware.

    A browser that was led here under a foreign name (DNS rebinding) or by a foreign page (CSRF) is
    refused.  The token comes once in the query, or as ``Authorization: Bearer``; the query is
    answered with a cookie that holds no token, and with the same address without it.

    Args:
        app: behind it.
        host: bound.
        token: None: nobody is asked for one.
        names: of this host, besides localhost and addresses.
    """

    def __init__(
        self, app: ASGIApp, host: str, token: str | None = None, names: Sequence[str] = ()
    ) -> None:
        check_access(host, token)
        self._app, self._host, self._token = app, host, token
        self._names = {name.lower() for name in (*names, "localhost")}
        if not is_loopback(host):
            self._names.add(socket.gethostname().lower())
        key = secrets.token_bytes(32)  # of this process: a cookie does not outlive it
        self._pass = hmac.new(key, (token or "").encode(), hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (refusal or self._app)(scope, receive, sealed)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._knows(headers.get("host", "")):
            return PlainTextResponse("this host has another name", 421)
        if scope["method"] not in ("GET", "HEAD"):
            if not same_origin(headers):
                return PlainTextResponse("only this page may ask for that", 403)
            length = headers.get("content-length", "")
            if not length.isdecimal() or int(length) > MOST_BYTES:
                return PlainTextResponse(f"at most {MOST_BYTES} bytes, and their number", 413)
        if self._token is None or scope["path"] in OPEN_PATHS or self._has_pass(headers):
            return None
        return self._ask(scope)

    def _knows(self, name: str) -> bool:
        """Whether a Host header names us: by an address, which nobody can give to another, or a name."""
        host = parts_of(f"//{name}")[1]
        if is_loopback(self._host):
            return is_loopback(host) or host in self._names
        return is_address(host) or host in self._names

    def _has_pass(self, headers: Headers) -> bool:
        scheme, _, word = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return same(word.strip(), self._token or "")
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return morsel is not None and same(morsel.value, self._pass)

    def _ask(self, scope: Scope) -> Response:
        """Take the token of a query, or ask for one."""
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if scope["method"] != "GET" or not any_same(given, self._token or ""):
            return HTMLResponse(ASK, 401)
        answer = RedirectResponse(scope["path"], 303)
        answer.set_cookie(
            COOKIE, self._pass, httponly=True, samesite="lax", secure=scope["scheme"] == "https"
        )
        return answer


def same_origin(headers: Headers) -> bool:
    """Whether a browser says that our own page asks. What is no browser says nothing of the kind."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or parts_of(origin)[0] == headers.get("host")


def parts_of(address: str) -> tuple[str, str]:
    """Host with port, and host alone, in lower case; empty where it is no address."""
    try:
        parts = urlsplit(address)
        return parts.netloc, (parts.hostname or "").lower()
    except ValueError:
        return "", ""


def is_address(host: str) -> bool:
    """Whether it is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def same(given: str, wanted: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(given.encode(), wanted.encode())


def any_same(given: Iterable[str], wanted: str) -> bool:
    """Whether one of them is the same."""
    return any([same(one, wanted) for one in given])
