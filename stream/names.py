"""Names of sources and sinks, as a person may see them: nothing in them opens a door."""

from __future__ import annotations

import re

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")  # one letter alone is a Windows drive


def scheme_of(name: str) -> str:
    """``rtsp`` of ``rtsp://host/path``; empty for a path."""
    match = SCHEME.match(name)
    return match[1].lower() if match else ""


def shown(name: str) -> str:
    """A name without user, password and query, all of which may be secrets.

    ``rtsp://me:secret@host/door?token=1`` is shown as ``rtsp://host/door``; a path stays as it is.
    """
    match = SCHEME.match(name)
    if match is None:
        return name
    rest = re.split(r"[?#]", name[match.end() :], maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    return match[0] + host.rpartition("@")[2] + slash + path
