"""PS: which raw token each reference token is, one to one (method.md 3.1, 3.2).

The authors sort all M x N similarities and walk down: accept a pair if neither its row nor its
column is used.  Both ways here give that same matching without the sort, ties included: of equal
similarities the lower row goes first, then the lower column.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

NOBODY = -1
"""The partner of a row that found none."""


def similarity(
    reference: Tensor, raw: Tensor, rows: Tensor, columns: Tensor, window: int = 0
) -> Tensor:
    """Cosine of every reference token with every raw token; -inf where a match is not allowed.

    Args:
        reference: (B, C, G, G) tokens, the rows.
        raw: (B, C, G, G) tokens, the columns.
        rows: (B, G, G) bool, the reference tokens that look for a partner.
        columns: (B, G, G) bool, the raw tokens that may be one.
        window: tokens, in x and in y, within which a partner is looked for; 0 is everywhere.

    Returns:
        (B, G * G, G * G) float32, tokens in row-major order.
    """
    a, b = (F.normalize(x.flatten(2).float(), dim=1, eps=1e-8) for x in (reference, raw))
    allowed = rows.flatten(1)[:, :, None] & columns.flatten(1)[:, None]
    if window > 0:
        every = torch.arange(allowed.shape[1], device=raw.device)
        allowed = allowed & _near(every, every, raw.shape[-1], window)
    return torch.where(allowed, a.transpose(1, 2) @ b, -torch.inf)


def _near(rows: Tensor, columns: Tensor, grid: int, window: int) -> Tensor:
    """(M,) and (N,) tokens in row-major order -> (M, N) bool: at most ``window`` apart in x and y."""
    down = (rows[:, None] // grid - columns // grid).abs()
    across = (rows[:, None] % grid - columns % grid).abs()
    return torch.maximum(down, across) <= window


def match(similarity: Tensor) -> Tensor:
    """The greedy one-to-one matching, by the faster way for where the tensor is.

    Measured on one thread of a busy two-core machine, :func:`greedy` against :func:`mutual_best`:
    241 face tokens of a 24 x 24 grid 0.35 and 9.5 ms; 1669 of 64 x 64 against all 4096 45 and
    1170 ms (a sort and a walk: 800 ms and more).  On a GPU the copy to the host and back would hold
    up the stream, so the rounds stay there; no GPU was at hand to measure it.

    Args:
        similarity: (B, M, N) float; -inf (or nan) where a pair is not allowed.

    Returns:
        (B, M) int64 column of each row, NOBODY where it found none.
    """
    if similarity.device.type != "cpu":
        return mutual_best(similarity)
    pages = similarity.detach().float().numpy()
    return torch.from_numpy(np.stack([greedy(page) for page in pages]).astype(np.int64))


def likeness(
    reference: Tensor, raw: Tensor, rows: Tensor, columns: Tensor, window: int = 0
) -> Tensor:
    """How like its one partner each raw token is; arguments as of :func:`similarity`.

    On the CPU the pictures go one by one, without the rows and columns that take no part: a face
    fills two fifths of its crop, so that is a sixth of the work.

    Returns:
        (B, G, G) float32; -inf for a token that nobody took.
    """
    if raw.device.type != "cpu":
        value = similarity(reference, raw, rows, columns, window)
        return _taken(value, mutual_best(value)).view(columns.shape)
    a, b = (F.normalize(x.flatten(2).float(), dim=1, eps=1e-8) for x in (reference, raw))
    grid, out = raw.shape[-1], torch.full_like(b[:, 0], -torch.inf)
    for i in range(len(raw)):
        row, column = (x[i].flatten().nonzero()[:, 0] for x in (rows, columns))
        value = a[i][:, row].T @ b[i][:, column]
        if window > 0:
            value = torch.where(_near(row, column, grid, window), value, -torch.inf)
        out[i, column] = _taken(value[None], match(value[None]))[0]
    return out.view(columns.shape)


def _taken(similarity: Tensor, partner: Tensor) -> Tensor:
    """(B, M, N) similarities and (B, M) partners -> (B, N): of each column to the row that took it."""
    out = similarity.new_full((similarity.shape[0], similarity.shape[2]), -torch.inf)
    if similarity.shape[1] == 0:
        return out
    value = similarity.gather(2, partner.clamp(min=0)[..., None])[..., 0]
    value = torch.where(partner == NOBODY, -torch.inf, value)
    return out.scatter_reduce(1, partner.clamp(min=0), value, "amax")


def greedy(similarity: NDArray[np.float32]) -> NDArray[np.int64]:
    """One matching on the CPU: each row keeps its best column and looks anew when that is gone.

    Args:
        similarity: (M, N) float32; -inf (or nan) where a pair is not allowed.

    Returns:
        (M,) int64 column of each row, NOBODY where it found none.
    """
    return _greedy(np.ascontiguousarray(similarity, np.float32))


@numba.njit(cache=True)
def _greedy(similarity):  # type: ignore[no-untyped-def]  # numba wants none
    rows, columns = similarity.shape
    partner = np.full(rows, NOBODY, np.int64)
    best = np.full(rows, -np.inf, np.float32)
    at = np.zeros(rows, np.int64)
    taken = np.zeros(columns, np.bool_)
    for i in range(rows):
        best[i], at[i] = _best(similarity[i], taken)
    while True:
        row, top = -1, -np.inf
        for i in range(rows):
            if best[i] > top:
                row, top = i, best[i]
        if row < 0:
            return partner
        if taken[at[row]]:  # what it hoped for is gone: its bound falls to what is left
            best[row], at[row] = _best(similarity[row], taken)
        else:
            partner[row], taken[at[row]], best[row] = at[row], True, -np.inf


@numba.njit(cache=True)
def _best(line, taken):  # type: ignore[no-untyped-def]
    """The highest value of a line that is not taken, and where; -inf where none is allowed."""
    top, at = np.float32(-np.inf), 0
    for j in range(line.size):
        if line[j] > top and not taken[j]:
            top, at = line[j], j
    return top, at


def mutual_best(similarity: Tensor) -> Tensor:
    """The same matching in rounds: all pairs that are each other's best are accepted at once.

    A pair that is best in its row and in its column of what is left would be accepted by the walk
    down the sorted list too, whatever else it accepts before; so the result is the same.  A face
    takes six to ten rounds.  Nothing leaves the device but one bool a round.

    Args, Returns: as :func:`match`.
    """
    left = torch.where(similarity.isnan(), -torch.inf, similarity)
    batch, rows, columns = left.shape
    partner = torch.full((batch, rows), NOBODY, dtype=torch.int64, device=left.device)
    if rows == 0 or columns == 0:
        return partner
    own = torch.arange(rows, device=left.device)
    while True:
        value, column = left.max(2)  # of equal values torch.max gives the first
        suitor = left.max(1).indices
        mutual = (suitor.gather(1, column) == own) & (value > -torch.inf)
        if not bool(mutual.any()):
            return partner
        partner = torch.where(mutual, column, partner)
        taken = torch.zeros(batch, columns, dtype=torch.int64, device=left.device)
        taken = taken.scatter_add(1, column, mutual.long()) > 0
        left = left.masked_fill(mutual[:, :, None] | taken[:, None], -torch.inf)
