"""Who watches over HTTP: with other programs, slowly, or no longer."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from dataclasses import replace
from itertools import count, pairwise

import numpy as np
import pytest

from configs import load_settings
from stream.frame import FrameResult
from stream.web import desk as desks
from stream.web import pictures
from stream.web.board import Board
from stream.web.desk import Shown
from tests.clips import number_of, plain_frame
from tests.web_client import Mute, jpeg, serving, until


@pytest.fixture
def board() -> Board:
    return Board(load_settings("tiny"))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here: make apt installs it")
def test_ffmpeg_reads_the_mjpeg_stream(board: Board) -> None:
    with serving("web.sessions=0", watch=Shown(board, name="x")) as (client, desk):
        command = ["ffmpeg", "-v", "error", "-f", "mpjpeg", "-i", f"http://127.0.0.1:{client.port}/stream.mjpg",
                   "-frames:v", "6", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]  # fmt: skip
        board.write(FrameResult(plain_frame(0), (), ()))  # small: six of them fit into the pipe
        reader = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for number in count(1):
            board.write(FrameResult(plain_frame(number % 256), (), ()))
            time.sleep(0.03)
            if reader.poll() is not None or number > 600:
                break
        data, said = reader.communicate(timeout=10)
        assert reader.returncode == 0, said
        shown = np.frombuffer(data, np.uint8).reshape(-1, 48, 64, 3)
        numbers = [number_of(image) for image in shown]
        assert len(numbers) == 6
        assert len(set(numbers)) >= 5  # it moves
        assert all(0 < (b - a) % 256 < 128 for a, b in pairwise(numbers) if a != b)  # fmt: skip
        until(lambda: desk.readers == 0)


def test_who_reads_nothing_holds_nobody_up_and_loses_its_place(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "STUCK_SECONDS", 1.0)
    noise = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), dtype=np.uint8)
    vast = FrameResult(replace(plain_frame(0), image=noise), (), ())
    with serving("web.viewers=2", watch=Shown(board, name="x")) as (client, desk):
        board.write(vast)
        with socket.create_connection(("127.0.0.1", client.port)) as mute:
            mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            mute.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            until(lambda: desk.readers == 1)
            seen = []
            while desk.readers and len(seen) < 200:
                board.write(vast)
                number = board.seen.number
                image = client.picture("/stream.mjpg")  # the other one sees what is there
                assert image.shape == (720, 1280, 3)
                seen.append(number)
                until(lambda: desk.readers < 2)
            assert desk.readers == 0  # though the mute one is still connected
            assert len(seen) >= 2


def test_a_camera_by_http_whose_page_is_gone_frees_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(desks, "READER_SECONDS", 0.3)
    with serving("web.sessions=1", start=Mute) as (client, desk):
        name = client.post("/api/camera", {})["id"]
        client.ask("POST", f"/api/frame?of={name}", jpeg(np.zeros((64, 64, 3), np.uint8)))
        client.picture(f"/stream.mjpg?of={name}")  # it looks at its picture, and goes
        until(lambda: name not in desk.cameras)
        assert b"the browser has gone" in client.ask("GET", f"/api/state?of={name}")[2]


def test_a_page_that_comes_back_takes_its_own_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("web.sessions=1", start=Mute) as (client, desk):
        name = client.post("/api/camera", {})["id"]
        assert client.ask("POST", "/api/camera", {})[0] == 503
        assert client.ask("POST", "/api/camera", {"after": "somebody-else"})[0] == 503
        again = client.post("/api/camera", {"after": name})["id"]
        assert list(desk.cameras) == [again]
