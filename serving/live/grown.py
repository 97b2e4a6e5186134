"""A few rows behind a mapped array, matrix or index, of which nothing large is copied."""

from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.nearest import top_k_of_scores


class Stacked:
    """An array with a few rows behind its own, for those who index it by row or multiply with it.

    Shapes:
        base: (N, ...). extra: (M, ...). the whole: (N + M, ...).
    """

    def __init__(self, base: np.ndarray, extra: np.ndarray) -> None:
        """Put ``extra`` behind ``base``."""
        self.base, self.extra = base, extra

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the whole."""
        return (len(self), *self.base.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the base's values."""
        return self.base.dtype

    @property
    def ndim(self) -> int:
        """Return the number of dimensions."""
        return self.base.ndim

    @property
    def size(self) -> int:
        """Return the number of values."""
        return int(self.base.size + self.extra.size)

    def __len__(self) -> int:
        """Return N + M."""
        return len(self.base) + len(self.extra)

    def __getitem__(self, at: Any) -> Any:  # noqa: ANN401 - what numpy indexes with
        """Return rows as an array would."""
        first = len(self.base)
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step == 1 and stop <= first:
                return self.base[start:stop]
            return self[np.fromiter(range(len(self))[at], dtype=np.int64)]
        if isinstance(at, int | np.integer):
            row = int(at) + len(self) if at < 0 else int(at)
            return self.base[row] if row < first else self.extra[row - first]
        rows = np.asarray(at)
        if rows.dtype == bool:
            rows = np.flatnonzero(rows)
        beyond = rows >= first
        if not beyond.any():
            return self.base[rows]
        found = np.empty((*rows.shape, *self.base.shape[1:]), dtype=self.dtype)
        found[~beyond] = self.base[rows[~beyond]]
        found[beyond] = self.extra[rows[beyond] - first]
        return found

    def __matmul__(self, other: Any) -> np.ndarray:  # noqa: ANN401 - what numpy multiplies with
        """Return the product of the whole."""
        return np.concatenate([self.base @ other, self.extra @ other])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: ANN401
        """Return the whole as one array, copied."""
        if copy is False:
            raise ValueError("rows behind a mapped array cannot be had without a copy")
        return np.concatenate([self.base, self.extra]).astype(dtype or self.dtype, copy=False)


def stacked(base: Floats, extra: Floats) -> Floats:
    """Return both as what stands for an array."""
    return cast(Floats, Stacked(base, extra))


@dataclass(frozen=True)
class Edges:
    """The edges of one item: rows of others, and weights, heaviest first.

    Shapes:
        rows, weights: (E,).
    """

    rows: Rows = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    weights: Floats = field(default_factory=lambda: np.empty(0, dtype=np.float32))


class GrownGraph:
    """A CSR matrix with a few rows behind its own, for those who read it row by row."""

    def __init__(self, base: sp.csr_matrix, extra: list[Edges]) -> None:
        """Put the edges of further items behind those of ``base``."""
        ends = np.cumsum([len(edges.rows) for edges in extra], dtype=np.int64)
        count = base.shape[0] + len(extra)
        self.shape = (count, count)
        self.indptr = Stacked(base.indptr, base.indptr[-1] + ends)
        self.indices = Stacked(
            base.indices, np.concatenate([base.indices[:0], *(e.rows for e in extra)])
        )
        self.data = Stacked(base.data, np.concatenate([base.data[:0], *(e.weights for e in extra)]))


class GrownIndex:
    """A FAISS index with a few vectors behind its own, which are compared one by one."""

    def __init__(self, base: Any, extra: Floats) -> None:  # noqa: ANN401 - faiss has no types
        """Search ``extra`` (M, D) beside ``base``; row N + i is vector i of it."""
        self.base, self.extra = base, extra
        self.d, self.ntotal = base.d, base.ntotal + len(extra)

    def search(
        self,
        queries: Floats,
        k: int,
        flags: Flags | None = None,
        **how: Any,  # noqa: ANN401
    ) -> tuple[Floats, Rows]:
        """Return scores and rows of the k best, as the index does; -1 where there are fewer.

        Shapes:
            queries: (B, D). flags: (N + M,), which added items may be found; ``how`` tells the
            index which of its own.
        """
        scores, rows = self.base.search(queries, k, **how)
        first = self.base.ntotal
        free = np.arange(len(self.extra)) if flags is None else np.flatnonzero(flags[first:])
        places, products = top_k_of_scores(queries @ self.extra[free].T, k)
        scores = np.concatenate([scores, products.astype(np.float32)], axis=1)
        rows = np.concatenate([rows, free[places] + first], axis=1)
        best, found = top_k_of_scores(scores, k)
        return found, np.take_along_axis(rows, best, axis=1)
