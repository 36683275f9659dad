"""Parsers: the mesh's label map and maps to the atlas, and the learned parser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from s3pot.labels import CLASSES, facial
from s3pot.parse import LearnedParser, class_iou, confusion, parsers
from s3pot.training.loop import Schedule, mean_weights
from s3pot.training.train_parser import (
    IGNORE,
    LabelledSource,
    parser_loss,
    to_classes,
    train_parser,
)
from s3pot.weights import WeightsError
from tests.faces_without_shape import MEAN, SIZE, astronaut, guides, structure
from tests.training_folder import write_faces


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# the mesh


def test_the_mean_face_unrolls_onto_itself() -> None:
    made = structure()
    on = made.unroll[..., 0] >= 0
    own = np.stack(np.meshgrid(*[np.arange(SIZE)] * 2), -1)
    np.testing.assert_allclose(made.unroll[on], own[on], atol=0.01)
    np.testing.assert_allclose(made.roll[on], own[on], atol=0.01)


def test_to_the_atlas_and_back_is_the_same_place() -> None:
    """A face shifted and enlarged: each pixel of it goes to the atlas and comes back."""
    points = (MEAN.points_px(SIZE) - 95.5) * np.float32(1.1) + np.float32([99, 92])
    made = structure(points)
    ys, xs = np.nonzero(made.roll[..., 0] >= 0)
    inner = [i for i in range(0, len(ys), 97) if made.labels[ys[i], xs[i]] not in {0, 6}]
    assert len(inner) > 20
    for i in inner:
        u, v = np.round(made.roll[ys[i], xs[i]]).astype(int)
        assert np.abs(made.unroll[v, u] - (xs[i], ys[i])).max() < 1.0


def test_the_labels_are_where_the_mesh_is() -> None:
    made = structure()
    assert (facial(made.labels) != (made.roll[..., 0] >= 0)).mean() < 0.01


def test_the_mesh_parser_is_amodal() -> None:
    guide, raw = guides(), astronaut()
    parser = parsers["mesh"]("")
    assert torch.equal(parser(raw, guide), guide.labels)
    assert torch.equal(parser(raw * 0, guide), guide.labels)


# the learned one


@pytest.fixture(scope="module")
def parsed() -> Tensor:
    with torch.inference_mode():
        labels: Tensor = parsers["learned"]("")(astronaut(), guides())
    return labels


def test_a_real_face_is_parsed(parsed: Tensor) -> None:
    assert parsed.shape == (1, SIZE, SIZE)
    assert parsed.dtype == torch.int64
    counts = confusion(parsed, guides().labels)
    ious = dict(zip(CLASSES, class_iou(counts).tolist(), strict=True))
    # She was laid on the mean face by eye, so what is small fits by chance only.
    assert ious["skin"] > 0.6
    assert ious["nose"] > 0.4
    assert (parsed == CLASSES.index("hair")).float().mean() > 0.05
    face = facial(parsed)
    assert (face & facial(guides().labels)).sum() / face.sum() > 0.8


def test_it_parses_what_is_seen_and_not_what_is_hidden(parsed: Tensor) -> None:
    """A visible-surface map: a blue board over the mouth has no lips; the mesh's has."""
    raw = astronaut()
    raw[..., 115:160, 40:150] = torch.tensor([0.1, 0.2, 0.9])[:, None, None]
    with torch.inference_mode():
        covered = parsers["learned"]("")(raw, guides())
    lips = CLASSES.index("lips")
    assert (covered == lips).sum() < 0.3 * (parsed == lips).sum()


def test_any_size_of_crop() -> None:
    parser = LearnedParser().eval()
    with torch.inference_mode():
        assert parser(torch.rand(2, 3, 64, 64), guides(2)).shape == (2, 64, 64)


def test_it_is_small() -> None:
    assert sum(p.numel() for p in LearnedParser().parameters()) < 600_000


def test_without_its_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights\.json"):
        parsers["learned"](str(tmp_path))


# figures and training


def test_intersection_over_union_by_hand() -> None:
    truth, guess = torch.tensor([0, 0, 1, 1, 2]), torch.tensor([0, 1, 1, 1, 0])
    ious = class_iou(confusion(guess, truth))
    assert ious[:3].tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert ious[3:].isnan().all()


def test_labels_that_nobody_gave_stay_unknown() -> None:
    labels = np.array([0, 1, 13, IGNORE], np.uint8)
    assert to_classes(labels).tolist() == [0, 6, 4, IGNORE]


@pytest.fixture
def labelled(tmp_path: Path) -> LabelledSource:
    """The made-up faces, with the skin's label where the mesh is and unknown in one corner."""
    folder = write_faces(tmp_path / "faces")
    count = len(np.load(folder / "landmarks.npy"))
    labels = np.zeros((count, 224, 224), np.uint8)
    labels[:, 50:180, 60:164] = 1
    labels[:, :40, :40] = IGNORE
    np.save(folder / "labels.npy", labels)
    return LabelledSource(folder, MEAN.triangles)


def test_labels_are_cut_and_mirrored_like_their_pictures(labelled: LabelledSource) -> None:
    batch = next(labelled.batches(4, seed=1))
    assert batch["raw"].shape == (4, 3, 192, 192)
    assert set(batch["labels"].unique().tolist()) <= {0, 6, IGNORE}
    assert (batch["labels"][:, 96, 96] == 6).all()
    again = next(labelled.batches(4, seed=1))
    assert torch.equal(batch["labels"], again["labels"])
    unknown = batch["labels"] == IGNORE
    assert unknown.any()
    net, other = LearnedParser().eval(), batch["labels"].clone()
    loss = parser_loss(net, batch)
    other[unknown] = 3  # to name them changes the loss: they were left out of it before
    assert parser_loss(net, {**batch, "labels": other}) != loss


def test_a_few_steps_lower_the_loss(labelled: LabelledSource, tmp_path: Path) -> None:
    schedule = Schedule(steps=12, cooldown=4, warmup=2, batch=4, rate=3e-3, every=12)
    last = train_parser(labelled, tmp_path / "run", schedule, lambda _: None, held_out_batches=1)
    torch.manual_seed(schedule.seed)
    fresh, trained = LearnedParser(), LearnedParser()
    trained.load_state_dict(mean_weights(last))
    batch = next(labelled.batches(4, seed=9))
    with torch.inference_mode():
        before, after = (parser_loss(net.train(), batch) for net in (fresh, trained))
    assert after < 0.7 * before


def test_faces_without_labels_are_named(tmp_path: Path) -> None:
    source = LabelledSource(write_faces(tmp_path / "faces"), MEAN.triangles)
    with pytest.raises(ValueError, match="masks/ beside it"):
        next(source.batches(2, seed=0))
