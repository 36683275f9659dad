"""Extra: real clips, where they lie beside the repository. The product needs none of this."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stream import occlusions

CLIPS = Path(__file__).parents[2] / "shared" / "data" / "eval" / "clips_occluded"

# Looked at frame by frame: no hand near the face, and a hand well inside its outline. The first ten
# frames are left out: before a face is known, a grey beard is now and then taken for an occluder.
FRAMES = {"eat": (range(10, 25), range(36, 50)), "thankyou": (range(10, 14), range(20, 25))}


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the evaluation clips are not here")
@pytest.mark.parametrize("name", FRAMES)
def test_a_real_hand_is_marked_and_a_bare_face_is_not(name: str) -> None:
    torch.set_num_threads(1)
    bare, covered = FRAMES[name]
    coverage, ids = {}, set()
    for result in occlusions(CLIPS / f"{name}.mp4"):
        assert len(result.masks) == 1
        coverage[result.frame.index] = result.masks[0].coverage
        ids.add(result.masks[0].track_id)
        if result.frame.index == covered[-1]:
            break
    assert max(coverage[i] for i in bare) < 0.02
    assert min(coverage[i] for i in covered) > 0.03
    assert len(ids) == 1
