"""The k best others of every row, out of scores that come in any order and in great numbers.

A bound on the k-th best of every row lets all but a few scores be dropped by one comparison. The
few are kept as integers of 64 bits, row, falling weight and column from high to low, so that one
sort of plain integers ranks those of many rows; that is ten times faster than sorting by keys.
"""

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.graph.ranked import Edges
from pipeline.nearest import SIGN, falling

_ROW_BITS = 10
"""Rows ranked by one sort, 1,024 at most: what they hold stays in the cache."""


class Best:
    """The k best columns seen so far of each row; no pair may be offered twice."""

    def __init__(self, rows: int, columns: int, k: int) -> None:
        """Start with nothing seen."""
        self.k = k
        self.bounds = np.full(rows, -np.inf, dtype=np.float32)
        """A score below its row's bound is not among the k best: (rows,). May be raised."""
        self._column_bits = max(1, int(columns - 1).bit_length())
        self._row_bits = min(_ROW_BITS, 31 - self._column_bits)
        blocks = -(-rows // (1 << self._row_bits))
        self._kept: list[Rows] = [np.empty(0, dtype=np.uint64)] * blocks
        self._pending: list[tuple[Rows, Rows]] = []
        self._held, self._most = 0, max(1 << 16, rows * k)

    def offer(self, rows: Rows, columns: Rows, weights: Floats) -> None:
        """Take some scores.

        Shapes:
            rows, columns, weights: (E,).
        """
        low = (rows & ((1 << self._row_bits) - 1)).astype(np.uint64)
        keys = (low << np.uint64(32)) | falling(weights)
        keys = (keys << np.uint64(self._column_bits)) | columns.astype(np.uint64)
        block = (rows >> self._row_bits).astype(np.min_scalar_type(len(self._kept)))
        self._pending.append((block, keys))
        self._held += len(keys)
        if self._held > self._most:
            self._rank()

    def _rank(self) -> None:
        """Rank what is pending among what was kept, and raise the bounds to the k-th."""
        if not self._pending:
            return
        block, keys = (np.concatenate(each) for each in zip(*self._pending, strict=True))
        self._pending, self._held = [], 0
        keys = keys[np.argsort(block, kind="stable")]
        ends = np.cumsum(np.bincount(block, minlength=len(self._kept))).tolist()
        for at, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            if end > start:
                self._kept[at] = self._merged(at, keys[start:end])

    def _merged(self, block: int, new: Rows) -> Rows:
        """Return the k best keys of each row of a block, and raise its rows' bounds."""
        keys = np.sort(np.concatenate([self._kept[block], new]))
        first = block << self._row_bits
        rows = min(1 << self._row_bits, len(self.bounds) - first)
        shift = np.uint64(32 + self._column_bits)
        starts = np.searchsorted(keys, np.arange(rows + 1, dtype=np.uint64) << shift)
        counts = np.diff(starts)
        full = np.flatnonzero(counts >= self.k)
        last = self._weights(keys[starts[full] + self.k - 1])
        self.bounds[first + full] = np.maximum(self.bounds[first + full], last)
        kept: Rows = keys[np.arange(len(keys)) - np.repeat(starts[:-1], counts) < self.k]
        return kept

    def _weights(self, keys: Rows) -> Floats:
        return _weight((keys >> np.uint64(self._column_bits)).astype(np.uint32))

    def edges(self) -> Edges:
        """Return each row's k best, rows rising, then weights falling, then columns rising."""
        self._rank()
        sizes = np.array([len(keys) for keys in self._kept], dtype=np.int64)
        keys = np.concatenate([np.empty(0, np.uint64), *self._kept])
        low = (keys >> np.uint64(32 + self._column_bits)).astype(np.int64)
        rows = low + np.repeat(np.arange(len(sizes)) << self._row_bits, sizes)
        columns = (keys & np.uint64((1 << self._column_bits) - 1)).astype(np.int64)
        return rows, columns, self._weights(keys)


def _weight(bits: Rows) -> Floats:
    """Return the weights of such integers."""
    return np.where(bits & SIGN, bits, bits ^ ~SIGN).astype(np.uint32).view(np.float32)


def reaching(scores: Floats, bounds: Floats) -> Edges:
    """Return row, column and value of the finite scores that are not below their bounds.

    Shapes:
        scores: (R, C), contiguous. bounds: broadcasts to (R, C). returns: three arrays (E,).
    """
    at = np.flatnonzero(scores >= bounds)
    values = scores.ravel()[at]
    if len(values) and values.min() == -np.inf:
        at, values = at[values > -np.inf], values[values > -np.inf]
    rows = at // scores.shape[1]
    return rows, at - rows * scores.shape[1], values
