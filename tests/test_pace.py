"""What comes a segment at a time goes on at the pace of its time stamps."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import count, pairwise
from pathlib import Path
from typing import Self

import av
import numpy as np
import pytest

from stream.bench.servers.card import drawn, number_of
from stream.dial import LiveOptions
from stream.inlets import open_source
from stream.live import LiveSource
from stream.pace import AHEAD_PACKETS, JUMP_SECONDS, Pace, Played, ahead
from tests.foreign import HEIGHT, STEP_MS, WIDTH, card_clip

STEP = Fraction(1, 25)


def test_a_burst_is_shown_at_the_pace_of_its_stamps() -> None:
    pace = Pace()
    waits = [pace.wait_seconds(7 + i * STEP, 100.0) for i in range(50)]
    assert waits == pytest.approx([i * 0.04 for i in range(50)])


def test_what_was_not_there_in_time_puts_all_that_follows_off() -> None:
    pace = Pace()
    pace.wait_seconds(Fraction(0), 100.0)
    assert pace.wait_seconds(STEP, 100.54) == 0
    assert pace.wait_seconds(2 * STEP, 100.54) == pytest.approx(0.04)


def test_what_is_a_little_late_is_caught_up() -> None:
    pace = Pace()
    pace.wait_seconds(Fraction(0), 100.0)
    assert pace.wait_seconds(STEP, 100.09) == 0
    assert pace.wait_seconds(2 * STEP, 100.09) == 0
    assert pace.wait_seconds(3 * STEP, 100.09) == pytest.approx(0.03)


@pytest.mark.parametrize("jump", [-5, -STEP, JUMP_SECONDS + STEP, 3600])
def test_another_clock_is_followed_from_now_on(jump: Fraction) -> None:
    pace = Pace()
    pace.wait_seconds(Fraction(5000), 100.0)
    assert pace.wait_seconds(5000 + jump, 100.0) == 0
    assert pace.wait_seconds(5000 + jump + STEP, 100.0) == pytest.approx(0.04)


def test_what_has_no_stamp_does_not_wait() -> None:
    assert Pace().wait_seconds(None, 5.0) == 0


def test_no_more_is_read_ahead_than_has_a_place() -> None:
    taken = count()
    packets = ahead((next(taken) for _ in iter(int, 1)), lambda: False)
    assert [next(packets) for _ in range(5)] == [0, 1, 2, 3, 4]
    time.sleep(0.3)
    packets.close()
    assert next(taken) <= 5 + AHEAD_PACKETS + 1


def test_who_reads_ahead_ends_when_nobody_wants_more() -> None:
    stopped = threading.Event()
    released = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        released.wait(20)

    packets = ahead(slow(), stopped.is_set)
    assert next(packets) == 1
    threading.Timer(0.2, stopped.set).start()
    threading.Timer(0.4, released.set).start()
    assert list(packets) == []


def packet(stamp: int, data: bytes, *, key: bool) -> av.Packet:
    made = av.Packet(data)
    made.pts, made.is_keyframe = stamp, key
    return made


def test_what_was_shown_before_the_break_is_not_shown_again() -> None:
    first = [packet(i, b"%d" % i, key=i % 3 == 0) for i in range(9)]
    played = Played()
    assert not any(played(one) for one in first)
    played.again()
    more = [*first[3:], packet(9, b"9", key=True), packet(10, b"10", key=False)]
    assert [played(one) for one in more] == [True] * 6 + [False] * 2


def test_one_that_begins_anew_is_shown_although_its_stamps_were_there() -> None:
    played = Played()
    for i in range(9):
        played(packet(i, b"%d" % i, key=i % 3 == 0))
    played.again()
    assert not any(played(packet(i, b"new %d" % i, key=i % 3 == 0)) for i in range(9))


class Playlist:
    """A live playlist of four segments of a second each, and the server that has it.

    Attributes:
        stalled: no new segment comes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._began, self.stalled = folder, time.monotonic(), False
        self._first, self._port = 0, 0
        self.start()

    def start(self) -> None:
        playlist = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *given: object) -> None:
                super().__init__(*given, directory=str(playlist._folder))  # type: ignore[arg-type]

            def do_GET(self) -> None:
                if not self.path.startswith("/live.m3u8"):
                    super().do_GET()
                    return
                text = playlist.text().encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/vnd.apple.mpegurl")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def text(self) -> str:
        if not self.stalled:
            self._first = int(time.monotonic() - self._began)
        head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n"
        rows = [f"#EXTINF:1.0,\n{i}.ts\n" for i in range(self._first, self._first + 4)]
        return f"{head}#EXT-X-MEDIA-SEQUENCE:{self._first}\n{''.join(rows)}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/live.m3u8?token=secret"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 25 seconds in a file a second."""
    folder = tmp_path_factory.mktemp("hls")
    clip = card_clip(folder / "clip.mkv", 25)
    options = {"hls_time": "1", "hls_list_size": "0", "hls_segment_filename": f"{folder}/%d.ts"}
    with av.open(str(clip)) as read, av.open(
        str(folder / "all.m3u8"), "w", format="hls", options=options
    ) as out:  # fmt: skip
        copies = {s.index: out.add_stream_from_template(s) for s in read.streams}
        for one in read.demux():
            if one.dts is not None:
                one.stream = copies[one.stream_index]
                out.mux(one)
    return folder


def test_a_live_playlist_is_shown_picture_by_picture(segments: Path) -> None:
    with Playlist(segments) as playlist, open_source(playlist.url) as source:
        assert isinstance(source, LiveSource)
        frames = [frame for frame, _ in zip(source, range(100), strict=False)]
    numbers = [number_of(frame.image) for frame in frames]
    assert {b - a for a, b in pairwise(numbers)} == {STEP_MS}
    assert np.diff([float(frame.time) for frame in frames]) == pytest.approx(0.04, abs=0.002)
    took = frames[-1].received_seconds - frames[0].received_seconds
    assert took > 3.8  # and not in bursts
    off = np.abs(frames[50].image.astype(int) - drawn(numbers[50] or 0, HEIGHT, WIDTH)).mean()
    assert off < 8
    assert source.info.sound
    assert any(np.abs(piece.samples).max() > 0.3 for frame in frames for piece in frame.sound)
    assert source.notes == []
    assert "secret" not in source.info.name


def test_a_playlist_that_comes_back_goes_on_where_it_was(segments: Path) -> None:
    with Playlist(segments) as playlist, open_source(playlist.url) as source:
        frames = []
        for frame in source:
            frames.append(frame)
            if len(frames) == 10:
                playlist.stop()
                again = threading.Timer(4.5, playlist.start)
                again.start()
            if sum(one.epoch > 0 for one in frames) == 20:
                break
        again.join()
    numbers = [number_of(frame.image) for frame in frames]
    assert all(a < b for a, b in pairwise(numbers))  # nothing is shown twice
    assert all(a.time < b.time for a, b in pairwise(frames))
    assert sum(source.breaks.values()) >= 1


def test_a_playlist_that_stands_still_does_not_begin_again(segments: Path) -> None:
    with Playlist(segments) as playlist:
        source = LiveSource(playlist.url, LiveOptions(open_seconds=2, give_up_seconds=0.5))
        playlist.stalled = True
        closing = threading.Timer(5.0, source.close)
        closing.start()
        numbers = [number_of(frame.image) for frame in source]
        closing.join()
    assert all(a < b for a, b in pairwise(numbers))
    assert len(numbers) <= 100
