"""Exact cosine neighbours of every item, without ever holding N x N similarities.

Similarity is symmetric, so each pair of blocks is multiplied once and offered to both sides: half
the arithmetic of a search. Items with equal vectors are searched once.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.graph.best import Best, reaching
from pipeline.graph.distinct import Distinct
from pipeline.graph.ranked import Edges, ranked_matrix
from pipeline.nearest import lower_bounds

BLOCK = 2048
"""Rows of a block: 16 MB of similarities at once."""

Advance = Callable[[int], object]


def cosine_knn(
    vectors: Floats, present: Flags, k: int, *, block: int = BLOCK, advance: Advance = id
) -> sp.csr_matrix:
    """Return the exact k most similar other items of every present item.

    Absent items, and present ones whose vector is zero, have no neighbours and are nobody's.
    Equal similarities go to the lower row; items with equal vectors are at similarity 1.
    ``advance`` is called with the number of block pairs just done, ``block_pairs`` in all.

    Shapes:
        vectors: (N, D) any float. present: (N,). returns: CSR (N, N), weights falling in a row.

    Raises:
        ArtifactError: a present vector is not finite.
    """
    distinct = Distinct.of(vectors, present)
    near = nearest_others(distinct.unit, k, block=block, advance=advance)
    return ranked_matrix(distinct.groups.expand(near, k), len(vectors))


def block_pairs(n: int, block: int = BLOCK) -> int:
    """Return how many pairs of blocks ``nearest_others`` multiplies for n vectors at most."""
    blocks = -(-n // block)
    return blocks * (blocks + 1) // 2


def nearest_others(unit: Floats, k: int, *, block: int = BLOCK, advance: Advance = id) -> Edges:
    """Return the k best other rows of each row by inner product of unit vectors.

    Shapes:
        unit: (N, D) float32. returns: three arrays (N * min(k, N - 1),).
    """
    best = Best(len(unit), len(unit), k)
    compare_all(best, unit, np.arange(len(unit)), block=block, advance=advance)
    sources, targets, weights = best.edges()
    return sources, targets, np.minimum(weights, 1)


def compare_all(
    best: Best, unit: Floats, members: Rows, *, block: int = BLOCK, advance: Advance = id
) -> None:
    """Offer some rows to each other, each pair once.

    A block's comparison with itself comes first, because it gives its rows their first bounds.

    Shapes:
        unit: (N, D). members: (M,) rows.
    """
    blocks = [members[start : start + block] for start in range(0, len(members), block)]
    scores = np.empty(min(block, len(members)) ** 2, dtype=np.float32)
    for mine in blocks:
        _within(best, _multiplied(unit, mine, mine, scores), mine)
        advance(1)
    for at, mine in enumerate(blocks):
        for other in blocks[at + 1 :]:
            found = _multiplied(unit, mine, other, scores)
            rows, columns, weights = reaching(found, best.bounds[mine][:, None])
            best.offer(mine[rows], other[columns], weights)
            rows, columns, weights = reaching(found, best.bounds[other])
            best.offer(other[columns], mine[rows], weights)
            advance(1)


def _multiplied(unit: Floats, mine: Rows, other: Rows, out: Floats) -> Floats:
    scores = out[: len(mine) * len(other)].reshape(len(mine), len(other))
    return np.matmul(unit[mine], unit[other].T, out=scores)


def _within(best: Best, scores: Floats, members: Rows) -> None:
    """Offer the similarities of a block with itself."""
    np.fill_diagonal(scores, -np.inf)
    if len(members) > best.k:
        best.bounds[members] = lower_bounds(scores, best.k)
    rows, columns, weights = reaching(scores, best.bounds[members][:, None])
    best.offer(members[rows], members[columns], weights)
