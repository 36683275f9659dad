"""Frames in, occlusion masks out. Read this first: :meth:`Pipeline.__call__` is the whole method.

Around it, ``stream/run.py`` reads a source ahead of it and writes sinks behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from configs import Settings, load_settings
from s3pot.bank import ReferenceBank
from s3pot.evidence import PromptOptions
from s3pot.model import S3POT, ModelOptions
from s3pot.paper import PaperOptions
from s3pot.types import OcclusionMask, Reference
from stream.frame import Frame, FrameResult
from stream.smooth import LogitSmoother
from trackers import (
    AlignedFace,
    Detector,
    MediaPipeDetector,
    TrackedFace,
    Tracker,
    align,
    make_tracker,
)
from trackers.align import face_region
from trackers.mesh import mean_face

Field = NDArray[np.float32]

LEAST_PX = 16
"""A frame narrower or lower than this holds no face that a detector could see."""

LEARN_BELOW_COVERAGE = 0.6
"""Beyond this share of a face covered its landmarks are a guess: nothing is learned from it."""


class Pipeline:
    """The per-frame work, in the caller's thread; remembers faces from frame to frame.

    Args:
        detector, tracker, model, bank, smoother: the stages.
        size: S, side of the aligned square in px.
    """

    def __init__(
        self, *, detector: Detector, tracker: Tracker, model: S3POT, bank: ReferenceBank,
        smoother: LogitSmoother, size: int,
    ) -> None:  # fmt: skip
        self.detector, self.tracker, self.model = detector, tracker, model
        self.bank, self.smoother, self.size = bank, smoother, size

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        """Find what covers each face, one result a frame, in order."""
        for frame in frames:
            if min(frame.image.shape[:2]) < LEAST_PX:
                yield FrameResult(frame, (), ())
                continue
            detections = self.detector(frame.image) if self.tracker.wants_detections else None
            tracked = self.tracker.update(frame.image, detections)
            faces = [align(frame.image, face, self.size) for face in tracked]
            before = faces_before(tracked, faces)
            masks = self.occlusions(faces, [face.age for face in tracked], before)
            for face, mask in zip(faces, masks, strict=True):
                # For a landmark, to be cut off by the frame is as good as to be covered.
                hidden = np.where(face.inside, mask.probability, 1).astype(np.float32)
                self.tracker.cover(face.track_id, at_points(hidden, face.landmarks))
            self.smoother.keep({face.track_id for face in faces})
            yield FrameResult(frame, tuple(tracked), tuple(masks))

    def occlusions(
        self, faces: Sequence[AlignedFace], ages_frames: Sequence[int],
        before: Sequence[NDArray[np.bool_]] | None = None,
    ) -> list[OcclusionMask]:  # fmt: skip
        """RF, FE, PS, decode, smooth, and learn, for all faces of a frame together.

        ``before`` is where another tracked face is in front of each, (S, S); None: nowhere.  No
        network is asked whether that is an occluder, for what it sees there is a face.
        """
        if not faces:
            return []
        references = self.references(faces)
        features = self.model.enhance([face.image for face in faces], references)
        decoded = self.model.decode(features, [face.region for face in faces])
        masks = []
        nowhere = [np.zeros(face.region.shape, bool) for face in faces]
        for face, logits, reference, age, hidden in zip(
            faces, decoded, references, ages_frames, before or nowhere, strict=True
        ):
            probability = sigmoid(self.smoother.smooth(face.track_id, logits))
            probability[hidden] = 1
            mask = wrap(face, probability, reference)
            if mask.coverage < LEARN_BELOW_COVERAGE:
                self.bank.observe(
                    face.identity, face.image, face.landmarks, probability, face.inside,
                    age_frames=age,
                )  # fmt: skip
            masks.append(mask)
        return masks

    def references(self, faces: Sequence[AlignedFace]) -> list[Reference]:
        """RF: each face as remembered, what is missing invented first."""
        for face in faces:
            if self.model.generates and self.bank.wants_invention(face.identity):
                self.invent(face)
        return [self.bank.reference(face.identity, face.landmarks) for face in faces]

    def invent(self, face: AlignedFace) -> None:
        """RF by the generator: what a first look takes for hidden, or the whole face, is painted.

        A method that finds nothing without a reference has no first look: for it, the whole face.
        """
        hidden = np.zeros(face.region.shape, np.float32)
        if self.model.method.cold:
            remembered = self.bank.reference(face.identity, face.landmarks)
            features = self.model.enhance([face.image], [remembered])
            hidden = sigmoid(self.model.decode(features, [face.region])[0])
        elif not self.model.paints_whole:  # nobody knows yet what is hidden: all of it may be
            hidden = face.region.astype(np.float32)
        wide, whole = self.bank.widened(hidden), self.model.paints_whole
        painted = face.image  # nothing of it is taken where nothing is painted
        if whole or wide[face.region].any():
            structure = self.bank.structure(face.landmarks)
            if whole:  # what the frame cuts off is black, and no colour of the face
                wide = np.maximum(wide, face.region & ~face.inside)
            (painted,) = self.model.generate([face.image], [wide], [structure])
        self.bank.invent(face.identity, painted, face.landmarks, hidden, whole=whole)

    def reset(self) -> None:
        """Forget every face: another stream begins."""
        self.tracker.reset()
        self.bank.reset()
        self.smoother.reset()

    def close(self) -> None:
        """Let the detector go."""
        self.detector.close()

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> Pipeline:
        """Build every stage from settings (defaults when None); see ``configs/default.toml``."""
        s = settings or load_settings()
        r, mean, size = s.reference, mean_face(), s.align.size
        return cls(
            detector=MediaPipeDetector(
                min_score=s.detect.min_score, small_faces=s.detect.small_faces, max_faces=s.detect.max_faces
            ),
            tracker=make_tracker(
                s.track.tracker, detect_every=s.track.detect_every, high_score=s.track.high_score,
                low_score=s.track.low_score, mesh_score=s.track.mesh_score,
                max_coast_frames=s.track.max_coast_frames,
            ),
            model=make_model(s),
            bank=ReferenceBank(
                mean.points_px(size), mean.triangles, size, rate=r.rate, clean_below=r.clean_below,
                margin_px=r.margin_px, min_age_frames=r.min_age_frames, generated_trust=r.generated_trust,
                history=r.history, invention_frames=r.invention_frames, parts=mean.parts,
            ),
            smoother=LogitSmoother(s.smooth.attack, s.smooth.release, s.smooth.jump),
            size=size,
        )  # fmt: skip


def make_model(s: Settings) -> S3POT:
    """The method as the settings ask for it."""
    m, r = s.model, s.reference
    options = ModelOptions(
        method=m.method, name=m.name, checkpoint=m.checkpoint, generator=r.generator,
        source=r.source, controlnet=r.controlnet, parser=r.parser, device=m.device,
        size=s.align.size, folder=m.weights, threads=m.threads,
    )  # fmt: skip
    prompts = PromptOptions(**s.prompts.model_dump(), treat=s.treat.model_dump())
    paper = s.paper.model_dump(exclude={"adapter"})
    return S3POT(options, prompts=prompts, paper=PaperOptions(**paper), adapter=s.paper.adapter)


def faces_before(
    tracked: Sequence[TrackedFace], faces: Sequence[AlignedFace]
) -> list[NDArray[np.bool_]]:
    """For each face of a frame, (S, S) bool, where other faces are in front of it, in its square."""
    by_id = {other.track_id: other for other in tracked}
    areas = []
    for one, face in zip(tracked, faces, strict=True):
        size, matrix = face.region.shape[0], face.frame_to_face
        area = np.zeros(face.region.shape, bool)
        for other in (by_id[track_id] for track_id in one.behind if track_id in by_id):
            points = other.landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
            area |= face_region(points.astype(np.float32), size)
        areas.append(area)
    return areas


def sigmoid(logits: Field) -> Field:
    """Logits to probability, float32."""
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def wrap(face: AlignedFace, probability: Field, reference: Reference) -> OcclusionMask:
    """Clip to the face and sum up; (S, S) probability in face space.

    What the frame cuts off is black in the crop and may look covered: no share counts it.
    """
    shown = face.region & face.inside
    inside = np.where(face.region, probability, 0).astype(np.float32)
    area = max(1, int(shown.sum()))
    return OcclusionMask(
        track_id=face.track_id, probability=inside, region=face.region,
        frame_to_face=face.frame_to_face, coverage=float((inside > 0.5)[shown].sum() / area),
        confidence=float(np.abs(2 * probability - 1)[shown].mean()) if shown.any() else 0.0,
        reference=reference,
    )  # fmt: skip


def at_points(field: Field, points: Field) -> Field:
    """(N,) values of an (S, S) field at (N, 2 or 3) points x y; 0 off the field."""
    xs, ys = points[:, :1].astype(np.float32), points[:, 1:2].astype(np.float32)
    return cv2.remap(field, xs, ys, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[:, 0]
