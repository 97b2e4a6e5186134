"""Exact cosine neighbours of every item, without ever holding N x N similarities.

Similarity is symmetric, so each pair of blocks is multiplied once and offered to both sides: half
the arithmetic of a search. Items with equal vectors are searched once.
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.crew import ALONE, Crew
from pipeline.graph.best import Best, reaching
from pipeline.graph.distinct import Distinct
from pipeline.graph.ranked import Edges, ranked_matrix
from pipeline.nearest import lower_bounds

if TYPE_CHECKING:
    import torch

BLOCK = 2048
"""Rows of a block: 16 MB of similarities at once."""

Pair = tuple[Rows, Rows]
"""Two blocks of rows."""


def cosine_knn(
    vectors: Floats,
    present: Flags,
    k: int,
    crew: Crew = ALONE,
    *,
    block: int = BLOCK,
    device: "torch.device | None" = None,
) -> sp.csr_matrix:
    """Return the exact k most similar other items of every present item.

    Absent items, and present ones whose vector is zero, have no neighbours and are nobody's.
    Equal similarities go to the lower row; items with equal vectors are at similarity 1.
    The crew tells of each pair of blocks done, ``block_pairs`` in all. With a ``device``, torch
    searches there, as exactly.

    Shapes:
        vectors: (N, D) any float. present: (N,). returns: CSR (N, N), weights falling in a row.

    Raises:
        ArtifactError: a present vector is not finite.
    """
    distinct = Distinct.of(vectors, present)
    if device is None:
        near = nearest_others(distinct.unit, k, crew, block=block)
    else:
        from pipeline.graph.device import nearest_on

        near = nearest_on(device, distinct.unit, k).edges()
    return ranked_matrix(distinct.groups.expand(near, k), len(vectors))


def block_pairs(n: int, block: int = BLOCK) -> int:
    """Return how many pairs of blocks ``nearest_others`` multiplies for n vectors at most."""
    blocks = -(-n // block)
    return blocks * (blocks + 1) // 2


def nearest_others(unit: Floats, k: int, crew: Crew, *, block: int = BLOCK) -> Edges:
    """Return the k best other rows of each row by inner product of unit vectors.

    Shapes:
        unit: (N, D) float32. returns: three arrays (N * min(k, N - 1),).
    """
    best = Best(len(unit), len(unit), k)
    meet = partial(compared, unit, best)
    for found in crew.each(meet, pairs_of_blocks(np.arange(len(unit)), block)):
        for edges in found:
            best.offer(*edges)
        crew.advance(1)
    sources, targets, weights = best.edges()
    return sources, targets, np.minimum(weights, 1)


def pairs_of_blocks(members: Rows, block: int = BLOCK) -> Iterator[Pair]:
    """Yield every pair of blocks of some rows once, each block with itself first.

    Shapes:
        members: (M,) rows.
    """
    blocks = [members[start : start + block] for start in range(0, len(members), block)]
    yield from ((mine, mine) for mine in blocks)
    for at, mine in enumerate(blocks):
        yield from ((mine, other) for other in blocks[at + 1 :])


def compared(unit: Floats, best: Best, pair: Pair) -> list[Edges]:
    """Return what the rows of two blocks are to each other, where that may matter to either.

    A block that meets itself gives its rows their first bounds.

    Shapes:
        unit: (N, D).
    """
    mine, other = pair
    scores = unit[mine] @ unit[other].T
    if mine is other:
        np.fill_diagonal(scores, -np.inf)
        if len(mine) > best.k:
            best.bounds[mine] = lower_bounds(scores, best.k)
    rows, columns, weights = reaching(scores, best.bounds[mine][:, None])
    found = [(mine[rows], other[columns], weights)]
    if mine is not other:
        rows, columns, weights = reaching(scores, best.bounds[other])
        found.append((other[columns], mine[rows], weights))
    return found
