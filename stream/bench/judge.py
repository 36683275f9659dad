"""Scores an entrant's masks of a scene against its truth, in the square of the *true* face.

Read :func:`judge` first.  Where a face is, and what region of the picture is face, comes from the
scene, never from the entrant: who loses a face is charged for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np
from numpy.typing import NDArray

from s3pot import temporal
from s3pot.metrics import COVERED_SHARE, FaceScore, score
from stream.bench.entrants import Answer
from stream.bench.stage import SceneFrame, TrueFace
from trackers.align import align_landmarks, cut, face_region
from trackers.boxes import box_around, match

Alpha = NDArray[np.float32]
Image = NDArray[np.uint8]

SIZE = 192
"""Side of the square in px; two px of boundary mean the same on every face."""

RIM_PX = 6
"""An entrant's face may end so far from the true one: no outline within it counts for F."""

SAME_FACE_IOU = 0.3
"""An entrant's box is of a face if it overlaps the true one by this."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One face of one frame, in the square that its true landmarks span.

    Attributes:
        frame: index in the scene.
        actor: whose face.
        box_px: (4,) around its landmarks, in px of the frame.
        frame_to_face: (2, 3), frame px -> px of the square, pixel centres at integers.
        region: (S, S) bool, face area that lies in the picture.
        covered: (S, S) float32 0-1, what is in front of it.
        crop: (S, S, 3) uint8 RGB.
    """

    frame: int
    actor: int
    box_px: NDArray[np.float32]
    frame_to_face: NDArray[np.float64]
    region: NDArray[np.bool_]
    covered: Alpha
    crop: Image


@dataclass(frozen=True, slots=True)
class Row:
    """One entrant's mask of one face of one frame.

    Attributes:
        scene, kind: where it is from.
        frame, actor: see :class:`Truth`.
        entrant: whose mask.
        found: whether the face was found at all; else its mask is empty.
        track_id: that the entrant gave the face; None if it gives none.
        score: of the mask.
        dtssd, flicker, warp_error, trail, leak: see :mod:`s3pot.temporal`; nan where not defined.
    """

    scene: str
    kind: str
    frame: int
    actor: int
    entrant: str
    found: bool
    track_id: int | None
    score: FaceScore
    dtssd: float
    flicker: float
    warp_error: float
    trail: float
    leak: float


@dataclass(frozen=True, slots=True)
class Part:
    """One entrant's masks of one face while it is in the picture without a break.

    Attributes:
        rows: a row for each frame.
        onsets, releases: what came and went, see :mod:`s3pot.temporal`.
        latency_frames: by which the masks come late; None where nothing comes in front.
    """

    rows: list[Row]
    onsets: list[temporal.Event]
    releases: list[temporal.Event]
    latency_frames: int | None


def true_faces(frames: Sequence[SceneFrame]) -> list[Truth]:
    """The faces of a scene's frames, each cut out once for all entrants."""
    return [
        true_face(index, frame, face) for index, frame in enumerate(frames) for face in frame.faces
    ]


def true_face(index: int, frame: SceneFrame, face: TrueFace) -> Truth:
    """One face, cut out."""
    matrix = align_landmarks(face.landmarks, np.ones(len(face.landmarks), np.float32), SIZE)
    points = face.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    inside = cv2.warpAffine(np.ones(frame.image.shape[:2], np.uint8), matrix, (SIZE, SIZE),
                            flags=cv2.INTER_NEAREST)  # fmt: skip
    return Truth(
        frame=index, actor=face.actor, box_px=box_around(face.landmarks), frame_to_face=matrix,
        region=face_region(points.astype(np.float32), SIZE) & (inside > 0),
        covered=carried(face.covered, matrix), crop=cut(frame.image, matrix, SIZE),
    )  # fmt: skip


def carried(alpha: Alpha, matrix: NDArray[np.float64]) -> Alpha:
    """A frame's (H, W) alpha in a face's square."""
    return cut(np.round(alpha * 255).astype(np.uint8), matrix, SIZE) / np.float32(255)


def judge(
    scene: str, kind: str, entrant: str, truths: Sequence[Truth],
    answers: Sequence[Sequence[Answer]],
) -> list[Part]:  # fmt: skip
    """Score all answers of an entrant to a scene.

    Args:
        scene: for the rows.
        kind: for the rows.
        entrant: for the rows.
        truths: the faces, by frame.
        answers: one sequence for each frame.
    """
    given = [given_to(truth, truths, answers[truth.frame]) for truth in truths]
    pairs = list(zip(truths, given, strict=True))
    parts = []
    for actor in sorted({truth.actor for truth in truths}):
        its = [pair for pair in pairs if pair[0].actor == actor]
        parts += [part(scene, kind, entrant, run) for run in unbroken(its)]
    return parts


def given_to(truth: Truth, truths: Sequence[Truth], answers: Sequence[Answer]) -> Answer | None:
    """The answer that is about a face: the one whose box fits it best, and no other face better."""
    everywhere = [answer for answer in answers if answer.box_px is None]
    if everywhere:
        return everywhere[0]
    boxed = [answer.box_px for answer in answers if answer.box_px is not None]
    if not boxed:
        return None
    beside = [other for other in truths if other.frame == truth.frame]
    pairs = match(np.stack([t.box_px for t in beside]), np.stack(boxed), SAME_FACE_IOU)
    mine = pairs.get(next(i for i, other in enumerate(beside) if other is truth))
    return None if mine is None else answers[mine]


Pair = tuple[Truth, Answer | None]


def unbroken(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Runs of consecutive frames."""
    runs = groupby(enumerate(pairs), lambda item: item[1][0].frame - item[0])
    return ([pair for _, pair in run] for _, run in runs)


def part(scene: str, kind: str, entrant: str, pairs: Sequence[Pair]) -> Part:
    """Score one face's run of frames."""
    truths = [truth for truth, _ in pairs]
    found = np.array([answer is not None for _, answer in pairs])
    alpha = np.stack([
        np.zeros((SIZE, SIZE), np.float32) if answer is None
        else carried(answer.alpha, truth.frame_to_face)
        for truth, answer in pairs
    ])  # fmt: skip
    covered, region = np.stack([t.covered for t in truths]), np.stack([t.region for t in truths])
    series = {
        "dtssd": temporal.dtssd(alpha, covered, region),
        "flicker": temporal.flicker(alpha, covered, region),
        "warp_error": temporal.warp_error(alpha, np.stack([t.crop for t in truths]), region),
        "trail": temporal.trail(alpha, covered, region),
        "leak": temporal.leak(alpha, covered, region, found),
    }
    scores = [
        score(a > 0.5, c > 0.5, r, rim_px=RIM_PX)
        for a, c, r in zip(alpha, covered, region, strict=True)
    ]
    rows = [
        Row(scene, kind, truth.frame, truth.actor, entrant, found=answer is not None,
            track_id=None if answer is None else answer.track_id, score=scores[i],
            **{name: float(values[i]) for name, values in series.items()})
        for i, (truth, answer) in enumerate(pairs)
    ]  # fmt: skip
    shares = [s.covered for s in scores]
    return Part(
        rows,
        temporal.onsets(shares, [0.0 if np.isnan(s.iou) else s.iou for s in scores]),
        temporal.releases(shares, [s.false_alarm for s in scores]),
        temporal.latency_frames(alpha, covered, region) if max(shares) >= COVERED_SHARE else None,
    )
