"""``from stream import occlusions``: what the README promises in four lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from configs import load_settings
from configs.settings import SettingsError
from s3pot.types import OcclusionMask
from stream import occlusions
from stream.errors import SourceError
from stream.frame import FrameResult
from stream.job import Job
from tests.clips import cut, write_clip
from tests.covered_face import HEIGHT, WIDTH, panned
from trackers.faces import TrackedFace

FRAMES = 8
CPU = ["model.device=cpu"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def face_clip(path: Path, **options: object) -> Path:
    """A face, covered by a hand from frame 4 on."""
    frames, _ = panned("hand", [3 * i for i in range(FRAMES)], 4)
    return write_clip(
        path, range(FRAMES), size=(HEIGHT, WIDTH), draw=lambda i, *_: frames[i].image, **options
    )


def test_a_clip_becomes_typed_results(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "talk.mp4", options={"crf": "16"})
    results = list(occlusions(clip, config="tiny", overrides=CPU))
    assert [result.frame.index for result in results] == list(range(FRAMES))
    for result in results:
        assert isinstance(result, FrameResult)
        assert result.frame.image.shape == (HEIGHT, WIDTH, 3)
        assert [type(face) for face in result.faces] == [TrackedFace]
        assert [type(mask) for mask in result.masks] == [OcclusionMask]
    coverage = [result.masks[0].coverage for result in results]
    assert max(coverage[:4]) < 0.05
    assert min(coverage[5:]) > 0.1


def test_a_text_is_a_path_too_and_nothing_is_read_ahead_of_need(tmp_path: Path) -> None:
    results = occlusions(str(face_clip(tmp_path / "talk.mp4")), config="tiny", overrides=CPU)
    assert next(results).frame.index == 0
    results.close()  # type: ignore[attr-defined]  it is a generator
    assert list(results) == []


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4"):
        next(occlusions(tmp_path / "gone.mp4"))


def test_a_wrong_setting_is_told_before_any_work(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "talk.mp4")
    with pytest.raises(SettingsError, match="trackk"):
        next(occlusions(clip, overrides=["trackk.tracker=byte"]))


def test_a_truncated_file_gives_its_good_frames_first(tmp_path: Path) -> None:
    whole = face_clip(tmp_path / "whole.mkv", options={"bf": "0", "g": "4", "crf": "16"})
    seen: list[np.ndarray] = []
    with pytest.raises(SourceError, match=r"cut_whole\.mkv.*truncated") as caught:  # noqa: PT012
        for result in occlusions(cut(whole, 0.6), config="tiny", overrides=CPU):
            seen.append(result.frame.image)
    assert 1 <= len(seen) < FRAMES
    assert f"frame {len(seen) - 1}" in str(caught.value)
    frames, _ = panned("hand", [3 * i for i in range(FRAMES)], 4)
    for image, frame in zip(seen, frames, strict=False):
        assert np.abs(image.astype(int) - frame.image).mean() < 8


def test_a_run_counts_looks_and_references(tmp_path: Path) -> None:
    clip = face_clip(tmp_path / "talk.mp4")
    settings = load_settings("tiny", [*CPU, "model.compute=full"])
    with Job(str(clip), [str(tmp_path / "out.mp4")], settings) as job:
        report = job.run()
    assert (report.looks, report.carried) == (FRAMES, 0)
    assert report.references == FRAMES
    assert report.inventions == {"new face": 1}
