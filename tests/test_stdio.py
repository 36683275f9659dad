"""Between two programs in a pipe, and files that lie elsewhere."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import av
import pytest

from stream.errors import SourceError
from stream.inlets import open_source
from tests.clips import number_of, write_clip

FRAMES = 12


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(
        tmp_path / "clip.mp4", range(FRAMES), container_options={"movflags": "faststart"}
    )


def s3pot(*words: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from stream.cli import main; main()", *words]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def test_a_video_goes_through_a_pipe_and_keeps_its_pictures_and_times(
    clip: Path, tmp_path: Path
) -> None:
    nut = s3pot("run", str(clip), "-", "--effect", "none")
    assert nut.returncode == 0, nut.stderr
    through = tmp_path / "through.nut"
    through.write_bytes(nut.stdout)
    with av.open(str(through)) as container:
        assert container.streams.video[0].codec_context.name == "rawvideo"
    sources = [open_source(str(clip)), open_source(str(through))]
    before, after = (list(source) for source in sources)
    assert (
        [number_of(f.image) for f in after]
        == [number_of(f.image) for f in before]
        == list(range(FRAMES))
    )
    assert [f.time for f in after] == [f.time for f in before]

    lines = s3pot("run", "-", "json:-", stdin=nut.stdout)
    assert lines.returncode == 0, lines.stderr
    assert [json.loads(line)["index"] for line in lines.stdout.splitlines()] == list(range(FRAMES))


def test_what_is_no_video_on_standard_input_is_one_line() -> None:
    done = s3pot("run", "-", "json:-", stdin=b"hello\n" * 100)
    assert done.returncode == 2
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture
def served(clip: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(clip.parent))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_file_on_a_server_has_an_end_and_loses_nothing(served: str) -> None:
    source = open_source(f"{served}/clip.mp4?token=secret")
    assert not source.info.live
    assert source.info.name == f"{served}/clip.mp4"
    assert [number_of(frame.image) for frame in source] == list(range(FRAMES))
    with pytest.raises(SourceError, match="404") as caught:
        open_source(f"{served}/gone.mp4?token=secret")
    assert "secret" not in str(caught.value)
