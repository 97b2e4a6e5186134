"""Exact neighbours of a few rows: what a search must reach, and what it did reach."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.crew import ALONE, Crew
from pipeline.graph.best import Best, reaching
from pipeline.graph.ranked import Edges
from pipeline.nearest import lower_bounds

_QUERIES, _COLUMNS = 512, 2048
"""Scores held at once: 4 MB."""


@dataclass(frozen=True)
class Sides:
    """Unit vectors that ask for neighbours, and those that may be neighbours.

    Shapes:
        asking: (N, D). targets: (M, D). itself: (N,) which target each asker is, -1 for none.
    """

    asking: Floats
    targets: Floats
    itself: Rows

    @classmethod
    def same(cls, unit: Floats) -> "Sides":
        """Return vectors that ask each other.

        Shapes:
            unit: (N, D).
        """
        return cls(unit, unit, np.arange(len(unit)))

    def most(self, k: int) -> int:
        """Return how many neighbours every asker can have, k at most."""
        return max(0, min(k, len(self.targets) - int((self.itself >= 0).any())))


@dataclass(frozen=True)
class Exact:
    """Some askers and their exact nearest targets, themselves left out."""

    queries: Rows
    """(Q,)."""
    nearest: Rows
    """(Q, k), best first."""
    scores: Floats
    """(Q, k)."""

    @classmethod
    def of(cls, sides: Sides, queries: Rows, k: int, crew: Crew = ALONE) -> "Exact":
        """Return the exact k nearest targets of some askers, or as many as there are.

        Shapes:
            queries: (Q,) rows of ``sides.asking``.
        """
        k = sides.most(k)
        parts = (queries[start : start + _QUERIES] for start in range(0, len(queries), _QUERIES))
        nearest: list[Rows] = [np.empty((0, k), np.int64)]
        scores: list[Floats] = [np.empty((0, k), np.float32)]
        for columns, weights in crew.each(partial(_nearest, sides, k), parts if k else ()):
            nearest.append(columns)
            scores.append(weights)
            crew.advance(len(columns))
        return cls(queries if k else queries[:0], np.concatenate(nearest), np.concatenate(scores))

    @property
    def edges(self) -> Edges:
        """From each query to its nearest targets."""
        sources = np.repeat(self.queries, self.nearest.shape[1])
        return sources, self.nearest.ravel(), self.scores.ravel()

    def recall(self, edges: Edges, sides: Sides) -> float:
        """Return the mean share of the exact nearest targets that stand among edges."""
        asked = np.zeros(len(sides.asking), dtype=bool)
        asked[self.queries] = True
        kept, width = asked[edges[0]], len(sides.targets)
        found = edges[0][kept] * width + edges[1][kept]
        sources, targets, _ = self.edges
        return float(np.isin(sources * width + targets, found).mean()) if len(sources) else 1.0


def _nearest(sides: Sides, k: int, queries: Rows) -> tuple[Rows, Floats]:
    """Return the exact k nearest targets of a few askers, and their similarities.

    Shapes:
        queries: (Q,). returns: (Q, k), (Q, k).
    """
    best, mine = Best(len(queries), len(sides.targets), k), sides.asking[queries]
    itself = sides.itself[queries]
    for start in range(0, len(sides.targets), _COLUMNS):
        scores = mine @ sides.targets[start : start + _COLUMNS].T
        here = np.flatnonzero((itself >= start) & (itself < start + scores.shape[1]))
        scores[here, itself[here] - start] = -np.inf
        if start == 0 and scores.shape[1] > k:
            best.bounds[:] = lower_bounds(scores, k)
        rows, columns, weights = reaching(scores, best.bounds[:, None])
        best.offer(rows, columns + start, weights)
    _, columns, weights = best.edges()
    return columns.reshape(len(queries), k), weights.reshape(len(queries), k)
