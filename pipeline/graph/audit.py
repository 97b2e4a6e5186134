"""Exact neighbours of a few rows: what a search must reach, and what it did reach."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.graph.best import Best, reaching
from pipeline.graph.crew import ALONE, Crew
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
    def of(cls, unit: Floats, queries: Rows, k: int, crew: Crew = ALONE) -> "Exact":
        """Return the exact k nearest others of some rows, or all others if they are fewer.

        Shapes:
            unit: (N, D). queries: (Q,).
        """
        k = min(k, len(unit) - 1)
        parts = (queries[start : start + _QUERIES] for start in range(0, len(queries), _QUERIES))
        found = [*crew.each(partial(_nearest, unit, k), parts)]
        nearest = [np.empty((0, k), np.int64), *(columns for columns, _ in found)]
        scores = [np.empty((0, k), np.float32), *(weights for _, weights in found)]
        return cls(queries, np.concatenate(nearest), np.concatenate(scores))

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


def _nearest(unit: Floats, k: int, queries: Rows) -> tuple[Rows, Floats]:
    """Return the exact k nearest others of a few rows, and their similarities.

    Shapes:
        unit: (N, D). queries: (Q,). returns: (Q, k), (Q, k).
    """
    best, mine = Best(len(queries), len(unit), k), unit[queries]
    for start in range(0, len(unit), _COLUMNS):
        scores = mine @ unit[start : start + _COLUMNS].T
        here = np.flatnonzero((queries >= start) & (queries < start + scores.shape[1]))
        scores[here, queries[here] - start] = -np.inf
        if start == 0 and scores.shape[1] > k:
            best.bounds[:] = lower_bounds(scores, k)
        rows, columns, weights = reaching(scores, best.bounds[:, None])
        best.offer(rows, columns + start, weights)
    _, columns, weights = best.edges()
    return columns.reshape(len(queries), k), weights.reshape(len(queries), k)
