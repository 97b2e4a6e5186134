"""The k best others of every row, by multiplying pairs of blocks of rows.

Similarity is symmetric, so each pair of blocks is multiplied once and offered to both sides: half
the arithmetic of a search. A bound on the k-th best of every row, tightened as blocks go by, lets
all but a few scores be dropped by one comparison.
"""

from collections.abc import Callable, Iterable

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.graph.ranked import Edges, keep_best
from pipeline.nearest import lower_bounds

Advance = Callable[[int], object]

_SLACK = 4
"""A block's candidates are cut back to k when they are this many times as many."""

_NO_EDGES: Edges = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))


class PairSearch:
    """The k best other rows of each row, among the blocks it was compared with so far."""

    def __init__(self, unit: Floats, starts: Rows, k: int, advance: Advance = id) -> None:
        """Compare every block with itself, which gives each row its first bound.

        ``advance`` is called with 1 for each pair of blocks just multiplied.

        Shapes:
            unit: (N, D) float32. starts: (B + 1,), where blocks begin, and N.
        """
        self._unit, self._advance = unit, advance
        bounds = zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        self._best = [_Best(start, end - start, k) for start, end in bounds]
        largest = max((best.size for best in self._best), default=0)
        self._scores = np.empty(largest * largest, dtype=np.float32)
        for best in self._best:
            best.begin(self._multiplied(best, best))
            advance(1)

    def compare(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Offer the rows of each pair of different blocks to each other."""
        for a, b in pairs:
            mine, other = self._best[a], self._best[b]
            scores = self._multiplied(mine, other)
            mine.offer(scores, other.start)
            other.offer(scores.T, mine.start)
            self._advance(1)

    def _multiplied(self, mine: "_Best", other: "_Best") -> Floats:
        scores = self._scores[: mine.size * other.size].reshape(mine.size, other.size)
        return np.matmul(self._unit[mine.span], self._unit[other.span].T, out=scores)

    def edges(self) -> Edges:
        """Return each row's k best, rows rising and weights falling."""
        parts = [best.edges() for best in self._best] or [_NO_EDGES]
        sources, targets, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
        return sources, targets, np.minimum(weights, 1)


class _Best:
    """The k best columns seen so far of one block of rows."""

    def __init__(self, start: int, size: int, k: int) -> None:
        self.start, self.size, self.k = start, size, k
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
        major, minor = np.divmod(np.flatnonzero(hits).astype(np.int32), np.int32(flat.shape[1]))
        rows, columns = (major, minor) if flat is scores else (minor, major)
        self._edges.append((rows, columns + np.int32(start), flat[major, minor]))
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
        return rows + np.int32(self.start), columns, weights
