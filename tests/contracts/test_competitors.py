"""What every :class:`stream.competitors.Competitor` keeps to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from stream.competitors import SIMPLE, Competitor, make_competitor
from tests.eval_stand_ins import aligned, tracked
from trackers import AlignedFace, align

SETTINGS = (
    "model.device=cpu",
    "model.threads=1",
    "reference.generator=none",
    "detect.small_faces=false",
)
NAMES = [*SIMPLE, "config:realtime", "box:realtime"]


@pytest.fixture(params=NAMES, scope="module")
def competitor(request: pytest.FixtureRequest) -> Iterator[Competitor]:
    made = make_competitor(request.param, None, SETTINGS, 192)
    assert made.name == request.param
    yield made
    made.close()


def face_of(competitor: Competitor) -> AlignedFace:
    return align(data.astronaut()[:300], tracked((160, 40, 290, 215)), competitor.size)


def lower_half(face: AlignedFace) -> NDArray[np.bool_]:
    truth = np.zeros(face.region.shape, bool)
    truth[truth.shape[0] // 2 :] = True
    return truth


def test_it_answers_a_probability_for_each_px(competitor: Competitor) -> None:
    competitor.reset()
    for face in (face_of(competitor), aligned(side=competitor.size)):
        for truth in (lower_half(face), None):
            answer = competitor(face, truth, 0)
            assert answer.dtype == np.float32
            assert answer.shape == face.region.shape
            assert ((answer >= 0) & (answer <= 1)).all()


def test_it_changes_nothing_of_what_it_is_shown(competitor: Competitor) -> None:
    face = face_of(competitor)
    truth = lower_half(face)
    before = [a.copy() for a in (face.image, face.region, face.landmarks, truth)]
    competitor(face, truth, 0)
    for kept, shown in zip(before, (face.image, face.region, face.landmarks, truth), strict=True):
        np.testing.assert_array_equal(kept, shown)


def test_once_reset_it_has_forgotten(competitor: Competitor) -> None:
    face = face_of(competitor)
    truth = lower_half(face)
    competitor.reset()
    first = competitor(face, truth, 0).copy()
    for age in range(1, 5):  # old enough to be learned from
        competitor(aligned(seed=age, side=competitor.size), None, age)
    competitor.reset()
    np.testing.assert_array_equal(first, competitor(face, truth, 0))


def test_only_the_oracle_looks_at_the_truth(competitor: Competitor) -> None:
    face = face_of(competitor)
    answers = []
    for truth in (lower_half(face), None):
        competitor.reset()
        answers.append(competitor(face, truth, 0).copy())
    assert np.array_equal(*answers) != competitor.name.startswith("box")
