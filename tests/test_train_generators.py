"""The commands that train and judge generators: bad input is one line, good input a figure."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from s3pot import weights
from stream.train_generators import app
from tests.training_folder import write_cutouts, write_faces

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("generators")
    return write_faces(place / "faces"), write_cutouts(place / "occluders")


@pytest.mark.parametrize("step", ["regional", "parser", "pca"])
def test_no_faces(step: str, tmp_path: Path) -> None:
    more = ["--folder", str(tmp_path)] if step == "pca" else ["--run", str(tmp_path / "run")]
    done = RUNNER.invoke(app, [step, "--faces", str(tmp_path / "gone"), *more])
    assert done.exit_code == 2
    assert "gone" in done.output
    assert "Traceback" not in done.output


def test_pca_is_entered_in_the_catalogue(folders: tuple[Path, Path], tmp_path: Path) -> None:
    more = ["--folder", str(tmp_path), "--components", "3"]
    done = RUNNER.invoke(app, ["pca", "--faces", str(folders[0]), *more])
    assert done.exit_code == 0, done.output
    assert [file.name for file in weights.catalogue(tmp_path) if file.ok] == ["pca"]


def test_judge_tells_a_figure_for_each(folders: tuple[Path, Path]) -> None:
    faces, occluders = map(str, folders)
    more = ["--names", "pca, regional", "--count", "2"]
    done = RUNNER.invoke(app, ["judge", "--faces", faces, "--occluders", occluders, *more])
    assert done.exit_code == 0, done.output
    rows = [line.split() for line in done.output.splitlines() if "undeclared" in line]
    assert [row[0] for row in rows] == ["pca", "regional"]
    assert all(float(row[2]) > 0 for row in rows)


def test_judge_of_what_is_no_generator(folders: tuple[Path, Path]) -> None:
    faces, occluders = map(str, folders)
    more = ["--faces", faces, "--occluders", occluders]
    done = RUNNER.invoke(app, ["judge", *more, "--names", "gan"])
    assert done.exit_code == 2
    assert "gan" in done.output
    assert "regional" in done.output
