"""What the page says of the privacy policy, and that nobody can talk it into showing a face."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from configs import load_settings
from stream.errors import SinkError
from stream.frame import FrameResult
from stream.pipeline import Pipeline
from stream.privacy.audit import Audit
from stream.sinks import line_of
from stream.web.audits import AuditBook
from stream.web.board import Board
from stream.web.desk import Shown
from tests.noise_faces import MIDDLE, RADIUS, away, face, found, mask, privacy
from tests.test_web import wanted_frames
from tests.web_client import Mute, jpeg, serving
from trackers import TrackState

PRIVATE = ("privacy.policy=privacy", "privacy.effect=solid", "effect.color=[0,255,0]")
HERE = (*MIDDLE, 1)
FACE = away(*MIDDLE) < RADIUS - 4


def decided(frames: int = 5) -> list[FrameResult]:
    """A face that becomes sure, is held, is doubted, and is lost."""
    policy = privacy()
    shown = [out for i in range(frames) for out in policy.push(found(i, HERE))]
    hidden = FrameResult(
        found(frames).frame, (face(*MIDDLE, state=TrackState.COASTING, score=0.0),),
        (mask(*MIDDLE),), True,
    )  # fmt: skip
    for result in (hidden, found(frames + 1, (MIDDLE[0] + 50, MIDDLE[1], 1)), found(frames + 2)):
        shown += policy.push(result)
    return shown + policy.blind(found(frames + 3).frame, "model raised")


def test_a_result_says_what_was_decided_of_it() -> None:
    told = [result.verdict for result in decided()]
    assert [verdict.covered for verdict in told] == [
        "start", "", "", "", "", "", "", "lost", "model raised",
    ]  # fmt: skip
    assert [verdict.states.get(1, "") for verdict in told] == [
        "unsure", "unsure", "sure", "sure", "sure", "held", "unsure", "lost", "lost",
    ]  # fmt: skip


def test_what_is_blanked_while_it_is_held_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = privacy("privacy.delay_frames=2")
    shown = [out for i in range(6) for out in policy.push(found(i, HERE))]
    assert shown[-1].verdict.covered == ""
    monkeypatch.setattr(policy, "_covered", None)  # it fails where nobody thought of
    with pytest.raises(TypeError):
        policy.push(found(6, HERE))
    held = policy.flush()
    assert [result.verdict.covered for result in held] == ["policy raised"] * 2
    assert all(np.ptp(result.frame.image) == 0 for result in held)


def test_the_json_of_a_frame_says_it_too() -> None:
    lines = [json.loads(line_of(result)) for result in decided()]
    assert lines[0]["privacy"] == {"covered": "start", "lost": []}
    assert lines[2]["faces"][0]["certainty"] == "sure"
    assert lines[5]["faces"][0]["certainty"] == "held"
    assert lines[7]["faces"] == []
    assert lines[7]["privacy"] == {"covered": "lost", "lost": [1]}
    assert set(json.loads(line_of(found(0, HERE)))) == {"index", "time", "faces"}  # nobody decided


def test_page_and_metrics_tell_states_and_causes() -> None:
    board = Board(load_settings("tiny", list(PRIVATE)))
    results = decided()
    with serving(*PRIVATE, watch=Shown(board, name="x"), start=Mute) as (client, _):
        for result in results[:6]:
            board.write(result)
        state = client.get("/api/state?of=watch")
        assert state["private"]
        assert (state["covered"], state["causes"]) == ("", {"start": 1})
        assert [(f["id"], f["certainty"]) for f in state["faces"]] == [(1, "held")]
        for result in results[6:]:
            board.write(result)
        state = client.get("/api/state?of=watch")
        assert state["covered"] == "model raised"
        (lost,) = state["faces"]
        assert (lost["certainty"], lost["coverage"]) == ("lost", None)
        metrics = client.ask("GET", "/metrics")[2].decode()
        for line in (
            's3pot_privacy_faces_total{kind="watch",state="sure"} 3.0',
            's3pot_privacy_faces_total{kind="watch",state="lost"} 2.0',
            's3pot_privacy_covered_total{cause="model raised",kind="watch"} 1.0',
            's3pot_privacy_covered_total{cause="lost",kind="watch"} 1.0',
        ):
            assert line in metrics.splitlines()


class Finds:
    """A model that sees one face in the middle of every picture."""

    def __call__(self, frames):
        for frame in frames:
            yield found(frame.index, HERE, at=frame)

    def reset(self) -> None: ...
    def close(self) -> None: ...


ATTACKS = [
    ("/api/wish", {"effect": "none"}, 422),
    ("/api/wish", {"effect": "overlay"}, 422),
    ("/api/wish", {"effect": "restore"}, 422),
    ("/api/wish", {"effect": "../none"}, 422),
    ("/api/wish", {"policy": "open"}, 422),
    ("/api/wish", {"effect": "blur", "privacy": {"policy": "open", "hide": "neither"}}, 422),
    ("/api/wish", {"effect": "blur", "hide": "neither"}, 422),
    ("/api/wish", {"view": "source"}, 422),
    ("/api/wish", {"view": "own"}, 422),
    ("/api/wish", {"effect": None, "view": None, "who": "ids"}, 422),
    ("/api/offer", {"mode": "camera", "sdp": "v=0\r\nm=application 9 x\r\n"}, 422),
    ("/api/offer", {"mode": "watch", "sdp": "v=0\r\nm=video 9 x\r\n", "policy": "open"}, 422),
    ("/api/wish?policy=open&effect=none", {"effect": "solid"}, 200),
]


def test_nobody_talks_the_policy_into_showing_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "from_settings", lambda settings, live: Finds())
    picture = np.asarray(found(0).frame.image)
    with serving(*PRIVATE, "web.width=320", "web.height=240") as (client, _):
        name = client.post("/api/camera", {})["id"]
        wanted_frames(client, name, jpeg(picture), lambda s: sure(s) and not s["covered"])
        assert hidden(client.picture(f"/stream.mjpg?of={name}"))
        for path, body, status in ATTACKS:
            answer = client.ask("POST", path, {"id": name} | body if "wish" in path else body)
            assert answer[0] == status, (path, body, answer[2])
            wanted_frames(client, name, jpeg(picture), sure)
            shown = client.picture(f"/stream.mjpg?of={name}&policy=open&effect=none")
            assert gone(shown, picture), body
        assert client.ask("GET", f"/stream.mjpg?of={name}&view=source")[0] == 422
        for allowed in ("pixelate", "blur", "solid"):  # what may be chosen hides too
            client.post("/api/wish", {"id": name, "effect": allowed})
            before = client.get(f"/api/state?of={name}")["frames"]
            wanted_frames(client, name, jpeg(picture), lambda s, b=before: s["frames"] > b + 3)
            shown = client.picture(f"/stream.mjpg?of={name}")
            assert gone(shown, picture), allowed
        mask_ = client.picture(f"/stream.mjpg?of={name}&view=mask")
        assert np.ptp(mask_.astype(int), axis=2).max() < 30  # black and white, nothing of a picture


def sure(state: dict) -> bool:
    return [face["certainty"] for face in state["faces"]] == ["sure"]


def hidden(shown: np.ndarray) -> bool:
    """Whether the left two thirds of the face are green; what is before it is not."""
    column = np.mgrid[:240, :320][1]
    r, g, b = (shown[..., c][FACE & (column < MIDDLE[0] + 4)].astype(int) for c in range(3))
    return bool(((g > 150) & (r < 110) & (b < 110)).mean() > 0.95)


def gone(shown: np.ndarray, sent: np.ndarray) -> bool:
    """Whether nothing of the sent noise is left in the bare face: no likeness, pixel by pixel."""
    bare = FACE & (np.mgrid[:240, :320][1] < MIDDLE[0] + 4)
    left, right = (x.mean(2)[bare] for x in (shown.astype(float), sent.astype(float)))
    if left.std() < 1:
        return True
    return bool(abs(np.corrcoef(left, right)[0, 1]) < 0.4)


def test_one_audit_for_all_cameras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Pipeline, "from_settings", lambda settings, live: Finds())
    path = tmp_path / "audit.json"
    picture = jpeg(np.asarray(found(0).frame.image))
    with serving(*PRIVATE, f"privacy.audit={path}", book=AuditBook(path)) as (client, desk):
        names = [client.post("/api/camera", {})["id"] for _ in range(2)]
        for name in names:
            wanted_frames(client, name, picture, lambda s: s["frames"] >= 6)
        client.post("/api/close", {"id": names[0]})
        first = json.loads(path.read_text())
        assert first["camera"]["sessions"] == 2  # one of them goes on
        client.post("/api/close", {"id": names[1]})
        both = json.loads(path.read_text())
        assert desk.book is not None
        assert both["camera"]["frames"] >= first["camera"]["frames"] >= 6
    assert both["effect"] == "solid"
    assert both["camera"]["sessions"] == 2
    assert both["camera"]["causes"]["start"] == 2
    assert sum(both["camera"]["causes"].values()) == both["camera"]["covered_frames"]
    assert both["camera"]["hidden_ids"] == 2  # a number: ids of other sessions are other people
    assert [p.name for p in tmp_path.iterdir()] == ["audit.json"]


def test_audits_are_summed_and_what_cannot_be_written_is_remembered(tmp_path: Path) -> None:
    book = AuditBook(tmp_path / "a.json")
    one = Audit("face", "neither", "all", (), "blur", frames=3, hidden_ids={1, 2})
    one.causes["lost"] = 2
    book.add("camera", one)
    told = json.loads(book.text([("camera", one), ("watch", one)]))
    assert told["camera"]["frames"] == 6
    assert told["camera"]["causes"] == {"lost": 4}
    assert told["watch"] == json.loads(book.text([("watch", one)]))["watch"]
    assert json.loads(book.text())["camera"]["frames"] == 3  # what runs is counted anew each time
    book.write(book.text())
    (tmp_path / "a.json").unlink()
    (tmp_path / "a.json").mkdir()
    with pytest.raises(SinkError, match="cannot be written"):
        book.write(book.text())
    assert book.error is not None
    with pytest.raises(SinkError, match="does not exist"):
        AuditBook(tmp_path / "missing" / "a.json")
