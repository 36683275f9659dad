"""References painted beside the frames: they go on, what comes late is taken over, nothing leaks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from configs import load_settings
from s3pot.types import Structure
from stream.frame import Frame, FrameResult
from stream.job import Job
from stream.pipeline import Pipeline
from stream.references import References
from stream.smooth import sigmoid
from tests.clips import write_clip
from tests.covered_face import HEIGHT, WIDTH, panned
from tests.pasted_faces import ground, scene
from tests.settled import settle
from trackers import AlignedFace

SETTINGS = ["model.device=cpu", "model.threads=1", "detect.small_faces=false", "model.compute=full"]
PAINT = (255, 0, 255)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class SlowPainter:
    """In a generator's place: paints a crop in one colour, and not before the gate is open."""

    def __init__(self) -> None:
        self.gate, self.begun = threading.Event(), threading.Event()
        self.threads: list[str] = []
        self.fails = False

    def __call__(
        self, crops: list[NDArray[np.uint8]], hidden: list[NDArray[np.float32]],
        structures: list[Structure],
    ) -> list[NDArray[np.uint8]]:  # fmt: skip
        self.threads.append(threading.current_thread().name)
        self.begun.set()
        assert self.gate.wait(60)
        if self.fails:
            raise OSError("out of paint")
        return [np.full_like(crop, PAINT) for crop in crops]


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch, live: Pipeline) -> Iterator[SlowPainter]:
    one = SlowPainter()
    monkeypatch.setattr(live.model, "generate", one)
    live.reset()
    yield one
    one.gate.set()
    settle(live.references._background)


@pytest.fixture(scope="module")
def live() -> Iterator[Pipeline]:
    pipeline = Pipeline.from_settings(load_settings(overrides=SETTINGS), live=True)
    yield pipeline
    pipeline.close()


def hand(count: int) -> Iterator[Frame]:
    """A face behind a hand, from the first frame."""
    return iter(panned("hand", [0.0] * count, 0)[0])


def known(result: FrameResult) -> float:
    """Share of the face of which a reference was shown."""
    mask = result.masks[0]
    assert mask.reference is not None
    return float((mask.reference.known > 0)[mask.region].mean())


def painted(result: FrameResult) -> int:
    """How many pixels of the reference are paint."""
    reference = result.masks[0].reference
    assert reference is not None
    return int(((reference.image == PAINT).all(-1) & (reference.known > 0)).sum())


def test_frames_go_on_and_what_was_painted_is_taken_over(
    live: Pipeline, painter: SlowPainter
) -> None:
    before = live.bank.inventions.copy()
    live.references.late_frames.clear()
    results = live(hand(8))
    early = [next(results) for _ in range(4)]  # the gate is shut: this would hang
    assert painter.begun.wait(20)
    assert [known(result) for result in early[:2]] == [0, 0]  # too young to have learned
    assert max(map(painted, early)) == 0
    assert painter.threads == ["background"]  # asked once, not in each frame
    assert live.bank.inventions == before
    painter.gate.set()
    settle(live.references._background)
    late = list(results)
    assert painted(late[0]) > 1000
    assert late[0].masks[0].reference is not None
    trust = load_settings().reference.generated_trust
    shown = (late[0].masks[0].reference.image == PAINT).all(-1)
    # Its trust counts from when it came.
    assert late[0].masks[0].reference.known[shown].max() == pytest.approx(trust, abs=2e-3)
    assert live.bank.inventions - before == {"new face": 1}
    assert live.references.late_frames == {4: 1}
    assert painter.threads == ["background"]


def test_an_error_of_the_generator_comes_out_of_the_frames(
    live: Pipeline, painter: SlowPainter
) -> None:
    painter.fails = True
    results = live(hand(4))
    next(results)
    painter.gate.set()
    settle(live.references._background)
    with pytest.raises(OSError, match="out of paint"):
        next(results)


def test_nothing_of_one_stream_comes_late_into_the_next(
    live: Pipeline, painter: SlowPainter
) -> None:
    live.references.dropped.clear()
    next(live(hand(2)))
    assert painter.begun.wait(20)
    live.reset()
    assert live.references.dropped == {"stream ended": 1}
    results = live(hand(8))
    next(results)  # of the same id; it stands behind the one that nobody wants any more
    assert len(painter.threads) == 1
    painter.gate.set()
    settle(live.references._background)
    assert [painted(result) > 0 for result in results] == [True] * 7
    assert len(painter.threads) == 2


def test_who_was_forgotten_gets_no_painting(live: Pipeline, painter: SlowPainter) -> None:
    next(live(hand(2)))
    assert painter.begun.wait(20)
    live.reset()
    before = live.bank.inventions.copy()
    painter.gate.set()
    results = list(live(Frame(ground(), i, Fraction(i, 25), "drawn") for i in range(3)))
    assert [result.faces for result in results] == [()] * 3
    assert live.bank.inventions == before


def test_of_a_face_that_has_left_nothing_is_taken(live: Pipeline, painter: SlowPainter) -> None:
    live.references.dropped.clear()
    pictures = [scene((max(80 - 12 * step, -120), 120, 80, False)) for step in range(18)]
    frames = [Frame(picture, i, Fraction(i, 25), "drawn") for i, picture in enumerate(pictures)]
    before = live.bank.inventions.copy()
    results = live(frames)
    counts = [len(next(results).faces) for _ in range(17)]
    assert (counts[0], counts[-1]) == (1, 0)
    assert live.references.dropped == {"face left": 1}
    painter.gate.set()
    settle(live.references._background)
    next(results)
    assert live.bank.inventions == before


def test_the_papers_method_goes_on_without_a_reference() -> None:
    pipeline = Pipeline.from_settings(load_settings("paper", SETTINGS), live=True)
    painter = SlowPainter()
    pipeline.model.generate = painter  # type: ignore[method-assign]
    results = pipeline(hand(4))
    first = next(results)
    assert (known(first), first.masks[0].coverage) == (0, 0)
    painter.gate.set()
    settle(pipeline.references._background)
    assert painted(next(results)) > 1000
    pipeline.close()


@pytest.mark.parametrize("generator", ["pca", "unet", "regional"])
def test_a_generator_beside_the_network_changes_neither(generator: str) -> None:
    overrides = [*SETTINGS, f"reference.generator={generator}", "reference.parser=learned"]
    pipeline = Pipeline.from_settings(load_settings(overrides=overrides))
    model, bank = pipeline.model, pipeline.bank
    (result,) = pipeline(hand(1))
    pipeline.close()
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 255, (192, 192, 3), np.uint8)
    mask = result.masks[0]
    assert mask.reference is not None
    hidden = (mask.probability > 0.5).astype(np.float32)
    structure = bank.structure(bank._template)

    def look() -> NDArray[np.float32]:
        return model.decode(model.enhance([crop], [mask.reference]), [mask.region])

    def paint() -> NDArray[np.uint8]:
        return model.generate([crop], [hidden], [structure])[0]

    seen, drawn = look(), paint()
    beside: list[NDArray[np.uint8]] = []
    thread = threading.Thread(target=lambda: beside.extend(paint() for _ in range(8)), daemon=True)
    thread.start()
    looks = [look() for _ in range(8)]
    thread.join(60)
    assert len(beside) == 8
    assert all((one == seen).all() for one in looks)
    assert all((one == drawn).all() for one in beside)


@pytest.mark.parametrize(
    ("setting", "is_live", "beside"),
    [("auto", False, False), ("auto", True, True), ("on", False, True), ("off", True, False)],
)
def test_who_waits_is_a_setting(setting: str, is_live: bool, beside: bool) -> None:
    overrides = ["model.device=cpu", f"reference.background={setting}"]
    pipeline = Pipeline.from_settings(load_settings("tiny", overrides), live=is_live)
    assert (pipeline.references._background is not None) is beside
    pipeline.close()


@pytest.mark.parametrize("generator", ["unet", "pca"])
def test_a_file_waits_and_its_report_counts(tmp_path: Path, generator: str) -> None:
    frames, _ = panned("hand", [0.0] * 4, 0)
    clip = write_clip(
        tmp_path / "talk.mp4", range(4), size=(HEIGHT, WIDTH),
        draw=lambda i, *_: frames[i].image,
    )  # fmt: skip
    settings = load_settings("tiny", ["model.device=cpu", f"reference.generator={generator}"])

    def painters() -> int:
        return sum(thread.name == "background" for thread in threading.enumerate())

    before = painters()
    shown: list[FrameResult] = []
    with Job(str(clip), [str(tmp_path / "out.mp4")], settings) as job:
        assert painters() == before
        report = job.run(shown.append)
    assert report.inventions == {"new face": 1}
    assert report.late_frames == {0: 1}
    assert not report.unpainted
    assert known(shown[0]) > 0.05  # in the very frame that asked


class AtOnce(References):
    """The rule for files in its shortest form: look, paint, take."""

    def invent(self, face: AlignedFace, cause: str) -> None:
        model, bank = self.model, self.bank
        features = model.enhance([face.image], [bank.reference(face.identity, face.landmarks)])
        hidden = sigmoid(model.decode(features, [face.region])[0])
        wide = bank.widened(hidden)
        if model.paints_whole:
            wide = np.maximum(wide, face.region & ~face.inside)
        (image,) = model.generate([face.image], [wide], [bank.structure(face.landmarks)])
        bank.invent(
            face.identity, image, face.landmarks, hidden, whole=model.paints_whole, cause=cause
        )


@pytest.mark.parametrize("generator", ["unet", "pca"])
def test_the_masks_of_a_file_are_those_of_painting_at_once(generator: str) -> None:
    overrides = [*SETTINGS, f"reference.generator={generator}"]
    pipeline = Pipeline.from_settings(load_settings(overrides=overrides))
    found = list(pipeline(hand(6)))
    pipeline.reset()
    pipeline.references = AtOnce(pipeline.model, pipeline.bank)
    expected = list(pipeline(hand(6)))
    pipeline.close()
    assert known(found[0]) > 0.05
    for ours, plain in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.masks[0].probability, plain.masks[0].probability)
