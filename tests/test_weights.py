"""The packaged weights are whole, and damage is found before it does harm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from s3pot import weights

MAX_MEGABYTES = 40


def test_what_ships_is_whole_and_small_enough() -> None:
    files = weights.catalogue()
    assert {file.name for file in files} == {"face", "reference", "pca", "regional", "parser"}
    assert all(file.ok for file in files)
    assert sum(file.path.stat().st_size for file in files) <= MAX_MEGABYTES * 1e6


def test_damage_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights.FOLDER, folder)
    path = folder / "face.safetensors"
    data = bytearray(path.read_bytes())
    data[-100] ^= 0xFF
    path.write_bytes(data)
    assert not {f.name: f.ok for f in weights.catalogue(folder)}["face"]
    with pytest.raises(weights.WeightsError, match=r"face\.safetensors: damaged"):
        weights.load("face", folder)
    path.unlink()
    with pytest.raises(weights.WeightsError, match=r"face\.safetensors: missing"):
        weights.load("face", folder)


def test_a_folder_without_a_catalogue_is_named(tmp_path: Path) -> None:
    with pytest.raises(weights.WeightsError, match=r"no weights\.json"):
        weights.catalogue(tmp_path)
    (tmp_path / "weights.json").write_text("[1]")
    with pytest.raises(weights.WeightsError, match="not a catalogue"):
        weights.catalogue(tmp_path)
    with pytest.raises(weights.WeightsError, match=r"no weights named 'nose'.*face"):
        weights.load("nose")


def test_an_export_depends_on_the_tensors_alone(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor(3)}
    one = weights.export("face", tensors, tmp_path / "one").read_bytes()
    two = weights.export("face", dict(reversed(tensors.items())), tmp_path / "two").read_bytes()
    assert one == two
    back = weights.load("face", tmp_path / "one")
    torch.testing.assert_close(back["b"].float(), tensors["b"])
    assert back["a"] == 3


def test_a_folder_of_ones_own_lies_over_the_package(tmp_path: Path) -> None:
    """Who trained one network anew need not copy the others."""
    own = {"bias": torch.full((2,), 0.5)}
    weights.export("mine", own, tmp_path)
    assert torch.equal(weights.load("mine", tmp_path)["bias"], own["bias"].half())
    assert weights.load("pca", tmp_path).keys() == weights.load("pca").keys()
    with pytest.raises(weights.WeightsError, match="no weights named 'none'"):
        weights.load("none", tmp_path)
