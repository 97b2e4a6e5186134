"""Top-k by inner product: an obvious exact twin, a blocked exact one, and FAISS."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.arrays import Flags, Floats, Rows

_BLOCK_SCORES = 1 << 26
"""Scores held at once: 256 MB of float32."""

_RESCORED = 256
"""Queries whose candidates are scored afresh at once."""

SIGN = np.uint32(1 << 31)
"""Of a float32."""

_GROUP = 32
"""Columns whose maximum stands for them when the k-th best is bounded."""


def top_k_naive(queries: Floats, items: Floats, k: int) -> tuple[Rows, Floats]:
    """Return the k best items of each query by sorting every score: the reference.

    Shapes:
        queries: (B, D). items: (N, D). returns: rows (B, k), scores (B, k), best first,
        equal scores in order of row.
    """
    scores = queries @ items.T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


@dataclass(frozen=True)
class Ties:
    """Who goes first on equal scores: in row r, the columns by (order[c] + turn[r]) mod N.

    Shapes:
        order: (N,), a permutation. turn: (B,).
    """

    order: Rows
    turn: Rows

    def places(self, rows: Rows, columns: Rows) -> Rows:
        """Return the place of each column in its row's queue; the lowest goes first.

        Shapes:
            rows, columns: any two that broadcast. returns: their broadcast shape.
        """
        places: Rows = (self.order[columns] + self.turn[rows]) % len(self.order)
        return places


def top_k_of_scores(scores: Floats, k: int, ties: Ties | None = None) -> tuple[Rows, Floats]:
    """Return the k best columns of each row of scores, best first.

    Equal scores stand in the order of ``ties``, by default in order of column. Only the scores
    that reach a cheap lower bound of the k-th best are sorted; that is exact and several times
    faster than ``argpartition``.

    Shapes:
        scores: (B, N), without NaN. returns: columns (B, min(k, N)), scores (B, min(k, N)).
    """
    wide = scores.shape[1]
    k = min(k, wide)
    if k == 0:
        return np.empty((len(scores), 0), np.int64), np.empty((len(scores), 0), scores.dtype)
    reaches = scores >= lower_bounds(scores, k)[:, None]
    ties = ties or Ties(np.arange(wide), np.zeros(len(scores), np.int64))
    _thin_out(reaches, scores, k, ties)
    rows, columns = np.divmod(np.flatnonzero(reaches), wide)
    kept = scores[rows, columns]
    order = np.lexsort((ties.places(rows, columns), -kept, rows))
    first = np.searchsorted(rows, np.arange(len(scores)))
    best = order[first[:, None] + np.arange(k)]
    return columns[best], kept[best]


def falling(weights: Floats) -> Rows:
    """Return integers of 32 bits that rise as float32 weights fall, as uint64: keys of fast sorts.

    Shapes:
        weights: (E,). returns: (E,).
    """
    bits = (weights.astype(np.float32) + np.float32(0.0)).view(np.uint32)
    return np.where(bits & SIGN, bits, bits ^ ~SIGN).astype(np.uint64)


def lower_bounds(scores: Floats, k: int) -> Floats:
    """Return for each row a value that at least k of its scores reach, close to the k-th best.

    The k-th best of the maxima of disjoint groups of columns is such a value: each of the k groups
    holds a score that reaches it.

    Shapes:
        scores: (B, N), N at least k. returns: (B,).
    """
    groups = scores.shape[1] // _GROUP
    if groups >= 2 * k:
        grouped = scores[:, : groups * _GROUP].reshape(len(scores), _GROUP, groups)
        scores = grouped.max(axis=1)
    at = scores.shape[1] - k
    bounds: Floats = np.partition(scores, at, axis=1)[:, at]
    return bounds


def _thin_out(reaches: Flags, scores: Floats, k: int, ties: Ties) -> None:
    """Clear, in rows where far more than k scores reach the bound, all but the k best.

    A row of mostly equal scores would otherwise be sorted whole; ties at its edge are settled
    here.
    """
    wide = scores.shape[1]
    for row in np.flatnonzero(reaches.sum(axis=1) > 4 * k + _GROUP):
        edge = np.partition(scores[row], wide - k)[wide - k]
        above = scores[row] > edge
        tied = np.flatnonzero(scores[row] == edge)
        queue = tied[np.argsort(ties.places(np.asarray(row), tied))]
        above[queue[: k - int(above.sum())]] = True
        reaches[row] = above


def top_k_exact(queries: Floats, items: Floats, k: int) -> tuple[Rows, Floats]:
    """Return what ``top_k_naive`` returns, in blocks that never hold B x N scores.

    Shapes:
        queries: (B, D). items: (N, D). returns: rows (B, min(k, N)), scores (B, min(k, N)).
    """
    k = min(k, len(items))
    rows = np.empty((len(queries), k), dtype=np.int64)
    scores = np.empty((len(queries), k), dtype=np.float32)
    step = max(1, _BLOCK_SCORES // max(1, len(items)))
    for start in range(0, len(queries), step):
        block = slice(start, start + step)
        rows[block], scores[block] = top_k_of_scores(queries[block] @ items.T, k)
    return rows, scores


def top_k_faiss(index: Any, queries: Floats, k: int) -> tuple[Rows, Floats]:  # noqa: ANN401
    """Return the k best items of each query by a FAISS inner-product index.

    Shapes:
        queries: (B, D). returns: rows (B, k), -1 where the index found fewer; scores (B, k),
        the lowest float32 there.
    """
    if k == 0:
        return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
    scores, rows = index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
    return rows, scores


def open_index(path: Path) -> Any:  # noqa: ANN401 - faiss has no types
    """Return the FAISS index of a file, mapped: processes that open it share its pages.

    Raises:
        RuntimeError: the file holds no index.
    """
    import faiss

    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def top_k_rescored(
    index: Any,  # noqa: ANN401 - faiss has no types
    vectors: Floats,
    queries: Floats,
    k: int,
    depth: int,
) -> tuple[Rows, Floats]:
    """Return the k best of ``depth`` times as many that an index finds, by their full vectors.

    An index of codes knows scores only nearly; its candidates are scored afresh. ``depth`` 1 is
    for an index that holds the vectors themselves, and takes its scores.

    Shapes:
        vectors: (N, D). queries: (B, D). returns: what ``top_k_faiss`` does.
    """
    if depth == 1:
        return top_k_faiss(index, queries, k)
    rows = np.empty((len(queries), k), dtype=np.int64)
    scores = np.empty((len(queries), k), dtype=np.float32)
    for start in range(0, len(queries), _RESCORED):
        block = slice(start, start + _RESCORED)
        found, _ = top_k_faiss(index, queries[block], k * depth)
        rows[block], scores[block] = rescored(vectors, queries[block], found, k)
    return rows, scores


def rescored(vectors: Floats, queries: Floats, found: Rows, k: int) -> tuple[Rows, Floats]:
    """Return the k best of each query's candidates by inner product; equal ones by row.

    Shapes:
        vectors: (N, D). queries: (B, D). found: (B, C), -1 for none, C at least k.
        returns: what ``top_k_faiss`` does.
    """
    lowest = np.finfo(np.float32).min
    products = np.einsum("bd,bcd->bc", queries, vectors[found], dtype=np.float32)
    scores = np.where(found < 0, lowest, products)
    order = np.lexsort((found, -scores))[:, :k]
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(scores, order, axis=1)


def recall_at_k(found: Rows, exact: Rows) -> float:
    """Return the mean share of the exact k best that were found, ties counted by row.

    Shapes:
        found: (B, k), -1 where nothing was found. exact: (B, k).
    """
    if not exact.size:
        return 1.0
    hits = (exact[:, :, None] == found[:, None, :]).any(axis=2)
    return float(hits.mean())


def recall_by_score(found: Floats, exact: Floats, tolerance: float = 1e-5) -> float:
    """Return the mean share of the k found that score at least the exact k-th best.

    Where items have equal vectors there are several exact answers; this counts any of them.

    Shapes:
        found: (B, k) scores. exact: (B, k) scores, best first.
    """
    if not exact.size:
        return 1.0
    edge = exact[:, -1:]
    return float((found >= edge - tolerance * np.maximum(1.0, np.abs(edge))).mean())
