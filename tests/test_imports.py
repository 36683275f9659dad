"""Imports go one way, and the packages imported are ours: PyPI has others of the same names."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("stream", "s3pot", "trackers", "configs")
ALLOWED = {
    "configs": set(),
    "trackers": set(),
    "s3pot": set(),
    "stream": {"trackers", "s3pot", "configs"},
}
FORBIDDEN = {
    "trackers": {"torch", "av"},
    "s3pot": {"av", "mediapipe"},
    "configs": {"torch", "av", "mediapipe", "cv2", "numpy"},
    "stream": set(),
}
THREADS = {"threading", "queue", "multiprocessing", "concurrent", "_thread", "asyncio"}
THREAD_HOMES = {
    "stream/queues.py", "stream/background.py",
    "stream/bench/servers/relay.py",  # a process of its own
}  # fmt: skip
BANNED_NAMES = {"utils", "util", "common", "core", "manager", "helper", "helpers", "misc"}


def modules() -> list[Path]:
    found = [path for package in OURS for path in sorted((ROOT / package).rglob("*.py"))]
    assert len(found) > 10, "the walk found nothing to check"
    return found


def imported(path: Path) -> dict[str, int]:
    """Top-level package -> line, for every import of the file, also those inside functions."""
    names: dict[str, int] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0]: node.lineno for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            names[(node.module or "").split(".")[0]] = node.lineno
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_imports_go_one_way(path: Path):
    package = path.relative_to(ROOT).parts[0]
    where = path.relative_to(ROOT).as_posix()
    for name, line in imported(path).items():
        assert name not in set(OURS) - ALLOWED[package] - {package}, (
            f"{where}:{line} imports {name}"
        )
        assert name not in FORBIDDEN[package], f"{where}:{line} imports {name}"
        assert name != "tests", f"{where}:{line} imports the tests"
        if name in THREADS and package == "stream":
            assert where in THREAD_HOMES, (
                f"{where}:{line} imports {name}; threads live in queues.py and background.py"
            )


def test_no_module_is_a_drawer_for_everything():
    assert not [path for path in modules() if path.stem in BANNED_NAMES]


@pytest.mark.parametrize("name", OURS)
def test_the_package_imported_is_ours(name: str):
    module = importlib.import_module(name)
    assert Path(module.__file__).resolve().parent == ROOT / name


@pytest.mark.parametrize(
    "name", ["trackers.align", "configs.settings", "stream.sources", "stream.sinks"]
)
def test_light_modules_do_not_load_torch(name: str):
    code = f"import sys, {name}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_the_sender_starts_at_once():
    # A receiver that comes back waits for it: with numpy and the rest it took a second.
    code = "import sys, stream.sender; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_walk_sees_an_import_inside_a_function(tmp_path: Path):
    path = tmp_path / "m.py"
    path.write_text("def f():\n    from torch import nn\n    import av.error\n")
    assert imported(path) == {"torch": 2, "av": 3}
