"""One-to-one matching: both fast ways against the slow, obvious walk down the sorted list."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from s3pot.matching import NOBODY, greedy, likeness, match, mutual_best, similarity


def walk(values: NDArray[np.float32]) -> list[int]:
    """method.md 3.2 word for word: sort all pairs, walk down, accept if row and column are free."""
    rows, columns = values.shape
    pairs = [(-values[i, j], i, j) for i in range(rows) for j in range(columns)]
    partner, used = [NOBODY] * rows, set()
    for value, i, j in sorted(p for p in pairs if np.isfinite(p[0])):
        assert np.isfinite(value)
        if partner[i] == NOBODY and j not in used:
            partner[i] = j
            used.add(j)
    return partner


def both(values: NDArray[np.float32]) -> tuple[list[int], list[int]]:
    return greedy(values).tolist(), mutual_best(torch.from_numpy(values)[None])[0].tolist()


@pytest.mark.parametrize("seed", range(30))
def test_both_ways_are_the_walk(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 24, 2)
    values = rng.standard_normal((rows, columns)).astype(np.float32)
    if seed % 2:
        values[rng.random(values.shape) < 0.6] = -np.inf
    if seed % 3 == 0:  # many ties
        values = np.where(np.isfinite(values), values.round(), values)
    expected = walk(values)
    assert both(values) == (expected, expected)
    if seed % 2 == 0:
        assert sum(p != NOBODY for p in expected) == min(rows, columns)


def test_of_equal_pairs_the_lower_row_then_the_lower_column_goes_first() -> None:
    same = np.ones((3, 5), np.float32)
    assert both(same) == ([0, 1, 2], [0, 1, 2])
    tall = np.ones((4, 2), np.float32)
    assert both(tall) == ([0, 1, NOBODY, NOBODY],) * 2


def test_the_best_pair_wins_though_it_costs_others_theirs() -> None:
    values = np.array([[0.9, 0.8], [0.95, 0.1]], np.float32)
    assert both(values) == ([1, 0], [1, 0])  # not 0.9 + 0.1, nor the best sum by luck


def test_nothing_allowed_matches_nothing() -> None:
    barred = np.full((3, 4), -np.inf, np.float32)
    assert both(barred) == ([NOBODY] * 3,) * 2
    barred[1, 2] = np.nan  # of a token of zeros
    assert both(barred) == ([NOBODY] * 3,) * 2
    for shape in ((0, 4), (4, 0)):
        assert both(np.zeros(shape, np.float32)) == ([NOBODY] * shape[0],) * 2


def test_a_batch_is_its_pictures() -> None:
    values = torch.randn(4, 7, 9, generator=torch.Generator().manual_seed(1))
    values[2] = -torch.inf
    for way in (match, mutual_best):
        result = way(values)
        assert result.dtype == torch.int64
        assert result.tolist() == [walk(page.numpy()) for page in values]


def test_no_column_is_taken_twice() -> None:
    values = torch.randn(2, 40, 30, generator=torch.Generator().manual_seed(2))
    for partners in mutual_best(values).tolist():
        found = [p for p in partners if p != NOBODY]
        assert len(found) == len(set(found)) == 30


# similarity and likeness

GRID = 5


def tokens(seed: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 8, GRID, GRID, generator=torch.Generator().manual_seed(seed))


def face() -> torch.Tensor:
    area = torch.zeros(2, GRID, GRID, dtype=torch.bool)
    area[0, 1:4, 1:5] = True
    area[1, :, 2:4] = True
    return area


@pytest.mark.parametrize("window", [0, 1, 2])
def test_similarity_is_the_cosine_of_the_allowed_pairs(window: int) -> None:
    a, b, area = tokens(1), tokens(2), face()
    fast = similarity(a, b, area, area, window)
    for n in range(2):
        for i in range(GRID * GRID):
            for j in range(GRID * GRID):
                (yi, xi), (yj, xj) = divmod(i, GRID), divmod(j, GRID)
                allowed = bool(area[n, yi, xi] and area[n, yj, xj])
                if window and max(abs(yi - yj), abs(xi - xj)) > window:
                    allowed = False
                if allowed:
                    expected = F.cosine_similarity(a[n, :, yi, xi], b[n, :, yj, xj], dim=0)
                    torch.testing.assert_close(fast[n, i, j], expected)
                else:
                    assert fast[n, i, j] == -torch.inf


@pytest.mark.parametrize("window", [0, 1, 2])
@pytest.mark.parametrize("everywhere", [False, True])
def test_likeness_without_the_idle_tokens_is_that_of_the_whole_matrix(
    window: int, everywhere: bool
) -> None:
    a, b, rows = tokens(3), tokens(4), face()
    columns = torch.ones_like(rows) if everywhere else rows
    whole = similarity(a, b, rows, columns, window)
    expected = torch.full((2, GRID * GRID), -torch.inf)
    for n in range(2):
        for i, j in enumerate(walk(whole[n].numpy())):
            if j != NOBODY:
                expected[n, j] = whole[n, i, j]
    torch.testing.assert_close(likeness(a, b, rows, columns, window).flatten(1), expected)


def test_a_face_of_no_tokens_has_no_likeness() -> None:
    nowhere = torch.zeros(2, GRID, GRID, dtype=torch.bool)
    assert (likeness(tokens(1), tokens(2), nowhere, nowhere) == -torch.inf).all()


def test_a_token_finds_itself_where_it_was_moved_within_the_window() -> None:
    a = tokens(5)
    b = a.roll(1, 3)
    everywhere = torch.ones(2, GRID, GRID, dtype=torch.bool)
    near = likeness(a, b, everywhere, everywhere, 1)
    torch.testing.assert_close(near[:, :, 1:], torch.ones(2, GRID, GRID - 1))
    assert (near[:, :, 0] < 0.9).all()  # what came in over the edge is five tokens away
    far = likeness(a, b, everywhere, everywhere, 0)
    torch.testing.assert_close(far, torch.ones(2, GRID, GRID))
