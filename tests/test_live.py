"""Sources that break and come back, and sinks whose receivers do: a real RTSP server on loopback."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from stream import publish
from stream.bench.servers.card import number_of
from stream.bench.servers.lossy import Lossy
from stream.bench.servers.mute import Mute, free_port
from stream.bench.servers.publisher import Publisher, Take
from stream.bench.servers.relay import Relay
from stream.dial import LiveOptions
from stream.encode import VideoSink
from stream.errors import SinkPathError, SourceError
from stream.frame import Frame, FrameResult
from stream.live import LiveSource, fitted
from stream.publish import PublishSink
from stream.sources import SourceInfo
from tests.awaited import opened
from tests.clips import unchanged


@pytest.fixture
def relay() -> Iterator[Relay]:
    with Relay() as server:
        yield server


def publisher(relay: Relay, *takes: Take) -> Publisher:
    return Publisher(relay.url(), time.monotonic(), *takes)


def test_pictures_come_in_order_on_one_clock(relay: Relay) -> None:
    with publisher(relay), opened(relay.url()) as source:
        frames = [frame for frame, _ in zip(source, range(30), strict=False)]
    assert (source.info.height, source.info.width, source.info.live) == (240, 320, True)
    assert [frame.index for frame in frames] == list(range(30))
    numbers = [number_of(frame.image) or 0 for frame in frames]
    assert all(a < b for a, b in pairwise(numbers))
    steps = np.diff([float(frame.time) for frame in frames[1:]])
    assert np.allclose(steps, 0.04, atol=0.002)


def test_what_is_whole_is_not_called_damaged(relay: Relay) -> None:
    with publisher(relay), opened(relay.url()) as source:
        frames = [frame for frame, _ in zip(source, range(40), strict=False)]
    assert not any(frame.damaged for frame in frames)


def test_a_source_that_returns_in_another_size_goes_on_in_the_first(relay: Relay) -> None:
    with publisher(relay, Take(), Take(160, 160)), opened(relay.url()) as source:
        frames: list[Frame] = []
        for frame in source:
            frames.append(frame)
            if frame.epoch == 0 and len(frames) == 10:
                relay.cut()
                relay.start()
            if sum(frame.epoch == 1 for frame in frames) == 10:
                break
    assert {frame.image.shape for frame in frames} == {(240, 320, 3)}
    assert not frames[-1].image[:, :30].any()  # black beside the square
    assert frames[-1].image[40:, 150:170].any(2).all()  # below the bars
    assert all(a.time < b.time for a, b in pairwise(frames))
    assert sum(source.breaks.values()) == 1


def test_who_comes_late_waits_for_a_key_frame(relay: Relay) -> None:
    with publisher(relay, Take(codec="mpeg4", rate=50)) as camera:  # MPEG-4 decodes without one
        camera.first_ms()
        time.sleep(0.3)
        with opened(relay.url()) as source:
            frames = [frame for frame, _ in zip(source, range(5), strict=False)]
    assert all(number_of(frame.image) is not None for frame in frames)


def test_a_source_that_returns_in_a_kind_that_is_not_handled_is_waited_for(relay: Relay) -> None:
    takes = Take(), Take(pix_fmt="yuv420p10le"), Take(codec="libvpx")
    with publisher(relay, *takes) as camera, opened(relay.url()) as source:
        frames = iter(source)
        next(frames)
        for _ in range(2):
            camera.first_ms()
            relay.cut()
            relay.start()
        again = next(frame for frame in frames if frame.epoch)
    assert number_of(again.image) is not None
    assert source.notes[0].startswith(f"{relay.url()}: lost 1 times: ")


def test_lost_packets_cost_pictures_and_not_the_connection() -> None:
    port = free_port(socket.SOCK_DGRAM)
    with Lossy(port, 0.05) as way:
        url = f"udp://127.0.0.1:{way.port}?pkt_size=1316"
        with (
            Publisher(url, time.monotonic()),
            opened(f"udp://127.0.0.1:{port}?fifo_size=1000") as source,
        ):
            frames = [frame for frame, _ in zip(source, range(100), strict=False)]
    check_damaged(frames, source)


def check_damaged(frames: list[Frame], source: LiveSource) -> None:
    """Pictures are torn, none is out of order, and the connection holds."""
    assert any(frame.damaged for frame in frames)
    numbers = [n for n in (number_of(frame.image) for frame in frames) if n is not None]
    assert len(set(numbers)) > 30  # the strip of many is torn
    assert all(a <= b for a, b in pairwise(numbers))
    assert {frame.epoch for frame in frames} == {0}
    assert all(a.time < b.time for a, b in pairwise(frames))
    assert source.damaged > 0


def test_lost_packets_of_rtp_put_no_picture_out_of_order() -> None:
    by_udp = LiveOptions(transport="udp")
    with (
        Relay(0.05) as lossy,
        publisher(lossy, Take(480, 640)),
        opened(lossy.url(), by_udp) as source,
    ):
        frames = [frame for frame, _ in zip(source, range(100), strict=False)]
    check_damaged(frames, source)


def test_a_source_that_stays_away_ends_when_nobody_waits_any_longer(relay: Relay) -> None:
    with publisher(relay) as sending:
        source = opened(relay.url(), LiveOptions(give_up_seconds=0.5))
        sending.kill()
        assert len(list(source)) >= 1


def test_close_ends_the_wait_for_a_source(relay: Relay) -> None:
    with publisher(relay) as sending:
        source = opened(relay.url(), LiveOptions())
        frames = iter(source)
        next(frames)
        sending.kill()
    closing = threading.Timer(0.5, source.close)
    closing.start()
    assert len(list(frames)) < 400  # and it returns
    closing.join()


def test_no_error_tells_a_password() -> None:
    with pytest.raises(SourceError, match=r"127\.0\.0\.1") as caught:
        LiveSource("rtsp://me:secret@127.0.0.1:9/x?token=hidden", LiveOptions(open_seconds=2))
    chain = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "secret" not in chain
    assert "hidden" not in chain
    with pytest.raises(SinkPathError, match="gopher://host") as refused:
        PublishSink("gopher://me:secret@host/", SourceInfo("x", 8, 8))
    assert "secret" not in str(refused.value)


def test_a_picture_of_another_shape_is_fitted_in() -> None:
    image = np.full((100, 50, 3), 9, np.uint8)
    out = fitted(image, 60, 80)
    assert out.shape == (60, 80, 3)
    assert out[:, 25:55].all()
    assert not out[:, :24].any()
    assert not out[:, 56:].any()
    assert fitted(out, 60, 80) is out


def result(index: int) -> FrameResult:
    image = np.full((48, 64, 3), 20 + index % 200, np.uint8)
    return FrameResult(Frame(image, index, Fraction(index, 25), "x"), (), ())


def test_a_receiver_that_dies_costs_pictures_and_nothing_else(relay: Relay) -> None:
    told: list[str] = []
    info = SourceInfo("x", 48, 64, rate=Fraction(25))
    sink = PublishSink(relay.url("out"), info, tell=told.append)
    epochs: list[int] = []

    def read() -> None:
        with opened(relay.url("out"), LiveOptions(give_up_seconds=10)) as source:
            for frame in source:
                epochs.append(frame.epoch)
                if epochs.count(1) == 5:
                    return

    reader = threading.Thread(target=read)
    reader.start()
    index, cut_at = 0, None
    while (reader.is_alive() or len(told) < 2) and index < 1500:
        if cut_at is None and len(epochs) >= 5:
            relay.cut()
            cut_at = index
        if cut_at is not None and index == cut_at + 10:
            relay.start()
        sink.write(result(index))
        index += 1
        time.sleep(0.02)
    reader.join(20)
    sink.close()
    assert epochs.count(1) == 5
    assert sink.dropped["receiver lost"] >= 1
    assert sink.notes[0].startswith(f"{relay.url('out')}: lost ")
    assert told == [
        f"{relay.url('out')}: {news}" for news in ("lost; tried again", "is there again")
    ]


def test_at_first_key_frames_are_close_together() -> None:
    """Who reads from a server that has come back need not wait for one."""
    url, keys = f"udp://127.0.0.1:{free_port()}", []

    def read() -> None:
        with av.open(url, timeout=(10, 10)) as stream:
            for packet in stream.demux(video=0):
                if packet.is_keyframe and packet.pts is not None and packet.time_base:
                    keys.append(float(packet.pts * packet.time_base))
                if len(keys) == 11:
                    return

    reader = threading.Thread(target=read)
    reader.start()
    sink = PublishSink(url, SourceInfo("x", 48, 64, rate=Fraction(25)))
    index, still = 0, result(0)
    while reader.is_alive():
        frame = replace(still.frame, time=Fraction(index, 25))
        sink.write(replace(still, frame=frame))
        index += 1
        time.sleep(0.005)
    sink.abort()
    steps = np.diff(keys)
    assert steps[:6].max() < 0.3
    assert steps[-2:] == pytest.approx(1.0)


def test_who_comes_late_finds_a_key_frame_every_second_however_few_pictures_come(
    relay: Relay,
) -> None:
    sink = PublishSink(relay.url("out"), SourceInfo("x", 48, 64, rate=Fraction(25)))
    found: list[tuple[float, bool]] = []

    def read() -> None:
        opened(relay.url("out")).close()
        with av.open(relay.url("out"), options={"rtsp_transport": "tcp"}) as stream:
            for packet in stream.demux(video=0):
                if packet.pts is not None:
                    found.append((float(packet.pts * packet.time_base), packet.is_keyframe))
                if len(found) == 20:
                    return

    reader = threading.Thread(target=read)
    reader.start()
    for index in range(0, 5000, 10):  # a 10th of what was said
        sink.write(result(index))
        time.sleep(0.02)
        if not reader.is_alive():
            break
    reader.join(20)
    sink.close()
    keys = [second for second, key in found if key]
    assert len(keys) >= 5
    assert max(b - a for a, b in pairwise(keys)) < 1.3


def test_nobody_is_started_while_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    real = publish.Sending

    def counted(url: str, *rest: object) -> publish.Sending:
        started.append(url)
        return real(url, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(publish, "Sending", counted)
    sink = PublishSink(f"rtsp://127.0.0.1:{free_port()}/x", SourceInfo("x", 48, 64))
    for index in range(3000):
        sink.write(result(index))
        if sink.dropped["no receiver"] > 40:
            break
        time.sleep(0.02)
    sink.abort()
    assert len(started) == 1
    assert sink.dropped["no receiver"] > 10


def test_a_sender_that_is_stuck_is_noticed_and_gone() -> None:
    with Mute() as mute:
        url = f"rtsp://127.0.0.1:{mute.port}/x"
        sending = publish.Sending(url, SourceInfo("x", 480, 640), 0, "ultrafast", "tcp")

        def send() -> None:
            for index in range(20):  # more than a pipe holds
                noise = np.random.default_rng(index).integers(0, 255, (480, 640, 3), np.uint8)
                frame = Frame(noise, index, Fraction(index, 25), "x")
                sending.send(FrameResult(frame, (), ()))

        with pytest.raises(TimeoutError):
            send()
        sending.close(drain=False)
        assert sending._process.poll() is not None


def test_a_mute_receiver_does_not_hold_up_the_writer() -> None:
    with Mute() as mute:
        sink = PublishSink(f"rtsp://127.0.0.1:{mute.port}/x", SourceInfo("x", 48, 64))
        for index in range(20):
            sink.write(result(index))  # it returns, though nobody answers
        sink.abort()


def test_sound_goes_along_and_stays_with_its_pictures(relay: Relay, tmp_path: Path) -> None:
    """Second after second a tone comes and goes, as the pictures' numbers say."""
    with publisher(relay, Take(sound=True)), opened(relay.url()) as source:
        sink = VideoSink(tmp_path / "o.mp4", source.info, unchanged)
        for frame in source:
            sink.write(FrameResult(frame, (), ()))
            if frame.index == 120:
                break
        sink.close()
    with av.open(str(tmp_path / "o.mp4")) as written:
        heard = [(f.time, float(np.abs(f.to_ndarray()).mean())) for f in written.decode(audio=0)]
    with av.open(str(tmp_path / "o.mp4")) as written:
        seen = [(f.time, number_of(f.to_ndarray(format="rgb24"))) for f in written.decode(video=0)]
    assert len(heard) > 150
    for second, level in heard[10:-10]:
        place = min(seen, key=lambda item: abs(item[0] - second))[1] / 1000 % 2
        if 1.15 < place < 1.85:
            assert level > 0.25, (second, place)
        if 0.15 < place < 0.85:
            assert level < 0.05, (second, place)


OTHER_SOUNDS = [
    Take(sound=True),
    Take(sound=True, sound_codec="pcm_alaw", sound_rate=8000, sound_layout="mono"),
    Take(),
    Take(sound=True, sound_codec="libopus"),
]


def test_a_source_that_returns_with_another_sound_or_none_keeps_one_track(
    relay: Relay, tmp_path: Path
) -> None:
    with publisher(relay, *OTHER_SOUNDS) as camera, opened(relay.url()) as source:
        camera.first_ms()
        sink = VideoSink(tmp_path / "o.mp4", source.info, unchanged)
        shown = [0] * len(OTHER_SOUNDS)
        began: dict[int, Fraction] = {}
        ended: dict[int, Fraction] = {}
        for frame in source:
            began.setdefault(frame.epoch, frame.time)
            ended[frame.epoch] = frame.time
            sink.write(FrameResult(frame, (), ()))
            shown[frame.epoch] += 1
            if shown[frame.epoch] == 60:
                if frame.epoch == len(OTHER_SOUNDS) - 1:
                    break
                relay.cut()
                relay.start()
                camera.first_ms()
        sink.close()
    with av.open(str(tmp_path / "o.mp4")) as written:
        assert len(written.streams.audio) == 1
        heard = [(f.time, float(np.abs(f.to_ndarray()).mean())) for f in written.decode(audio=0)]
    with av.open(str(tmp_path / "o.mp4")) as written:
        seen = [(f.time, number_of(f.to_ndarray(format="rgb24"))) for f in written.decode(video=0)]
    steps = np.diff([second for second, _ in heard])
    assert steps[1:].max() < 0.03  # one track, without a hole, from where it begins
    assert heard[-1][0] > seen[-1][0] - 0.5
    loud = dict.fromkeys(began, 0)
    for second, level in heard:
        epoch = max(e for e, first in began.items() if first <= second + 0.001)
        inside = began[epoch] + Fraction(1, 4) < second < ended[epoch] - Fraction(1, 4)
        place = min(seen, key=lambda item: abs(item[0] - second))[1] / 1000 % 2
        if not inside:
            continue
        if not OTHER_SOUNDS[epoch].sound or 0.2 < place < 0.8:
            assert level < 0.05, (epoch, second, place)
        elif 1.2 < place < 1.8:
            assert level > 0.2, (epoch, second, place)
            loud[epoch] += 1
    assert [e for e, count in loud.items() if count > 5] == [0, 1, 3]


def test_sound_that_comes_later_is_told_and_left_out(relay: Relay) -> None:
    with publisher(relay, Take(), Take(sound=True)) as camera, opened(relay.url()) as source:
        camera.first_ms()
        for frame in source:
            if frame.index == 5:
                relay.cut()
                relay.start()
            if frame.epoch and frame.sound:
                break
    assert not source.info.sound
    told = "sound came later; it is left out, for the outputs began without"
    assert f"{relay.url()}: {told}" in source.notes


def test_pictures_do_not_wait_for_sound_that_has_stopped(relay: Relay) -> None:
    """A muxer holds pictures back until it has sound for them."""
    info = SourceInfo("x", 48, 64, rate=Fraction(25), sound=True)
    sink, seen = PublishSink(relay.url("out"), info), threading.Event()

    def read() -> None:
        with opened(relay.url("out"), LiveOptions(give_up_seconds=10)) as source:
            for frame in source:
                if frame.index == 20:
                    seen.set()
                    return

    reader = threading.Thread(target=read)
    reader.start()
    index = 0
    while (
        reader.is_alive() and index < 200
    ):  # in eight seconds a muxer gives up waiting only at ten
        sink.write(result(index))
        index += 1
        time.sleep(0.04)
    sink.abort()
    reader.join(20)
    assert seen.is_set()
    assert index < 200
