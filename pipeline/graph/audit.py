"""Exact neighbours of a few rows: what a search must reach, and what it did reach."""

from dataclasses import dataclass

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.graph.best import Best, reaching
from pipeline.graph.ranked import Edges
from pipeline.nearest import lower_bounds

_QUERIES, _COLUMNS = 512, 2048
"""Scores held at once: 4 MB."""


@dataclass(frozen=True)
class Exact:
    """Some rows and their exact nearest others."""

    queries: Rows
    """(Q,)."""
    nearest: Rows
    """(Q, k), best first."""
    scores: Floats
    """(Q, k)."""

    @classmethod
    def of(cls, unit: Floats, queries: Rows, k: int) -> "Exact":
        """Return the exact k nearest others of some rows, or all others if they are fewer.

        Shapes:
            unit: (N, D). queries: (Q,).
        """
        best = Best(len(queries), len(unit), min(k, len(unit) - 1))
        for start in range(0, len(queries), _QUERIES):
            rows = np.arange(start, min(start + _QUERIES, len(queries)))
            for column in range(0, len(unit), _COLUMNS):
                there = unit[column : column + _COLUMNS]
                scores = unit[queries[rows]] @ there.T
                itself = np.flatnonzero(queries[rows] // _COLUMNS * _COLUMNS == column)
                scores[itself, queries[rows[itself]] - column] = -np.inf
                if column == 0 and len(there) > best.k:
                    best.bounds[rows] = lower_bounds(scores, best.k)
                found = reaching(scores, best.bounds[rows][:, None])
                best.offer(rows[found[0]], found[1] + column, found[2])
        _, nearest, scores = best.edges()
        shape = len(queries), best.k
        return cls(queries, nearest.reshape(shape), scores.reshape(shape))

    @property
    def edges(self) -> Edges:
        """From each query to its nearest others."""
        sources = np.repeat(self.queries, self.nearest.shape[1])
        return sources, self.nearest.ravel(), self.scores.ravel()

    def recall(self, edges: Edges, n: int) -> float:
        """Return the mean share of the exact nearest others that stand among edges of n rows."""
        asked = np.zeros(n, dtype=bool)
        asked[self.queries] = True
        kept = asked[edges[0]]
        found = edges[0][kept] * n + edges[1][kept]
        sources, targets, _ = self.edges
        return float(np.isin(sources * n + targets, found).mean()) if len(sources) else 1.0
