"""How alike items are: the cosine of unit vectors of content, categories or graph neighbourhoods.

What diversity is measured by and what re-ranking spreads a list over; used by the evaluation and
the service.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.crew import Crew

_GATHERED_AT_ONCE = 1 << 24
"""Numbers held when vectors are gathered: 64 MB of float32."""


@dataclass(frozen=True)
class Likeness:
    """Items as unit vectors; make one with ``of_vectors``, ``of_labels`` or ``of_graph``.

    Shapes:
        vectors: (N, D) float32, dense or CSR, zero where nothing is known of the item.
    """

    vectors: Floats | sp.csr_matrix
    by: str
    """What the vectors are, in words."""

    @cached_property
    def known(self) -> Flags:
        """Return which items can be compared.

        Shapes:
            returns: (N,).
        """
        return _lengths(self.vectors) > 0

    @property
    def share_known(self) -> float:
        """Return the share of the items that can be compared."""
        return float(self.known.mean()) if len(self.known) else 0.0

    def cosines(self, rows: Rows) -> Floats:
        """Return how alike the items of each list are, pair by pair.

        Where one of a pair is not known the pair counts as alike as the known pairs of its list
        are on average: an item nobody has described is neither the same nor a change.

        Shapes:
            rows: (B, C), ``UNKNOWN`` where a list has ended. returns: (B, C, C).
        """
        if not rows.size:
            return np.zeros((*rows.shape, rows.shape[1]), dtype=np.float32)
        known = self.known[rows] & (rows >= 0)
        if isinstance(self.vectors, np.ndarray):
            vectors = self.vectors[rows]
            products = vectors @ vectors.transpose(0, 2, 1)
        else:
            products = _sparse_products(self.vectors, rows)
        return _with_means(products, known)


def of_vectors(vectors: Floats, by: str) -> Likeness:
    """Return the likeness of items with content vectors.

    Shapes:
        vectors: (N, D), any lengths, zero where an item has none.
    """
    floats = np.asarray(vectors, dtype=np.float32)
    lengths = _lengths(floats)
    return Likeness(floats / np.where(lengths > 0, lengths, 1)[:, None], by)


def of_labels(labels: sp.csr_matrix, by: str) -> Likeness:
    """Return the likeness of items with labels: common ones over the root of both counts.

    Shapes:
        labels: CSR (N, G), 1 where the item has the label.
    """
    return Likeness(_unit_rows(labels), by)


def of_graph(graph: sp.csr_matrix, by: str) -> Likeness:
    """Return the likeness of items by their neighbourhoods: items with common neighbours are alike.

    An item counts as a neighbour of itself, as near as its nearest (Jarvis and Patrick, 1973, with
    weights). An item without neighbours is not known.

    Shapes:
        graph: CSR (N, N), weights not negative; row = the neighbours of an item.
    """
    nearest = np.asarray(graph.max(axis=1).toarray()).ravel()
    return Likeness(_unit_rows(sp.csr_matrix(graph + sp.diags(nearest))), by)


def labels_of(values: pa.ChunkedArray) -> sp.csr_matrix:
    """Return which item has which label of a column of strings or of lists of strings.

    Shapes:
        values: (N,). returns: CSR (N, G) of ones, G distinct labels; none for null.
    """
    column = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if pa.types.is_list(column.type):
        items, texts = pc.list_parent_indices(column).to_numpy(), pc.list_flatten(column)
    else:
        items, texts = np.arange(len(column)), column
    present = texts.is_valid().to_numpy(zero_copy_only=False)
    coded = texts.filter(pa.array(present)).dictionary_encode()
    where = items[present], coded.indices.to_numpy(zero_copy_only=False)
    ones = np.ones(int(present.sum()), dtype=np.float32)
    matrix = sp.csr_matrix((ones, where), shape=(len(column), len(coded.dictionary)))
    matrix.data[:] = 1
    return matrix


def mean_distances(likeness: Likeness, rows: Rows) -> Floats:
    """Return each list's intra-list distance: the mean of 1 - cosine over its pairs.

    Ziegler et al., 2005 (similarity); Zhang and Hurley, 2008 (distance). Pairs with an item that
    is not known are left out; a list without a pair has 0.

    Shapes:
        rows: (B, L), ``UNKNOWN`` where a list has ended. returns: (B,), between 0 and 2.
    """
    whole: Floats = mean_distances_at(likeness, rows, [rows.shape[1]])[0]
    return whole


def mean_distances_at(
    likeness: Likeness, rows: Rows, ks: Sequence[int], crew: Crew | None = None
) -> Floats:
    """Return ``mean_distances`` of the first k of each list, for several k at once.

    The sum of all cosines of n unit vectors is the squared length of their sum, so a list costs n
    additions, not n^2 products, and a longer one only what it has more.

    Shapes:
        rows: (B, L). ks: K lengths, rising. returns: (K, B).
    """

    def distances(block: slice) -> Floats:
        """Return the distances of some lists."""
        found = np.empty((len(ks), block.stop - block.start))
        total: Any = 0
        counts = np.zeros(found.shape[1], dtype=np.int64)
        for at, (start, end) in enumerate(pairwise([0, *ks])):
            more = _as_matrix(rows[block, start:end], likeness.known)
            total, counts = more @ likeness.vectors + total, counts + np.diff(more.indptr)
            cosine = (_lengths(total) ** 2 - counts) / np.maximum(1, counts * (counts - 1.0))
            found[at] = np.where(counts > 1, 1 - cosine, 0).clip(0, 2)
        return found

    blocks = _blocks(len(rows), likeness.vectors.shape[1])
    parts = crew.each(distances, blocks) if crew else map(distances, blocks)
    return np.concatenate([np.empty((len(ks), 0)), *parts], axis=1)


def mean_distances_naive(likeness: Likeness, rows: Rows) -> Floats:
    """Return what ``mean_distances`` returns, pair by pair: the reference.

    Shapes:
        rows: (B, L), ``UNKNOWN`` where a list has ended. returns: (B,).
    """
    vectors = likeness.vectors
    dense = vectors if isinstance(vectors, np.ndarray) else vectors.toarray()
    distances = np.zeros(len(rows))
    for at, listed in enumerate(rows):
        items = [row for row in listed if row >= 0 and likeness.known[row]]
        pairs = [(a, b) for place, a in enumerate(items) for b in items[:place]]
        each = [1 - float(np.dot(dense[a].astype(float), dense[b].astype(float))) for a, b in pairs]
        distances[at] = np.mean(each) if each else 0.0
    return distances


def _blocks(lists: int, width: int) -> Iterator[slice]:
    step = max(1, _GATHERED_AT_ONCE // max(1, width))
    for start in range(0, lists, step):
        yield slice(start, min(start + step, lists))


def _as_matrix(rows: Rows, known: Flags) -> sp.csr_matrix:
    """Return the known items of lists as CSR (B, N) of ones."""
    counted = (rows >= 0) & known[rows]
    starts = np.concatenate([[0], np.cumsum(counted.sum(axis=1))])
    ones = np.ones(starts[-1], dtype=np.float32)
    return sp.csr_matrix((ones, rows[counted], starts), shape=(len(rows), len(known)))


def _lengths(vectors: Floats | sp.csr_matrix) -> Floats:
    """Return the length of each row, in float64."""
    if isinstance(vectors, np.ndarray):
        lengths: Floats = np.linalg.norm(vectors, axis=1).astype(np.float64)
        return lengths
    squares = vectors.multiply(vectors).sum(axis=1)
    return np.sqrt(np.asarray(squares, dtype=np.float64).ravel())


def _unit_rows(matrix: sp.csr_matrix) -> sp.csr_matrix:
    lengths = _lengths(matrix)
    scaled = sp.diags(1 / np.where(lengths > 0, lengths, 1)) @ matrix
    return sp.csr_matrix(scaled, dtype=np.float32)


def _sparse_products(vectors: sp.csr_matrix, rows: Rows) -> Floats:
    """Return the inner products within each list by one product: lists share no column in it.

    Shapes:
        vectors: CSR (N, D). rows: (B, C). returns: (B, C, C).
    """
    lists, long = rows.shape
    taken = vectors[np.maximum(rows, 0).ravel()]
    owner = np.repeat(np.arange(lists * long) // long, np.diff(taken.indptr))
    wide = max(1, taken.shape[1])
    columns, at = np.unique(owner.astype(np.int64) * wide + taken.indices, return_inverse=True)
    apart = sp.csr_matrix((taken.data, at, taken.indptr), shape=(lists * long, len(columns)))
    found = (apart @ apart.T).tocoo()
    products = np.zeros((lists, long, long), dtype=np.float32)
    products[found.row // long, found.row % long, found.col % long] = found.data
    return products


def _with_means(products: Floats, known: Flags) -> Floats:
    """Return the products with the mean of a list's known pairs where one item is not known.

    Shapes:
        products: (B, C, C). known: (B, C).
    """
    if known.all():
        return products
    both = known[:, :, None] & known[:, None, :]
    apart = both & ~np.eye(known.shape[1], dtype=np.bool_)
    total = np.where(apart, products, 0).sum(axis=(1, 2))
    means = total / np.maximum(1, apart.sum(axis=(1, 2)))
    filled: Floats = np.where(both, products, means[:, None, None].astype(products.dtype))
    return filled
