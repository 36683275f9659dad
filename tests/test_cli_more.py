"""``s3pot train`` and ``bench`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from stream import cli


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def test_help_of_train_names_every_step() -> None:
    done = invoke("train", "--help")
    assert done.exit_code == 0
    for step in ("prepare", "encoder", "head", "reference", "export"):
        assert step in done.output
        detail = invoke("train", step, "--help")
        assert detail.exit_code == 0


def test_bench_of_too_few_frames() -> None:
    done = invoke("bench", "speed", "--frames", 3, "--quiet")
    assert done.exit_code == 2
    assert done.stderr.strip() == "s3pot: a benchmark needs at least 10 frames, got 3"


def test_bench_with_a_wrong_setting() -> None:
    done = invoke("bench", "speed", "--set", "track.trackr=byte", "--quiet")
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
