"""``s3pot weights``: what it prints, and with what status it ends."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from s3pot import official, weights
from s3pot.official import OfficialFile
from s3pot.weights import WeightsFile
from stream.weights import app

CONTENT = b"not really a network"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of our own, and two files small enough for a test; file: URLs need no server."""
    source = tmp_path / "sam_b.pth"
    source.write_bytes(CONTENT)
    right = hashlib.sha256(CONTENT).hexdigest()
    files = {
        "vit_b": OfficialFile("vit_b", source.as_uri(), len(CONTENT), 5, right),
        "vit_h": OfficialFile("vit_h", (tmp_path / "sam_h.pth").as_uri(), 9, 2, "0" * 64),
    }
    monkeypatch.setattr(official, "OFFICIAL", files)
    monkeypatch.setenv("S3POT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def call(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize("words", [(), ("list",)])
def test_the_list(folder: Path, words: tuple[str, ...]) -> None:
    done = call(*words)
    assert done.exit_code == 0
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    for file in weights.catalogue():
        assert file.sha256 in rows[file.name]
        assert f"{file.parameters:,}" in rows[file.name]
        assert "  ok  " in rows[file.name]
    assert "not downloaded" in rows["vit_b"]
    assert hashlib.sha256(CONTENT).hexdigest() in rows["vit_b"]
    assert "Apache-2.0" in rows["vit_h"]
    assert str(folder) in done.stdout


def test_the_list_sees_what_is_downloaded_and_what_is_damaged(folder: Path) -> None:
    folder.mkdir()
    (folder / "sam_b.pth").write_bytes(CONTENT)
    (folder / "sam_h.pth").write_bytes(b"123")
    rows = {line.split()[0]: line for line in call("list").stdout.splitlines()}
    assert "  downloaded" in rows["vit_b"]
    assert "  damaged" in rows["vit_h"]


def test_download_verifies_and_says_how_to_use_it(folder: Path) -> None:
    done = call("download", "vit_b")
    assert done.exit_code == 0, done.output
    assert (folder / "sam_b.pth").read_bytes() == CONTENT
    assert "verified" in done.stdout
    assert "model.name=vit_b" in done.stdout
    assert "model.checkpoint" not in done.stdout, "in the cache it needs none"
    assert call("download", "sam_b.pth", "--quiet").stdout == ""


def test_download_to_a_folder_names_the_setting(tmp_path: Path) -> None:
    done = call("download", "vit_b", "--out", str(tmp_path / "mine"))
    path = tmp_path / "mine" / "sam_b.pth"
    assert path.is_file()
    assert f"model.checkpoint={path}" in done.stdout


def test_a_download_that_fails_is_one_line_and_status_2(folder: Path) -> None:
    done = call("download", "vit_h")  # there is no such file to read
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1
    for words in ("sam_h.pth", "another machine", str(folder), "model.checkpoint"):
        assert words in done.stderr


def test_an_unknown_name_is_told_the_known() -> None:
    done = call("download", "vit_x")
    assert done.exit_code == 2
    assert "'vit_x'" in done.stderr
    assert "['vit_b', 'vit_h']" in done.stderr


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    done = call("download", "vit_b", "--out", str(tmp_path / "file" / "sub"))
    assert done.exit_code == 2
    assert str(tmp_path / "file") in done.stderr


def test_ctrl_c_is_130_and_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(official, "download", stopped)
    done = call("download", "vit_b")
    assert done.exit_code == 130
    assert "run it again" in done.stderr


def test_verify_passes_what_is_right(folder: Path) -> None:
    call("download", "vit_b")
    done = call("verify")
    assert done.exit_code == 0, done.output
    assert f"{folder / 'sam_b.pth'}: ok" in done.stdout
    assert "face.safetensors: ok" in done.stdout
    assert "sam_h" not in done.stdout, "what is not here cannot be verified"


def test_verify_names_a_damaged_download(folder: Path) -> None:
    folder.mkdir()
    (folder / "sam_b.pth").write_bytes(CONTENT[::-1])
    done = call("verify")
    assert done.exit_code == 2
    assert "sam_b.pth: its SHA-256" in done.stdout
    assert "1 of " in done.stderr


def test_verify_names_a_damaged_file_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [WeightsFile("face", tmp_path / "face.safetensors", "0" * 64, 3)]
    monkeypatch.setattr(weights, "catalogue", lambda: files)
    for content in (None, b"damaged"):
        if content:
            files[0].path.write_bytes(content)
        done = call("verify")
        assert done.exit_code == 2
        assert "face.safetensors: damaged or missing" in done.stdout
        assert "  damaged or missing" in call("list").stdout
