"""No name that is shown opens a door."""

from __future__ import annotations

import pytest

from stream.names import scheme_of, shown


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("rtsp://me:secret@host:554/door/1", "rtsp://host:554/door/1"),
        ("rtsp://me:p@ss@host/x", "rtsp://host/x"),
        ("https://host/live.m3u8?token=secret", "https://host/live.m3u8"),
        ("srt://host:9000?passphrase=secret", "srt://host:9000"),
        ("srt://host:9000?streamid=#!::r=door,u=me&passphrase=secret", "srt://host:9000"),
        ("rtmp://me:pw@host:1935/live2/SECRET-KEY", "rtmp://host:1935/live2/..."),
        ("RTMPS://host/app/instance/SECRET?token=x", "RTMPS://host/app/..."),
        ("rtmp://host/app?key=SECRET", "rtmp://host/app"),
        ("udp://127.0.0.1:5000", "udp://127.0.0.1:5000"),
        ("C:/clips/a@b.mp4", "C:/clips/a@b.mp4"),
        ("clips/a?b.mp4", "clips/a?b.mp4"),
    ],
)
def test_user_password_and_query_are_left_out(name: str, seen: str) -> None:
    assert shown(name) == seen


def test_scheme() -> None:
    assert [scheme_of(x) for x in ("RTSP://h", "C:/a", "a.mp4", "camera:0")] == ["rtsp", "", "", ""]
