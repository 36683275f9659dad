"""The packaged weights: found, verified, loaded. Cards are in README.md beside this file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

FOLDER = Path(__file__).parent


class WeightsError(ValueError):
    """A weights file is missing, damaged, or not the one that the catalogue names."""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """Attributes:
    name: "face" or "reference".
    path: where it should be.
    sha256: what the catalogue says it must be.
    parameters: how many numbers it holds.
    """

    name: str
    path: Path
    sha256: str
    parameters: int

    @property
    def ok(self) -> bool:
        """Whether the file is there and is the right one."""
        return self.path.is_file() and digest(self.path) == self.sha256


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def catalogue(folder: Path | str = "") -> list[WeightsFile]:
    """The files that ``weights.json`` names.

    Args:
        folder: of other weights; empty means those in the package.

    Raises:
        WeightsError: there is no catalogue in the folder, or it cannot be read.
    """
    place = Path(folder) if folder else FOLDER
    try:
        table = json.loads((place / "weights.json").read_text(encoding="utf-8"))
        return [
            WeightsFile(name, place / f"{name}.safetensors", row["sha256"], row["parameters"])
            for name, row in sorted(table.items())
        ]
    except FileNotFoundError:
        raise WeightsError(f"{place}: no weights.json; a folder of weights holds one") from None
    except (json.JSONDecodeError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError(f"{place / 'weights.json'}: not a catalogue: {error!r}") from None


def load(name: str, folder: Path | str = "") -> dict[str, Tensor]:
    """The tensors of one file, verified first; what a folder's catalogue does not name, the package has.

    Raises:
        WeightsError: the name is not in the catalogue, the file is missing or has been changed.
    """
    from safetensors.torch import load_file  # noqa: PLC0415 - keeps `s3pot info` light

    files = {file.name: file for file in [*catalogue(), *catalogue(folder)]}
    if name not in files:
        raise WeightsError(f"no weights named {name!r}; the catalogue has {sorted(files)}")
    file = files[name]
    if not file.path.is_file():
        raise WeightsError(f"{file.path}: missing; reinstall the package or train it anew")
    seen = digest(file.path)
    if seen != file.sha256:
        raise WeightsError(
            f"{file.path}: damaged: SHA-256 is {seen[:12]}..., the catalogue says {file.sha256[:12]}..."
        )
    return load_file(file.path)


def fill(module: nn.Module, name: str, folder: str) -> None:
    """Load the weights ``name`` of a folder into a network, as full floats.

    Raises:
        WeightsError: they cannot be loaded, or were made for another network.
    """
    tensors = load(name, folder)
    floats = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    try:
        module.load_state_dict(floats)
    except RuntimeError as error:
        place = folder or "the package"
        first = " ".join(str(error).split())[:120]
        raise WeightsError(
            f"weights {name!r} of {place}: made for another network: {first} ..."
        ) from None


def export(name: str, tensors: dict[str, Tensor], folder: Path | str = "") -> Path:
    """Write tensors as half floats (what a batch norm counts stays as it is) and enter them.

    The bytes depend on the tensors alone, so an export of one checkpoint is always the same file.
    """
    from safetensors.torch import save_file  # noqa: PLC0415

    place = Path(folder) if folder else FOLDER
    place.mkdir(parents=True, exist_ok=True)
    path, table_path = place / f"{name}.safetensors", place / "weights.json"
    table = json.loads(table_path.read_text(encoding="utf-8")) if table_path.is_file() else {}
    halves = {
        k: (v.half() if v.is_floating_point() else v).contiguous()
        for k, v in sorted(tensors.items())
    }
    save_file(halves, path)
    count = sum(v.numel() for v in halves.values())
    table[name] = {"sha256": digest(path), "parameters": count}
    table_path.write_text(json.dumps(table, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return path
