"""What may leave: choosing a policy, the open one, the audit, and the real pipeline before it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from configs import SettingsError, load_settings
from stream.errors import SinkError
from stream.frame import FrameResult
from stream.pipeline import Pipeline
from stream.policy import OpenPolicy, build_policy
from tests.covered_face import FACE_AT, HEIGHT, WIDTH, panned
from tests.noise_faces import exposed, found, noise, privacy

HERE = (160.0, 120.0, 1)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["privacy.policy=privat"], ["unknown policy 'privat'", "did you mean privacy", "open"]),
        (["privacy.policy=privacy", "privacy.effect=blurr"], ["privacy.effect", "mean blur"]),
        (["privacy.policy=privacy", "privacy.who=ids"], ["privacy: ids", "'ids'", "[]"]),
        (["privacy.policy=privacy", "privacy.ids=[2]"], ["privacy: ids", "'all'", "[2]"]),
        (
            ["privacy.policy=privacy", "privacy.who=ids", "privacy.ids=[2]", "privacy.hide=neither"],
            ["privacy: who is 'ids'", "'neither'"],
        ),
        (["privacy.hide=faces"], ["privacy.hide", "'face'", "got 'faces'"]),
        (["privacy.ids=[0]"], ["privacy.ids.0", "got 0"]),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(overrides: list[str], words: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        build_policy(load_settings(None, overrides))
    assert all(word in str(caught.value) for word in words)


def test_the_open_policy_draws_the_effect_and_lets_everything_through() -> None:
    policy = build_policy(load_settings(None, ["effect.name=matte"]))
    assert isinstance(policy, OpenPolicy)
    (out,) = policy.push(found(3, HERE))
    assert set(np.unique(out.frame.image)) >= {0, 255}
    assert (out.frame.index, out.frame.time) == (3, noise(3).time)
    policy.restarted("reconnected")
    (blind,) = policy.blind(noise(4), "model raised")
    np.testing.assert_array_equal(blind.frame.image, noise(4).image)
    assert policy.flush() == []


def test_the_privacy_config_turns_it_on_and_looks_at_every_frame() -> None:
    settings = load_settings("privacy")
    assert settings.track.detect_every == 1
    assert not isinstance(build_policy(settings), OpenPolicy)


def audited(path: Path, *overrides: str) -> Any:
    """The policy after a run of nine frames: a face, a failure, and nobody."""
    policy = privacy(f"privacy.audit={path}", "privacy.delay_frames=2", *overrides)
    out: list[FrameResult] = []
    for index in range(5):
        out += policy.push(found(index, HERE))
    out += policy.blind(noise(5), "rtsp://user:secret@camera refused: Name or service")
    out += policy.blind(noise(6), "time out")
    for index in range(7, 9):
        out += policy.push(found(index))
    out += policy.flush()
    assert [r.frame.index for r in out] == list(range(9))
    return policy


def test_the_audit_says_what_left_and_names_nobody(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    policy = audited(path)
    assert not path.exists()
    policy.close()
    assert [p.name for p in tmp_path.iterdir()] == ["audit.json"]
    text = path.read_text()
    report = json.loads(text)
    assert "secret" not in text
    assert "camera" not in text
    assert (report["frames"], report["covered_frames"]) == (9, 5)
    assert report["causes"] == {"start": 1, "other": 1, "time out": 1, "lost": 2}
    assert report["faces"] == {"unsure": 2, "sure": 3, "lost": 2}
    assert report["doubts"] == {"settling": 2}
    assert report["possible_leaks"] == 0
    assert (report["hidden_ids"], report["shown_ids"]) == ([1], [])
    assert "5 frames before it" in report["leak"]


def test_frames_without_a_look_are_counted_and_who_was_shown(tmp_path: Path) -> None:
    path = tmp_path / "audit.json"
    policy = privacy(f"privacy.audit={path}", "privacy.who=all-but", "privacy.ids=[1]")
    for index in range(8):
        policy.push(found(index, HERE, (60, 60, 2), looked=index < 5))
    policy.close()
    report = json.loads(path.read_text())
    assert report["unlooked_frames"] == 3
    assert (report["hidden_ids"], report["shown_ids"]) == ([1, 2], [1])  # hidden while unsure


def test_an_audit_that_cannot_be_written_is_told_at_once_or_at_the_end(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"gone.*does not exist"):
        privacy(f"privacy.audit={tmp_path / 'gone' / 'audit.json'}")
    folder = tmp_path / "folder"
    folder.mkdir()
    policy = audited(folder / "audit.json")
    (folder / "audit.json").mkdir()
    with pytest.raises(SinkError, match=r"audit\.json: cannot be written"):
        policy.close()


CLEAN = 12
PANS_PX = [0, 0, 2, 4, 4, 2, 0, 0, 0, 0, 0, 0, 4, 8, 12, 8, 4, 0, -4, -8, -4, 0, 4, 8]
MARK = (1, 2, 3)


@pytest.fixture(scope="module")
def hand() -> Iterator[tuple[list[FrameResult], list[NDArray[np.bool_]]]]:
    """The pipeline's results of a photograph, before whose mouth a hand comes to rest; the hand."""
    torch.set_num_threads(1)
    settings = load_settings(
        "privacy", ["model.device=cpu", "model.threads=1", "detect.small_faces=false"]
    )
    pipeline = Pipeline.from_settings(settings)
    frames, truths = panned("hand", PANS_PX, CLEAN)
    yield list(pipeline(frames)), truths
    pipeline.close()


def leaving(hand: Any, hide: str, *overrides: str) -> tuple[list[NDArray[np.uint8]], Any]:
    policy = privacy(f"privacy.hide={hide}", "privacy.delay_frames=2", *overrides)
    out = [r.frame.image for result in hand[0] for r in policy.push(result)]
    return out + [r.frame.image for r in policy.flush()], policy


def ellipse(pan_px: float, share: float) -> NDArray[np.bool_]:
    """The photograph's face, or so much of it."""
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    axes = (round(38 * share), round(52 * share))
    cv2.ellipse(canvas, (round(FACE_AT[0] + pan_px), round(FACE_AT[1])), axes, 0, 0, 360, 1, -1)
    return canvas > 0


def within(area: NDArray[np.bool_], px: int) -> NDArray[np.bool_]:
    """An area without so many px of its edge."""
    side = 2 * px + 1
    return np.asarray(cv2.erode(area.astype(np.uint8), np.ones((side, side), np.uint8)) > 0)


def test_the_detector_looked_at_every_frame(hand: Any) -> None:
    assert all(result.looked for result in hand[0])


def test_a_face_is_hidden_and_the_hand_before_it_kept(hand: Any) -> None:
    out, policy = leaving(hand, "face")
    assert not exposed(out[0]).any()
    assert policy.audit.causes == {"start": 1}
    for image, pan, truth in zip(out[1:], PANS_PX[1:], hand[1][1:], strict=True):
        bare = within(ellipse(pan, 0.9) & ~truth, 2)
        assert exposed(image)[bare].mean() < 0.005
    shares = [
        exposed(image)[within(ellipse(pan, 0.9) & truth, 5)].mean()
        for image, pan, truth in zip(out[-8:], PANS_PX[-8:], hand[1][-8:], strict=True)
    ]
    assert np.median(shares) > 0.8


def test_a_hand_is_hidden_and_the_face_behind_it_kept(hand: Any) -> None:
    out, _ = leaving(hand, "occluder")
    for image, pan, truth in list(zip(out, PANS_PX, hand[1], strict=True))[-8:]:
        assert exposed(image)[ellipse(pan, 0.8) & truth].mean() < 0.03
        assert exposed(image)[within(ellipse(pan, 0.7) & ~truth, 6)].mean() > 0.9


def test_both_leaves_nothing_of_the_head_and_neither_all_of_it(hand: Any) -> None:
    out, _ = leaving(hand, "both")
    for image, pan in zip(out, PANS_PX, strict=True):
        assert not exposed(image)[ellipse(pan, 1)].any()
    out, _ = leaving(hand, "neither")
    for image, result in zip(out[1:], hand[0][1:], strict=True):
        np.testing.assert_array_equal(image, result.frame.image)


def test_masks_that_turn_to_nan_let_nothing_through(hand: Any) -> None:
    torn = [replace(r, masks=tuple(replace(m, probability=m.probability * np.float32(np.nan))
                                   for m in r.masks)) for r in hand[0]]  # fmt: skip
    out, policy = leaving((torn, hand[1]), "face")
    for image, pan in zip(out, PANS_PX, strict=True):
        assert not exposed(image)[ellipse(pan, 1)].any()
    assert exposed(out[-1]).any()
    assert policy.audit.doubts["mask broken"] == len(PANS_PX)
