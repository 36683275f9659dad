"""What runs behind the page: sources, sessions, the board."""

from __future__ import annotations

import threading
import time
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from configs import load_settings
from configs.settings import SettingsError
from stream.composer import NO_SIGNAL
from stream.errors import SourceError
from stream.frame import Frame, FrameResult
from stream.inlets import open_source
from stream.pipeline import Pipeline
from stream.web import session as sessions
from stream.web.board import Board
from stream.web.looped import LoopedSource
from stream.web.peer import PeerSource, jpeg_size
from stream.web.session import Session
from stream.web.switch import Switch
from tests.clips import face, half_covered, plain_frame, write_clip
from tests.noise_faces import noise
from tests.test_web_privacy import Finds
from tests.web_client import jpeg, until


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


@pytest.mark.parametrize("junk", [b"", b"\xff\xd8", b"GIF89a", b"\xff\xd8" + b"\xff\xe0\0\0" * 9])
def test_what_is_no_jpeg_is_said_to_be_none(junk: bytes):
    with pytest.raises(SourceError, match="no JPEG"):
        jpeg_size(junk)


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


def test_a_board_counts_what_came_and_what_filled_a_gap_apart():
    board = Board(load_settings("tiny"))
    assert board.seen.image.any()  # a card that says that nothing comes
    first = Frame(plain_frame(0).image, 0, Fraction(0), "x", received_seconds=time.monotonic())
    board.write(FrameResult(first, (face(),), (half_covered(),)))
    assert board.seen.signal
    assert board.seen.mask is None
    board.write(FrameResult(first, (), (), failure=NO_SIGNAL))
    assert not board.seen.signal
    assert (board.tally.frames, board.tally.filled) == (1, 1)
    assert board.tally.percentiles() is not None
    assert board.tally.faces == {face().state.value: 1}
    board.close()
    assert (board.seen.image != first.image.mean()).any()
    assert board.seen.faces == ()


class Fails:
    """A source that breaks in a way that nobody thought of, after some pictures."""

    def __init__(self, frames: int) -> None:
        self.info = PeerSource((240, 320)).info
        self.damage, self.notes, self._frames = None, [], frames

    def __iter__(self):
        for index in range(self._frames):
            time.sleep(0.01)
            yield noise(index)
        raise RuntimeError("rtsp://me:secret@host")

    def close(self) -> None: ...


def test_a_watched_source_that_fails_inside_comes_back_and_begins_covered(monkeypatch):
    monkeypatch.setattr(sessions, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(Pipeline, "from_settings", lambda settings, live: Finds())
    lives: list[int] = []

    def open_next():
        lives.append(8)
        return Fails(lives[-1])

    settings = load_settings("tiny", ["privacy.policy=privacy", "privacy.delay_frames=0"])
    session = Session(settings, open_next, again=True)
    shown = []
    write = session.board.write
    monkeypatch.setattr(
        session.board, "write", lambda result: (shown.append(result), write(result))
    )
    until(lambda: len(lives) >= 3 and session.board.note)
    assert session.board.note == "it failed inside (RuntimeError); it begins again"
    assert not session.board.seen.signal  # a card, nothing of the picture
    session.close("enough")
    assert session.board.tally.failures["session failed"] >= 2
    began = [i for i, result in enumerate(shown) if result.verdict.covered == "restart"]
    assert began
    for i in began:  # of a new life nothing is seen before two frames agree
        assert np.ptp(shown[i].frame.image) == 0
    assert any(result.verdict.covered == "" for result in shown)
    assert session.ended == "enough"


def test_a_camera_whose_session_fails_inside_is_told_so_without_its_text(monkeypatch):
    monkeypatch.setattr(Pipeline, "from_settings", lambda settings, live: Finds())
    session = Session(load_settings("tiny"), lambda: Fails(2), again=False)
    until(lambda: session.ended)
    assert session.ended == "it failed inside (RuntimeError)"
    session.close()
