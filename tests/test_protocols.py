"""RTMP and SRT, both ways, with Debian's ffmpeg at the other end; and with one who says nothing."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from stream import srt
from stream.bench.servers.card import drawn, number_of
from stream.bench.servers.mute import Mute, free_port
from stream.dial import LiveOptions
from stream.errors import SinkPathError, SourceError
from stream.frame import Frame
from stream.live import LiveSource
from stream.publish import PublishSink
from stream.sources import SourceInfo
from stream.srt_name import SrtError, place_of
from tests.awaited import opened
from tests.foreign import (
    HEIGHT,
    RATE,
    STEP_MS,
    WIDTH,
    Seeing,
    card,
    card_clip,
    needs_ffmpeg,
    sending,
)


def has_srt() -> bool:
    try:
        srt.library()
    except SrtError:
        return False
    return True


needs_srt = pytest.mark.skipif(
    os.environ.get("S3POT_SERVERS") != "required" and not has_srt(), reason="libsrt: make apt"
)

SECRET = "0123456789-secret"
SHORT = LiveOptions(open_seconds=0.5, read_seconds=0.5)
SOON = LiveOptions(give_up_seconds=20)
INFO = SourceInfo("x", HEIGHT, WIDTH, rate=Fraction(RATE))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return card_clip(tmp_path_factory.mktemp("clip") / "clip.mkv", 20)


def place(scheme: str) -> tuple[str, list[str]]:
    """What we are told to read, and where ffmpeg sends it to."""
    if scheme == "rtmp":
        url = f"rtmp://127.0.0.1:{free_port()}/live/{SECRET}"
        return url, ["-f", "flv", "-listen", "1", url]
    port = free_port(socket.SOCK_DGRAM)
    with_key = f"passphrase={SECRET}"
    ours = f"srt://127.0.0.1:{port}?{with_key}"
    if scheme == "srt listening":
        return f"srt://:{port}?mode=listener&{with_key}", ["-f", "mpegts", ours]
    return ours, ["-f", "mpegts", f"srt://127.0.0.1:{port}?mode=listener&{with_key}"]


def check_exact(frames: list[Frame]) -> None:
    """Every picture once, in order, at its time, as it was drawn."""
    numbers = [number_of(frame.image) for frame in frames]
    assert None not in numbers
    for (a, first), (b, second) in pairwise(zip(numbers, frames, strict=True)):
        assert b - a == STEP_MS
        assert float(second.time - first.time) == pytest.approx(STEP_MS / 1000, abs=0.002)
    for number, frame in zip(numbers[::10], frames[::10], strict=True):
        off = np.abs(frame.image.astype(int) - drawn(number or 0, HEIGHT, WIDTH)).mean()
        assert off < 8, (number, off)


@needs_ffmpeg
@pytest.mark.parametrize("scheme", ["rtmp", "srt", "srt listening"])
def test_what_ffmpeg_sends_is_read_and_again_when_it_returns(scheme: str, clip: Path) -> None:
    url, to = place(scheme)
    with sending(clip, *to) as first, opened(url, SOON) as source:
        frames = iter(source)
        before = [next(frames) for _ in range(40)]
        first.kill()
        first.wait()
        with sending(clip, *to):
            late = (frame for frame in frames if frame.epoch)
            after = [next(late) for _ in range(30)]
    assert source.info.sound
    assert any(np.abs(piece.samples).max() > 0.3 for frame in before for piece in frame.sound)
    check_exact(before)
    check_exact(after)
    assert {frame.epoch for frame in after} == {1}
    assert after[0].time > before[-1].time
    assert SECRET not in f"{source.info} {source.notes}"
    assert source.notes[0].split(": ")[1] == "lost 1 times"


@needs_ffmpeg
@pytest.mark.parametrize("scheme", ["rtmp", "srt", "srt listening"])
def test_what_we_publish_is_seen_by_ffmpeg_and_again_when_it_returns(scheme: str) -> None:
    theirs, ours = place(scheme)
    url = ours[-1] if scheme == "srt listening" else theirs
    where = ["-listen", "1", "-i", url]
    if scheme != "rtmp":
        where = ["-i", theirs if scheme == "srt listening" else ours[-1]]
    sink = PublishSink(url, INFO, preset="ultrafast")
    seeing, seen, again = Seeing(*where), 0, False
    for index in range(1500):
        sink.write(card(index))
        time.sleep(0.02)
        if not again and len(seeing.pictures) > 20:
            seeing.kill()
            seen, again = len(seeing.pictures), True
        if again and len(seeing.pictures) > seen + 40:
            break
    sink.close()
    seeing.end()
    assert again
    numbers = seeing.numbers
    assert len(numbers) > seen + 40
    assert None not in numbers
    assert all(b > a for a, b in pairwise(numbers))
    assert max(b - a for a, b in pairwise(numbers[: seen - 1])) == STEP_MS  # none is missing
    for picture, number in list(zip(seeing.pictures, numbers, strict=True))[::10]:
        assert np.abs(picture.astype(int) - drawn(number, HEIGHT, WIDTH)).mean() < 8
    assert sink.dropped["receiver lost"] == 1
    assert SECRET not in f"{sink.notes} {sink.dropped}"


def test_a_mute_peer_of_rtmp_is_given_up_and_the_key_is_not_told() -> None:
    with Mute() as mute, pytest.raises(SourceError, match="no answer in time") as caught:
        LiveSource(f"rtmp://127.0.0.1:{mute.port}/live/{SECRET}", SHORT)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


@needs_srt
def test_a_port_that_nobody_answers_on_is_given_up_and_the_passphrase_is_not_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        url = f"srt://127.0.0.1:{mute.getsockname()[1]}?passphrase={SECRET}"
        with pytest.raises(SourceError, match="no answer in time") as caught:
            LiveSource(url, SHORT)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"


@needs_ffmpeg
@pytest.mark.parametrize("scheme", ["rtmp", "srt"])
def test_a_sender_that_falls_silent_is_a_break(scheme: str, clip: Path) -> None:
    url, to = place(scheme)
    patient = LiveOptions(read_seconds=0.7, give_up_seconds=0.3)
    with sending(clip, *to) as sender, opened(url, patient) as source:
        frames = iter(source)
        next(frames)
        sender.send_signal(signal.SIGSTOP)
        assert len(list(frames)) < 100  # and it ends
    assert source.breaks == {"no answer in time": 1}


@needs_ffmpeg
@pytest.mark.parametrize("scheme", ["srt", "rtmp"])
def test_who_listens_waits_for_a_caller_for_longer_than_for_an_answer(
    scheme: str, clip: Path
) -> None:
    kind = socket.SOCK_DGRAM if scheme == "srt" else socket.SOCK_STREAM
    address = f"{scheme}://127.0.0.1:{free_port(kind)}"
    url = f"{address}?mode=listener" if scheme == "srt" else f"{address}/live/{SECRET}?listen=1"
    to = ["-f", "mpegts", address] if scheme == "srt" else ["-f", "flv", url.partition("?")[0]]
    with sending_late(2.0, clip, *to), LiveSource(url, LiveOptions(open_seconds=1.5)) as source:
        frames = [frame for frame, _ in zip(source, range(10), strict=False)]
    check_exact(frames)


@contextmanager
def sending_late(seconds: float, clip: Path, *to: object) -> Iterator[None]:
    """ffmpeg sends after a while, again if it is not let in."""
    over = threading.Event()

    def send() -> None:
        over.wait(seconds)
        while not over.is_set():
            with sending(clip, *to) as process:
                while process.poll() is None and not over.is_set():
                    over.wait(0.1)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@needs_srt
def test_who_listens_does_not_wait_longer_than_is_asked_for() -> None:
    url = f"srt://:{free_port(socket.SOCK_DGRAM)}?passphrase={SECRET}"
    with pytest.raises(SourceError, match="nobody called in time") as caught:
        LiveSource(url, LiveOptions(open_seconds=0.2, give_up_seconds=0.5))
    assert SECRET not in repr(caught.value)


@needs_ffmpeg
def test_a_wrong_passphrase_is_told_as_such(clip: Path) -> None:
    url, to = place("srt")
    with sending(clip, *to):
        opened(url, SOON).close()
    with sending(clip, *to), pytest.raises(SourceError, match="the passphrase is wrong"):
        opened_wrongly(url.replace("secret", "wrong!"))


def opened_wrongly(url: str) -> None:
    """Try until ffmpeg listens."""
    for _ in range(20):
        with suppress_mute():
            LiveSource(url, SHORT)


@contextmanager
def suppress_mute() -> Iterator[None]:
    try:
        yield
    except SourceError as error:
        if "no answer" not in str(error):
            raise


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("srt://host", "no port"),
        ("srt://host:9000?passfrase=x", "unknown option 'passfrase'; known: passphrase, "),
        ("srt://host:9000?mode=both", "mode must be caller or listener, not 'both'"),
    ],
)
def test_names_of_srt_that_say_nothing_useful_are_refused(url: str, wrong: str) -> None:
    with pytest.raises(SrtError, match=wrong):
        place_of(url)
    with pytest.raises(SinkPathError, match=wrong):
        PublishSink(url, INFO)


def test_names_of_srt_are_ffmpegs() -> None:
    found = place_of(
        "srt://[::1]:9000?streamid=#!::r=a/b,m=request&passphrase=a%26b&latency=200000"
    )
    assert (found.host, found.port, found.listens) == ("::1", 9000, False)
    assert found.options == {
        "streamid": "#!::r=a/b,m=request", "passphrase": "a&b", "latency": "200000"
    }  # fmt: skip
    assert place_of("srt://:9000").listens


@needs_srt
def test_an_option_that_srt_refuses_is_named_without_its_value() -> None:
    with pytest.raises(SourceError, match="passphrase is not as SRT wants it"):
        LiveSource("srt://127.0.0.1:9?passphrase=short", SHORT)


def test_without_the_library_it_is_said_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srt.ctypes.util, "find_library", lambda name: None)
    srt.library.cache_clear()
    with pytest.raises(SourceError, match="needs libsrt, which is not installed"):
        LiveSource("srt://127.0.0.1:9", SHORT)
