"""Official files against a real server: whole, resumed, cut off, wrong, absent."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from s3pot import official
from s3pot.official import OFFICIAL, OfficialFile, cache_folder, download, fault, find_checkpoint

CONTENT = np.random.default_rng(0).bytes(3_000_000)


class Server(ThreadingHTTPServer):
    """Serves CONTENT. Attributes: how it misbehaves, and the Range headers it saw."""

    ranges: list[str | None]
    knows_parts = True
    cut_after: int | None = None
    content = CONTENT
    shift = 0

    def handle_error(self, request: object, address: object) -> None:
        """A client that went away is a test's own doing."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        asked = self.headers.get("Range")
        server.ranges.append(asked)
        if self.path != "/sam.pth":
            self.send_error(404)
            return
        part = re.fullmatch(r"bytes=(\d+)-", asked or "") if server.knows_parts else None
        start = int(part[1]) if part else 0
        body = server.content[start:]
        self.send_response(206 if part else 200)
        if part:
            total = len(server.content)
            self.send_header("Content-Range", f"bytes {start + server.shift}-{total - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cut_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as one:
        one.ranges = []
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


def file_at(server: Server, name: str = "sam.pth") -> OfficialFile:
    url = f"http://127.0.0.1:{server.server_port}/{name}"
    return OfficialFile("vit_b", url, len(CONTENT), 1, hashlib.sha256(CONTENT).hexdigest())


def test_a_whole_file(server: Server, tmp_path: Path) -> None:
    told: list[int] = []
    path = download(file_at(server), tmp_path / "new" / "folder", told.append)
    assert path == tmp_path / "new" / "folder" / "sam.pth"
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["sam.pth"]
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, len(CONTENT))
    assert len(told) > 2
    download(file_at(server), path.parent, told.append)
    assert server.ranges == [None], "a file that is there and right is not fetched again"


def test_the_rest_of_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sam.pth.partial").write_bytes(CONTENT[:1_234_567])
    told: list[int] = []
    assert download(file_at(server), tmp_path, told.append).read_bytes() == CONTENT
    assert server.ranges == ["bytes=1234567-"]
    assert told[0] == 1_234_567


def test_a_server_that_knows_no_parts_sends_it_all(server: Server, tmp_path: Path) -> None:
    server.knows_parts = False
    (tmp_path / "sam.pth.partial").write_bytes(b"x" * 1000)
    assert download(file_at(server), tmp_path, lambda _: None).read_bytes() == CONTENT


def test_a_cut_connection_is_told_and_the_next_run_goes_on(server: Server, tmp_path: Path) -> None:
    server.cut_after = 2_000_000
    with pytest.raises(ConnectionError, match=r"cut off: .*2000000 .*again"):
        download(file_at(server), tmp_path, lambda _: None)
    assert not (tmp_path / "sam.pth").exists()
    server.cut_after = None
    assert download(file_at(server), tmp_path, lambda _: None).read_bytes() == CONTENT
    assert server.ranges[1] == "bytes=2000000-"


def test_a_partial_file_that_is_whole_is_only_verified(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sam.pth.partial").write_bytes(CONTENT)
    assert download(file_at(server), tmp_path, lambda _: None).read_bytes() == CONTENT
    assert server.ranges == []


def test_a_partial_file_that_is_too_long_is_begun_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sam.pth.partial").write_bytes(CONTENT + b"more")
    assert download(file_at(server), tmp_path, lambda _: None).read_bytes() == CONTENT
    assert server.ranges == [None]


@pytest.mark.parametrize(
    "content", [CONTENT[:-1] + b"?", CONTENT + b"more than that"], ids=["other", "longer"]
)
def test_wrong_bytes_never_become_the_file(server: Server, tmp_path: Path, content: bytes) -> None:
    server.content = content
    with pytest.raises(ValueError, match="not the official file, removed"):
        download(file_at(server), tmp_path, lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_another_part_spoils_nothing(server: Server, tmp_path: Path) -> None:
    server.shift = 5
    (tmp_path / "sam.pth.partial").write_bytes(CONTENT[:1000])
    with pytest.raises(ConnectionError, match="asked for bytes from 1000"):
        download(file_at(server), tmp_path, lambda _: None)
    assert (tmp_path / "sam.pth.partial").read_bytes() == CONTENT[:1000]


def test_a_damaged_file_is_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sam.pth").write_bytes(b"damaged")
    assert download(file_at(server), tmp_path, lambda _: None).read_bytes() == CONTENT


def test_a_file_that_is_not_there_says_where_to_put_it(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ConnectionError) as error:
        download(file_at(server, "gone.pth"), tmp_path, lambda _: None)
    for words in ("404", "/gone.pth", str(tmp_path / "gone.pth"), "model.checkpoint"):
        assert words in str(error.value)


def test_without_a_server_it_says_what_to_do(tmp_path: Path) -> None:
    closed = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = closed.server_port
    closed.server_close()
    away = OfficialFile("vit_b", f"http://127.0.0.1:{port}/sam.pth", 3, 1, "")
    with pytest.raises(ConnectionError) as error:
        download(away, tmp_path, lambda _: None)
    for words in (away.url, "another machine", str(tmp_path / "sam.pth"), "model.checkpoint"):
        assert words in str(error.value)


def test_a_disk_too_small_is_told_before_anything_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(official.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="3000000 bytes needed, 10 free"):
        download(file_at(server), tmp_path, lambda _: None)
    assert server.ranges == []


def test_a_stop_keeps_what_has_come(server: Server, tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(file_at(server), tmp_path, stop)
    kept = (tmp_path / "sam.pth.partial").read_bytes()
    assert kept
    assert CONTENT.startswith(kept)


def test_faults_are_told_apart(server: Server, tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(CONTENT)
    assert fault(tmp_path / "it", file_at(server)) == ""
    (tmp_path / "it").write_bytes(CONTENT[::-1])
    assert "SHA-256" in fault(tmp_path / "it", file_at(server))
    (tmp_path / "it").write_bytes(b"abc")
    assert "3 bytes" in fault(tmp_path / "it", file_at(server))


def test_the_official_files() -> None:
    assert list(OFFICIAL) == ["vit_b", "vit_l", "vit_h"]
    for name, one in OFFICIAL.items():
        assert one.name == name
        assert re.fullmatch(rf"https://[a-z./_]+/sam_{name}_[0-9a-f]{{6}}\.pth", one.url)
        assert re.fullmatch(r"[0-9a-f]{64}", one.sha256)
        assert 4 * one.parameters < one.size_bytes < 4.01 * one.parameters
    assert len({one.sha256 for one in OFFICIAL.values()}) == 3


@pytest.mark.parametrize(
    ("platform", "variables", "end"),
    [
        ("linux", {"S3POT_CACHE": "/here"}, "/here"),
        ("win32", {"S3POT_CACHE": "/here"}, "/here"),
        ("linux", {"XDG_CACHE_HOME": "/xdg"}, "/xdg/s3pot"),
        ("linux", {"HOME": "/home/me"}, "/home/me/.cache/s3pot"),
        ("darwin", {"HOME": "/Users/me"}, "/Users/me/Library/Caches/s3pot"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/s3pot"),
    ],
)
def test_where_downloads_go(
    monkeypatch: pytest.MonkeyPatch, platform: str, variables: dict[str, str], end: str
) -> None:
    for name in ("S3POT_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == Path(end)


def test_a_path_goes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3POT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cache" / "sub").mkdir(parents=True)
    for place in ("cache/mine.pth", "cache/sub/mine.pth"):
        (tmp_path / place).write_bytes(b"")
    assert find_checkpoint("vit_b", Path("mine.pth")) == tmp_path / "cache" / "mine.pth"
    with pytest.raises(FileNotFoundError, match=r"sub/mine\.pth"):
        find_checkpoint("vit_b", Path("sub/mine.pth"))
    (tmp_path / "mine.pth").write_bytes(b"")
    assert find_checkpoint("vit_b", Path("mine.pth")) == Path("mine.pth")
