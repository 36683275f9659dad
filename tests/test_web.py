"""The page's routes, sessions and outputs, over real HTTP."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from configs import load_settings
from configs.settings import SettingsError
from stream.errors import SinkError, SinkPathError, SourceError
from stream.frame import Frame, FrameResult
from stream.inlets import open_source
from stream.outlets import Context, is_remote, kind_of, open_outlet
from stream.pipeline import Pipeline
from stream.queues import Prefetch
from stream.sources import SourceInfo
from stream.web import desk as desks
from stream.web.board import Board
from stream.web.desk import Desk, Shown
from stream.web.looped import LoopedSource
from stream.web.peer import PeerSource, jpeg_size
from stream.web.rtc import bounded
from stream.web.server import Door, bind, build_server, place
from stream.web.session import Session
from stream.web.switch import Switch
from tests.clips import face, half_covered, plain_frame, write_clip
from tests.pasted_faces import scene
from tests.web_client import Client, jpeg, serving, until

GREEN = "effect.color=[0,255,0]"


class Mute:
    """A session that shows nothing and runs nothing."""

    def __init__(self, settings, source: PeerSource) -> None:
        self.board, self.switch = Board(settings), Switch(settings)
        self.ended, self.covered_frames = "", None
        self.closed: list[str] = []

    def close(self, why: str = "") -> None:
        self.closed.append(why)


def green(image: np.ndarray) -> np.ndarray:
    r, g, b = (image[..., c].astype(int) for c in range(3))
    return (g > 150) & (r < 110) & (b < 110)


def wanted_frames(client: Client, name: str, picture: bytes, done) -> dict:
    """Send a picture over and over until the state is as wished."""

    def look():
        client.ask("POST", f"/api/frame?of={name}", picture)
        state = client.get(f"/api/state?of={name}")
        assert not state["ended"], state
        return state if done(state) else None

    return until(look)


def test_pictures_of_a_camera_come_back_drawn_made_smaller_and_can_be_changed():
    head = scene((320, 240, 230, False), height=480, width=640)
    with serving("web.width=320", "web.height=240", "effect.name=solid", GREEN) as (client, _):
        name = client.post("/api/camera", {})["id"]
        state = wanted_frames(client, name, jpeg(head), lambda s: s["faces"])
        assert (state["width"], state["height"]) == (320, 240)
        assert state["faces"][0]["state"] == "seen"
        assert state["faces"][0]["coverage"] < 0.2
        assert state["signal"]
        shown = client.picture(f"/stream.mjpg?of={name}")
        assert green(shown)[100:140, 145:175].mean() > 0.9  # the face,
        assert apart(shown, head)[:, :60].mean() < 8  # and nothing beside it
        client.post("/api/wish", {"id": name, "effect": "none"})
        wanted_frames(client, name, jpeg(head), lambda s: s["effect"] == "none")
        until(lambda: apart(client.picture(f"/stream.mjpg?of={name}"), head).mean() < 8)
        assert client.ask("POST", "/api/wish", {"id": name, "effect": "sparkle"})[0] == 422
        metrics = client.ask("GET", "/metrics")[2].decode()
        assert "s3pot_sessions 1.0" in metrics
        assert 's3pot_faces_total{kind="camera",state="seen"}' in metrics
        assert 's3pot_latency_seconds{kind="camera",quantile="0.95"}' in metrics
        assert name not in metrics
        until(lambda: not client.get(f"/api/state?of={name}")["signal"])  # nothing is sent now
        label = client.picture(f"/stream.mjpg?of={name}")
        assert apart(label, head)[100:140, 60:260].mean() > 20  # "no signal" is written over it
        client.post("/api/close", {"id": name})
        assert client.ask("GET", f"/api/state?of={name}")[0] == 404
        after = client.ask("GET", "/metrics")[2].decode()
        assert "s3pot_sessions 0.0" in after
        assert count_of(after, "frames") >= count_of(metrics, "frames") > 0  # counters stay
        assert count_of(after, "filled") > 0


def apart(shown: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """Grey levels between what is shown and what was sent, at the size of what is shown."""
    size = shown.shape[1::-1]
    return np.abs(cv2.resize(sent, size, interpolation=cv2.INTER_AREA).astype(int) - shown)


def count_of(metrics: str, name: str) -> float:
    line = next(
        x for x in metrics.splitlines() if x.startswith(f's3pot_{name}_total{{kind="camera"')
    )
    return float(line.split()[-1])


def test_under_privacy_nothing_uncovered_is_shown_when_the_model_raises(monkeypatch):
    class Broken:
        def __call__(self, frames):
            raise RuntimeError("of the model")

        def close(self) -> None:
            pass

    monkeypatch.setattr(Pipeline, "from_settings", lambda settings, live: Broken())
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    with serving('privacy.policy="privacy"') as (client, _):
        name = client.post("/api/camera", {})["id"]
        state = wanted_frames(client, name, jpeg(noise), lambda s: s["covered_frames"] > 3)
        assert state["private"]
        assert state["effects"] == ["blur", "pixelate", "solid"]
        assert state["failures"] == {"model raised": state["failures"]["model raised"]}
        for view in ("picture", "mask"):
            shown = client.picture(f"/stream.mjpg?of={name}&view={view}").astype(np.float32)
            assert np.abs(shown - cv2.blur(shown, (5, 5))).mean() < 4  # of the noise: 60
        assert client.ask("POST", "/api/wish", {"id": name, "effect": "none"})[0] == 422


def test_as_many_cameras_as_may_be_and_no_more():
    with serving("web.sessions=2", start=Mute) as (client, desk):
        first, _ = (client.post("/api/camera", {})["id"] for _ in range(2))
        status, _, said = client.ask("POST", "/api/camera", {})
        assert status == 503
        assert b"all 2 places" in said
        session = desk.cameras[first].shown.session
        client.post("/api/close", {"id": first})
        assert session.closed
        client.post("/api/camera", {})
        assert desk.refused == 1
        assert "s3pot_refused_total 1.0" in client.ask("GET", "/metrics")[2].decode()


def test_a_camera_that_sends_nothing_is_closed_and_told_why():
    with serving("web.idle_seconds=0.3", start=Mute) as (client, _):
        name = client.post("/api/camera", {})["id"]
        until(lambda: client.ask("GET", f"/api/state?of={name}")[0] == 404)
        assert b"no picture came for 0.3 s" in client.ask("GET", f"/api/state?of={name}")[2]


def test_a_camera_that_sends_too_much_is_closed(monkeypatch):
    monkeypatch.setattr(desks, "RATE_SECONDS", 0.5)
    with serving("web.kilobits=100", start=Mute) as (client, _):
        name = client.post("/api/camera", {})["id"]

        def look():
            client.ask("POST", f"/api/frame?of={name}", bytes(100_000))
            return client.ask("GET", f"/api/state?of={name}")

        said = until(lambda: (answer := look())[0] == 404 and answer[2])
        assert b"more than 100 kilobits" in said


def test_a_picture_that_says_it_is_vast_is_not_decoded():
    vast = bytearray(jpeg(np.zeros((64, 64, 3), np.uint8)))
    at = vast.index(b"\xff\xc0")
    vast[at + 5 : at + 9] = (60000).to_bytes(2) * 2
    with serving() as (client, desk):
        name = client.post("/api/camera", {})["id"]
        client.ask("POST", f"/api/frame?of={name}", bytes(vast))
        until(lambda: name not in desk.cameras)
        said = client.ask("GET", f"/api/state?of={name}")[2]
        assert b"60000x60000" in said


@pytest.mark.parametrize("junk", [b"", b"\xff\xd8", b"GIF89a", b"\xff\xd8" + b"\xff\xe0\0\0" * 9])
def test_what_is_no_jpeg_is_said_to_be_none(junk: bytes):
    with pytest.raises(SourceError, match="no JPEG"):
        jpeg_size(junk)


@pytest.mark.parametrize(
    "sdp", ["", "v=0", "v=0\r\nm=audio 9 x 0\r\n", "v=0\r\nm=video 9 x 96\r\n"]
)
def test_an_offer_that_is_none_is_refused_and_leaves_nothing(sdp: str):
    with serving(start=Mute) as (client, desk):
        for mode in ("camera", "watch"):
            status, _, said = client.ask("POST", "/api/offer", {"mode": mode, "sdp": sdp})
            assert status == (422 if mode == "camera" else 404), said
        assert not desk.cameras


def test_only_so_many_watch_and_the_mask_is_there_for_who_asks():
    settings = load_settings("tiny")
    board = Board(settings)
    board.write(FrameResult(plain_frame(0), (face(),), (half_covered(),)))
    with serving("web.viewers=1", watch=Shown(board, name="x")) as (client, desk):
        assert client.get("/api/about")["watch"] == "x"
        assert np.abs(client.picture("/stream.mjpg").astype(int) - plain_frame(0).image).mean() < 12
        until(lambda: desk.readers == 0)
        client.picture("/stream.mjpg?view=mask")
        board.write(FrameResult(plain_frame(1), (face(),), (half_covered(),)))
        assert board.seen.mask is not None
        assert board.seen.mask.max() == 255
        until(lambda: desk.readers == 0)
        desk.readers = 1
        assert client.ask("GET", "/stream.mjpg")[0] == 503
        assert client.ask("POST", "/api/wish", {"id": "watch", "effect": "none"})[0] == 409


def test_a_board_counts_what_came_and_what_filled_a_gap_apart():
    board = Board(load_settings("tiny"))
    assert board.seen.image.any()  # a card that says that nothing comes
    first = Frame(plain_frame(0).image, 0, Fraction(0), "x", received_seconds=time.monotonic())
    board.write(FrameResult(first, (face(),), (half_covered(),)))
    assert board.seen.signal
    assert board.seen.mask is None
    board.write(FrameResult(first, (), ()))
    assert not board.seen.signal
    assert (board.tally.frames, board.tally.filled) == (1, 1)
    assert board.tally.percentiles() is not None
    assert board.tally.faces == {face().state.value: 1}
    board.close()
    assert (board.seen.image != first.image.mean()).any()
    assert board.seen.faces == ()


def test_web_as_an_output_shows_a_run_and_ends_with_it():
    context = Context(SourceInfo("folder/clip.mp4", 48, 64), load_settings("tiny"), None)
    assert kind_of("web:8000") == ("web", "8000")
    assert is_remote("web:8000")
    sink = open_outlet("web:0", context)
    client = Client(sink.port)
    assert client.get("/api/about") == {"camera": False, "watch": "clip.mp4", "width": 1280, "height": 720}  # fmt: skip
    assert client.ask("POST", "/api/camera", {})[0] == 503
    sink.write(FrameResult(plain_frame(3), (face(),), (half_covered(),)))
    assert client.get("/api/state?of=watch")["faces"][0]["coverage"] == half_covered().coverage
    assert np.abs(client.picture("/stream.mjpg").astype(int) - plain_frame(3).image).mean() < 12
    with pytest.raises(SinkError, match=f":{sink.port} cannot be used"):
        open_outlet(f"web:{sink.port}", context)
    sink.close()
    with pytest.raises(OSError):  # noqa: PT011  refused, or reset
        client.ask("GET", "/healthz")


@pytest.mark.parametrize("rest", ["", "x", "99999", "127.0.0.1:", "8000/x"])
def test_an_output_without_a_port_is_refused(rest: str):
    with pytest.raises(SinkPathError, match="web:PORT"):
        place(rest)


def test_an_output_that_others_reach_needs_a_token(monkeypatch):
    monkeypatch.delenv("S3POT_TOKEN", raising=False)
    context = Context(SourceInfo("x", 48, 64), load_settings("tiny"), None)
    with pytest.raises(SinkPathError, match="token is needed"):
        open_outlet("web:0.0.0.0:0", context)
    assert place("[::1]:80") == ("::1", 80)


def test_a_file_is_played_at_its_own_speed_over_and_over(tmp_path: Path):
    path = str(write_clip(tmp_path / "c.mp4"))  # 12 frames at 30 a second
    source = LoopedSource(open_source(path), lambda: open_source(path))
    began = time.monotonic()
    frames = list(islice(source, 30))
    assert time.monotonic() - began > 0.7  # 29 steps of 1/30 s would be 0.97; rounds have no pause
    source.close()
    assert [f.index for f in frames] == list(range(30))
    assert [f.epoch for f in frames] == [0] * 12 + [1] * 12 + [2] * 6
    assert all(a.time < b.time for a, b in pairwise(frames))
    assert list(source) == []


def test_a_source_that_comes_late_is_waited_for_and_its_absence_is_told():
    came: list[bool] = []

    def open_next():
        if not came:
            raise SourceError("camera:9: cannot be opened (away)")
        return PeerSource((64, 64))

    session = Session(load_settings("tiny"), open_next, again=True)
    until(lambda: session.board.note)
    assert "away" in session.board.note
    came.append(True)
    until(lambda: not session.board.note)
    session.close("enough")
    assert session.ended == "enough"


def test_a_peer_gives_the_newest_picture_in_one_size_that_fits():
    source = PeerSource((100, 200))
    for shade in (10, 20, 30):
        source.feed(jpeg(np.full((400, 400, 3), shade, np.uint8)))
    frames = iter(source)
    frame = next(frames)
    assert frame.image.shape == (100, 100, 3)
    assert abs(int(frame.image.mean()) - 30) < 3
    assert source.dropped == {"queue full": 2}
    picture = av.VideoFrame.from_ndarray(np.full((120, 60, 3), 99, np.uint8), format="rgb24")
    source.feed(picture)
    assert next(frames).image.shape == (100, 100, 3)  # another shape is fitted in
    source.close()
    assert list(frames) == []


@pytest.mark.parametrize(
    ("told", "came", "size"),
    [
        ((80, 160), (40, 80), (80, 160)),  # it begins with less than it will send
        ((80, 160), (80, 40), (160, 80)),  # turned
        ((400, 800), (40, 80), (100, 200)),  # more than fits
        (None, (41, 81), (40, 80)),
    ],
    ids=str,
)
def test_a_peer_has_the_size_that_the_browser_said(told, came, size):
    source = PeerSource((100, 200))
    source.told = told
    source.feed(jpeg(np.zeros((*came, 3), np.uint8)))
    assert next(iter(source)).image.shape == (*size, 3)


def test_without_the_packages_the_command_says_what_to_install():
    code = (
        "import sys; sys.modules['fastapi'] = None; sys.argv = ['s3pot', 'serve', '--port', '0'];"
        "from stream.cli import main; main()"
    )
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install 's3pot-stream[web]'" in done.stderr


def test_a_switch_allows_what_its_policy_does():
    with pytest.raises(SettingsError, match="allowed: open, privacy"):
        Switch(load_settings("tiny", ["privacy.policy=closed"]))
    switch = Switch(load_settings("privacy"))
    switch.to("solid")
    with pytest.raises(SettingsError, match="did you mean"):
        switch.to("solit")
    assert switch.name == "solid"


def test_sessions_that_end_leave_no_thread():
    def running() -> int:
        return sum(t.name in ("prefetch", "sink") for t in threading.enumerate())

    before = running()
    for _ in range(3):
        session = Session(load_settings("tiny"), lambda: PeerSource((64, 64)), again=False)
        assert running() > before
        session.close()
        assert session.ended
    until(lambda: running() == before)


def test_https_with_a_certificate(tmp_path: Path):
    chain, key = own_certificate(tmp_path)
    desk = Desk(load_settings("tiny"), None, Mute)
    with bind("127.0.0.1", 0) as listening:
        server = build_server(desk, Door(certificate=(chain, key)))

        def serve():
            server.run(sockets=[listening])
            yield

        with Prefetch(serve()):
            try:
                until(lambda: server.started)
                trust = ssl.create_default_context(cafile=str(chain))
                address = f"https://localhost:{listening.getsockname()[1]}/healthz"
                with urllib.request.urlopen(address, context=trust, timeout=10) as answer:
                    assert answer.read() == b'{"ok":true}'
            finally:
                server.should_exit = True


def own_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of localhost, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = folder / "chain.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption(),
    ))  # fmt: skip
    return paths


def test_an_answer_says_how_much_may_be_sent():
    sdp = "v=0\r\nm=video 9 x 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n"
    assert bounded(sdp, 4000).splitlines()[2:4] == ["c=IN IP4 0.0.0.0", "b=AS:4000"]


def test_the_desk_forgets_who_has_gone():
    desk = Desk(load_settings("tiny"), None, Mute)
    desk.farewells = {str(i): "x" for i in range(desks.FAREWELLS)}
    with serving(start=Mute) as (client, other):
        other.farewells = dict(desk.farewells)
        client.post("/api/close", {"id": client.post("/api/camera", {})["id"]})
        assert len(other.farewells) == desks.FAREWELLS
