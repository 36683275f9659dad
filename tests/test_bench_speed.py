"""Work, floor, race and growth of ``s3pot bench speed``: counted right; no figure of time is judged."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from configs import load_settings
from stream.bench.entrants import Answer
from stream.bench.floor import Ceilings, ceilings
from stream.bench.growth import Point, bounce, crowd, exponent, plot
from stream.bench.mediapipe_only import MediaPipeOnly, drawn_hand
from stream.bench.race import Copy, Floats, Lane, Product, over, race
from stream.bench.rivals import XSEG_SIDE_PX, XSegSize, xseg_size
from stream.bench.speed import PacedSource, counted, write_long_clip
from stream.bench.speed_command import make_painter
from stream.bench.work import Tally, Work, arrays, place
from stream.cli import app
from stream.clip import clip
from stream.frame import Frame
from stream.inlets import open_source
from stream.pipeline import Pipeline

TINY = load_settings("tiny", ["model.device=cpu"])


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_operations_are_counted_for_the_innermost_stage() -> None:
    tally = Tally()
    conv = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)

    def inner(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    copy = tally.timed("smooth", inner)
    outer = tally.timed("encode", lambda x: copy(conv(x)))
    with tally, torch.inference_mode():
        outer(torch.zeros(1, 3, 16, 20))
        outer(torch.zeros(1, 3, 16, 20))
    encode, smooth = tally.stages["encode"], tally.stages["smooth"]
    assert encode.flops == 2 * 2 * 8 * 3 * 9 * 16 * 20
    assert smooth.flops == 0
    assert smooth.copied == 2 * 4 * 8 * 16 * 20
    assert encode.copied == 0
    assert list(encode.weights.values()) == [4 * 8 * 3 * 9]
    assert encode.bytes_in == 2 * 4 * 3 * 16 * 20
    assert encode.moved == encode.bytes_in + encode.bytes_out + 2 * 4 * 8 * 3 * 9
    assert (encode.calls, encode.trips) == (2, 0)


def test_a_view_that_is_handed_on_is_no_new_array() -> None:
    tally = Tally()
    whole = np.zeros((4, 5), np.float32)
    tally.timed("align", lambda a: (a[1:], a + 1))(whole)
    assert tally.stages["align"].bytes_out == whole.nbytes
    assert place(whole[2:]) == place(whole)
    tensor = torch.zeros(4)
    assert place(tensor[2:]) == place(tensor)
    answer = Answer(whole, None)
    assert [a is whole for a in arrays({"x": [answer, 3, "text", None]})] == [True]


def test_the_floor_is_the_harder_of_both_ceilings() -> None:
    top = Ceilings(flops=1e9, bytes=1e6)
    assert top.seconds(Work(calls=1, flops=2_000_000_000, bytes_in=10)) == 2
    assert top.seconds(Work(calls=2, flops=1, bytes_in=1_000_000, weights={1: 500_000})) == 2
    here = ceilings(torch.device("cpu"))
    assert here.flops > 1e8
    assert here.bytes > 1e7


def test_the_pipeline_s_work_is_counted_and_it_is_left_as_it_was() -> None:
    pipeline = Pipeline.from_settings(TINY)
    before = dict(pipeline.__dict__)
    frames = [Frame(f.image, i, f.time, "clip") for i, f in enumerate(islice(clip(), 4))]
    work = counted(TINY, pipeline, frames)
    assert work["encode"].flops > 1e8
    assert work["encode"].weights
    assert work["FE"].calls >= 4
    assert work["align"].bytes_in >= 4 * frames[0].image.nbytes
    assert pipeline.__dict__.keys() == before.keys()
    assert pipeline.detector is before["detector"]
    pipeline.close()


class Half:
    """Marks the left half of every frame."""

    name, fingerprint = "half", ""

    def __call__(self, scene: str, frames: Iterable[Frame]) -> Iterator[Sequence[Answer]]:
        for frame in frames:
            alpha = np.zeros(frame.image.shape[:2], np.float32)
            alpha[:, : alpha.shape[1] // 2] = 1
            yield [Answer(alpha)]

    def close(self) -> None:
        self.closed = True


def test_all_lanes_go_through_the_same_frames_and_are_encoded(tmp_path: Path) -> None:
    path = write_long_clip(tmp_path / "clip.mp4", 12)
    steps: list[None] = []
    painters = [Product("ours", "tiny", ["model.device=cpu"]), Copy(), Floats(Half())]
    lanes = race(path, painters, tmp_path, rounds=3, frames=4, step=lambda: steps.append(None))
    assert [(lane.name, lane.frames) for lane in lanes] == [("ours", 8), ("copy", 8), ("half", 8)]
    assert [len(lane.frame_seconds) for lane in lanes] == [2, 2, 2]  # the first is not counted
    assert len(steps) == 9
    assert lanes[0].ratio(lanes[0]) == 1
    written = [[f.image for f in open_source(str(tmp_path / f"{k}.mp4"))] for k in range(3)]
    assert [len(frames) for frames in written] == [12, 12, 12]
    original = next(iter(open_source(str(path)))).image.astype(int)
    copied, half = written[1][0].astype(int), written[2][0].astype(int)
    assert np.abs(copied - original).mean() < 4
    tinted = original * 0.4 + np.array([255, 64, 64]) * 0.6
    assert np.abs(half - tinted)[:, :300].mean() < 8
    assert np.abs(half - original)[:, 340:].mean() < 4
    for painter in painters:
        painter.close()


def test_a_slow_lane_does_fewer_frames_and_a_short_clip_is_named(tmp_path: Path) -> None:
    path = write_long_clip(tmp_path / "clip.mp4", 10)
    (lane,) = race(path, [Copy()], tmp_path, rounds=3, frames=5, limit_seconds=0.0)
    assert lane.frames == 2
    with pytest.raises(ValueError, match="the clip ended 2 frames too early"):
        race(path, [Copy()], tmp_path, rounds=2, frames=6)
    with pytest.raises(ValueError, match="2 rounds of 1 frame at least, got 1 of 5"):
        race(path, [Copy()], tmp_path, rounds=1, frames=5)


def test_a_ratio_is_taken_within_a_round() -> None:
    slow_machine_later = Lane("a", [[1.0], [10.0], [10.0]], 3.0)
    twice = Lane("b", [[2.0], [20.0], [20.0]], 6.0)
    assert twice.ratio(slow_machine_later) == 2
    assert twice.ms() == 20_000


def test_the_usual_composite_mixes_in_floats() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    alpha = np.array([[0, 1], [0.5, 0]], np.float32)
    got = over(image, [Answer(alpha)])
    assert got[0, 0].tolist() == [100, 100, 100]
    assert got[0, 1].tolist() == [193, 78, 78]
    assert got[1, 0].tolist() == [146, 89, 89]


def test_the_u_net_is_of_xseg_s_size_and_answers_crops() -> None:
    pytest.importorskip("onnx")
    net = XSegSize()
    assert 17e6 < sum(p.numel() for p in net.parameters()) < 18e6
    with torch.inference_mode():
        out = net(torch.rand(1, 3, XSEG_SIDE_PX, XSEG_SIDE_PX))
    assert out.shape == (1, 1, XSEG_SIDE_PX, XSEG_SIDE_PX)
    assert xseg_size(64).name == "xseg-size"


def test_mediapipe_alone_finds_the_face_and_draws_a_hand() -> None:
    entrant = MediaPipeOnly()
    frames = [Frame(f.image, i, f.time, "clip") for i, f in enumerate(islice(clip(), 3))]
    (first, *_) = list(entrant("demo", frames))
    entrant.close()
    assert len(first) == 1
    assert first[0].alpha.shape == (360, 640)
    assert first[0].box_px is not None
    assert 80 < first[0].box_px[3] - first[0].box_px[1] < 180
    hand = np.array([(40, 90)] + [(x, y) for x in (16, 32, 48, 64, 80) for y in (60, 45, 30, 15)])
    drawn = drawn_hand(hand.astype(np.float32), (100, 120))
    assert drawn[62:85, 40].all()  # the palm
    assert drawn[40, 48]  # a finger
    assert not drawn[10:50, 40].any()  # between two
    assert not drawn[:, 100:].any()


def test_frames_come_at_their_own_pace(tmp_path: Path) -> None:
    path = write_long_clip(tmp_path / "clip.mp4", 10)
    source = PacedSource(open_source(str(path)), 6)
    assert source.info.live
    assert [frame.index for frame in source] == list(range(6))
    came = [source.came[i] for i in range(6)]
    assert came[5] - came[0] >= 5 / 25 - 0.001


def test_growth_is_fitted_and_plotted(tmp_path: Path) -> None:
    points = [Point("faces", n, 3.0 * n**1.5, n, 100) for n in (1, 2, 4)]
    points += [Point("pixels", n, 7.0, 1, 100) for n in (100, 400)]
    assert exponent(points[:3]) == pytest.approx(1.5)
    assert exponent(points[3:]) == pytest.approx(0, abs=1e-9)
    plot(tmp_path / "growth.png", [*points, Point("frames", 100, 5.0, 1, 90)])
    assert (tmp_path / "growth.png").stat().st_size > 5000
    assert [bounce(k, 4) for k in range(8)] == [0, 1, 2, 3, 2, 1, 0, 1]
    assert bounce(5, 1) == 0


def test_a_crowd_has_so_many_faces() -> None:
    base = [frame.image for frame in clip(seconds=Fraction(1))]
    one, three = crowd(base, 3, 1), crowd(base, 3, 3)
    assert one.shape == (720, 1280, 3)
    assert (one[:180, :320] == three[:180, :320]).all()
    assert three[:180, 320:960].std() > 20
    assert (three[180:] == 90).all()


@pytest.mark.parametrize("name", ["nobody", "box", "config:no_such"])
def test_a_lane_that_is_not_known_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=name.rpartition(":")[2]):
        make_painter(name, "tiny", ["model.device=cpu"], tmp_path)


def test_the_command_says_all_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.bench.speed_command.ROUNDS", 2)
    monkeypatch.setattr("stream.bench.speed_command.ROUND_FRAMES", 3)
    monkeypatch.setattr("stream.bench.growth.FACES", (1, 2))
    monkeypatch.setattr("stream.bench.growth.HEIGHTS_PX", (360, 720))
    monkeypatch.setattr("stream.bench.growth.LENGTHS", (2, 4))
    monkeypatch.setattr("stream.bench.growth.WARM", 1)
    monkeypatch.setattr("stream.bench.growth.COUNTED", 2)
    done = CliRunner().invoke(app, [
        "bench", "speed", "--frames", "12", "--config", "tiny", "--set", "model.device=cpu",
        "--against", "copy", "--growth", "--out", str(tmp_path), "--quiet",
    ])  # fmt: skip
    assert done.exit_code == 0, done.output
    for words in ("x first", "end to end", "added latency", "GFLOP/s", "by faces  exponent",
                  "by pixels  exponent", "by frames", "detect to learn"):  # fmt: skip
        assert words in done.stdout
    content = json.loads((tmp_path / "speed.json").read_text())
    assert [lane["name"] for lane in content["race"]] == ["ours", "copy"]
    assert content["ours"]["work"]["encode"]["mflop"] > 10
    assert [(p["axis"], p["amount"]) for p in content["growth"]] == [
        ("faces", 1), ("faces", 2), ("pixels", 640 * 360), ("pixels", 1280 * 720), ("frames", 2),
        ("frames", 4),
    ]  # fmt: skip
    assert (tmp_path / "growth.png").is_file()


def test_the_command_names_bad_input() -> None:
    for options in (["--against", "nobody"], ["--frames", "3"], ["--config", "no_such"]):
        done = CliRunner().invoke(app, ["bench", "speed", "--frames", "12", *options, "--quiet"])
        assert done.exit_code == 2
        assert done.stderr.count("\n") == 1
