"""Exact cosine neighbours of every item, without ever holding N x N similarities."""

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats
from pipeline.graph.distinct import Distinct
from pipeline.graph.pairs import Advance, PairSearch
from pipeline.graph.ranked import Edges, ranked_matrix

BLOCK = 2048
"""Rows of a block: 16 MB of similarities at once."""


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
    starts = np.append(np.arange(0, len(unit), block), len(unit))
    blocks = len(starts) - 1
    search = PairSearch(unit, starts, k, advance)
    search.compare((a, b) for a in range(blocks) for b in range(a + 1, blocks))
    return search.edges()
