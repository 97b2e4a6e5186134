"""Ranked graphs: CSR matrices whose rows hold the heaviest edges first."""

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows

Edges = tuple[Rows, Rows, Floats]
"""From, to and weight of each edge."""


def keep_best(edges: Edges, k: int) -> Edges:
    """Return the k heaviest edges of each row, ordered by row, falling weight, then column.

    Shapes:
        edges: three arrays (E,). returns: three arrays (at most E,).
    """
    rows, columns, weights = edges
    order = _ranking(rows, columns, weights)
    rows, columns, weights = rows[order], columns[order], weights[order]
    kept = _rank_in_row(rows) < k
    return rows[kept], columns[kept], weights[kept]


def _ranking(rows: Rows, columns: Rows, weights: Floats) -> Rows:
    """Return the order by row, falling weight, then column.

    Row and weight share one integer, which sorts many times faster than two keys do; the column
    matters only where two such integers are equal.
    """
    raw = (np.float32(0.0) - weights.astype(np.float32)).view(np.int32)
    rising = np.where(raw < 0, ~raw ^ np.int32(-(2**31)), raw).astype(np.int64)
    keys = (rows.astype(np.int64) << 32) + rising
    order: Rows = np.argsort(keys)
    ordered = keys[order]
    if (ordered[1:] == ordered[:-1]).any():
        order = np.lexsort((columns, keys))
    return order


def _rank_in_row(rows: Rows) -> Rows:
    """Return how many entries of the same row come before each; ``rows`` is sorted."""
    at = np.arange(len(rows))
    begins = np.flatnonzero(np.diff(rows, prepend=-1))
    sizes = np.diff(begins, append=len(rows))
    ranks: Rows = at - np.repeat(begins, sizes)
    return ranks


def ranked_matrix(edges: Edges, n: int) -> sp.csr_matrix:
    """Return the square matrix of edges that ``keep_best`` ordered, in that order.

    Shapes:
        edges: three arrays (E,). returns: CSR (n, n) float32, weights falling within a row.
    """
    rows, columns, weights = edges
    index = np.int32 if max(n, len(rows)) < np.iinfo(np.int32).max else np.int64
    starts = np.searchsorted(rows, np.arange(n + 1)).astype(index)
    data = weights.astype(np.float32), columns.astype(index), starts
    return sp.csr_matrix(data, shape=(n, n))


def edges_of(matrix: sp.csr_matrix) -> Edges:
    """Return the stored entries of a CSR matrix as edges, in stored order."""
    sources = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return sources, matrix.indices.astype(np.int64), matrix.data


def strongest(matrix: sp.csr_matrix, k: int) -> sp.csr_matrix:
    """Return the k heaviest edges of each item as a ranked graph, without self-loops.

    Shapes:
        matrix: CSR (N, N). returns: CSR (N, N) float32, weights falling within a row.
    """
    sources, targets, weights = edges_of(matrix)
    other = sources != targets
    return ranked_matrix(
        keep_best((sources[other], targets[other], weights[other]), k), matrix.shape[0]
    )
