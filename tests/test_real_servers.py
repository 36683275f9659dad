"""Servers and programs that are not ours: GStreamer's RTSP server, Debian's ffmpeg.

Installed by ``make apt``; skipped without them, unless S3POT_SERVERS=required.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from stream.bench.servers.relay import Relay
from stream.dial import LiveOptions
from stream.frame import Frame, FrameResult
from stream.publish import PublishSink
from stream.sources import SourceInfo
from tests.awaited import opened
from tests.clips import write_clip
from tests.lossy_rtsp import LossyRtsp

PYTHON, FFMPEG = Path("/usr/bin/python3"), Path("/usr/bin/ffmpeg")
REQUIRED = os.environ.get("S3POT_SERVERS") == "required"


def has_gstreamer() -> bool:
    if not PYTHON.exists():
        return False
    code = "import gi; gi.require_version('GstRtspServer', '1.0')"
    return subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode == 0


needs_gstreamer = pytest.mark.skipif(
    not REQUIRED and not has_gstreamer(), reason="GStreamer's RTSP server: make apt"
)
needs_ffmpeg = pytest.mark.skipif(
    not REQUIRED and not FFMPEG.exists(), reason="Debian's ffmpeg: make apt"
)


@pytest.fixture
def gstreamer() -> Iterator[str]:
    """The address of a picture in which a ball moves."""
    script = Path(__file__).with_name("gstreamer_server.py")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    with subprocess.Popen([PYTHON, script], stdout=subprocess.PIPE, text=True, env=clean) as server:
        assert server.stdout is not None
        yield f"rtsp://127.0.0.1:{int(server.stdout.readline())}/live"
        server.kill()


@needs_gstreamer
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_stream_of_gstreamer_is_read(gstreamer: str, transport: str) -> None:
    with opened(gstreamer, LiveOptions(transport=transport)) as source:
        frames = [frame for frame, _ in zip(source, range(40), strict=False)]
    assert frames[0].image.shape == (240, 320, 3)
    assert {frame.epoch for frame in frames} == {0}
    steps = np.diff([float(frame.time) for frame in frames])
    assert np.median(steps) == pytest.approx(0.04, abs=0.002)
    assert all(a.time < b.time for a, b in pairwise(frames))
    changed = [np.abs(a.image.astype(int) - b.image).mean() for a, b in pairwise(frames)]
    assert np.median(changed) > 0.05  # the ball moves


@needs_gstreamer
@pytest.mark.parametrize("share", [0.01, 0.05, 0.1])
def test_lost_packets_of_gstreamer_cost_pictures_and_not_the_connection(
    gstreamer: str, share: float
) -> None:
    with LossyRtsp(urlsplit(gstreamer).port or 0, share) as network:
        url = f"rtsp://127.0.0.1:{network.port}/live"
        with opened(url, LiveOptions(transport="udp")) as source:
            frames = [frame for frame, _ in zip(source, range(100), strict=False)]
    assert network.lost > 0
    assert network.passed > 90
    assert {frame.epoch for frame in frames} == {0}
    assert all(a.time < b.time for a, b in pairwise(frames))
    steps = np.diff([float(frame.time) for frame in frames])
    assert np.median(steps) == pytest.approx(0.04, abs=0.004)
    assert source.damaged > 0 or share < 0.05


@needs_ffmpeg
def test_what_ffmpeg_publishes_is_read() -> None:
    with Relay() as relay:
        command = [FFMPEG, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25",
                   "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25",
                   "-f", "rtsp", "-rtsp_transport", "tcp", relay.url()]  # fmt: skip
        with subprocess.Popen(command) as sending, opened(relay.url(), LiveOptions()) as source:
            frames = [frame for frame, _ in zip(source, range(30), strict=False)]
            sending.kill()
    assert frames[0].image.shape == (240, 320, 3)
    assert np.median(np.diff([float(frame.time) for frame in frames])) == pytest.approx(
        0.04, abs=0.002
    )


def flat(index: int) -> FrameResult:
    image = np.full((48, 64, 3), (200, 40, 90), np.uint8)
    return FrameResult(Frame(image, index, Fraction(index, 25), "x"), (), ())


@needs_ffmpeg
def test_what_we_publish_is_read_by_ffmpeg(tmp_path: Path) -> None:
    with Relay() as relay:
        sink = PublishSink(relay.url("out"), SourceInfo("x", 48, 64, rate=Fraction(25)))
        command = [FFMPEG, "-v", "error", "-rtsp_transport", "tcp", "-i", relay.url("out"),
                   "-frames:v", "10", "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"]  # fmt: skip
        reading: subprocess.Popen[bytes] | None = None
        for index in range(1000):
            sink.write(flat(index))
            time.sleep(0.02)
            if reading is None and index == 60:
                with (tmp_path / "raw").open("wb") as raw:
                    reading = subprocess.Popen(command, stdout=raw)
            if reading is not None and reading.poll() is not None:
                break
        assert reading is not None
        assert reading.wait(10) == 0
        sink.close()
    pictures = np.frombuffer((tmp_path / "raw").read_bytes(), np.uint8).reshape(-1, 48, 64, 3)
    assert len(pictures) == 10
    assert np.abs(pictures.mean((0, 1, 2)) - (200, 40, 90)).max() < 8


@needs_ffmpeg
def test_what_we_pipe_is_read_by_ffmpeg(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", size=(48, 64))
    code = "from stream.cli import main; main()"
    ours = subprocess.Popen(
        [sys.executable, "-c", code, "run", str(clip), "-", "-q"], stdout=subprocess.PIPE
    )
    out = tmp_path / "out.mkv"
    done = subprocess.run(
        [FFMPEG, "-v", "error", "-i", "-", "-c:v", "ffv1", out], stdin=ours.stdout, check=False
    )
    assert ours.stdout is not None
    ours.stdout.close()
    assert (ours.wait(60), done.returncode) == (0, 0)
    assert shutil.which("ffprobe")
    probe = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-of", "csv=p=0",
             "-show_entries", "stream=nb_read_frames,width,height", out]  # fmt: skip
    told = subprocess.run(probe, capture_output=True, text=True, check=True).stdout
    assert told.strip() == "64,48,12"
