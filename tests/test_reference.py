"""The contract of the generators, the regional generator, and how references are judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from s3pot.labels import CLASSES, facial
from s3pot.reference import GeneratorOptions, StructureBatch, builders, stack
from s3pot.regional import REGIONAL_PX, RegionalGenerator, one_hot, pool_styles
from s3pot.training.judge import Covered, CoveredSource, judge
from s3pot.training.loop import Schedule, mean_weights
from s3pot.training.train_regional import BareSource, random_hidden, repaint_loss, train_regional
from s3pot.weights import WeightsError
from tests.faces_without_shape import MEAN, SIZE, astronaut, cheek, guides, structure
from tests.training_folder import write_cutouts, write_faces

BLUE = torch.tensor([0.0, 0.0, 1.0])[:, None, None]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_structures_are_stacked_as_they_are() -> None:
    made = structure()
    batch = stack([made, made])
    assert batch.labels.dtype == torch.int64
    np.testing.assert_array_equal(batch.labels[1].numpy(), made.labels)
    np.testing.assert_array_equal(batch.unroll[0].numpy(), made.unroll)
    np.testing.assert_array_equal(batch.roll[1].numpy(), made.roll)


@pytest.mark.parametrize("name", ["unet", "pca", "regional"])
def test_a_folder_without_weights_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"weights\.json"):
        builders[name](GeneratorOptions(folder=str(tmp_path)))


# regional


def built() -> RegionalGenerator:
    generator = builders["regional"](GeneratorOptions())
    assert isinstance(generator, RegionalGenerator)
    return generator.eval()


@torch.inference_mode()
def painted(generator: RegionalGenerator, raw: Tensor, hidden: Tensor) -> Tensor:
    return generator(raw, hidden, guides())


def test_one_style_a_region_by_hand() -> None:
    face = torch.zeros(1, 3, 32, 32)
    face[..., :16] = torch.tensor([0.2, 0.4, 0.6])[:, None, None]
    face[..., 16:] = 0.9
    labels = torch.full((1, 32, 32), 6)
    labels[..., 16:] = 5
    visible = torch.ones(1, 1, 32, 32)
    visible[:, :, :8, :16] = 0
    styles = pool_styles(face, visible, one_hot(labels, 32))
    skin, nose = styles[0, 6], styles[0, 5]
    torch.testing.assert_close(skin[:3], torch.tensor([0.2, 0.4, 0.6]))
    torch.testing.assert_close(nose[:3], torch.full((3,), 0.9))
    assert skin[9] == pytest.approx(0.75)
    assert nose[9] == 1
    assert not styles[0, [0, 1, 2, 3, 4, 7, 8, 9, 10, 11]].any()


def test_spread_is_coarse_or_fine() -> None:
    rows = torch.arange(64)
    stripes = ((rows % 2) * 0.5).expand(1, 3, 64, 64)
    halves = ((rows > 31) * 0.5).expand(1, 3, 64, 64)
    labels, visible = torch.full((1, 64, 64), 6), torch.ones(1, 1, 64, 64)
    fine, coarse = (pool_styles(x, visible, one_hot(labels, 64))[0, 6] for x in (stripes, halves))
    assert fine[6] > 3 * fine[3]
    assert coarse[3] > 3 * coarse[6]


def test_a_hidden_region_is_all_zero() -> None:
    regions = one_hot(guides().labels, 64)
    styles = pool_styles(torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64), regions)
    assert not styles.any()


def test_a_blue_patch_does_not_survive() -> None:
    """Called hidden or not, the reference's cheek is skin and no blue."""
    raw = astronaut()
    spoiled = torch.where(cheek() > 0, BLUE, raw)
    spot = cheek()[0, 0] > 0
    for hidden in (cheek(), torch.zeros_like(cheek())):
        red, _, blue = painted(built(), spoiled, hidden)[0][:, spot].mean(1)
        assert blue < red
    bare = painted(built(), raw, torch.zeros_like(cheek()))
    assert (painted(built(), spoiled, cheek()) - bare)[0][:, spot].abs().mean() < 0.05


def test_published_pooling_tints_more() -> None:
    """Q12: pooled over the occluder too, its colour comes in although it is called hidden."""
    spoiled = torch.where(cheek() > 0, BLUE, astronaut())
    ours, published = built(), built()
    published.pool_hidden = True
    bare = painted(ours, astronaut(), torch.zeros_like(cheek()))
    tints = [(painted(g, spoiled, cheek()) - bare).abs().mean() for g in (ours, published)]
    assert tints[1] > 1.3 * tints[0]


def test_it_paints_the_label_map() -> None:
    """Guided by structure: where the map puts the mouth, there the mouth is."""
    guide = guides()
    moved = StructureBatch(guide.labels.roll(12, 1), guide.unroll, guide.roll)
    with torch.inference_mode():
        plain, lower = (built()(astronaut(), torch.zeros_like(cheek()), g) for g in (guide, moved))
    both = facial(guide.labels) & facial(moved.labels)
    lips = (moved.labels == CLASSES.index("lips")) & both

    def redness(face: Tensor) -> float:
        return float((face[:, 0] - face[:, 1])[lips].mean())

    assert redness(lower) > redness(plain) + 0.02


@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (0.5, 0.4, 0.35)])
def test_it_paints_in_the_colours_that_it_saw(tint: tuple[float, float, float]) -> None:
    raw = astronaut() * torch.tensor(tint)[:, None, None]
    face = facial(guides().labels)[0]
    own = painted(built(), raw, torch.zeros_like(cheek()))
    assert (own[0][:, face].mean(1) - raw[0][:, face].mean(1)).abs().max() < 0.06


def test_it_is_small() -> None:
    assert sum(p.numel() for p in RegionalGenerator().parameters()) <= 1_200_000


def test_hidden_at_random_hides_something_most_times() -> None:
    rng = np.random.default_rng(0)
    shares = [float(random_hidden(96, rng).mean()) for _ in range(200)]
    assert 0.2 < np.mean(np.array(shares) == 0) < 0.55
    assert 0.5 < max(shares) < 1


def test_a_few_steps_lower_the_loss(tmp_path: Path) -> None:
    source = BareSource(
        write_faces(tmp_path / "faces"), MEAN.points_px(SIZE), MEAN.triangles, MEAN.parts
    )
    schedule = Schedule(steps=5, cooldown=2, warmup=1, batch=4, rate=2e-3, every=5)
    last = train_regional(source, tmp_path / "run", schedule, lambda _: None, held_out_batches=1)
    torch.manual_seed(schedule.seed)
    fresh, trained = RegionalGenerator(), RegionalGenerator()
    trained.load_state_dict(mean_weights(last))
    batch = next(source.batches(4, seed=9))
    assert batch["face"].shape == (4, 3, REGIONAL_PX, REGIONAL_PX)
    with torch.inference_mode():
        assert repaint_loss(trained, batch) < 0.9 * repaint_loss(fresh, batch)


# judging


def covered_once() -> Covered:
    raw = torch.where(cheek() > 0, BLUE, astronaut())
    return Covered(raw, astronaut(), cheek(), guides())


def test_judged_by_hand() -> None:
    """A generator that answers grey: its error is grey's."""

    class Grey(torch.nn.Module):
        whole = True

        def forward(self, raw: Tensor, hidden: Tensor, structure: StructureBatch) -> Tensor:
            return raw * (1 - hidden) + 0.5 * hidden

    got = judge(Grey(), covered_once())
    spot = cheek().expand(1, 3, -1, -1) > 0
    clean = astronaut()[spot].reshape(3, -1)
    assert got["hidden"] == pytest.approx(float((clean - 0.5).abs().mean()) * 255, rel=1e-4)
    blue = float((clean - BLUE[:, 0]).abs().mean()) * 255
    assert got["undeclared"] == pytest.approx(blue, rel=1e-4)
    assert got["visible"] == 0


def test_covered_faces_are_covered_and_the_same_each_time(tmp_path: Path) -> None:
    faces, occluders = write_faces(tmp_path / "faces"), write_cutouts(tmp_path / "occluders")
    source = CoveredSource(faces, occluders, MEAN.points_px(SIZE), MEAN.triangles, MEAN.parts)
    one, again = source.held_out(3), source.held_out(3)
    assert torch.equal(one.raw, again.raw)
    assert one.raw.shape == one.clean.shape == (3, 3, SIZE, SIZE)
    changed = (one.raw - one.clean).abs().amax(1, keepdim=True)
    assert all(changed[i][one.hidden[i] > 0].mean() > 0.05 for i in range(3))
