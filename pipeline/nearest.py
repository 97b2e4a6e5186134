"""Top-k by inner product: an obvious exact twin, a blocked exact one, and FAISS."""

from typing import Any

import numpy as np

from pipeline.arrays import Floats, Rows

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


def top_k_of_scores(scores: Floats, k: int) -> tuple[Rows, Floats]:
    """Return the k best columns of each row of scores, best first, equal scores by column.

    Shapes:
        scores: (B, N). returns: columns (B, min(k, N)), scores (B, min(k, N)).
    """
    k = min(k, scores.shape[1])
    if k == scores.shape[1]:
        best: Rows = np.broadcast_to(np.arange(k), (len(scores), k))
    else:
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        best = _settle_ties(scores, best)
    kept = np.take_along_axis(scores, best, axis=1)
    order = np.lexsort((best, -kept), axis=1)
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(kept, order, axis=1)


def _settle_ties(scores: Floats, best: Rows) -> Rows:
    """Return ``best`` with ties at its edge settled by the lowest column.

    ``argpartition`` keeps an arbitrary subset of the items that equal the k-th score; only rows
    in which such a tie crosses the edge are sorted in full.
    """
    k = best.shape[1]
    edge = np.take_along_axis(scores, best, axis=1).min(axis=1, keepdims=True)
    tied = (scores >= edge).sum(axis=1) > k
    if tied.any():
        best = best.copy()
        best[tied] = np.argsort(-scores[tied], axis=1, kind="stable")[:, :k]
    return best


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
