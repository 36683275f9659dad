"""Which face is where: detection, tracking through occlusion, alignment. No torch here.

A tracker is one file: ``trackers/byte.py`` holds ``ByteTracker`` and is asked for as ``"byte"``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trackers.align import align
from trackers.detect import Detector, MediaPipeDetector
from trackers.faces import AlignedFace, FaceDetection, TrackedFace, TrackState

__all__ = [
    "AlignedFace",
    "Detector",
    "FaceDetection",
    "MediaPipeDetector",
    "TrackState",
    "TrackedFace",
    "Tracker",
    "align",
    "make_tracker",
    "tracker_names",
]


class Tracker(Protocol):
    """Follows faces from frame to frame; one per stream, not thread-safe."""

    @property
    def wants_detections(self) -> bool:
        """Whether the detector should run on the next frame."""
        ...

    def update(
        self, image: NDArray[np.uint8], detections: Sequence[FaceDetection] | None
    ) -> list[TrackedFace]:
        """Go one frame on; call once per frame, also with nothing detected.

        Args:
            image: (H, W, 3) uint8 RGB, at least 16 x 16.
            detections: faces of this frame; None if the detector was not run on it.

        Returns:
            The faces seen or coasting in this frame, by track_id; a lost one is no longer there.
        """
        ...

    def cover(self, track_id: int, covered: NDArray[np.float32]) -> None:
        """Say how covered (468 landmarks, 0-1) a face was in this frame; unknown ids are ignored."""
        ...

    def interrupt(self) -> None:
        """What comes next does not follow from what was: nobody is carried on, all may come back."""

    def rest(self, track_id: int) -> None:
        """Say that nobody needs a face's landmarks found anew in the next frame: a tracker may carry them
        there with less care.  Unknown ids are ignored.
        """
        ...

    def reset(self) -> None:
        """Forget every face; ids begin at 1 again."""
        ...


def tracker_names() -> list[str]:
    """Names that :func:`make_tracker` takes: the files that hold a tracker."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return [name for name in names if _tracker_class(name) is not None]


def make_tracker(name: str, **settings: Any) -> Tracker:
    """A new tracker.

    Args:
        name: its file's name, as ``"byte"``.
        settings: keyword arguments of its class.

    Raises:
        ValueError: no tracker has that name.
    """
    names = tracker_names()
    if name not in names:
        raise ValueError(f"no tracker named {name!r}; there are: {', '.join(names)}")
    tracker: Tracker = _tracker_class(name)(**settings)
    return tracker


def _tracker_class(name: str) -> Any:
    return getattr(importlib.import_module(f"trackers.{name}"), f"{name.capitalize()}Tracker", None)
