"""Sound that moves with the pictures of a live source."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest

from stream.frame import Frame, heard
from stream.queues import Channel
from stream.sound import RATE_HZ, Hearing, Sound, SoundTrack

PIECE = 960


def tone(index: int, start: Fraction = Fraction(0)) -> Sound:
    """Piece ``index`` of a steady tone."""
    wave = 0.5 * np.sin(2 * np.pi * 440 * (np.arange(PIECE) + PIECE * index) / RATE_HZ)
    return Sound(
        start + Fraction(index * PIECE, RATE_HZ), np.stack([wave, wave]).astype(np.float32)
    )


def written(pieces: list[Sound], form: str, codec: str) -> tuple[float, np.ndarray]:
    """Time of the first sample and (N,) left channel, read back."""
    file = io.BytesIO()
    with av.open(file, "w", format=form) as output:
        track = SoundTrack(output, codec)
        for piece in pieces:
            output.mux(list(track.write([piece])))
        output.mux(list(track.close()))
    file.seek(0)
    with av.open(file) as container:
        hear, frames = Hearing(), list(container.decode(audio=0))
        return float(frames[0].time), np.concatenate([hear(f)[0] for f in frames])


@pytest.mark.parametrize(("form", "codec"), [("mp4", "aac"), ("webm", "libopus"), ("nut", "aac")])
def test_what_was_lost_is_silence_and_the_rest_stays_where_it_belongs(
    form: str, codec: str
) -> None:
    late = Fraction(1, 5)
    pieces = [tone(i, late) for i in [*range(50), *range(75, 150)]]  # half a second is missing
    began, left = written(pieces, form, codec)
    level = [np.abs(left[round((t - began) * RATE_HZ) :][:2400]).mean() for t in (0.5, 1.45, 2.0)]
    assert level[0] == pytest.approx(0.32, abs=0.03)
    assert level[1] < 0.01
    assert level[2] == pytest.approx(0.32, abs=0.03)
    assert began + len(left) / RATE_HZ == pytest.approx(3.2, abs=0.05)


def test_what_comes_twice_is_heard_once() -> None:
    began, left = written([tone(i) for i in [*range(50), *range(20, 60)]], "nut", "aac")
    assert began + len(left) / RATE_HZ == pytest.approx(1.2, abs=0.1)  # not 1.8


def test_a_clock_that_wobbles_a_little_makes_no_holes() -> None:
    wobbling = [Sound(tone(i).time + Fraction(i % 2, 100), tone(i).samples) for i in range(100)]
    _, left = written(wobbling, "nut", "aac")
    assert np.abs(left[4800:80000]).reshape(-1, 200).mean(1).min() > 0.2


def test_where_no_sound_comes_the_track_keeps_up_with_the_pictures() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as output:
        track = SoundTrack(output)
        for index in range(100):  # two seconds, the sound of the first half second
            pieces = [tone(index)] if index < 25 else []
            output.mux(list(track.write(pieces, until=Fraction(index, 50))))
        assert track._end > Fraction(8, 5)
        output.mux(list(track.close()))


def test_a_track_that_never_heard_anything_is_silence_from_the_first_picture_on() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as output:
        track = SoundTrack(output)
        for index in range(100):
            output.mux(list(track.write([], until=3 + Fraction(index, 50))))
        output.mux(list(track.close()))
    file.seek(0)
    with av.open(file) as container:
        frames = list(container.decode(audio=0))
    assert float(frames[0].time) == pytest.approx(3, abs=0.03)
    assert float(frames[-1].time) > 4.5


def test_sound_that_always_comes_late_is_waited_for() -> None:
    """Each piece a second behind its pictures: at first it is too late, then it is known."""
    file = io.BytesIO()
    with av.open(file, "w", format="nut") as output:
        track = SoundTrack(output)
        for index in range(250):
            pieces = [tone(index - 50)] if index >= 50 else []
            output.mux(list(track.write(pieces, until=Fraction(index, 50))))
        output.mux(list(track.close()))
    file.seek(0)
    with av.open(file) as container:
        hear = Hearing()
        left = np.concatenate([hear(f)[0] for f in container.decode(audio=0)])
    assert np.abs(left[2 * RATE_HZ : round(3.8 * RATE_HZ)]).reshape(-1, 480).mean(1).min() > 0.2


def test_sound_that_becomes_another_on_the_way_is_heard_on() -> None:
    hear = Hearing()
    for rate, layout in ((44100, "mono"), (8000, "stereo"), (48000, "mono")):
        channels = 2 if layout == "stereo" else 1
        piece = av.AudioFrame.from_ndarray(
            np.full((channels, rate), 0.25, np.float32), "fltp", layout
        )
        piece.sample_rate = rate
        assert hear(piece).shape == (2, pytest.approx(48000, abs=1000))


def test_any_sound_is_heard_as_stereo_at_one_rate() -> None:
    heard_frame = av.AudioFrame.from_ndarray(np.full((1, 4410), 8192, np.int16), "s16", "mono")
    heard_frame.sample_rate = 44100
    samples = Hearing()(heard_frame)
    assert samples.shape[0] == 2
    assert samples.shape[1] == pytest.approx(4800, abs=64)
    assert samples[:, 100:-100].mean() == pytest.approx(0.25, abs=0.08)


def test_the_sound_of_a_dropped_frame_goes_with_the_next() -> None:
    channel: Channel[Frame] = Channel(2, "newest", heir=heard)
    image = np.zeros((2, 2, 3), np.uint8)
    for index in range(6):
        channel.put(Frame(image, index, Fraction(index, 25), "x", sound=(tone(index),)))
    channel.finish()
    got = list(channel)
    assert [frame.index for frame in got] == [4, 5]
    assert [piece.time for frame in got for piece in frame.sound] == [
        tone(i).time for i in range(6)
    ]
