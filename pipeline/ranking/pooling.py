"""How a history meets its candidates over a sparse relation: sums and maxima of edge weights."""

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows


def edges_from(matrix: sp.csr_matrix, rows: Rows) -> tuple[Rows, Rows]:
    """Return (position in ``rows``, place in ``matrix.indices``) of every entry of those rows.

    Shapes:
        matrix: CSR. rows: (B,). returns: (E,) twice, in order of position.
    """
    starts = matrix.indptr[rows]
    lengths = matrix.indptr[rows + 1] - starts
    skipped = starts - np.concatenate([[0], np.cumsum(lengths)[:-1]])
    owner = np.repeat(np.arange(len(rows)), lengths)
    return owner, np.arange(lengths.sum()) + skipped[owner]


def pooled(
    history: sp.csr_matrix, relation: sp.csr_matrix, candidates: Rows
) -> tuple[Floats, Floats]:
    """Return the sum and the maximum of the weights from a user's items to each candidate.

    Only edges that exist are touched: the cost is that of the histories' edges, not of N. A
    candidate without an edge has 0 and 0; so has one whose edges all weigh less than nothing, as
    maximum.

    Shapes:
        history: CSR (B, N), binary. relation: CSR (N, N), row = the item a user has.
        candidates: (B, C) item rows; a negative one has no edge. returns: (B, C) twice, float32.
    """
    width = relation.shape[1]
    users = np.repeat(np.arange(history.shape[0]), np.diff(history.indptr))
    owner, edges = edges_from(relation, history.indices)
    codes = users[owner] * width + relation.indices[edges]
    order = np.argsort(codes, kind="stable")
    codes, weights = codes[order], relation.data[edges][order].astype(np.float32)
    if not len(codes):
        nothing = np.zeros(candidates.shape, dtype=np.float32)
        return nothing, nothing.copy()
    first = np.flatnonzero(np.concatenate([[True], codes[1:] != codes[:-1]]))
    sums = np.add.reduceat(weights, first)
    largest = np.maximum.reduceat(weights, first).clip(min=0)
    at, there = _found(codes[first], candidates, width)
    return np.where(there, sums[at], 0), np.where(there, largest[at], 0)


def entries_at(matrix: sp.csr_matrix, columns: Rows) -> Floats:
    """Return what row b of a sparse matrix has in columns (B, C) of b; 0 for a negative one."""
    matrix.sort_indices()
    width = matrix.shape[1]
    owners = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    if not matrix.nnz:
        return np.zeros(columns.shape, dtype=np.float32)
    at, there = _found(owners * width + matrix.indices, columns, width)
    return np.where(there, matrix.data[at], 0).astype(np.float32)


def _found(codes: Rows, columns: Rows, width: int) -> tuple[Rows, Flags]:
    """Return where ``row * width + column`` stands in sorted codes, and whether it does.

    Shapes:
        codes: (E,), at least one. columns: (B, C), column numbers of row b. returns: (B, C) twice.
    """
    wanted = np.arange(len(columns))[:, None] * width + columns
    at = np.searchsorted(codes, wanted).clip(max=len(codes) - 1)
    return at, (codes[at] == wanted) & (columns >= 0)


def pooled_naive(
    history: sp.csr_matrix, relation: sp.csr_matrix, candidates: Rows
) -> tuple[Floats, Floats]:
    """Return what ``pooled`` does, one pair at a time through the dense matrix."""
    dense = relation.toarray()
    sums = np.zeros(candidates.shape, dtype=np.float32)
    largest = np.zeros(candidates.shape, dtype=np.float32)
    for b, row in enumerate(candidates):
        has = history[b].indices
        for c, item in enumerate(row):
            if item >= 0 and len(has):
                sums[b, c] = dense[has, item].sum()
                largest[b, c] = max(0.0, dense[has, item].max())
    return sums, largest
