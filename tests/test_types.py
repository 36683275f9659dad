"""Where a mask may say something."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from s3pot.types import RIM, OcclusionMask, reach
from stream.competitors import no_reference
from stream.pipeline import wrap
from trackers import AlignedFace

SIZE = 64
RIM_PX = int(RIM * SIZE)


def square() -> NDArray[np.bool_]:
    region = np.zeros((SIZE, SIZE), np.bool_)
    region[20:40, 20:40] = True
    return region


def masked(probability: NDArray[np.float32], shift: float = 0.0) -> OcclusionMask:
    """A mask of a crop that lies ``shift`` px to the right of the frame's corner."""
    matrix = np.array([[1.0, 0, -shift], [0, 1, -shift]])
    return OcclusionMask(1, probability, square(), matrix, coverage=0.0, confidence=0.0)


def test_a_mask_reaches_a_rim_beyond_the_face_and_no_further() -> None:
    wide = reach(square())
    rows = np.flatnonzero(wide[:, 30])
    assert (rows[0], rows[-1]) == (20 - RIM_PX, 39 + RIM_PX)
    assert not wide[20 - RIM_PX, 20 - RIM_PX]  # round at the corners: a distance
    assert not reach(np.zeros_like(square())).any()


def test_an_occluder_is_not_cut_off_at_the_faces_outline() -> None:
    face = AlignedFace(
        track_id=1, identity=1, image=np.zeros((SIZE, SIZE, 3), np.uint8), frame_to_face=np.eye(2, 3),
        landmarks=np.zeros((468, 3), np.float32), region=square(), inside=np.ones_like(square()),
        trust=np.ones(468, np.float32), pose_degrees=(0.0, 0.0, 0.0),
    )  # fmt: skip
    everywhere = np.ones((SIZE, SIZE), np.float32)
    everywhere[:, :30] = 0
    mask = wrap(face, everywhere, no_reference(SIZE))
    assert np.array_equal(mask.probability > 0.5, reach(square()) & (everywhere > 0.5))
    assert mask.coverage == 0.5  # of the face alone


def test_all_that_is_marked_lies_in_the_box() -> None:
    probability = reach(square()).astype(np.float32)
    frame = masked(probability, shift=7.0).to_frame(100, 90)
    assert frame[7 : 7 + SIZE, 7 : 7 + SIZE].sum() == probability.sum() == frame.sum()
