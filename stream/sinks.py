"""Where results go. To add a sink: a class that satisfies ``Sink``.

Nothing half-written is ever seen under a final name: every sink works under a hidden name beside it
and renames in ``close``.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot.types import OcclusionMask
from stream.encode import CONTAINERS, VideoSink
from stream.errors import SinkError, SinkPathError
from stream.frame import FrameResult, Verdict
from stream.outputs import check_path, naming, partial_of
from trackers.faces import TrackedFace

COVERED = 0.5
"""Probability from which a pixel counts as covered in masks written to disk."""

__all__ = ["CONTAINERS", "JsonSink", "MaskSink", "Sink", "VideoSink"]


class Sink(Protocol):
    """Takes results in order; then exactly one of ``close`` or ``abort``.

    Attributes:
        notes: what a person should know, complete after ``close``.
    """

    @property
    def notes(self) -> list[str]: ...
    def write(self, result: FrameResult) -> None: ...
    def close(self, *, cut: bool = False) -> None:
        """Finish, and rename into place. ``cut``: the source was left before its end."""

    def abort(self) -> None:
        """Leave nothing under the final name."""


def covered(masks: Sequence[OcclusionMask], height: int, width: int) -> NDArray[np.uint8]:
    """(height, width) uint8: 255 where something covers a face, else 0."""
    picture = np.zeros((height, width), np.uint8)
    for mask in masks:
        x0, y0, x1, y1 = box = mask.box_px(height, width)
        if x1 > x0 and y1 > y0:
            picture[y0:y1, x0:x1][mask.in_box(mask.probability, box) > COVERED] = 255
    return picture


class MaskSink:
    """One 8-bit grey PNG a frame, of the frame's size: ``000000.png`` and on, black ones included.

    Replaces a mask sequence that is there already, and nothing else.

    Args:
        directory: created if missing.
        source_path: the input, to make sure that it is not the output.

    Raises:
        SinkPathError: the directory holds numbered pictures that are no masks.
        SinkError: it cannot be written there.
    """

    def __init__(self, directory: str | Path, *, source_path: Path | None = None) -> None:
        self._directory = Path(directory)
        self.notes: list[str] = []
        if self._directory.exists() and not self._directory.is_dir():
            raise SinkPathError(f"{directory}: is a file; masks need a directory")
        if not self._directory.is_dir():
            check_path(self._directory, source_path)
        self._partial = partial_of(self._directory.resolve())  # "." has no name
        self._old_masks()
        with naming(self._directory):
            shutil.rmtree(self._partial, ignore_errors=True)
            self._partial.mkdir()

    def _old_masks(self) -> list[Path]:
        """Masks of an earlier run; anything else under such a name is not ours to remove."""
        if not self._directory.is_dir():
            return []
        numbered = [p for p in self._directory.iterdir() if re.fullmatch(r"\d{6,}\.png", p.name)]
        for path in numbered:
            with path.open("rb") as file:
                head = file.read(26)
            if head[24:26] != b"\x08\x00":  # PNG header: 8 bits, colour type 0 = grey
                raise SinkPathError(
                    f"{self._directory}: holds {path.name}, which is no mask; give another directory"
                )
        return numbered

    def write(self, result: FrameResult) -> None:
        """Write the frame's mask."""
        height, width = result.frame.image.shape[:2]
        picture = covered(result.masks, height, width)
        done, data = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not done:
            raise SinkError(
                f"{self._directory}: frame {result.frame.index} could not be made a PNG"
            )
        with naming(self._directory):
            (self._partial / f"{result.frame.index:06d}.png").write_bytes(data.tobytes())

    def close(self, *, cut: bool = False) -> None:
        """Put the sequence in place of an earlier one."""
        with naming(self._directory):
            for path in self._old_masks():
                path.unlink()
            self._directory.mkdir(exist_ok=True)
            for path in sorted(self._partial.iterdir()):
                path.replace(self._directory / path.name)
            self._partial.rmdir()

    def abort(self) -> None:
        """Leave nothing behind; an earlier sequence stays."""
        shutil.rmtree(self._partial, ignore_errors=True)


class JsonSink:
    """One line of JSON a frame: its faces, and what covers each as COCO RLE at the frame's size.

    ``{"index": 0, "time": 0.0, "faces": [{"id": 1, "box": [x0, y0, x1, y1], "state": "seen",
    "coverage": 0.12, "carried": 0, "mask": {"size": [h, w], "counts": "..."}}]}``; box in px, time in
    seconds; carried: for how many frames the network has not looked at the face.

    Of the privacy policy besides: ``"certainty"`` of each face, "sure", "held", "unsure" or "lost"; and
    ``"privacy": {"covered": "model raised", "lost": [3]}``, why the whole picture is covered (empty
    where it is not), and who is waited for.

    Args:
        path: output file.
        source_path: the input, to make sure that it is not the output.

    Raises:
        SinkPathError, SinkError: it cannot be written there.
    """

    def __init__(self, path: str | Path, *, source_path: Path | None = None) -> None:
        self._path = Path(path)
        self.notes: list[str] = []
        check_path(self._path, source_path)
        self._partial = partial_of(self._path)
        with naming(self._path):
            self._file = self._partial.open("w", encoding="utf-8", newline="\n")

    def write(self, result: FrameResult) -> None:
        """Write the frame's line."""
        with naming(self._path):
            self._file.write(line_of(result) + "\n")

    def close(self, *, cut: bool = False) -> None:
        """Finish the file and give it its name."""
        with naming(self._path):
            self._file.close()
            self._partial.replace(self._path)

    def abort(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._partial.unlink(missing_ok=True)


def line_of(result: FrameResult) -> str:
    """A frame's line, see :class:`JsonSink`."""
    frame = result.frame
    height, width = frame.image.shape[:2]
    pairs = zip(result.faces, result.masks, strict=True)
    faces = [_face_entry(face, mask, height, width) for face, mask in pairs]
    line = {"index": frame.index, "time": round(float(frame.time), 6), "faces": faces}
    return json.dumps(line | _decided(result.verdict, faces))


def _decided(verdict: Verdict | None, faces: list[dict[str, Any]]) -> dict[str, Any]:
    """What a policy that hides says; the certainty of each face goes into its entry."""
    if verdict is None:
        return {}
    away = dict(verdict.states)
    for face in faces:
        face["certainty"] = away.pop(face["id"], "")
    return {"privacy": {"covered": verdict.covered, "lost": sorted(away)}}


def _face_entry(face: TrackedFace, mask: OcclusionMask, height: int, width: int) -> dict[str, Any]:
    from pycocotools import mask as coco  # noqa: PLC0415  a CLI start should not pay for it

    # COCO counts down the columns, hence Fortran order.
    run_lengths = coco.encode(np.asfortranarray(covered([mask], height, width) // 255))
    return {
        "id": face.track_id,
        "box": [round(float(edge), 1) for edge in face.box_px],
        "state": face.state.value,
        "coverage": round(float(mask.coverage), 4),
        "carried": mask.carried_frames,
        "mask": {"size": [height, width], "counts": run_lengths["counts"].decode("ascii")},
    }
