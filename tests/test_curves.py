"""Curves of training runs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from s3pot.training.curves import draw_curves, read_log
from stream.cli import app


def a_run(folder: Path, lines: list[dict[str, float]]) -> Path:
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def lines(count: int, iou: float = 0.5) -> list[dict[str, float]]:
    return [
        {"step": i, "samples": 16 * i, "loss": 1 / i, "minutes": i, "iou": iou}
        for i in range(1, count + 1)
    ]


def test_a_resumed_run_is_one_line(tmp_path: Path) -> None:
    """What was logged before a restart and again after it counts once, as it was after."""
    run = a_run(tmp_path / "run", [*lines(4), *lines(3, iou=0.9)])
    log = read_log(run)
    assert [line["step"] for line in log] == [1, 2, 3, 4]
    assert [line["iou"] for line in log] == [0.9, 0.9, 0.9, 0.5]


def test_a_panel_for_each_run(tmp_path: Path) -> None:
    first, second = a_run(tmp_path / "a", lines(5)), a_run(tmp_path / "b", lines(2))
    draw_curves([first], tmp_path / "one.png")
    done = CliRunner().invoke(
        app, ["train", "curves", str(first), str(second), "--out", str(tmp_path / "two.png")]
    )
    assert done.exit_code == 0, done.output
    one, two = (cv2.imread(str(tmp_path / name)) for name in ("one.png", "two.png"))
    assert two.shape[1] == 2 * one.shape[1]
    assert one.std() > 5


@pytest.mark.parametrize("content", ["", "no json\n", "[1]\n", '{"samples": 1}\n'])
def test_what_is_no_log_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "log.jsonl").write_text(content)
    with pytest.raises(ValueError, match=r"log\.jsonl"):
        read_log(tmp_path)


def test_a_folder_without_a_log_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["train", "curves", str(tmp_path)])
    assert done.exit_code == 2
    assert "log.jsonl" in done.output
