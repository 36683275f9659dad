"""A folder to train on, small and made here: jittered astronauts and drawn cut-outs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from skimage import data

from s3pot.training.samples import CompositeSource
from stream.drawn import drawn_occluder
from trackers.mesh import mean_face

CROP_PX, FACE_PX, PEOPLE = 224, 192, 30

CUTOUTS = {
    "hands": "hand", "objects/object_train": "cup", "objects/scarf_crop": "phone",
    "objects/glasses_crop": "pen", "surgical_masks": "ball",
}  # fmt: skip
"""What is drawn into each folder of occluders."""


def write_faces(folder: Path) -> Path:
    """The astronaut, each time a little moved and lit, as 30 made-up people; some have two photos."""
    folder.mkdir(parents=True)
    mean, rng = mean_face(), np.random.default_rng(0)
    depth = mean.template[:, 2:] * np.float32(0.7 * FACE_PX)
    points = np.hstack([mean.points_px(FACE_PX) + (CROP_PX - FACE_PX) / 2, depth])
    names = [f"face {i}" for i in range(PEOPLE)] + [f"face {i}" for i in range(8)]
    images, landmarks = [], []
    for _ in names:
        x, y = rng.normal(0, 2, 2)
        matrix = np.array([[1.15, 0, 111.5 - 1.15 * 225 + x], [0, 1.15, 111.5 - 1.15 * 125 + y]])
        photo = cv2.warpAffine(data.astronaut(), matrix, (CROP_PX, CROP_PX))
        images.append((photo * rng.uniform(0.6, 1)).astype(np.uint8))
        landmarks.append(points + np.array([x, y, 0]))
    np.save(folder / "images.npy", np.stack(images))
    np.save(folder / "landmarks.npy", np.stack(landmarks).astype(np.float32))
    (folder / "index.json").write_text(json.dumps({"identity": names}))
    return folder


def write_cutouts(folder: Path) -> Path:
    """Seven drawn cut-outs of each kind, each in another colour; hands enter from the right."""
    for place, kind in CUTOUTS.items():
        (folder / place).mkdir(parents=True)
        for i in range(7):
            drawing = drawn_occluder(kind, 64, np.random.default_rng(i))
            bright = [(i + 1) >> bit & 1 for bit in range(3)]
            drawing[..., :3] = drawing[..., :3] * np.where(bright, 1, 0.1) + np.multiply(bright, 60)
            turned = np.rot90(drawing) if kind == "hand" else drawing
            cv2.imwrite(str(folder / place / f"{i}.png"), cv2.cvtColor(turned, cv2.COLOR_RGBA2BGRA))
    return folder


def write_source(folder: Path) -> CompositeSource:
    """Both, composed in this process."""
    faces, occluders = write_faces(folder / "faces"), write_cutouts(folder / "occluders")
    return CompositeSource(faces, occluders, mean_face().triangles, workers=0)
