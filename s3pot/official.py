"""Meta's SAM checkpoints: which there are, where they lie, fetched on request and verified.

Sizes and SHA-256 agree in several public lists of them; six digits in each name are of its MD5.
"""

from __future__ import annotations

import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from s3pot.weights import digest

LICENCE = "Apache-2.0"
CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30
PARTIAL = 206
"""HTTP: a part of the file, as asked for."""

Progress = Callable[[int], None]
"""Told how many bytes there are now, after each that come."""


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """Attributes:
    name: of the model, ``model.name`` in the settings.
    url: where it is.
    size_bytes: of the file.
    parameters: how many numbers the model has.
    sha256: of the file, hexadecimal.
    """

    name: str
    url: str
    size_bytes: int
    parameters: int
    sha256: str

    @property
    def file(self) -> str:
        """The file's own name."""
        return self.url.rpartition("/")[2]


_HOST = "https://dl.fbaipublicfiles.com/segment_anything"
OFFICIAL: dict[str, OfficialFile] = {
    "vit_b": OfficialFile(
        "vit_b", f"{_HOST}/sam_vit_b_01ec64.pth", 375_042_383, 93_735_472,
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    "vit_l": OfficialFile(
        "vit_l", f"{_HOST}/sam_vit_l_0b3195.pth", 1_249_524_607, 312_342_832,
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_h": OfficialFile(
        "vit_h", f"{_HOST}/sam_vit_h_4b8939.pth", 2_564_550_879, 641_090_608,
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
}  # fmt: skip
"""By the model's name."""


def cache_folder() -> Path:
    """Where downloads go: S3POT_CACHE, or ``s3pot`` in the platform's cache of this user."""
    if chosen := os.environ.get("S3POT_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "s3pot"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/s3pot"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s3pot"


def find_checkpoint(name: str, checkpoint: Path) -> Path:
    """The file that ``model.checkpoint`` means for the model ``name``.

    Args:
        name: "vit_b", "vit_l" or "vit_h".
        checkpoint: a path; a bare file name may also lie in the cache; empty is the official file.

    Raises:
        FileNotFoundError: it is in none of these places.
    """
    official = OFFICIAL[name]
    wanted = Path(official.file) if checkpoint == Path() else checkpoint
    if wanted.is_file():
        return wanted
    cached = cache_folder() / wanted
    if wanted.parent == Path() and cached.is_file():
        return cached
    raise FileNotFoundError(
        f"{wanted}: no such checkpoint; `s3pot weights download {name}` fetches SAM's official"
        f" {official.file}, model.checkpoint names any other"
    )


def fault(path: Path, official: OfficialFile) -> str:
    """What is wrong with a downloaded file, in a few words; empty if it is the official one."""
    size = path.stat().st_size
    if size != official.size_bytes:
        return f"it has {size} bytes, the official file {official.size_bytes}"
    seen = digest(path)
    if seen != official.sha256:
        return f"its SHA-256 is {seen[:12]}..., the official file's {official.sha256[:12]}..."
    return ""


def download(official: OfficialFile, folder: Path, progress: Progress) -> Path:
    """Fetch an official file, or the rest of it, and verify it.

    What has come lies in ``FILE.partial``; the file itself only ever is whole and right.

    Args:
        official: which.
        folder: where to; made if missing.
        progress: see :data:`Progress`.

    Returns:
        Its path; at once if it is there and right.

    Raises:
        ConnectionError: there is no way to the file, or it was cut off; the text says what to do.
        ValueError: what came is not the official file; it is removed.
        OSError: the folder cannot be written, or the disk is too small.
    """
    path = folder / official.file
    if path.is_file() and not fault(path, official):
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        _fetch(official, partial, progress)
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as e:
        reason = str(getattr(e, "reason", "") or e) or type(e).__name__
        code = ""
        if isinstance(e, urllib.error.HTTPError):
            code = f"{e.code} "
            e.close()  # it holds the connection
        raise ConnectionError(
            f"{official.url}: no way to it ({code}{reason}); fetch it on another machine and put it"
            f" at {path}, or set model.checkpoint to its path"
        ) from None
    wrong = fault(partial, official)
    if partial.stat().st_size < official.size_bytes:
        raise ConnectionError(f"{official.url}: cut off: {wrong}; run it again to fetch the rest")
    if wrong:
        partial.unlink()
        raise ValueError(f"{official.url}: not the official file, removed: {wrong}")
    partial.replace(path)
    return path


def _fetch(official: OfficialFile, partial: Path, progress: Progress) -> None:
    """Append to the partial file what it lacks; a server that knows no parts sends it all."""
    done = partial.stat().st_size if partial.is_file() else 0
    if done == official.size_bytes:
        return
    if done > official.size_bytes:
        partial.unlink()
        done = 0
    _check_space(official.size_bytes - done, partial.parent)
    headers = {"Range": f"bytes={done}-"} if done else {}
    request = urllib.request.Request(official.url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
        resumed = answer.status == PARTIAL and _starts_at(answer, done)
        with partial.open("ab" if resumed else "wb") as file:
            progress(file.tell())
            while file.tell() <= official.size_bytes and (chunk := answer.read(CHUNK_BYTES)):
                file.write(chunk)
                progress(file.tell())


def _starts_at(answer: http.client.HTTPResponse, done: int) -> bool:
    """Whether the part sent is the one asked for."""
    if str(answer.headers.get("Content-Range", "")).startswith(f"bytes {done}-"):
        return True
    raise http.client.HTTPException(f"asked for bytes from {done}, it sends others")


def _check_space(needed_bytes: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise OSError(f"{folder}: {needed_bytes} bytes needed, {free} free")
