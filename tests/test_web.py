"""The page's routes, sessions and outputs, over real HTTP."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from configs import load_settings
from stream.frame import FrameResult
from stream.pipeline import Pipeline
from stream.web import desk as desks
from stream.web.board import Board
from stream.web.desk import Desk, Shown
from stream.web.rtc import bounded
from tests.clips import face, half_covered, plain_frame
from tests.pasted_faces import scene
from tests.web_client import Client, Mute, jpeg, serving, until

GREEN = "effect.color=[0,255,0]"


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
        state = wanted_frames(
            client, name, jpeg(noise), lambda s: s["causes"].get("model raised", 0) > 3
        )
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
