"""Between the model and the sinks."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from configs import load_settings
from stream.composer import NO_SIGNAL, Composer, blurred
from stream.effects import stand_ins
from stream.frame import Frame, FrameResult
from stream.policy import OpenPolicy, build_policy
from stream.queues import SinkThread


def noise(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 255, (96, 128, 3), np.uint8)


def result(index: int, **frame: object) -> FrameResult:
    made = Frame(noise(index), index, Fraction(index, 25), "drawn")
    return FrameResult(replace(made, **frame), (), ())


class Kept:
    """A sink that keeps results, and fails where told."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.got: list[FrameResult] = []
        self.ended: list[str] = []
        self.notes: list[str] = []
        self._fail_at = fail_at

    def write(self, result: FrameResult) -> None:
        if result.frame.index == self._fail_at:
            raise OSError("disk full")
        self.got.append(result)

    def close(self, *, cut: bool = False) -> None:
        self.ended.append("closed")

    def abort(self) -> None:
        self.ended.append("aborted")


class Told(OpenPolicy):
    """Inverts; holds one back; keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(lambda image, masks: 255 - image)
        self.told: list[str] = []
        self._held: list[FrameResult] = []

    def push(self, result: FrameResult) -> list[FrameResult]:
        held = self.flush()
        self._held = super().push(result)
        return held

    def flush(self) -> list[FrameResult]:
        held, self._held = self._held, []
        return held

    def blind(self, frame: Frame, cause: str) -> list[FrameResult]:
        self.told.append(cause)
        return [FrameResult(replace(frame, image=np.zeros_like(frame.image)), (), ())]

    def restarted(self, cause: str, *, ids_kept: bool = False) -> None:
        self.told.append(cause)


def test_every_sink_gets_what_the_policy_shows_in_order() -> None:
    sinks = [Kept(), Kept()]
    composer = Composer(Told(), sinks)
    for index in range(5):
        composer.write(result(index))
    composer.close()
    for sink in sinks:
        assert [r.frame.index for r in sink.got] == list(range(5))
        assert all(np.array_equal(r.frame.image, 255 - noise(r.frame.index)) for r in sink.got)
        assert sink.ended == ["closed"]


def test_of_a_frame_that_failed_only_the_policy_says_what_is_shown() -> None:
    policy, sink = Told(), Kept()
    composer = Composer(policy, [sink])
    composer.write(replace(result(0), failure="model raised"))
    assert policy.told == ["model raised"]
    assert not sink.got[0].frame.image.any()


def test_another_connection_is_told_after_what_was_held_back() -> None:
    policy, sink = Told(), Kept()
    composer = Composer(policy, [sink])
    composer.write(result(0))
    composer.write(result(1, epoch=1))
    assert policy.told == ["restart"]
    assert [r.frame.index for r in sink.got] == [0]


def test_while_nothing_comes_the_output_goes_on_and_nobody_is_known_in_it() -> None:
    sink = Kept()
    composer = Composer(OpenPolicy(lambda image, masks: image), [sink], patience_seconds=0.0)
    composer.idle()
    assert sink.got == []  # nothing was ever shown
    composer.write(result(0))
    composer.idle()
    composer.idle()
    composer.write(result(1))
    images = [r.frame.image.astype(int) for r in sink.got]
    detail = [np.abs(np.diff(image, axis=1)).mean() for image in images]
    assert max(detail[1:3]) < detail[0] / 5
    assert np.array_equal(images[3], noise(1))
    assert all(a.frame.time < b.frame.time for a, b in pairwise(sink.got))
    assert [r.frame.index for r in sink.got] == [0, 1, 2, 3]
    assert composer.shown.filled == 2


def test_what_happens_is_told_at_once_and_once() -> None:
    told: list[str] = []
    composer = Composer(
        Told(), [Kept(fail_at=5)], steadfast=False, patience_seconds=0.0, tell=told.append
    )
    composer.write(result(0))
    composer.idle()
    composer.idle()
    assert told == ["drawn: no signal"]
    composer.write(result(1))
    composer.write(result(2))
    assert told[1].startswith("drawn: back after 0.")
    for index in range(3, 6):
        composer.write(result(index))
    assert told[2:] == ["disk full; it was left out from frame 5 on"]


def test_also_what_a_policy_holds_back_is_labelled_while_nothing_comes() -> None:
    sink = Kept()
    policy = build_policy(load_settings("privacy", ["privacy.delay_frames=2"]))
    composer = Composer(policy, [sink], patience_seconds=0.0)
    for index in range(4):
        composer.write(replace(result(index), looked=True))
    composer.idle()
    composer.idle()
    composer.write(replace(result(4), looked=True))
    composer.close()
    assert [r.failure for r in sink.got] == [*[""] * 4, NO_SIGNAL, NO_SIGNAL, ""]
    filled = [r.frame.image for r in sink.got if r.failure]
    assert all(len(np.unique(image)) > 2 for image in filled)  # words are on it ...
    assert all((image == image[0, 0]).mean() > 0.7 for image in filled)  # ... and no picture
    assert np.array_equal(sink.got[3].frame.image, noise(3))


def test_what_is_held_back_when_a_run_is_broken_off_does_not_come_in_the_next() -> None:
    policy = Told()
    first, second = Composer(policy, [Kept()]), Kept()
    first.write(result(0))
    first.abort()
    composer = Composer(policy, [second])
    composer.write(result(1))
    composer.close()
    assert len(second.got) == 1


def detail(image: np.ndarray) -> float:
    """How much there is of what is finer than a quarter of a picture, and not finer than an eighth."""
    grey = image.mean(2)
    eight, four = (
        cv2.resize(
            cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA),
            grey.shape[::-1],
            interpolation=cv2.INTER_CUBIC,
        )
        for side in (8, 4)
    )
    return float((eight - four).std())


FACE = astronaut()[70:160, 180:260]


def test_nobody_whose_face_fills_the_picture_is_known_in_a_blurred_one() -> None:
    assert detail(blurred(FACE)) < detail(FACE) / 2.5


@pytest.mark.parametrize(
    ("name", "weak"), [("blur", "effect.blur=0.02"), ("pixelate", "effect.blocks=64")]
)
def test_what_hides_somebody_is_never_too_weak_to(name: str, weak: str) -> None:
    hide = stand_ins[name](load_settings(None, [weak]))
    assert detail(hide(FACE, np.ones(FACE.shape[:2], np.uint8), 90.0)) < detail(FACE) / 2.5


def test_the_output_waits_a_little_before_it_says_that_nothing_comes() -> None:
    sink = Kept()
    composer = Composer(Told(), [sink], patience_seconds=60.0)
    composer.write(result(0))
    composer.idle()
    assert sink.got == []


def test_a_thread_calls_idle_while_nothing_comes() -> None:
    sink = Kept()
    composer = Composer(OpenPolicy(lambda image, masks: image), [sink], patience_seconds=0.0)
    thread = SinkThread(composer, idle=composer.idle, idle_seconds=0.01)
    thread.write(result(0))
    while composer.shown.filled < 3:
        time.sleep(0.001)
    thread.write(result(1))
    thread.close()
    assert np.array_equal(sink.got[-1].frame.image, noise(1))


def test_a_sink_that_fails_ends_a_file_and_is_left_out_of_a_stream() -> None:
    good, bad = Kept(), Kept(fail_at=2)
    composer = Composer(Told(), [bad, good], steadfast=False)
    for index in range(6):
        composer.write(result(index))
    composer.close()
    assert [r.frame.index for r in good.got] == list(range(6))
    assert bad.ended == ["aborted"]
    assert composer.notes == ["disk full; it was left out from frame 2 on"]
    strict = Composer(Told(), [Kept(fail_at=0)])
    strict.write(result(0))
    with pytest.raises(OSError, match="disk full"):
        strict.write(result(1))


class Broken(Kept):
    """Fails in ways that no operating system knows of."""

    def write(self, result: FrameResult) -> None:
        raise LookupError("secret")

    def close(self, *, cut: bool = False) -> None:
        raise LookupError("secret")


def test_whatever_a_sink_raises_the_others_of_a_stream_go_on() -> None:
    good, bad = Kept(), Broken()
    composer = Composer(Told(), [bad, good], steadfast=False)
    for index in range(3):
        composer.write(result(index))
    composer.close()
    assert [r.frame.index for r in good.got] == [0, 1, 2]
    assert good.ended == ["closed"]
    assert bad.ended == ["aborted"]
    assert composer.notes == ["LookupError; it was left out from frame 0 on"]


def test_a_sink_that_cannot_be_closed_leaves_the_others_of_a_stream_whole() -> None:
    good, bad = Kept(), Broken()
    composer = Composer(Told(), [bad, good], steadfast=False)
    composer.close()
    assert (good.ended, bad.ended) == (["closed"], ["aborted"])
    strict = Composer(Told(), [Broken()])
    with pytest.raises(LookupError):
        strict.close()


def test_latency_is_told_of_live_frames_alone() -> None:
    composer = Composer(Told(), [])
    composer.write(result(0))
    assert composer.shown.percentiles() is None
    composer.write(result(1, received_seconds=1e-9))  # long ago
    assert composer.shown.percentiles() is None  # it is held back, and has not left
    composer.write(result(2))
    assert composer.shown.percentiles()[0] > 1


def test_blurred_keeps_the_size_and_the_mean() -> None:
    for shape in [(16, 16, 3), (97, 33, 3), (480, 640, 3)]:
        image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
        out = blurred(image)
        assert out.shape == shape
        assert abs(out.mean() - image.mean()) < 8


def test_a_policy_that_fails_shows_nothing_of_the_picture_and_the_stream_goes_on() -> None:
    class Broken(Told):
        def push(self, result: FrameResult) -> list[FrameResult]:
            raise ZeroDivisionError

    sink = Kept()
    composer = Composer(Broken(), [sink], steadfast=False)
    composer.write(result(0))
    assert not sink.got[0].frame.image.any()
    assert composer.shown.undrawn == 1
    assert composer.notes == ["the policy failed in 1 frames, of which nothing was shown"]
    with pytest.raises(ZeroDivisionError):
        Composer(Broken(), [sink]).write(result(0))  # a file is not to be trusted then
