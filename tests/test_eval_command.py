"""``s3pot eval`` on the command line: figures, files, and what it refuses."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import stream.competitors
from stream import cli
from stream.eval_command import named_apart
from stream.evaluate import EvalSet
from tests.clips import write_clip
from tests.covered_face import HEIGHT, WIDTH, panned
from tests.eval_stand_ins import write_covered, write_cutouts, write_face

QUICK = ("--config", "tiny", "--set", "model.device=cpu", "--quiet")


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli.app, ["eval", *(str(word) for word in words)])


def lines(done: Result, name: str) -> list[str]:
    return [line for line in done.stdout.splitlines() if line.strip().startswith(name)]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good picture, and one of every bad input."""
    folder = tmp_path_factory.mktemp("pairs")
    write_covered(folder / "good.jpg")
    write_covered(folder / "bare.jpg", mask=None)
    write_covered(folder / "small.jpg", mask=None)
    cv2.imwrite(str(folder / "small_gt.png"), np.full((30, 51), 255, np.uint8))
    write_covered(folder / "full.jpg", mask=None)
    cv2.imwrite(str(folder / "full_gt.png"), np.full((300, 512), 255, np.uint8))
    write_covered(folder / "grey.jpg", mask="gt", value=75)
    write_covered(folder / "broken.jpg")
    (folder / "broken.jpg").write_bytes(b"no picture")
    write_face(folder / "free.jpg")
    cv2.imwrite(str(folder / "free_gt.png"), np.zeros((300, 512), np.uint8))
    cv2.imwrite(str(folder / "empty.jpg"), np.full((90, 120, 3), 90, np.uint8))
    cv2.imwrite(str(folder / "empty_gt.png"), np.eye(90, 120, dtype=np.uint8) * 255)
    return folder


def test_good_and_bad_in_one_folder(pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    done = invoke("--data", pairs, "--against", "nothing", "--out", out, *QUICK)
    assert done.exit_code == 0, done.stderr
    for words in (
        r"left out: .*bare\.jpg: no mask", r"left out: .*small_gt\.png: the mask is \(30, 51\)",
        r"left out: .*full_gt\.png: all of it is occluder",
        r"left out: .*grey_gt\.png: which value .* 0, 75", r"left out: .*broken\.jpg: not a picture",
        r"5 left out", r"no face found: pairs\d*: empty\.jpg$",
        r"nothing in front of the face, counted as clean: pairs\d*: free\.jpg$",
    ):  # fmt: skip
        assert re.search(words, done.stderr, re.MULTILINE), words
    (ours,), (nothing,) = lines(done, "ours"), lines(done, "nothing")
    assert ours.split()[1:4] == ["3", "2", "1"]  # cases, faces, without a face
    assert float(ours.split()[4]) > 0.2
    assert float(ours.split()[5]) == pytest.approx(
        float(ours.split()[4]) / 2, abs=0.001
    )  # one lost
    assert nothing.split()[4] == "0.000"
    with (out / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["competitor"]) for row in rows] == [
        (case, who) for case in ("empty.jpg", "free.jpg", "good.jpg") for who in ("ours", "nothing")
    ]
    content = json.loads((out / "results.json").read_text())
    assert len(content["refused"]) == 5
    assert {path.name for path in out.glob("*.png")} == {"worst.png", "worst-nothing.png"}


def test_the_same_command_gives_the_same_figures(pairs: Path, tmp_path: Path) -> None:
    words = ("--data", pairs, "--out", tmp_path, "--detail", *QUICK)
    names = ("results.csv", "results.json", "worst.png")
    first = invoke(*words), [(tmp_path / name).read_bytes() for name in names]
    again = invoke(*words), [(tmp_path / name).read_bytes() for name in names]
    assert first[0].stdout == again[0].stdout
    assert "kind hand" in first[0].stdout
    assert first[1] == again[1]


def test_values_and_the_labelled_face(tmp_path: Path) -> None:
    write_covered(tmp_path / "a.jpg", mask="gt", value=75)
    done = invoke("--data", tmp_path, *QUICK)
    assert done.exit_code == 2
    assert "--occluder-value" in done.stderr
    done = invoke("--data", tmp_path, "--occluder-value", 75, "--face-value", 38, *QUICK)
    assert done.exit_code == 0
    assert float(lines(done, "ours")[0].split()[4]) > 0.2
    assert invoke("--data", tmp_path, "--occluder-value", 300, *QUICK).exit_code == 2


def test_clips_with_masks_and_clean_ones(tmp_path: Path) -> None:
    frames, truths = panned("hand", [0, 1, 2, 3, 4, 5], 3)
    (tmp_path / "data" / "take_masks").mkdir(parents=True)
    (tmp_path / "clean").mkdir()
    for path, kept in (("data/take.mp4", frames), ("clean/free.mp4", frames[:3])):
        write_clip(
            tmp_path / path, range(len(kept)), size=(HEIGHT, WIDTH),
            draw=lambda i, *_, kept=kept: kept[i].image,
        )  # fmt: skip
    for i, truth in enumerate(truths):
        cv2.imwrite(str(tmp_path / "data" / "take_masks" / f"{i}.png"), truth.astype(np.uint8))
    done = invoke("--data", tmp_path / "data", "--clean", tmp_path / "clean", *QUICK)
    assert done.exit_code == 0, done.stderr
    covered, clean = lines(done, "ours")
    assert covered.split()[1:4] == ["1", "6", "0"]
    assert float(covered.split()[5]) > 0.2
    assert clean.split()[1:4] == ["1", "3", "0"]
    assert clean.split()[4] == "-"
    assert float(clean.split()[-2]) < 5


def test_composites_and_single_frames_of_them(tmp_path: Path) -> None:
    cutouts = write_cutouts(tmp_path / "occluders")
    frames, _ = panned("hand", [0] * 12, 12)
    write_clip(
        tmp_path / "a.mp4", range(12), size=(HEIGHT, WIDTH), draw=lambda i, *_: frames[i].image
    )
    words = ("--clips", tmp_path, "--occluders", cutouts, "--per-clip", 1, *QUICK)
    done = invoke(*words, "--frames", 10)
    assert done.exit_code == 0, done.stderr
    assert lines(done, "ours")[0].split()[1:4] == ["1", "10", "0"]
    done = invoke(*words, "--cold", 2, "--against", "no-reference")
    assert done.exit_code == 0, done.stderr
    assert lines(done, f"{tmp_path.name} cold")
    assert lines(done, "ours")[0].split()[1] == "2"
    assert lines(done, "no-reference")


def test_nothing_to_measure() -> None:
    half = ("--data", "somewhere", "--clips", "elsewhere")  # no cut-outs: it would be passed over
    for words in ((), ("--clips", "somewhere"), ("--occluders", "somewhere"), half):
        done = invoke(*words)
        assert done.exit_code == 2
        assert "give --data, --clean, or --clips and --occluders" in done.stderr
        assert "Traceback" not in done.output


def test_no_frames(tmp_path: Path) -> None:
    for option in ("--frames", "--per-clip"):
        done = invoke("--clips", tmp_path, "--occluders", tmp_path, option, 0)
        assert done.exit_code == 2
        assert option in done.stderr


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("no pipeline is wanted before the input is known to be good")

    with monkeypatch.context() as patch:
        patch.setattr(stream.competitors, "PipelineCompetitor", never)
        for option in ("--data", "--clean"):
            done = invoke(option, tmp_path / "gone")
            assert (done.exit_code, "gone" in done.stderr) == (2, True)
            done = invoke(option, tmp_path)
            assert (done.exit_code, "no pictures and no clips" in done.stderr) == (2, True)
    done = invoke("--clips", tmp_path, "--occluders", tmp_path, *QUICK)
    assert (done.exit_code, ".mp4" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nobody", "unknown competitor 'nobody'"),
        ("onnx:gone.onnx", "gone.onnx: no such ONNX file"),
        ("config:gone.toml", "gone.toml: no such config file"),
    ],
)
def test_a_competitor_that_is_not_there(pairs: Path, name: str, words: str) -> None:
    done = invoke("--data", pairs, "--against", name, *QUICK)
    assert done.exit_code == 2
    assert words in done.stderr
    assert "Traceback" not in done.output


def test_no_face_in_any_picture(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((90, 120, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "a_gt.png"), np.eye(90, 120, dtype=np.uint8))
    done = invoke("--data", tmp_path, *QUICK)
    assert done.exit_code == 2
    assert "no face was found in any picture" in done.stderr


def test_folders_of_one_name_stay_apart(tmp_path: Path) -> None:
    sets = [EvalSet(name, 1, []) for name in ("a", "b", "a")]
    assert [group.name for group in named_apart(sets)] == ["a", "b", "a (2)"]
