"""Exact cosine neighbours of every item, without ever holding N x N similarities.

Similarity is symmetric, so each pair of blocks is multiplied once and offered to both sides: half
the arithmetic of a search. A bound on the k-th best of every row, tightened as blocks go by, lets
all but a few scores be dropped by one comparison. Items with equal vectors are searched once.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.errors import ArtifactError
from pipeline.graph.ranked import Edges, keep_best, ranked_matrix
from pipeline.nearest import lower_bounds

BLOCK = 2048
"""Rows of a block: 16 MB of similarities at once."""

_SLACK = 4
"""A block's candidates are cut back to k when they are this many times as many."""

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
    rows = np.flatnonzero(present)
    first, group = group_equal(vectors, rows)
    unit, length = _normalised(vectors, rows[first])
    usable = length > 0
    groups = _Groups.of(rows, np.where(usable, np.cumsum(usable) - 1, -1)[group])
    near = nearest_others(unit[usable], k, block=block, advance=advance)
    return ranked_matrix(groups.expand(near, k), len(vectors))


def group_equal(vectors: Floats, rows: Rows) -> tuple[Rows, Rows]:
    """Return which of ``rows`` is the first with its vector, and the group of each.

    Shapes:
        vectors: (N, D). rows: (P,). returns: positions in rows (G,), group of each row (P,).
    """
    seen: dict[bytes, int] = {}
    group = np.empty(len(rows), dtype=np.int64)
    for at, row in enumerate(rows):
        digest = blake2b(vectors[row].tobytes(), digest_size=16).digest()
        group[at] = seen.setdefault(digest, len(seen))
    return np.unique(group, return_index=True)[1], group


def _normalised(vectors: Floats, rows: Rows) -> tuple[Floats, Floats]:
    unit = np.asarray(vectors[rows], dtype=np.float32)
    length = np.linalg.norm(unit, axis=1)
    if not np.isfinite(length).all():
        wrong = rows[~np.isfinite(length)]
        raise ArtifactError(
            f"{len(wrong)} present vectors are not finite, the first at row {wrong[0]}; finite "
            f"ones are wanted. Make them again: plotpointe run CONFIG --from embed --force"
        )
    unit /= np.where(length > 0, length, 1)[:, None]
    return unit, length


def block_pairs(n: int, block: int = BLOCK) -> int:
    """Return how many pairs of blocks ``nearest_others`` multiplies for n vectors at most."""
    blocks = -(-n // block)
    return blocks * (blocks + 1) // 2


def nearest_others(unit: Floats, k: int, *, block: int = BLOCK, advance: Advance = id) -> Edges:
    """Return the k best other rows of each row by inner product of unit vectors.

    Shapes:
        unit: (N, D) float32. returns: three arrays (N * min(k, N - 1),).
    """
    starts = range(0, len(unit), block)
    best = [_Best(min(block, len(unit) - start), start, k) for start in starts]
    scores = np.empty((block, block), dtype=np.float32)
    for a, b in _pairs(len(best)):
        mine, other = best[a], best[b]
        part = scores[: mine.size, : other.size]
        np.matmul(unit[mine.span], unit[other.span].T, out=part)
        if a == b:
            mine.begin(part)
        else:
            mine.offer(part, other.start)
            other.offer(part.T, mine.start)
        advance(1)
    parts = [b.edges() for b in best] or [_NO_EDGES]
    sources, targets, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return sources, targets, np.minimum(weights, 1)


def _pairs(n: int) -> Iterator[tuple[int, int]]:
    """Yield the diagonal first, because it gives every block its first bound."""
    yield from ((a, a) for a in range(n))
    yield from ((a, b) for a in range(n) for b in range(a + 1, n))


_NO_EDGES: Edges = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


class _Best:
    """The k best columns seen so far of one block of rows."""

    def __init__(self, size: int, start: int, k: int) -> None:
        self.size, self.start, self.k = size, start, k
        self.span = slice(start, start + size)
        self._bounds = np.full(size, -np.inf, dtype=np.float32)
        self._edges: list[Edges] = [_NO_EDGES]
        self._held = 0

    def begin(self, scores: Floats) -> None:
        """Take the block's similarities with itself."""
        np.fill_diagonal(scores, -np.inf)
        if self.size > self.k:
            self._bounds = lower_bounds(scores, self.k)
        self.offer(scores, self.start)

    def offer(self, scores: Floats, start: int) -> None:
        """Take (size, C) similarities with the rows from ``start`` on."""
        flat = scores if scores.flags.c_contiguous else scores.T
        bounds = self._bounds[:, None]
        hits = flat >= (bounds if flat is scores else bounds.T)
        major, minor = np.divmod(np.flatnonzero(hits), flat.shape[1])
        rows, columns = (major, minor) if flat is scores else (minor, major)
        self._edges.append((rows, columns + start, flat[major, minor]))
        self._held += len(rows)
        if self._held > _SLACK * self.k * self.size:
            self._cut()

    def _cut(self) -> None:
        """Keep the k best of each row and raise the bounds to the k-th."""
        sources, targets, weights = self._merged()
        real = weights > -np.inf
        rows, columns, weights = keep_best((sources[real], targets[real], weights[real]), self.k)
        self._edges, self._held = [(rows, columns, weights)], len(rows)
        full = np.bincount(rows, minlength=self.size) == self.k
        last = np.searchsorted(rows, np.arange(self.size), side="right") - 1
        self._bounds[full] = weights[last[full]]

    def _merged(self) -> Edges:
        rows, columns, weights = (np.concatenate(c) for c in zip(*self._edges, strict=True))
        return rows, columns, weights

    def edges(self) -> Edges:
        """Return the best edges, with rows counted from the first block on."""
        self._cut()
        rows, columns, weights = self._edges[0]
        return rows + self.start, columns, weights


class _Groups:
    """Items that share a vector: group g holds ``items[starts[g]:starts[g + 1]]``, rising."""

    def __init__(self, items: Rows, starts: Rows) -> None:
        self.items, self.starts = items, starts

    @classmethod
    def of(cls, items: Rows, group: Rows) -> "_Groups":
        """Return the groups of items, leaving out those of group -1."""
        items, group = items[group >= 0], group[group >= 0]
        order = np.argsort(group, kind="stable")
        count = int(group.max()) + 1 if len(group) else 0
        return cls(items[order], np.searchsorted(group[order], np.arange(count + 1)))

    def expand(self, near: Edges, k: int) -> Edges:
        """Return the k best other items of every item from the k best other groups of each group.

        The k + 1 best items of a group, its own included, are among the lowest k + 1 items of its
        own and its k best groups; each of its items takes them without itself.
        """
        itself = np.arange(len(self.starts) - 1)
        sources = np.concatenate([itself, near[0]])
        groups = np.concatenate([itself, near[1]])
        weights = np.concatenate([np.ones(len(itself), dtype=np.float32), near[2]])
        sizes = np.minimum(np.diff(self.starts), k + 1)[groups]
        targets = self.items[_ranges(self.starts[groups], sizes)]
        lists = keep_best((np.repeat(sources, sizes), targets, np.repeat(weights, sizes)), k + 1)
        return self._for_items(lists, k)

    def _for_items(self, lists: Edges, k: int) -> Edges:
        """Return each item's edges from its group's list."""
        begins = np.searchsorted(lists[0], np.arange(len(self.starts)))
        owner = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        sizes = np.diff(begins)[owner]
        at = _ranges(begins[owner], sizes)
        sources, targets = np.repeat(self.items, sizes), lists[1][at]
        other = sources != targets
        return keep_best((sources[other], targets[other], lists[2][at][other]), k)


def _ranges(starts: Rows, sizes: Rows) -> Rows:
    """Return ``starts[i], starts[i] + 1, ...``, ``sizes[i]`` of them, one after another."""
    before = np.cumsum(sizes) - sizes
    ranges: Rows = np.arange(int(sizes.sum())) + np.repeat(starts - before, sizes)
    return ranges
