"""Top-k by inner product: an obvious exact twin, a blocked exact one, and FAISS."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.arrays import Flags, Floats, Rows

_BLOCK_SCORES = 1 << 26
"""Scores held at once: 256 MB of float32."""


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

    def among(self, rows: Rows, columns: Rows) -> Rows:
        """Return the places of ``columns`` in the queues of ``rows``; the lowest goes first.

        Shapes:
            rows: (R,). columns: (R, C) or (C,). returns: (R, C).
        """
        places: Rows = (self.order[columns] + self.turn[rows, None]) % len(self.order)
        return places


def top_k_of_scores(scores: Floats, k: int, ties: Ties | None = None) -> tuple[Rows, Floats]:
    """Return the k best columns of each row of scores, best first.

    Equal scores stand in the order of ``ties``, by default in order of column.

    Shapes:
        scores: (B, N), finite or -inf. returns: columns (B, min(k, N)), scores (B, min(k, N)).
    """
    height, width = scores.shape
    k = min(k, width)
    if k == 0:
        return np.empty((height, 0), dtype=np.int64), scores[:, :0]
    ties = ties or Ties(np.arange(width), np.zeros(height, dtype=np.int64))
    best = np.nonzero(_at_or_above_kth(scores, k, ties))[1].reshape(height, k)
    kept = np.take_along_axis(scores, best, axis=1)
    order = np.lexsort((ties.among(np.arange(height), best), -kept), axis=1)
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(kept, order, axis=1)


def _at_or_above_kth(scores: Floats, k: int, ties: Ties) -> Flags:
    """Return flags (B, N), exactly k a row: the k best, ties at the edge settled.

    Partitioning values and comparing is several times faster than ``argpartition``, and shows
    the rows in which a tie crosses the edge; only those are looked at again.
    """
    width = scores.shape[1]
    edge = np.partition(scores, width - k, axis=1)[:, width - k, None]
    chosen: Flags = scores >= edge
    crowded = np.flatnonzero(chosen.sum(axis=1) > k)
    if len(crowded):
        tied, above = scores[crowded] == edge[crowded], scores[crowded] > edge[crowded]
        places = np.where(tied, ties.among(crowded, np.arange(width)), width)
        kept = np.argpartition(np.where(above, -1, places), k - 1, axis=1)[:, :k]
        chosen[crowded] = False
        chosen[crowded[:, None], kept] = True
    return chosen


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
        queries: (B, D). returns: rows (B, k), -1 where the index found fewer; scores (B, k).
    """
    scores, rows = index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
    return rows, scores


def recall_at_k(found: Rows, exact: Rows) -> float:
    """Return the mean share of the exact k best that were found.

    Shapes:
        found: (B, k). exact: (B, k).
    """
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found, exact, strict=True)]
    return float(np.mean(hits) / exact.shape[1]) if exact.size else 1.0
