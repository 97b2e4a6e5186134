"""The best items by scores that are zero for almost all: what item-item weights give a user.

Those above zero are ranked; where they do not fill a list, items of score zero follow in the order
of ties, found from its front, and those below zero last. No row is ever made dense.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.ids import UNKNOWN
from pipeline.interactions import columns_of
from pipeline.nearest import falling
from pipeline.tiled import Asked


def top_k_sparse(scores: sp.csr_matrix, allowed: Flags | None, asked: Asked) -> tuple[Rows, Floats]:
    """Return the k best allowed items of each user.

    Shapes:
        scores: CSR (B, N), zero where nothing is stored. allowed: (N,), None for all.
        returns: items (B, k), ``UNKNOWN`` where there is none left, scores (B, k), -inf there.
    """
    shown = _shown(scores, allowed, asked)
    rows = np.repeat(np.arange(shown.shape[0]), np.diff(shown.indptr))
    values = shown.data.astype(np.float32)
    near = _near_the_top(rows, values, asked.k)
    rows, columns, values = rows[near], shown.indices[near], values[near]
    order = np.lexsort((asked.ties.places(rows, columns), -values, rows))
    begins = np.searchsorted(rows, np.arange(shown.shape[0] + 1))
    best = np.full((shown.shape[0], asked.k), UNKNOWN, dtype=np.int64)
    kept = np.full(best.shape, -np.inf, dtype=np.float32)
    free = _Free(scores, allowed, asked, np.argsort(asked.ties.order))
    for row in range(len(best)):
        own = order[begins[row] : begins[row + 1]]
        above = own[values[own] > 0][: asked.k]
        zeros = free.first(row, asked.k - len(above))
        below = own[values[own] < 0][: asked.k - len(above) - len(zeros)]
        found = np.concatenate([columns[above], zeros, columns[below]])
        best[row, : len(found)] = found
        kept[row, : len(found)] = np.concatenate(
            [values[above], np.zeros(len(zeros), np.float32), values[below]]
        )
    return best, kept


def _near_the_top(rows: Rows, values: Floats, k: int) -> Rows:
    """Return the entries that reach the k-th best of their row, all where it has fewer, in order.

    Row and value share one integer, which sorts many times faster than two keys do.

    Shapes:
        rows: (E,), rising. values: (E,). returns: (F,), rising.
    """
    if not k:
        return np.empty(0, dtype=np.int64)
    order = np.argsort((rows.astype(np.uint64) << np.uint64(32)) | falling(values))
    begins = np.searchsorted(rows, np.arange(int(rows.max(initial=-1)) + 2))
    last = np.full(len(begins) - 1, -np.inf, dtype=np.float32)
    full = np.flatnonzero(np.diff(begins) >= k)
    last[full] = values[order[begins[full] + k - 1]]
    return np.flatnonzero(values >= last[rows])


def _shown(scores: sp.csr_matrix, allowed: Flags | None, asked: Asked) -> sp.csr_matrix:
    """Return the stored scores of items that may be shown, other than zero."""
    hidden = asked.hidden.astype(bool).astype(scores.dtype)
    shown = sp.csr_matrix(scores - scores.multiply(hidden))
    if allowed is not None:
        shown = sp.csr_matrix(shown @ sp.diags_array(allowed.astype(scores.dtype)))
    shown.eliminate_zeros()
    return shown


@dataclass(frozen=True)
class _Free:
    """Items that may be shown to a user and have no score.

    Shapes:
        queue: (N,) items by ``ties.order``.
    """

    scores: sp.csr_matrix
    allowed: Flags | None
    asked: Asked
    queue: Rows

    def first(self, row: int, count: int) -> Rows:
        """Return the first of a user's queue, at most ``count``."""
        if count <= 0:
            return np.empty(0, dtype=np.int64)
        width = self.scores.shape[1]
        taken = np.concatenate([_stored(self.scores, row), columns_of(self.asked.hidden, row)])
        turn, reach = int(self.asked.ties.turn[row]), count + len(taken)
        while True:
            ahead = self.queue[(np.arange(min(reach, width)) - turn) % width]
            free: Rows = ahead[~np.isin(ahead, taken)]
            if self.allowed is not None:
                free = free[self.allowed[free]]
            if len(free) >= count or reach >= width:
                return free[:count]
            reach *= 4


def _stored(matrix: sp.csr_matrix, row: int) -> Rows:
    """Return the columns of a row whose entry is not zero."""
    part = slice(matrix.indptr[row], matrix.indptr[row + 1])
    columns: Rows = matrix.indices[part][matrix.data[part] != 0]
    return columns
