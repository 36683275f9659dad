"""Who is measured beside ours: each must answer, and answer what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage import data

from configs import load_settings
from stream.competitors import (
    SIMPLE,
    Competitor,
    NoReference,
    OracleBox,
    PipelineCompetitor,
    corners,
    make_competitor,
)
from stream.evaluate import Finder, carried
from stream.outsiders import Nothing, OnnxOccluder, Person
from tests.eval_stand_ins import PATCH, aligned
from trackers import AlignedFace, align

CPU = ("model.device=cpu", "model.threads=1")


@pytest.fixture(scope="module")
def ours() -> PipelineCompetitor:
    torch.set_num_threads(1)
    return PipelineCompetitor("ours", load_settings("tiny", CPU))


@pytest.fixture(scope="module")
def covered(ours: PipelineCompetitor) -> tuple[AlignedFace, Any]:
    """The astronaut with a blue patch on her cheek, aligned, and where the patch is."""
    image, truth = data.astronaut()[:300].copy(), np.zeros((300, 512), bool)
    image[PATCH], truth[PATCH] = (20, 60, 200), True
    found = Finder(ours)(image)
    assert found is not None
    face = align(image, found, ours.size)
    return face, carried(truth, face)


def test_ours_is_the_pipeline_and_forgets(ours: PipelineCompetitor, covered: Any) -> None:
    face, truth = covered
    first = ours(face, truth, 0)
    assert first.dtype == np.float32
    assert first.shape == face.region.shape
    assert (first[truth & face.region] > 0.5).mean() > 0.3
    assert (first[~truth & face.region] > 0.5).mean() < 0.1
    ours.reset()
    np.testing.assert_array_equal(first, ours(face, None, 0))  # it has no use for the truth


def test_no_reference_shows_the_network_nothing(
    covered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    face, truth = covered
    bare = NoReference("no-reference", load_settings("tiny", CPU))
    seen: list[Any] = []
    enhance = bare.pipeline.model.enhance
    monkeypatch.setattr(
        bare.pipeline.model, "enhance", lambda c, r: (seen.extend(r), enhance(c, r))[1]
    )
    monkeypatch.setattr(
        bare.pipeline.bank, "reference", lambda *_: pytest.fail("history was asked")
    )
    answer = bare(face, truth, 9)
    assert answer.shape == face.region.shape
    assert ((answer >= 0) & (answer <= 1)).all()
    assert [float(reference.known.max()) for reference in seen] == [0]
    np.testing.assert_array_equal(answer, bare(face, None, 0))


def test_the_oracle_box_asks_sam_with_the_truths_box(
    covered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    face, truth = covered
    oracle = OracleBox("box", load_settings("tiny", CPU))
    sam, asked = oracle.pipeline.model.sam, []
    decode = sam.decode

    def watched(tokens: Any, points: Any, labels: Any, mask: Any) -> Any:
        asked.append((points.tolist(), labels.tolist(), mask))
        return decode(tokens, points, labels, mask)

    monkeypatch.setattr(sam, "decode", watched)
    answer = oracle(face, truth, 0)
    assert asked == [([corners(truth & face.region)], [[2, 3]], None)]
    # The embedded decoder never saw a box without a mask prompt; still it looks where it is told.
    assert answer[truth & face.region].mean() > answer[~truth & face.region].mean() + 0.05
    assert oracle(face, np.zeros_like(truth), 0).max() == 0
    assert oracle(face, None, 0).max() == 0
    assert len(asked) == 1


def test_corners_are_x_y() -> None:
    where = np.zeros((20, 30), bool)
    where[4:9, 11:26] = True
    assert corners(where) == [[11, 4], [25, 8]]


def test_nothing_finds_nothing() -> None:
    assert Nothing(64)(aligned(), None, 0).max() == 0


def test_the_person_mask(covered: Any) -> None:
    face, _ = covered
    person = Person(192)
    answer = person(face, None, 0)
    assert answer.shape == face.region.shape
    assert ((answer >= 0) & (answer <= 1)).all()
    assert answer[face.region].mean() < 0.2  # all of the face is a person
    person(aligned(side=192), None, 0)
    np.testing.assert_array_equal(answer, person(face, None, 0))  # no memory
    person.close()


def write_onnx(
    path: Path, shape: tuple[Any, ...], *, of_channel: int = 0, last: bool = True
) -> Path:
    """A network that calls face what is bright in one channel of its input."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    axis = len(shape) - 1 if last else 1
    index = helper.make_tensor("index", onnx.TensorProto.INT64, [1], [of_channel])
    node = helper.make_node("Gather", ["in_face", "index"], ["out_mask"], axis=axis)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("in_face", kind, shape)],
        [helper.make_tensor_value_info("out_mask", kind, None)], [index],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


def half_red() -> AlignedFace:
    face = aligned(side=64)
    face.image[:] = (255, 0, 0)
    face.image[:, 32:] = (0, 0, 255)
    return face


@pytest.mark.parametrize(
    ("shape", "last", "red"),
    [
        ((1, 256, 256, 3), True, 2),  # channels last: BGR
        (("n", 128, 128, 3), True, 2),
        ((1, 3, 256, 256), False, 0),  # channels first: RGB
        (("n", 3, "h", "w"), False, 0),
    ],
)
def test_an_onnx_occluder(tmp_path: Path, shape: tuple[Any, ...], last: bool, red: int) -> None:
    path = write_onnx(tmp_path / "xseg.onnx", shape, of_channel=red, last=last)
    network = OnnxOccluder(path, 64)
    assert network.name == "onnx:xseg.onnx"
    answer = network(half_red(), None, 0)
    assert answer.shape == (64, 64)
    assert answer.dtype == np.float32
    assert answer[:, :30].max() == 0  # red is face
    assert answer[:, 34:].min() == 1  # blue is not


def test_onnx_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        OnnxOccluder(tmp_path / "gone.onnx", 64)
    (tmp_path / "text.onnx").write_bytes(b"no network at all")
    with pytest.raises(ValueError, match=r"text\.onnx: no ONNX model"):
        OnnxOccluder(tmp_path / "text.onnx", 64)
    path = write_onnx(tmp_path / "flat.onnx", (1, 256, 256, 1))
    with pytest.raises(ValueError, match=r"flat\.onnx: its input is \[1, 256, 256, 1\]; allowed"):
        OnnxOccluder(path, 64)


@pytest.mark.parametrize("name", ["nothin", "config:", "onnx:", "box:", "xyz:a"])
def test_an_unknown_name_is_told_with_those_allowed(name: str) -> None:
    with pytest.raises(ValueError, match="unknown competitor") as error:
        make_competitor(name, None, (), 192)
    for known in SIMPLE:
        assert known in str(error.value)


def test_an_unknown_config() -> None:
    with pytest.raises(ValueError, match="unknown config 'tinny'"):
        make_competitor("config:tinny", None, (), 192)


def test_overrides_hold_for_all_with_settings() -> None:
    more = (*CPU, "reference.generator=none", "prompts.decoder_weight=0")
    made: list[Competitor] = [
        make_competitor(name, "tiny", more, 192)
        for name in ("config:realtime", "released", "no-reference")
    ]
    for competitor, method in zip(made, ("evidence", "released", "evidence"), strict=True):
        settings = competitor.settings
        assert settings is not None
        assert settings.model.method == method
        assert settings.reference.generator == "none"
    assert [c.name for c in made] == ["config:realtime", "released", "no-reference"]
    for competitor in made:
        competitor.close()


def test_the_papers_methods_answer(covered: Any) -> None:
    """With no generator there is nothing to compare: they must say so by finding nothing."""
    face, truth = covered
    for name in ("paper", "released"):
        competitor = make_competitor(name, None, (*CPU, "reference.generator=none"), 192)
        answer = competitor(face, truth, 0)
        assert answer.shape == face.region.shape
        assert np.isfinite(answer).all()
        competitor.close()
