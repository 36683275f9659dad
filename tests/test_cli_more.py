"""``s3pot train``, ``eval`` and ``bench`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import stream.bench
import stream.evaluate
import stream.pipeline
from stream import cli
from stream.evaluate import Row


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def test_help_of_train_names_every_step() -> None:
    done = invoke("train", "--help")
    assert done.exit_code == 0
    for step in ("prepare", "encoder", "head", "reference", "export"):
        assert step in done.output
        detail = invoke("train", step, "--help")
        assert detail.exit_code == 0


def test_eval_of_nothing() -> None:
    half = ("--photos", "somewhere", "--clips", "elsewhere")  # no cut-outs: it would be passed over
    for words in ((), ("--clips", "somewhere"), ("--occluders", "somewhere"), half):
        done = invoke("eval", *words)
        assert done.exit_code == 2
        assert "give --photos, or --clips and --occluders" in done.stderr
        assert "Traceback" not in done.output


def test_eval_of_no_frames(tmp_path: Path) -> None:
    for option in ("--frames", "--per-clip"):
        done = invoke("eval", "--clips", tmp_path, "--occluders", tmp_path, option, 0)
        assert done.exit_code == 2
        assert option in done.stderr


def test_eval_of_what_is_not_there(tmp_path: Path) -> None:
    done = invoke("eval", "--photos", tmp_path / "gone")
    assert done.exit_code == 2
    assert "gone" in done.stderr
    done = invoke("eval", "--clips", tmp_path, "--occluders", tmp_path)
    assert done.exit_code == 2
    assert ".mp4" in done.stderr


def test_eval_prints_rows_and_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row("a/0 hand", 0.8, 0.5, 0.01, 0), Row("b/0 cup", 0.6, 0.7, 0.03, 2)]
    monkeypatch.setattr(stream.evaluate, "eval_photos", lambda *_: iter(rows))
    done = invoke("eval", "--photos", "anywhere")
    assert done.exit_code == 0
    head, first, _, mean = done.stdout.splitlines()
    assert head.split()[0] == "IoU"
    assert first.split() == ["a/0", "hand", "0.800", "0.500", "1.00", "%", "0"]
    assert mean.split() == ["mean", "of", "2", "0.700", "0.600", "2.00", "%", "2"]


def test_bench_of_too_few_frames() -> None:
    done = invoke("bench", "--frames", 3, "--quiet")
    assert done.exit_code == 2
    assert done.stderr.strip() == "s3pot: a benchmark needs at least 10 frames, got 3"


def test_bench_with_a_wrong_setting() -> None:
    done = invoke("bench", "--set", "track.trackr=byte", "--quiet")
    assert done.exit_code == 2
    assert "trackr" in done.stderr


@pytest.mark.parametrize(
    ("step", "more"), [("encoder", ()), ("reference", ()), ("head", ("--encoder", "gone.pt"))]
)
def test_training_on_what_is_not_there(tmp_path: Path, step: str, more: tuple[str, ...]) -> None:
    folders = ("--faces", tmp_path / "gone", "--occluders", tmp_path, "--run", tmp_path / "run")
    done = invoke("train", step, *folders, *more)
    assert done.exit_code == 2
    assert "gone" in done.stderr
    assert "Traceback" not in done.output


def test_preparing_what_is_not_there(tmp_path: Path) -> None:
    done = invoke("train", "prepare", tmp_path / "gone", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "gone" in done.stderr
    done = invoke("train", "prepare", tmp_path, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "no pictures" in done.stderr


def test_exporting_what_is_not_there(tmp_path: Path) -> None:
    words = ("--name", "face", "--folder", tmp_path)
    assert invoke("train", "export", tmp_path / "gone.pt", *words).exit_code == 2
    (tmp_path / "text.pt").write_text("no checkpoint")
    done = invoke("train", "export", tmp_path / "text.pt", *words)
    assert done.exit_code == 2
    assert "text.pt" in done.stderr
    assert not list(tmp_path.glob("*.safetensors"))
