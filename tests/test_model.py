"""The model on the packaged weights: batches, prompts, the generator, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from s3pot import weights
from s3pot.evidence import Features, PromptOptions
from s3pot.model import S3POT, ModelOptions, fold_norms, pick_device
from s3pot.network import Evidence, conv
from s3pot.types import Reference, Structure
from trackers.align import face_region
from trackers.mesh import mean_face

SIZE = 192
REGION = face_region(mean_face().points_px(SIZE), SIZE)
BOARD = (slice(110, 160), slice(40, 150))
"""Rows and columns behind the board."""


NOWHERE = Structure(
    np.zeros((SIZE, SIZE), np.uint8), *[np.full((SIZE, SIZE, 2), -1, np.float32)] * 2
)
"""No guidance; this generator needs none."""

BARE = ModelOptions(device="cpu", generator="none")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> S3POT:
    return S3POT(ModelOptions(device="cpu"))


def crop(turned: bool = False) -> NDArray[np.uint8]:
    """The astronaut's face, about as the mean face lies."""
    face = cv2.resize(data.astronaut()[40:210, 140:310], (SIZE, SIZE))
    return np.ascontiguousarray(face[:, ::-1]) if turned else face


def boarded(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """With a blue board in front of the mouth."""
    image = image.copy()
    image[BOARD] = (20, 60, 200)
    return image


def seen(image: NDArray[np.uint8]) -> Reference:
    return Reference(image * REGION[..., None], REGION.astype(np.float32))


def unseen() -> Reference:
    return Reference(np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), np.float32))


def evidence_of(logits: NDArray[np.float32]) -> Features:
    """Evidence made by hand; tokens play no part."""
    return Features(Evidence(torch.from_numpy(logits)[None, None], *[torch.empty(0)] * 3), None)


def blob(x: int, y: int, radius: int) -> NDArray[np.float32]:
    """Logits: 6 in a disc, -6 elsewhere."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.where(np.hypot(columns - x, rows - y) < radius, 6, -6).astype(np.float32)


def test_a_batch_of_two_is_two_batches_of_one(model: S3POT) -> None:
    crops = [boarded(crop()), crop(True)]
    references = [seen(crop()), unseen()]
    regions = [REGION, np.roll(REGION, 9, 1)]
    together = model.decode(model.enhance(crops, references), regions)
    assert together.shape == (2, SIZE, SIZE)
    assert together.dtype == np.float32
    for i in range(2):
        evidence = model.enhance(crops[i : i + 1], references[i : i + 1])
        alone = model.decode(evidence, regions[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], atol=1e-3)
    assert np.abs(together[0] - together[1]).mean() > 0.5  # not one answer for all


def test_a_board_in_front_of_a_known_face_is_seen(model: S3POT) -> None:
    evidence = model.enhance([boarded(crop()), crop()], [seen(crop()), seen(crop())])
    covered, free = (model.decode(evidence, [REGION, REGION]) > 0) & REGION
    board = np.zeros_like(REGION)
    board[BOARD] = True
    board &= REGION
    assert (covered & board).sum() / (covered | board).sum() > 0.5
    assert free.sum() / REGION.sum() < 0.05


def test_the_reference_makes_the_difference(model: S3POT) -> None:
    known = model.enhance([boarded(crop())], [seen(crop())]).evidence.logits
    fooled = model.enhance([boarded(crop())], [seen(boarded(crop()))]).evidence.logits
    inside = torch.from_numpy(np.ascontiguousarray(REGION[BOARD]))
    assert known[0, 0][BOARD][inside].mean() > fooled[0, 0][BOARD][inside].mean() + 1


def test_without_the_decoder_the_answer_is_the_evidence() -> None:
    plain = S3POT(BARE, prompts=PromptOptions(decoder_weight=0))
    evidence = plain.enhance([boarded(crop())], [seen(crop())])
    np.testing.assert_array_equal(
        plain.decode(evidence, [REGION]), evidence.evidence.logits[:, 0].numpy()
    )


def test_the_decoder_has_its_share(model: S3POT) -> None:
    evidence = model.enhance([boarded(crop())], [seen(crop())])
    whole = S3POT(BARE, prompts=PromptOptions(decoder_weight=1))
    decoder, mixed = (m.decode(evidence, [REGION]) for m in (whole, model))
    own = evidence.evidence.logits[:, 0].numpy()
    assert np.abs(decoder - own).max() > 0.1
    share = PromptOptions().decoder_weight
    assert 0 < share < 1
    np.testing.assert_allclose(mixed, own + share * (decoder - own), atol=1e-3)


def test_the_paper_s_contrast_joins_with_its_weight(model: S3POT) -> None:
    crops, references = [boarded(crop())], [seen(crop())]
    joined = S3POT(BARE, prompts=PromptOptions(contrast_weight=1.0, decoder_weight=0))
    plain = S3POT(BARE, prompts=PromptOptions(decoder_weight=0))
    more, less = (m.decode(m.enhance(crops, references), [REGION])[0] for m in (joined, plain))
    on = REGION & (np.indices(REGION.shape)[0] > 120)
    assert (more - less)[on].mean() > (more - less)[REGION & ~on].mean() + 0.5
    cold = joined.decode(joined.enhance(crops, [unseen()]), [REGION])  # nothing to contrast with
    np.testing.assert_allclose(
        cold, plain.decode(plain.enhance(crops, [unseen()]), [REGION]), atol=1e-4
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "vit"}, ["'vit'", "face", "vit_b", "vit_h"]),
        ({"method": "papr"}, ["'papr'", "evidence", "paper", "released"]),
        ({"parser": "eye"}, ["'eye'", "learned", "mesh"]),
        ({"generator": "gan"}, ["'gan'", "none", "unet"]),
        ({"device": "tpu"}, ["'tpu'", "auto", "cpu"]),
        ({"device": "cuda:99"}, ["'cuda:99'", "auto", "cpu"]),
        ({"size": 256}, ["192", "256"]),
    ],
)
def test_what_it_refuses(wrong: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  the words are looked at below
        S3POT(replace(ModelOptions(device="cpu"), **wrong))  # type: ignore[arg-type]
    assert all(word in str(error.value) for word in words)


def test_a_missing_sam_checkpoint_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth"):
        S3POT(ModelOptions(name="vit_b", checkpoint="nowhere.pth", device="cpu"))


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all"])
def test_a_file_that_is_no_sam_checkpoint(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sam.pth").write_bytes(content)
    with pytest.raises(ValueError, match=r"sam\.pth: no checkpoint of SAM vit_b: "):
        S3POT(ModelOptions(name="vit_b", checkpoint=str(tmp_path / "sam.pth"), device="cpu"))


def test_devices() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_folding_norms_changes_nothing_but_their_number() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(conv(3, 5), conv(5, 4, 2))
    x = torch.randn(6, 3, 16, 16)
    net(x * 3 + 1)  # the norms learn figures other than 0 and 1
    net.eval()
    with torch.inference_mode():
        before = net(x)
        fold_norms(net)
        torch.testing.assert_close(net(x), before, atol=1e-5, rtol=1e-5)
    assert not [m for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_prompts_lie_in_the_crop_on_their_sides(model: S3POT) -> None:
    logits = blob(80, 120, 30)
    (prompts,) = model.prompts(evidence_of(logits), [REGION])
    assert prompts.points.shape == (len(prompts.labels), 2)
    used = prompts.points[prompts.labels >= 0]
    assert (used >= -0.5).all()
    assert (used <= SIZE - 0.5).all()
    at = {
        label: [
            logits[y, x] for x, y in prompts.points[prompts.labels == label].round().astype(int)
        ]
        for label in (0, 1)
    }
    assert at[1]
    assert min(at[1]) > 0
    assert at[0]
    assert max(at[0]) < 0
    corners = prompts.points[prompts.labels == 2], prompts.points[prompts.labels == 3]
    assert corners[0][0] == pytest.approx([50, 90], abs=4)
    assert corners[1][0] == pytest.approx([110, 150], abs=4)
    assert prompts.logits.shape == (96, 96)


def test_a_free_face_is_asked_about_without_an_occluder(model: S3POT) -> None:
    (prompts,) = model.prompts(evidence_of(blob(0, 0, 0)), [REGION])
    assert set(prompts.labels.tolist()) == {-1, 0}


def test_options_count_the_points() -> None:
    bare = PromptOptions(positive=2, negative=0, box=False, mask_scale=0)
    model = S3POT(BARE, prompts=bare)
    (prompts,) = model.prompts(evidence_of(blob(90, 100, 40)), [REGION])
    assert prompts.labels.tolist() == [1, 1]
    assert not prompts.logits.any()


def test_the_generator_keeps_what_is_visible_and_paints_what_is_hidden(model: S3POT) -> None:
    images = [boarded(crop()), boarded(crop(True))]
    hidden = np.zeros((SIZE, SIZE), np.float32)
    hidden[BOARD] = 1
    painted = model.generate(images, [hidden, hidden], [NOWHERE] * 2)
    assert model.generates
    for image, answer in zip(images, painted, strict=True):
        assert answer.dtype == np.uint8
        np.testing.assert_array_equal(answer[hidden == 0], image[hidden == 0])
        changed = np.abs(answer[BOARD].astype(int) - image[BOARD]).sum(-1)
        assert (changed > 20).mean() > 0.8
    # It does not see what it paints over: another colour behind the mask, the same face.
    inner = (slice(118, 152), slice(48, 142))  # nearer to the edge its own small size mixes pixels
    other = images[0].copy()
    other[inner] = (250, 250, 0)
    again = model.generate([other], [hidden], [NOWHERE])[0]
    assert np.abs(again.astype(int) - painted[0]).max() <= 1


def test_without_a_generator_it_cannot_generate() -> None:
    model = S3POT(BARE)
    assert not model.generates
    with pytest.raises(RuntimeError, match="unet"):
        model.generate([crop()], [np.zeros((SIZE, SIZE), np.float32)], [NOWHERE])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("work", ["enhance", "generate"])
def test_the_gpu_agrees(model: S3POT, work: str) -> None:
    def answer(one: S3POT) -> NDArray[np.float32]:
        if work == "generate":
            hidden = REGION.astype(np.float32)
            return np.stack(one.generate([boarded(crop())], [hidden], [NOWHERE])) / 255
        evidence = one.enhance([boarded(crop())], [seen(crop())])
        return 1 / (1 + np.exp(-one.decode(evidence, [REGION])))

    makers: list[Callable[[], S3POT]] = [lambda: model, lambda: S3POT(ModelOptions(device="cuda"))]
    cpu, gpu = (answer(make()) for make in makers)
    assert np.abs(cpu - gpu).mean() < 0.01


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    weights.export("face", {"encoder.nothing": torch.zeros(3)}, tmp_path)
    with pytest.raises(weights.WeightsError, match=rf"'face' of {tmp_path}: made for another"):
        S3POT(ModelOptions(device="cpu", generator="none", folder=str(tmp_path)))
