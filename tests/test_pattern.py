"""A source without a camera."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest

from stream.inlets import open_source
from trackers import MediaPipeDetector


def test_it_shows_a_face_that_moves_at_its_own_pace() -> None:
    source = open_source("pattern:")
    frames = list(islice(source, 12))
    source.close()
    assert [frame.index for frame in frames] == list(range(12))
    assert {float(b.time - a.time) for a, b in pairwise(frames)} == {0.04}
    spent = frames[-1].received_seconds - frames[0].received_seconds
    assert spent > 9 * 0.04
    detector = MediaPipeDetector()
    boxes = [detector(frame.image)[0].box_px for frame in (frames[0], frames[-1])]
    detector.close()
    assert abs(boxes[0] - boxes[1]).max() > 0.1


def test_it_ends_when_told() -> None:
    assert len(list(open_source("pattern:0.4"))) == 10
    source = open_source("pattern:")
    for frame in source:
        if frame.index == 3:
            source.close()
    assert frame.index == 3
    with pytest.raises(ValueError, match="soon"):
        open_source("pattern:soon")
