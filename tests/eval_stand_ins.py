"""Faces, pictures and competitors drawn for the tests of ``s3pot eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from s3pot.metrics import FaceScore
from stream.drawn import drawn_occluder
from stream.evaluate import Row
from trackers import AlignedFace, FaceDetection, TrackedFace, TrackState

SIDE = 64
NAN = float("nan")
PATCH = np.s_[135:185, 170:280]
"""Where a drawn thing lies on the astronaut's cheek and mouth."""

Bool = NDArray[np.bool_]
Field = NDArray[np.float32]


def aligned(seed: int = 0, side: int = SIDE) -> AlignedFace:
    """A face of noise that fills the middle of its crop; a px of the crop is a px of the frame."""
    region = np.zeros((side, side), bool)
    region[side // 16 : -side // 16, side // 16 : -side // 16] = True
    image = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    return AlignedFace(
        track_id=1, identity=1, image=image, region=region, inside=np.ones_like(region),
        landmarks=np.full((468, 3), side / 2, np.float32), trust=np.ones(468, np.float32),
        frame_to_face=np.eye(2, 3), pose_degrees=(0, 0, 0),
    )  # fmt: skip


def tracked(box_px: tuple[float, ...] = (200, 60, 320, 220)) -> TrackedFace:
    """A face whose mesh is the mean one, laid into a box."""
    from trackers.mesh import mean_face

    points = mean_face().template.astype(np.float32).copy()
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    box = np.array(box_px, np.float32)
    points[:, :2] = (points[:, :2] - low) / (high - low) * (box[2:] - box[:2]) + box[:2]
    return TrackedFace(1, 1, points, np.ones(468, np.float32), box, 0.9, 0, TrackState.SEEN)


class StandIn:
    """A competitor that answers what it is told, and says what it was asked."""

    settings = None

    def __init__(self, name: str, size: int, answer: Any = 0.0) -> None:
        self.name, self.size, self.answer = name, size, answer
        self.asked: list[tuple[AlignedFace, Bool | None, int]] = []
        self.resets = 0

    def __call__(self, face: AlignedFace, truth: Bool | None, age_frames: int) -> Field:
        self.asked.append((face, truth, age_frames))
        if self.answer == "truth":
            return np.asarray(truth, np.float32)
        return np.full(face.region.shape, self.answer, np.float32)

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        pass


class StandInFinder:
    """Finds the face where it is told; never in a picture of one colour."""

    def __init__(self, size: int = 96, face: TrackedFace | None = None) -> None:
        self.size, self._face = size, face or tracked()
        self.covered: list[Field] = []

    def first_box(self, image: NDArray[np.uint8]) -> Field | None:
        return self._face.box_px if image.std() > 1 else None

    def __call__(self, image: NDArray[np.uint8]) -> TrackedFace | None:
        return self._face if image.std() > 1 else None

    def cover(self, face: AlignedFace, probability: Field) -> None:
        self.covered.append(probability)


def row(
    case: str = "a", iou: tuple[int, int, int] | None = (50, 50, 50), *, set: str = "s",
    who: str = "ours", kind: str = "hand", frame: int = 0, light: float = 50, lost: bool = False,
    boundary_f: float = 0.5,
) -> Row:  # fmt: skip
    """A row of a face of 1000 px; ``iou`` is truth, marked, hit in px; None: no face was found."""
    score = None
    if iou is not None:
        truth, marked, hit = iou
        edge = boundary_f if truth >= 10 else NAN
        score = FaceScore(1000, truth, marked, hit, edge, 1 - (marked - hit) / 1000)
    return Row(set, case, kind, frame, who, score, lost, light)


def write_covered(path: Path, mask: str | None = "hand", value: int = 255) -> Path:
    """The astronaut with a blue patch on her cheek, and the mask beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image, truth = data.astronaut()[:300].copy(), np.zeros((300, 512), np.uint8)
    image[PATCH], truth[PATCH] = (20, 60, 200), value
    cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if mask:
        cv2.imwrite(str(path.with_name(f"{path.stem}_{mask}.png")), truth)
    return path


def write_face(path: Path) -> Path:
    """The astronaut, nothing in front of her."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), cv2.cvtColor(data.astronaut()[:300], cv2.COLOR_RGB2BGR))
    return path


def write_cutouts(folder: Path) -> Path:
    """Six drawn hands and six cups: the last of each is held out."""
    for place, kind in [("hands", "hand"), ("objects/object_train", "cup")]:
        (folder / place).mkdir(parents=True)
        for i in range(6):
            drawing = drawn_occluder(kind, 80, np.random.default_rng(i))
            turned = (
                np.rot90(drawing) if kind == "hand" else drawing
            )  # an arm enters from the right
            cv2.imwrite(str(folder / place / f"{i}.png"), cv2.cvtColor(turned, cv2.COLOR_RGBA2BGRA))
    return folder


def detection(box_px: Field) -> FaceDetection:
    return FaceDetection(box_px, np.zeros((6, 2), np.float32), 0.9)
