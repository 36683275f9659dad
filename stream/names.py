"""Names of sources and sinks, as a person may see them: nothing in them opens a door."""

from __future__ import annotations

import re

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # one letter alone is a Windows drive

KEYED = ("rtmp", "rtmps", "rtmpt", "rtmpe", "rtmpte", "rtmpts")
"""Schemes in whose paths there is a key."""


def scheme_of(name: str) -> str:
    """``rtsp`` of ``rtsp://host/path``; empty for a path."""
    match = SCHEME.match(name)
    return match[1].lower() if match else ""


def shown(name: str) -> str:
    """A name without user, password and query, all of which may be secrets.

    ``rtsp://me:secret@host/door?token=1`` is shown as ``rtsp://host/door``; a path stays as it is.
    Of RTMP the end of the path is the key to publish with: ``rtmp://host/app/KEY`` is shown as
    ``rtmp://host/app/...``.
    """
    match = SCHEME.match(name)
    if match is None:
        return name
    rest = re.split(r"[?#]", name[match.end() :], maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    if match[1].lower() in KEYED and "/" in path:
        path = f"{path.partition('/')[0]}/..."
    return match[0] + host.rpartition("@")[2] + slash + path
