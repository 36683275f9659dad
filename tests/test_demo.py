from __future__ import annotations

from collections import Counter
from fractions import Fraction
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import torch

import stream.job
from configs.settings import load_settings
from s3pot.types import OcclusionMask
from stream.clip import DEMO, clip
from stream.demo import Demo, Score, photographed_face, write_clip
from stream.frame import Frame, FrameResult
from tests.test_cli import invoke, write_video

SECONDS = Fraction(52, 25)


@pytest.fixture(scope="module")
def drawn():
    return list(clip(seconds=SECONDS))


def result(frame, index, marked, shift=0):
    """A result whose face space is the frame, its region the face in the photograph."""
    region = photographed_face(frame.photo_to_frame)
    matrix = np.array([[1.0, 0.0, shift], [0.0, 1.0, 0.0]])
    probability = (marked & region).astype(np.float32)
    share = float(probability.sum() / region.sum())
    mask = OcclusionMask(1, probability, region, matrix, share, 1.0)
    return FrameResult(Frame(frame.image, index, Fraction(index, 25), "clip"), (), (mask,))


def scored(drawn, mark):
    score = Score()
    for index, frame in enumerate(score.learn(drawn)):
        score.add(mark(frame, index))
    return score


def test_the_truth_itself_scores_one(drawn):
    score = scored(drawn, lambda frame, index: result(frame, index, frame.occluder))
    assert score.mean_iou()["all"] == 1
    assert score.mean_iou()["hand"] == 1
    assert np.isnan(score.mean_iou()["cup"])  # not in the first two seconds
    assert len(score.ious) > 8
    assert len(score.false_alarms) > 25
    assert set(score.false_alarms) == {0.0}
    assert score.lost == 0


def test_nothing_and_everything_marked_score_as_they_must(drawn):
    nothing = scored(drawn, lambda frame, index: result(frame, index, frame.occluder & False))
    assert nothing.mean_iou()["all"] == 0
    every = scored(drawn, lambda frame, index: result(frame, index, frame.occluder | True))
    assert 0.05 < every.mean_iou()["all"] < 0.8
    assert set(every.false_alarms) == {1.0}


def test_half_of_the_truth_scores_one_half(drawn):
    def half(frame, index):
        left = np.cumsum(frame.occluder & photographed_face(frame.photo_to_frame)).reshape(360, 640)
        return result(frame, index, frame.occluder & (left <= left[-1, -1] // 2))

    assert abs(scored(drawn, half).mean_iou()["all"] - 0.5) < 0.01


def test_a_covered_face_that_is_lost_scores_zero(drawn):
    def gone(frame, index):
        return FrameResult(Frame(frame.image, index, Fraction(0), "clip"), (), ())

    score = scored(drawn, gone)
    assert score.lost == len(drawn)
    assert len(score.ious) > 8
    assert score.mean_iou()["all"] == 0
    assert any(f"face not found   in {len(drawn)} frames" in line for line in score.lines())


def test_the_clip_has_the_drawn_pictures_and_a_tone(drawn, tmp_path):
    path = tmp_path / "clip.mp4"
    write_clip(path, drawn[:25], Fraction(25))
    with av.open(str(path)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert len(pictures) == 25
    assert np.abs(pictures[12].astype(int) - drawn[12].image).mean() < 4
    power = np.abs(np.fft.rfft(sound[4096 : 4096 + 24000]))
    assert abs(int(power.argmax()) * 2 - 440) <= 4
    assert 0.9 < sound.size / 48000 < 1.1


class Perfect:
    """A pipeline that knows the truth of the drawn clip."""

    drawn = ()
    bank = SimpleNamespace(served=0, inventions=Counter())
    references = SimpleNamespace(late_frames=Counter(), dropped=Counter())

    @classmethod
    def from_settings(cls, settings, *, live=False):
        return cls()

    def __call__(self, frames):
        for frame in frames:
            known = self.drawn[frame.index % len(self.drawn)]
            one = result(known, frame.index, known.occluder)
            yield FrameResult(frame, (), one.masks)

    def close(self):
        pass


def test_the_demo_makes_runs_and_tells(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(stream.job, "Pipeline", type("Known", (Perfect,), {"drawn": drawn}))
    seen = []
    with Demo(load_settings("tiny"), tmp_path / "out", seconds=SECONDS) as demo:
        report = demo.run(seen.append)
    lines = demo.lines(report)
    assert len(seen) == report.frames == len(drawn)
    text = "\n".join(lines)
    assert "occlusion IoU    1.000" in text
    assert "false alarm      0.00 %" in text
    assert "frames a second" in text
    for name in ("clip.mp4", "composite.mp4", "still.png"):
        assert str(tmp_path / "out" / name) in text
        assert (tmp_path / "out" / name).is_file()
    with av.open(str(tmp_path / "out" / "composite.mp4")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio"]
    still = cv2.imread(str(tmp_path / "out" / "still.png"))[..., ::-1]
    assert still.shape == (360, 3 * 640, 3)
    frame, mask, composite = np.split(still, 3, axis=1)
    white = mask[..., 0] == 255
    assert white.sum() > 1000  # the frame whose face is covered most
    assert (np.abs(frame.astype(int) - composite).max(2)[white] > 20).mean() > 0.9


def test_a_video_of_the_user_has_no_score(drawn, tmp_path, monkeypatch):
    monkeypatch.setattr(stream.job, "Pipeline", type("Known", (Perfect,), {"drawn": drawn}))
    write_video(tmp_path / "own.mp4", frames=5, size=(360, 640))
    done = invoke("demo", "--input", tmp_path / "own.mp4", "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "IoU" not in done.stdout
    assert f"clip             {tmp_path / 'own.mp4'}" in done.stdout
    assert str(tmp_path / "out" / "still.png") in done.stdout


def test_the_demo_of_a_missing_video_is_bad_input(tmp_path):
    done = invoke("demo", "--input", tmp_path / "gone.mp4", "--output", tmp_path / "out")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"s3pot: {tmp_path / 'gone.mp4'}: no such file")


@pytest.fixture
def one_thread():
    """Two threads of torch on a busy machine wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_the_real_pipeline_follows_the_face_and_finds_the_hand(tmp_path):
    with Demo(load_settings("tiny"), tmp_path, seconds=SECONDS) as demo:
        report = demo.run(lambda result: None)
    score = demo.score
    assert report.faces == 1
    assert score.lost == 0
    assert score.mean_iou(DEMO)["hand"] > 0.25
    assert np.mean(score.false_alarms) < 0.1
