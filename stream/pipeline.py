"""Frames in, occlusion masks out. Read this first: :meth:`Pipeline.__call__` is the whole method.

Around it, ``stream/run.py`` reads a source ahead of it and writes sinks behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from configs import Settings, load_settings
from s3pot.bank import ReferenceBank
from s3pot.evidence import PromptOptions
from s3pot.model import S3POT, ModelOptions
from s3pot.paper import PaperOptions
from s3pot.types import OcclusionMask, Reference, reach
from stream.ahead import LookAhead
from stream.frame import Frame, FrameResult
from stream.references import References
from stream.router import Router
from stream.scout import Scout
from stream.smooth import FlowSmoother, Past, sigmoid
from trackers import (
    AlignedFace,
    Detector,
    MediaPipeDetector,
    TrackedFace,
    Tracker,
    align,
    make_tracker,
)
from trackers.mesh import mean_face
from trackers.overlaps import faces_before

Field = NDArray[np.float32]

NOWHERE: Mapping[int, NDArray[np.bool_]] = MappingProxyType({})

LEAST_PX = 16
"""A frame narrower or lower than this holds no face that a detector could see."""

LEARN_BELOW_COVERAGE = 0.6
"""Beyond this share of a face covered its landmarks are a guess: nothing is learned from it."""


class Pipeline:
    """The per-frame work, in the caller's thread; remembers faces from frame to frame.

    Args:
        detector, tracker, model, bank, smoother: the stages.
        router, scout: say when the model is to look at a face, and the detector at a frame.
        ahead: holds results back, where masks are to know what comes.
        size: S, side of the aligned square in px.
        background: frames do not wait for the generator of references; see ``References``.
    """

    def __init__(
        self, *, detector: Detector, tracker: Tracker, model: S3POT, bank: ReferenceBank,
        smoother: FlowSmoother, router: Router, scout: Scout,
        ahead: LookAhead, size: int, background: bool = False,
    ) -> None:  # fmt: skip
        self.detector, self.tracker, self.model = detector, tracker, model
        self.bank, self.smoother, self.router, self.scout = bank, smoother, router, scout
        self.ahead, self.size = ahead, size
        self._epoch = 0
        self.references = References(model, bank, background=background)
        self._tracked: list[TrackedFace] = []  # in the frame before
        self._shown: dict[int, Reference] = {}  # in each track's last look

    def __call__(self, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        """Find what covers each face, one result a frame, in order."""
        for frame in frames:
            if frame.epoch != self._epoch:
                self.interrupt(frame.epoch)
            if min(frame.image.shape[:2]) < LEAST_PX:
                yield from self.ahead.push(FrameResult(frame, (), ()))
                continue
            asked = self.tracker.wants_detections
            wanted = self.scout.wants_detections(frame.image, self._tracked, asked=asked)
            detections = self.detector(frame.image) if wanted else None
            tracked = self._tracked = self.tracker.update(frame.image, detections)
            faces = [align(frame.image, face, self.size) for face in tracked]
            before = faces_before(tracked, faces)
            masks = self.occlusions(faces, [face.age for face in tracked], before)
            for face, mask in zip(faces, masks, strict=True):
                # For a landmark, to be cut off by the frame is as good as to be covered.
                hidden = np.where(face.inside, mask.probability, 1).astype(np.float32)
                self.tracker.cover(face.track_id, at_points(hidden, face.landmarks))
                if self.router.waits(face.track_id):
                    self.tracker.rest(face.track_id)
            self.keep({face.track_id for face in faces})
            self.references.keep({face.identity for face in faces})
            yield from self.ahead.push(FrameResult(frame, tuple(tracked), tuple(masks), wanted))
        yield from self.ahead.flush()

    def occlusions(
        self, faces: Sequence[AlignedFace], ages_frames: Sequence[int],
        before: Mapping[int, NDArray[np.bool_]] = NOWHERE,
    ) -> list[OcclusionMask]:  # fmt: skip
        """RF, FE, PS, decode, smooth, and learn, for all faces of a frame that are due together.

        The mask of a face that is not due is its last one, carried along with the picture.

        Args:
            faces: aligned.
            ages_frames: for how many frames each has been followed.
            before: track_id -> (S, S) bool, where another face is in front of it.  No network is
                asked whether that is an occluder, for what it sees there is a face.
        """
        self.references.collect()
        pasts = [self.smoother.recall(face.track_id, face.image) for face in faces]
        due = [
            (face, past)
            for face, past in zip(faces, pasts, strict=True)
            if self.router.wants_look(face, past)
        ]
        looks = self.look(due)
        masks = []
        for face, past, age in zip(faces, pasts, ages_frames, strict=True):
            covered = before.get(face.track_id)
            if face.track_id in looks or past is None:
                mask = self.infer(face, looks[face.track_id], past, age, covered)
            else:
                probability = with_covered(sigmoid(past.logits), covered)
                mask = wrap(face, probability, self._shown[face.track_id])
                mask = replace(mask, carried_frames=self.router.carried_frames(face.track_id))
            masks.append(mask)
        return masks

    def look(self, due: Sequence[tuple[AlignedFace, Past | None]]) -> dict[int, Field]:
        """RF, FE, PS and decode: (S, S) logits by track, and their references kept."""
        if not due:
            return {}
        faces = [face for face, _ in due]
        carried = [np.zeros(f.region.shape, np.float32) if p is None else p.verdict for f, p in due]
        references = self.references(faces)
        features = self.model.enhance([face.image for face in faces], references)
        decoded = self.model.decode(features, [face.region for face in faces], carried)
        if not all(np.isfinite(logits).all() for logits in decoded):  # it would be remembered
            raise FloatingPointError("the network said nan or infinity of a face")
        ids = [face.track_id for face in faces]
        self._shown |= dict(zip(ids, references, strict=True))
        return dict(zip(ids, decoded, strict=True))

    def infer(
        self, face: AlignedFace, logits: Field, past: Past | None, age_frames: int,
        covered: NDArray[np.bool_] | None,
    ) -> OcclusionMask:  # fmt: skip
        """Smooth what the network said of a face, and learn from it."""
        self.router.learn(face, past, logits)
        smooth = self.smoother.smooth(face.track_id, logits, face.image, reach(face.region), past)
        probability = with_covered(sigmoid(smooth), covered)
        mask = wrap(face, probability, self._shown[face.track_id])
        if mask.coverage < LEARN_BELOW_COVERAGE:
            self.bank.observe(
                face.identity, face.image, face.landmarks, probability, face.inside,
                age_frames=age_frames,
            )  # fmt: skip
        return mask

    def keep(self, track_ids: set[int]) -> None:
        """Forget what was remembered from frame to frame of every track but these."""
        self.smoother.keep(track_ids)
        self.router.keep(track_ids)
        self._shown = {k: v for k, v in self._shown.items() if k in track_ids}

    def interrupt(self, epoch: int) -> None:
        """The source was lost and is back: who is there is found anew, and known by its looks.

        Masks and motion of before say nothing now; what a face looks like still holds.
        """
        self._epoch = epoch
        self.tracker.interrupt()
        self.smoother.reset()
        self.router.reset()
        self.scout.reset()
        self._tracked = []

    def reset(self) -> None:
        """Forget every face: another stream begins."""
        self._epoch = 0
        self.tracker.reset()
        self.references.reset()
        self.smoother.reset()
        self.router.reset()
        self.scout.reset()
        self.ahead.reset()
        self._shown.clear()
        self._tracked = []

    def close(self) -> None:
        """Let the detector go, and who paints in the background."""
        self.detector.close()
        self.references.close()

    @classmethod
    def from_settings(cls, settings: Settings | None = None, *, live: bool = False) -> Pipeline:
        """Build every stage from settings (defaults when None); see ``configs/default.toml``.

        Args:
            settings: as read.
            live: the frames come from a source that does not wait, ``source.info.live``.
        """
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
            smoother=FlowSmoother(**s.smooth.model_dump(exclude={"look_ahead"})), router=Router(s.model.compute),
            # Who has the detector look at every frame means it, whatever the masks cost.
            scout=Scout("full" if s.track.detect_every == 1 else s.model.compute), size=size,
            ahead=LookAhead(s.smooth.look_ahead, s.smooth.same_level),
            background=live if r.background == "auto" else r.background == "on",
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


def with_covered(probability: Field, covered: NDArray[np.bool_] | None) -> Field:
    """A probability, certain where something is known to be in front."""
    return probability if covered is None else np.where(covered, np.float32(1), probability)


def wrap(face: AlignedFace, probability: Field, reference: Reference) -> OcclusionMask:
    """Clip to the face and its rim, and sum up; (S, S) probability in face space.

    What the frame cuts off is black in the crop and may look covered: no share counts it.
    """
    shown = face.region & face.inside
    inside = np.where(reach(face.region), probability, 0).astype(np.float32)
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
