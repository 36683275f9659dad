"""The types that move through the stream. Arrays are read-only by convention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from s3pot.types import OcclusionMask
from stream.sound import Sound
from trackers.faces import TrackedFace


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture, upright (rotation metadata applied).

    Attributes:
        image: (H, W, 3) uint8 RGB.
        index: from 0, in presentation order; no number is skipped.
        time: presentation time in seconds, exact; the first may be other than 0.
        source: name of the source, credentials removed.
        duration: seconds it is shown, exact, where the source says.
        epoch: of a live source, how often it was connected anew; nothing of another epoch goes on.
        received_seconds: of a live source, ``time.monotonic()`` when it was decoded.
        sound: of a live source, what was heard since the frame before.
        damaged: of a live source, something is known to be lost since the last key frame: parts of the
            picture may be of another time. (FFmpeg does not tell of a picture that is missing whole.)
    """

    image: NDArray[np.uint8]
    index: int
    time: Fraction
    source: str
    duration: Fraction | None = None
    epoch: int = 0
    received_seconds: float = 0.0
    sound: tuple[Sound, ...] = ()
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the privacy policy decided of a frame.

    Attributes:
        states: how far each face can be believed, by track id: "sure", "held", "unsure", "lost"; also
            of those who are lost and not among the faces.
        covered: why the whole picture is covered, in a few words; empty where it is not.
    """

    states: Mapping[int, str]
    covered: str


@dataclass(frozen=True, slots=True)
class FrameResult:
    """A frame with what was found in it.

    Attributes:
        frame: the picture the result belongs to.
        faces: the tracked faces, seen or coasting, by track_id.
        masks: one per face, same order.
        looked: whether the detector ran on this frame, so that a new face would have been found.
        failure: why nothing is known of this frame, in plain words; empty where all went well.
        verdict: of a policy that hides; None where nobody decided.
    """

    frame: Frame
    faces: tuple[TrackedFace, ...]
    masks: tuple[OcclusionMask, ...]
    looked: bool = False
    failure: str = ""
    verdict: Verdict | None = None


def heard(dropped: Frame, following: Frame) -> Frame:
    """The next frame with the sound of one that was dropped: what is heard has no gaps."""
    if not dropped.sound:
        return following
    return replace(following, sound=dropped.sound + following.sound)


def heard_in(dropped: FrameResult, following: FrameResult) -> FrameResult:
    """The same of results."""
    return replace(following, frame=heard(dropped.frame, following.frame))
