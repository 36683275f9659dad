"""Training: what the samples are made of, how the loop resumes, and one step of each network."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from s3pot import weights
from s3pot.network import INPUT_SIZE_PX, FaceNet
from s3pot.sam import FaceSam
from s3pot.training.composite import Faces, Sample, bare_kinds, compose
from s3pot.training.cutout import read_cutout
from s3pot.training.drawn import DRAWN, draw_hand
from s3pot.training.invented import load_inventors
from s3pot.training.layer import in_skin, put_in_front, recolour, reshape, skin_colour
from s3pot.training.loop import Batch, Figures, Schedule, average, fit, mean_weights
from s3pot.training.losses import evidence_loss, kind_loss, region_iou
from s3pot.training.occluders import Occluders, load_occluders
from s3pot.training.references import bend, open_mouth, relight, simulate_reference, turn
from s3pot.training.samples import MIX, CompositeSource, load_faces, to_tensors
from s3pot.training.split import split
from s3pot.training.train_face import train_face
from s3pot.training.train_head import spoil, train_head
from s3pot.training.train_kinds import train_kinds
from s3pot.training.train_reference import guess_hidden, train_reference
from s3pot.types import KINDS, PART_OF_FACE
from s3pot.unet import UNetGenerator
from tests.training_folder import write_cutouts, write_source
from trackers.mesh import mean_face

SIZE = INPUT_SIZE_PX
TRIANGLES = mean_face().triangles


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> CompositeSource:
    return write_source(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def faces(source: CompositeSource) -> Faces:
    return load_faces(source.faces, TRIANGLES, held_out=False)


@pytest.fixture(scope="module")
def occluders(source: CompositeSource) -> Occluders:
    return load_occluders(source.occluders, MIX, held_out=False)


def same(a: Sample, b: Sample) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# composites


def test_a_seed_gives_the_same_samples_again(faces: Faces, occluders: Occluders) -> None:
    def samples(seed: int) -> list[Sample]:
        rng = np.random.default_rng(seed)
        return [compose(faces, occluders, i, SIZE, rng) for i in range(6)]

    first, again, other = samples(1), samples(1), samples(2)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert not any(same(a, b) for a, b in zip(first, other, strict=True))


def test_a_sample_is_of_the_kinds_it_says(faces: Faces, occluders: Occluders) -> None:
    rng = np.random.default_rng(0)
    samples = [compose(faces, occluders, i % 8, SIZE, rng) for i in range(24)]
    for sample in samples:
        for picture in (sample.raw, sample.reference, sample.clean):
            assert picture.shape == (SIZE, SIZE, 3)
            assert picture.dtype == np.uint8
        assert sample.known.dtype == sample.target.dtype == np.uint8
        assert sample.region.dtype == bool
        assert 0.25 < sample.region.mean() < 0.6  # the face, and room around it
        assert sample.region[80:112, 80:112].all()
    covered = [bool((s.target[s.region] > 127).mean() > 0.01) for s in samples]
    cold = [not s.known.any() for s in samples]
    assert 0 < sum(covered) < len(samples)
    assert 0 < sum(cold) < len(samples)


def test_a_transparent_occluder_covers_nothing(faces: Faces) -> None:
    air = np.zeros((40, 40, 4), np.float32)
    air[..., 0] = 1
    nothing, rng = Occluders({"object": [air]}, {"object": 1.0}), np.random.default_rng(3)
    for index in range(8):
        sample = compose(faces, nothing, index, SIZE, rng)
        assert not sample.target.any()
        difference = sample.raw.astype(int) - sample.clean  # the camera only: no red, no shadow
        assert np.abs(difference.mean((0, 1))).max() < 6


def test_where_the_target_is_0_the_picture_is_the_face(faces: Faces, occluders: Occluders) -> None:
    """Laid over black and over white by the same chance: what differs is what shows through."""
    photo, tone = faces.photo(0), np.array([0.8, 0.6, 0.5], np.float32)
    for seed in range(12):
        results = []
        for light in (0.0, 1.0):
            rng = np.random.default_rng(seed)
            kind, occluder = occluders.pick(rng)
            ground = np.full((224, 224, 3), light, np.float32)
            results.append(put_in_front(ground, kind, occluder, photo, tone=tone, rng=rng))
        (black, alpha), (white, again) = results
        np.testing.assert_array_equal(alpha, again)
        assert -1e-5 < alpha.min() <= alpha.max() < 1 + 1e-5
        shows = (white - black).mean(-1)
        assert (shows <= 1 - alpha + 1e-5).all()  # a shadow may darken it further
        assert (shows >= (1 - alpha) * 0.39 - 1e-5).all()
        np.testing.assert_allclose(black[alpha == 0], 0, atol=1e-6)
        assert (alpha > 0.9).any()


def test_what_the_policy_calls_face_is_no_target(faces: Faces) -> None:
    """Hair, hats and glasses have a kind and no target; the rest has both."""
    for kind, name in [
        ("hair", "hair"),
        ("hat", "hat"),
        ("drawn_hand", "hand"),
        ("drawn", "other"),
    ]:
        only, rng = Occluders({}, {kind: 1.0}), np.random.default_rng(1)
        samples = [compose(faces, only, i, SIZE, rng) for i in range(12)]
        assert any((s.kinds == KINDS.index(name)).sum() > 30 for s in samples)
        assert any(s.target.any() for s in samples) == (name not in PART_OF_FACE)
        for s in samples:
            solid = s.kinds == KINDS.index(name)
            assert ((s.target[solid] > 100) == (name not in PART_OF_FACE)).all()


def test_labels_say_what_a_photograph_has_before_the_face(faces: Faces) -> None:
    photo = faces.photo(0)
    assert (bare_kinds(photo) == 255).all()
    labels = np.full(photo.image.shape[:2], 1, np.uint8)
    labels[:40], labels[40:50], labels[50:60], labels[60:70] = 13, 14, 3, 0
    kinds = bare_kinds(replace(photo, labels=labels))
    found = [KINDS[k] if k < 255 else None for k in kinds[[20, 45, 55, 65, 100], 100]]
    assert found == ["hair", "hat", "glasses", None, "face"]


def test_a_cutout_seen_at_a_slant_is_still_one(faces: Faces) -> None:
    hand, rng = draw_hand(np.random.default_rng(0)), np.random.default_rng(2)
    for _ in range(6):
        other = reshape(hand, rng)
        assert other.dtype == np.float32
        assert 0 <= other.min() <= other.max() <= 1
        share = (other[..., 3] > 0.5).mean() / (hand[..., 3] > 0.5).mean()
        assert 0.5 < share < 1.6
        solid = other[other[..., 3] > 0.9][:, :3]
        assert np.abs(solid.mean(0) - hand[hand[..., 3] > 0.9][:, :3].mean(0)).max() < 0.06


def test_a_drawn_hand_wears_real_skin(faces: Faces) -> None:
    hand = draw_hand(np.random.default_rng(0))
    skin = in_skin(hand, faces.photo(0), np.random.default_rng(0))
    np.testing.assert_array_equal(skin[..., 3], hand[..., 3])
    tone, mean = skin_colour(faces.photo(0)), skin[skin[..., 3] > 0.5][:, :3].mean(0)
    assert np.abs(mean / mean.sum() - tone / tone.sum()).max() < 0.05
    assert np.diff(skin[..., 0], axis=1)[skin[:, 1:, 3] > 0.9].std() > 0.001


def test_generators_paint_some_of_the_references(faces: Faces, occluders: Occluders) -> None:
    mean = mean_face()
    inventors = load_inventors(["unet"], "", mean.points_px(SIZE), TRIANGLES, mean.parts)
    inventive, rng = replace(faces, inventors=inventors), np.random.default_rng(0)
    samples = [compose(inventive, occluders, i % 8, SIZE, rng) for i in range(20)]
    trusts = [s.known.max() / 255 for s in samples]
    assert sum(0 < t < 0.41 for t in trusts) >= 2
    with pytest.raises(ValueError, match=r"no generator 'none'.*unet"):
        load_inventors(["none"], "", mean.points_px(SIZE), TRIANGLES, mean.parts)


def test_skin_is_given_the_tone_of_the_face(faces: Faces) -> None:
    tone = skin_colour(faces.photo(0))
    assert tone[0] > tone[2]  # more red than blue
    hand = recolour(draw_hand(np.random.default_rng(0)), tone)
    assert hand[hand[..., 3] > 0.5][:, :3].mean(0) == pytest.approx(tone, abs=0.03)


def test_drawn_things_have_a_body(occluders: Occluders) -> None:
    for draw in DRAWN.values():
        rng = np.random.default_rng(4)
        things = [draw(rng) for _ in range(4)]
        for thing in things:
            assert thing.dtype == np.float32
            assert 0 <= thing.min() <= thing.max() <= 1
            assert 0.01 < (thing[..., 3] > 0.5).mean() < 0.95
        assert not np.array_equal(things[0], things[1])
    rng = np.random.default_rng(0)
    assert {occluders.pick(rng)[0] for _ in range(400)} == set(MIX) - {"glasses"}


# references


def test_a_reference_of_the_same_photo_is_the_face(faces: Faces) -> None:
    photo, errors, blind = faces.photo(0), [], []
    for seed in range(10):
        image, known = simulate_reference(
            photo, faces.photo(1), photo.landmarks,
            triangles=TRIANGLES, size=224, rng=np.random.default_rng(seed),
        )  # fmt: skip
        assert image.dtype == known.dtype == np.float32
        assert 0 <= known.min() <= known.max() <= 1
        assert not image[known == 0].any()
        solid = known > 0
        errors.append(np.abs(image[solid] - photo.image[solid] / 255).mean())
        blind.append(float(solid.mean()))
    assert np.median(errors) < 0.12
    assert max(errors) > min(errors)
    assert 0.05 < np.mean(blind) < 0.6


def test_landmark_errors_are_small_and_smooth(faces: Faces) -> None:
    points, rng = faces.photo(0).landmarks, np.random.default_rng(0)
    assert np.array_equal(bend(points, 0, rng), points)
    moved = np.linalg.norm((bend(points, 2, rng) - points)[:, :2], axis=1)
    assert 0.1 < moved.mean() < 8
    opened = open_mouth(points, 5) - points
    assert opened[152, 1] > 2  # the chin drops
    assert abs(opened[10, 1]) < 0.1  # the forehead stays
    assert not opened[:, [0, 2]].any()
    assert turn(points, 0, 0) == pytest.approx(points, abs=1e-3)
    nose = turn(points, 0.3, 0)[4] - points[4]
    assert abs(nose[0]) > 3
    assert abs(nose[1]) < 1e-3


def test_light_stays_in_range() -> None:
    grey = np.full((32, 32, 3), 0.5, np.float32)
    assert relight(grey, 0, np.random.default_rng(0)) == pytest.approx(grey, abs=1e-6)
    lit = relight(grey, 2, np.random.default_rng(0))
    assert 0 <= lit.min() < lit.max() <= 1


# the split


def photos_of(faces: Faces) -> set[bytes]:
    return {faces.photo(i).image.tobytes() for i in range(len(faces.images))}


def test_no_person_is_on_both_sides(source: CompositeSource) -> None:
    train, held = (load_faces(source.faces, TRIANGLES, side) for side in (False, True))
    assert photos_of(train)
    assert photos_of(held)
    assert not photos_of(train) & photos_of(held)
    names = json.loads((source.faces / "index.json").read_text())["identity"]
    assert len(photos_of(train) | photos_of(held)) == len(names)
    images = np.load(source.faces / "images.npy")
    side_of: dict[str, set[bool]] = {}
    for name, image in zip(names, images, strict=True):
        side_of.setdefault(name, set()).add(image.tobytes() in photos_of(held))
    assert all(len(sides) == 1 for sides in side_of.values())


def test_siblings_are_other_photos_of_the_same_person(source: CompositeSource) -> None:
    faces = load_faces(source.faces, TRIANGLES, held_out=False)
    names = json.loads((source.faces / "index.json").read_text())["identity"]
    kept = [name for name in names if zlib.crc32(name.encode()) % 10]
    assert any(faces.siblings)
    for index, siblings in enumerate(faces.siblings):
        assert index not in siblings
        assert {kept[i] for i in siblings} <= {kept[index]}
        assert len(siblings) == kept.count(kept[index]) - 1


def test_no_cutout_is_on_both_sides(source: CompositeSource) -> None:
    def cutouts(held_out: bool) -> dict[str, set[bytes]]:
        loaded = load_occluders(source.occluders, MIX, held_out).cutouts
        return {kind: {image.tobytes() for image in images} for kind, images in loaded.items()}

    train, held = cutouts(False), cutouts(True)
    assert set(train) == {"hand", "object", "scarf", "sunglasses", "mask"}
    assert set(held) <= set(train)
    assert "hand" in held
    for kind, images in held.items():
        assert not images & train[kind]


def test_twins_are_on_the_same_side(tmp_path: Path) -> None:
    """Eight shapes, each three times with a little noise: no shape on both sides."""
    rng = np.random.default_rng(0)
    for shape in range(8):
        ys, xs = np.mgrid[:40, :40]
        alpha = (np.hypot(xs - 20, ys - 20) < 19) * 255
        colour = np.array([40 * (shape % 4) + 60, 200 * (shape // 4), 20 * shape])
        for copy in range(3):
            noisy = np.clip(colour + rng.normal(0, 3, (40, 40, 3)), 0, 255)
            picture = np.dstack([noisy, alpha]).astype(np.uint8)
            cv2.imwrite(str(tmp_path / f"{copy}{shape}.png"), picture)
    paths = list(tmp_path.glob("*.png"))
    train, held = ({p.stem[1] for p in split(paths, side)} for side in (False, True))
    assert train
    assert held
    assert not train & held
    assert len(split(paths, False)) + len(split(paths, True)) == len(paths)
    one = read_cutout(paths[0])
    assert one.shape[2] == 4
    assert split([], False) == []


def test_occluders_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no cut-outs of \['hand', 'mask'\]"):
        load_occluders(tmp_path, {"hand": 1, "mask": 1}, held_out=False)
    with pytest.raises(FileNotFoundError, match="no such folder of occluders"):
        load_occluders(tmp_path / "typo", MIX, held_out=False)
    drawn = load_occluders(tmp_path, MIX, held_out=False)
    assert set(drawn.kinds) == set(DRAWN)
    assert drawn.pick(np.random.default_rng(0))[1].shape[-1] == 4


@pytest.mark.parametrize("shape", [None, (9, 9), (9, 9, 3), (9, 9, 4)])
def test_a_cutout_that_is_none(tmp_path: Path, shape: tuple[int, ...] | None) -> None:
    """A text, a grey picture, one without alpha, one that is all transparent."""
    folder = write_cutouts(tmp_path / "o") / "hands"
    bad = sorted(folder.glob("*.png"))[0]
    bad.write_bytes(b"no picture")
    if shape is not None:
        cv2.imwrite(str(bad), np.zeros(shape, np.uint8))
    with pytest.raises(ValueError, match=rf"{bad.name}: a cut-out"):
        load_occluders(tmp_path / "o", {"hand": 1}, held_out=False)


def test_the_arm_of_a_hand_goes_on(tmp_path: Path) -> None:
    """A cut-out hand ends at its right edge; the arm must not end on the face."""
    hand = load_occluders(write_cutouts(tmp_path / "o"), {"hand": 1}, held_out=True).cutouts[
        "hand"
    ][0]
    opaque = (hand[..., 3] > 0.5).any(0)
    assert opaque[-3]
    assert hand.shape[1] > 1.5 * hand.shape[0]


def test_one_side_without_a_face(source: CompositeSource, tmp_path: Path) -> None:
    for name in ("images.npy", "landmarks.npy"):
        np.save(tmp_path / name, np.load(source.faces / name)[:1])
    (tmp_path / "index.json").write_text('{"identity": ["face 0"]}')
    with pytest.raises(ValueError, match="no held-out face among 1"):
        load_faces(tmp_path, TRIANGLES, held_out=True)


# batches


def test_batches_are_the_same_for_the_same_seed(source: CompositeSource) -> None:
    first, again, other = (next(source.batches(2, seed)) for seed in (5, 5, 6))
    for field in Sample._fields:
        assert torch.equal(first[field], again[field])
        if field != "kinds":
            assert first[field].dtype == torch.float32
            assert 0 <= first[field].min() <= first[field].max() <= 1
    assert first["raw"].shape == (2, 3, SIZE, SIZE)
    assert first["target"].shape == first["region"].shape == (2, 1, SIZE, SIZE)
    assert not torch.equal(first["raw"], other["raw"])


def test_a_stream_goes_on_with_other_samples(source: CompositeSource) -> None:
    one, two = islice(source.batches(1, 5), 2)
    assert not torch.equal(one["raw"], two["raw"])


def test_tensors_keep_the_pictures(faces: Faces, occluders: Occluders) -> None:
    sample = compose(faces, occluders, 0, SIZE, np.random.default_rng(0))
    batch = to_tensors([sample])
    back = (batch["raw"][0].permute(1, 2, 0) * 255).round().numpy()
    np.testing.assert_array_equal(back, sample.raw)
    np.testing.assert_array_equal(batch["region"][0, 0].numpy() > 0, sample.region)


# losses


def square(value: float, *, at: int = 8) -> Tensor:
    field = torch.zeros(1, 1, 32, 32)
    field[..., at : at + 12, at : at + 12] = value
    return field


def test_the_loss_knows_right_from_wrong() -> None:
    everywhere = torch.ones(1, 1, 32, 32)
    target = square(1)
    right, unsure, wrong = (
        evidence_loss((target * 2 - 1) * k, target, everywhere) for k in (6, 0, -6)
    )
    assert right < unsure < wrong
    clean = torch.zeros_like(target)
    assert evidence_loss(clean - 6, clean, everywhere) < 0.05


def test_the_loss_of_kinds() -> None:
    region = square(1)
    kinds = torch.full((1, 32, 32), 255)
    kinds[:, 8:14, 8:20] = KINDS.index("hand")
    right = torch.zeros(1, len(KINDS), 8, 8)
    right[:, KINDS.index("hand")] = 9
    wrong = right.roll(1, dims=1)
    assert kind_loss(right, kinds, region) < 0.01 < 5 < kind_loss(wrong, kinds, region)
    nobody_said = torch.full((1, 32, 32), 255)
    assert kind_loss(wrong, nobody_said, region) == 0
    assert kind_loss(wrong, kinds, torch.zeros_like(region)) == 0


def test_off_the_face_mistakes_weigh_less() -> None:
    region, target = square(1, at=16), square(1, at=2)
    blind = evidence_loss(torch.full_like(target, -4), target, region)
    assert blind < evidence_loss(torch.full_like(target, -4), target, torch.ones_like(region))


def test_iou_inside_the_region() -> None:
    region = square(1)
    iou, alarm = region_iou(square(9) - 1, torch.ones_like(region), region)
    assert (float(iou), float(alarm)) == (1, 0)
    iou, alarm = region_iou(torch.ones_like(region), torch.zeros_like(region), region)
    assert torch.isnan(iou).all()
    assert float(alarm) == 1


# the loop

TINY = Schedule(steps=4, cooldown=2, warmup=1, batch=2, rate=1e-2, every=2)


def tiny_net(width: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, width, 3), nn.BatchNorm2d(width), nn.Conv2d(width, 1, 1))


class Work:
    """Batches that depend on the step alone, a loss, and what was asked for."""

    def __init__(self, fails_at: int = -1, failure: Exception | None = None) -> None:
        self.asked: list[int] = []
        self.lines: list[str] = []
        self.fails_at, self.failure = fails_at, failure

    def batches(self, first: int) -> Iterator[Batch]:
        self.asked.append(first)
        for step in range(first, 10**6):
            x = torch.randn(2, 1, 6, 6, generator=torch.Generator().manual_seed(step))
            yield {"x": x, "step": torch.tensor(step)}

    def loss_of(self, net: nn.Module, batch: Batch) -> Tensor:
        loss: Tensor = (net(batch["x"]) - 1).square().mean()
        if int(batch["step"]) == self.fails_at:
            if self.failure is not None:
                raise self.failure
            return loss * torch.nan
        return loss

    def fit(self, run: Path, schedule: Schedule = TINY, net: nn.Module | None = None) -> Path:
        def figures(mean: nn.Module) -> Figures:
            assert not mean.training
            return {"figure": 7.0}

        return fit(
            net or tiny_net(), self.batches, self.loss_of, figures,
            run=run, schedule=schedule, say=self.lines.append,
        )  # fmt: skip


def state_of(path: Path) -> dict[str, object]:
    state: dict[str, object] = torch.load(path, weights_only=True)
    return state


def assert_equal_weights(a: Path, b: Path) -> None:
    for part in ("net", "mean"):
        first, second = state_of(a)[part], state_of(b)[part]
        assert isinstance(first, dict)
        assert isinstance(second, dict)
        for name, tensor in first.items():
            torch.testing.assert_close(tensor, second[name], rtol=0, atol=0, msg=name)


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    whole = Work().fit(tmp_path / "whole")
    stopped = Work(3, KeyError("the power went"))
    with pytest.raises(KeyError):
        stopped.fit(tmp_path / "cut")
    resumed = Work()
    last = resumed.fit(tmp_path / "cut")
    assert (stopped.asked, resumed.asked) == ([0], [2])
    assert state_of(last)["step"] == 4
    assert_equal_weights(whole, last)


def test_a_finished_run_does_nothing_more(tmp_path: Path) -> None:
    last = Work().fit(tmp_path)
    before, again = last.read_bytes(), Work()
    again.fit(tmp_path)
    assert again.lines == []
    assert last.read_bytes() == before


def test_training_moves_the_weights_and_their_mean(tmp_path: Path) -> None:
    last = Work().fit(tmp_path)
    state, start = state_of(last), tiny_net().state_dict()
    net, mean = state["net"], mean_weights(last)
    assert isinstance(net, dict)
    assert not torch.equal(net["0.weight"], start["0.weight"])
    assert not torch.equal(mean["0.weight"], net["0.weight"])
    assert list(tmp_path.glob("*.partial")) == []


def test_the_log_has_a_line_for_each_validation(tmp_path: Path) -> None:
    work = Work()
    work.fit(tmp_path)
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in logged] == [2, 4]
    assert [line["samples"] for line in logged] == [4, 8]
    assert [json.loads(line) for line in work.lines] == logged
    assert all(line["figure"] == 7 and np.isfinite(line["loss"]) for line in logged)


def test_bfloat16_computes_in_halves_and_keeps_whole_weights(tmp_path: Path) -> None:
    seen: list[torch.dtype] = []

    class Listening(Work):
        def loss_of(self, net: nn.Module, batch: Batch) -> Tensor:
            answer = net(batch["x"])
            seen.append(answer.dtype)
            loss: Tensor = (answer.float() - 1).square().mean()
            return loss

    last = Listening().fit(tmp_path, replace(TINY, bf16=True))
    assert set(seen) == {torch.bfloat16}
    kept = [t for t in mean_weights(last).values() if t.is_floating_point()]
    assert {t.dtype for t in kept} == {torch.float32}


def test_after_a_loss_that_is_no_number_it_goes_on_from_the_last_good_checkpoint(
    tmp_path: Path,
) -> None:
    work = Work(3)
    last = work.fit(tmp_path)
    assert work.asked == [0, 3, 4]  # from step 2, each time with other samples
    told = [json.loads(line) for line in work.lines if "not_finite_at" in line]
    assert [(t["not_finite_at"], t["goes_on_from"]) for t in told] == [(3, 2), (2, 2)]
    assert state_of(last)["step"] == 4
    assert all(bool(t.isfinite().all()) for t in mean_weights(last).values())


def test_a_slope_that_is_no_number_never_reaches_a_checkpoint(tmp_path: Path) -> None:
    """The loss is finite, the root of 0 has no slope; the step after it would be saved."""

    class Steep(Work):
        def loss_of(self, net: nn.Module, batch: Batch) -> Tensor:
            loss = super().loss_of(net, batch)
            return loss + (loss * 0).sqrt() if int(batch["step"]) == 3 else loss

    work = Steep()
    state = state_of(work.fit(tmp_path))
    assert work.asked == [0, 3, 4]
    assert state["step"] == 4
    for part in ("net", "mean"):
        tensors = state[part]
        assert isinstance(tensors, dict)
        assert all(bool(t.isfinite().all()) for t in tensors.values())


def test_a_loss_that_stays_no_number_ends_the_run_and_leaves_the_checkpoint(tmp_path: Path) -> None:
    class Hopeless(Work):
        def loss_of(self, net: nn.Module, batch: Batch) -> Tensor:
            loss = super().loss_of(net, batch)
            return loss * torch.nan if int(batch["step"]) >= 3 else loss

    with pytest.raises(FloatingPointError, match=r"the loss is no finite number.*last\.pt"):
        Hopeless().fit(tmp_path)
    state = state_of(tmp_path / "last.pt")
    assert state["step"] == 2
    assert all(bool(t.isfinite().all()) for t in mean_weights(tmp_path / "last.pt").values())
    resumed = Work()
    resumed.fit(tmp_path)
    assert resumed.asked == [2]
    with pytest.raises(FloatingPointError, match="there is no checkpoint yet"):
        Work(0).fit(tmp_path / "new")


def test_a_checkpoint_of_another_network(tmp_path: Path) -> None:
    last = Work().fit(tmp_path)
    before = last.read_bytes()
    with pytest.raises(ValueError, match=r"last\.pt: of another network"):
        Work().fit(tmp_path, replace(TINY, steps=6), tiny_net(5))
    assert last.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all"])
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"last\.pt: no checkpoint"):
        Work().fit(tmp_path)
    torch.save({"weights": torch.zeros(2)}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last\.pt: no checkpoint"):
        mean_weights(tmp_path / "last.pt")


def test_the_rate_warms_up_holds_and_cools_down() -> None:
    schedule = Schedule(steps=100, cooldown=20, warmup=10, rate=2.0)
    rates = [schedule.rate_at(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.2)
    assert rates[4] == pytest.approx(1.0)
    assert rates[9:81] == [2.0] * 72
    assert rates[90] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(0.1)
    assert all(a > b for a, b in pairwise(rates[80:]))
    assert Schedule(steps=5, cooldown=0, warmup=0, rate=1.0).rate_at(4) == 1


def test_the_average_follows() -> None:
    mean, net = nn.Linear(2, 1), nn.Linear(2, 1)
    for parameter, value in ((mean.weight, 0.0), (net.weight, 1.0)):
        nn.init.constant_(parameter, value)
    average(mean, net, 0)
    assert mean.weight.tolist() == [[pytest.approx(0.9)] * 2]  # a short memory at the start
    average(mean, net, 10**6)
    assert mean.weight.tolist() == [[pytest.approx(0.9002)] * 2]  # a long one later


# the three trainings


def test_spoilt_evidence_is_worse_but_not_lost() -> None:
    torch.manual_seed(0)
    logits = torch.where(torch.arange(96) < 48, 6.0, -6.0).expand(8, 1, 96, 96).contiguous()
    spoilt = spoil(logits)
    assert spoilt.shape == logits.shape
    assert spoilt.isfinite().all()
    agree = ((spoilt > 0) == (logits > 0)).float().mean((1, 2, 3))
    assert agree.mean() > 0.75
    assert (spoilt - logits).abs().mean((1, 2, 3)).min() > 0.05
    assert spoilt.abs().max() < 40


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_guess_of_what_is_hidden_is_a_share(value: float) -> None:
    torch.manual_seed(0)
    target = torch.full((16, 1, 96, 96), value)
    hidden = guess_hidden(target)
    assert hidden.shape == target.shape
    assert 0 <= hidden.min() <= hidden.max() <= 1
    kept = (hidden - target).abs() < 1e-6
    assert 0.6 < kept.float().mean() < 1  # mostly right, not always


def test_a_guess_is_too_large_too_small_or_right() -> None:
    torch.manual_seed(0)
    target = torch.zeros(64, 1, 96, 96)
    target[..., 30:60, 30:60] = 1
    areas = guess_hidden(target).sum((1, 2, 3)) / target.sum((1, 2, 3))
    assert (areas > 1.2).any()
    assert (areas < 0.9).any()
    assert ((areas - 1).abs() < 1e-6).any()


ONE = Schedule(steps=1, cooldown=0, warmup=0, batch=2, rate=1e-3, every=1)


def logged(run: Path) -> dict[str, float]:
    figures: dict[str, float] = json.loads((run / "log.jsonl").read_text())
    return figures


def unlike(weights: dict[str, Tensor], net: nn.Module) -> bool:
    """Whether weights fit a network and are others than its own."""
    start = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.load_state_dict(weights)
    return any(not torch.equal(weights[name], tensor) for name, tensor in start.items())


def test_the_encoder_then_the_head(source: CompositeSource, tmp_path: Path) -> None:
    """One step each; the head starts from the encoder and leaves it as it is."""
    encoder = train_face(source, tmp_path / "encoder", ONE, lambda _: None, held_out_batches=1)
    torch.manual_seed(ONE.seed)
    assert unlike(mean_weights(encoder), FaceNet())
    figures = logged(tmp_path / "encoder")
    assert figures["step"] == 1
    assert 0 <= figures["iou"] <= 1
    assert 0 <= figures["false_alarm"] <= 1

    head = train_head(source, encoder, tmp_path / "head", ONE, lambda _: None, held_out_batches=1)
    both = mean_weights(head)
    FaceSam().load_state_dict(both)
    for name, tensor in mean_weights(encoder).items():
        assert torch.equal(both[f"net.{name}"], tensor), name
    figures = logged(tmp_path / "head")
    assert {"evidence_iou", "mixed_iou", "decoder_iou"} <= figures.keys()


def test_the_reference_generator(source: CompositeSource, tmp_path: Path) -> None:
    last = train_reference(source, tmp_path, ONE, lambda _: None, held_out_batches=1)
    torch.manual_seed(ONE.seed)
    assert unlike(mean_weights(last), UNetGenerator())
    assert 0 < logged(tmp_path)["held_out_loss"] < 2


def test_a_head_on_the_checkpoint_of_another_network(
    source: CompositeSource, tmp_path: Path
) -> None:
    other = Work().fit(tmp_path / "other")
    with pytest.raises(ValueError, match="of another network"):
        train_head(source, other, tmp_path / "head", ONE, lambda _: None, held_out_batches=1)


def test_composing_in_the_trainers_process_leaves_it_its_threads(source: CompositeSource) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        source.held_out(1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_held_out_batches_are_fixed(source: CompositeSource) -> None:
    def first() -> NDArray[np.float32]:
        pictures: NDArray[np.float32] = source.held_out(1)[0]["raw"][:4].numpy()
        return pictures

    np.testing.assert_array_equal(first(), first())


def test_training_the_kinds_leaves_the_evidence_as_it_is(
    source: CompositeSource, tmp_path: Path
) -> None:
    lines: list[str] = []
    last = train_kinds(source, tmp_path, replace(ONE, rate=1e-2), lines.append, held_out_batches=1)
    before, after = FaceSam(), FaceSam()
    weights.fill(before, "face", "")
    after.load_state_dict(mean_weights(last))
    changed = {
        name
        for (name, a), b in zip(
            before.state_dict().items(), after.state_dict().values(), strict=True
        )
        if not torch.equal(a, b)
    }
    assert changed == {"net.kinds.weight", "net.kinds.bias"}
    figures = json.loads(lines[-1])
    assert 0 <= figures["recall_hand"] <= 1
