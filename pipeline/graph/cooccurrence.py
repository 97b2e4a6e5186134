"""Items taken by the same users in training."""

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Rows
from pipeline.graph.ranked import Edges, edges_of, keep_best, ranked_matrix

_BUDGET = 1 << 23
"""Pairs counted at once: about 100 MB."""

Advance = Callable[[int], object]


def cooccurrence(
    user_item: sp.csr_matrix,
    k: int,
    min_users: int,
    *,
    budget: int = _BUDGET,
    advance: Advance = id,
) -> sp.csr_matrix:
    """Return the k items that share most users with each item, relative to both items' users.

    The weight is the cosine of the items' columns: users shared by both over the root of the
    product of their users. Pairs with fewer than ``min_users`` shared users are left out.
    ``advance`` is called with the number of items just done.

    Shapes:
        user_item: binary CSR (U, N). returns: CSR (N, N) float32, weights falling in a row.
    """
    binary = sp.csr_matrix(user_item, dtype=np.float32)
    item_user = sp.csr_matrix(binary.T)
    norms = np.sqrt(np.maximum(1.0, np.diff(item_user.indptr)))
    parts: list[Edges] = []
    for start, end in _blocks(binary, item_user, budget):
        counts = sp.csr_matrix(item_user[start:end] @ binary)
        counts.data[counts.data < min_users] = 0
        counts.eliminate_zeros()
        sources, targets, shared = edges_of(counts)
        sources = sources + start
        other = sources != targets
        sources, targets, shared = sources[other], targets[other], shared[other]
        weights = (shared / (norms[sources] * norms[targets])).astype(np.float32)
        parts.append(keep_best((sources, targets, weights), k))
        advance(end - start)
    rows, columns, weights = (np.concatenate(c) for c in zip(*parts, strict=True))
    return ranked_matrix((rows, columns, weights), binary.shape[1])


def _blocks(
    user_item: sp.csr_matrix, item_user: sp.csr_matrix, budget: int
) -> Iterator[tuple[int, int]]:
    """Yield ranges of items whose pairs fit the budget; a single item may exceed it.

    A user with many items makes many pairs with each of them, so the pairs are counted before.
    """
    per_user: Rows = np.diff(user_item.indptr)
    pairs = np.cumsum(item_user @ per_user.astype(np.int64))
    start, done = 0, 0
    while start < len(pairs):
        end = max(start + 1, int(np.searchsorted(pairs, done + budget, side="right")))
        yield start, end
        start, done = end, int(pairs[end - 1])


def cooccurrence_naive(user_item: sp.csr_matrix, k: int, min_users: int) -> sp.csr_matrix:
    """Return what ``cooccurrence`` returns, by a dense matrix of all pairs: the reference."""
    dense = user_item.toarray().astype(np.float64)
    shared = dense.T @ dense
    users = np.maximum(1.0, np.diag(shared).copy())
    np.fill_diagonal(shared, 0)
    weights = (shared / np.sqrt(users) / np.sqrt(users)[:, None]).astype(np.float32)
    weights[shared < min_users] = 0
    for row in weights:
        row[np.argsort(-row, kind="stable")[k:]] = 0
    return sp.csr_matrix(weights)
