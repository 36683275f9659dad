"""Which face is where: detection, tracking through occlusion, alignment. No torch here."""

from trackers.align import align
from trackers.faces import AlignedFace, FaceDetection, TrackedFace, TrackState

__all__ = ["AlignedFace", "FaceDetection", "TrackState", "TrackedFace", "align"]
