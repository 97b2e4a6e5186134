"""Which lists to compare with each other: a sample's exact neighbours say how many are enough."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.graph.clusters import Lists
from pipeline.graph.ranked import Edges
from pipeline.nearest import top_k_exact

PIECE = 1024
"""Rows compared at once: 4 MB of similarities; longer lists are compared in pieces."""

WORTH = 0.5
"""Share of all comparisons above which an approximate search is not worth it."""


@dataclass(frozen=True)
class Exact:
    """Some rows and their exact nearest others."""

    queries: Rows
    """(Q,)."""
    nearest: Rows
    """(Q, k), best first."""

    @classmethod
    def of(cls, unit: Floats, queries: Rows, k: int) -> "Exact":
        """Return the exact k nearest others of some rows, or all others if they are fewer.

        Shapes:
            unit: (N, D). queries: (Q,).
        """
        found, _ = top_k_exact(unit[queries], unit, k + 1)
        others_first = np.argsort(found == queries[:, None], axis=1, kind="stable")
        nearest = np.take_along_axis(found, others_first, axis=1)[:, : min(k, len(unit) - 1)]
        return cls(queries, nearest)

    def recall(self, edges: Edges) -> float:
        """Return the share of the exact nearest others that stand among the edges."""
        sources, targets, _ = edges
        n = int(max(self.queries.max(), self.nearest.max(), sources.max(), targets.max())) + 1
        asked = np.zeros(n, dtype=bool)
        asked[self.queries] = True
        kept = asked[sources]
        found = sources[kept].astype(np.int64) * n + targets[kept]
        return float(np.isin(self.queries[:, None] * n + self.nearest, found).mean())


@dataclass(frozen=True)
class Plan:
    """Pairs of lists, the most promising first, for rows in order of their lists."""

    bounds: Rows
    """(L + 1,) where each list begins, and N."""
    pairs: Rows
    """(P, 2) different lists, the lower first."""
    expected: Floats
    """(P + 1,) the sample's recall after so many pairs; without any, inside lists alone."""
    cost: Floats
    """(P + 1,) comparisons made by then."""

    @classmethod
    def of(cls, lists: Lists, sample: Exact) -> "Plan":
        """Return the plan that the exact neighbours of a sample suggest.

        Shapes:
            lists: of N rows in order of their lists.
        """
        own, rank = lists.own, _ranks(lists, sample)
        bounds = np.searchsorted(own, np.arange(lists.count + 1))
        sizes = np.diff(bounds).astype(np.float64)
        pairs = _ranked_pairs(lists, _chances(rank, lists.near.shape[1]), sizes)
        places = _places(pairs, own[sample.queries][:, None], own[sample.nearest], lists.count)
        found = np.bincount(places.ravel(), minlength=len(pairs) + 2)[: len(pairs) + 1]
        inside = (sizes * (sizes - 1)).sum() / 2
        cost = np.cumsum([inside, *sizes[pairs].prod(axis=1)])
        return cls(bounds, pairs, np.cumsum(found) / places.size, cost)

    def needed(self, aim: float) -> int | None:
        """Return how many pairs the sample needs for a recall; None if that is not worth it."""
        n = int(np.searchsorted(self.expected, aim))
        return n if n < len(self.expected) and self.share(n) <= WORTH else None

    def share(self, pairs: int) -> float:
        """Return the share of an exact search's comparisons that the first pairs take."""
        n = int(self.bounds[-1])
        return float(self.cost[pairs] / max(1, n * (n - 1) / 2))

    @property
    def starts(self) -> Rows:
        """Where the pieces of lists begin, and N."""
        spans = zip(self.bounds[:-1].tolist(), self.bounds[1:].tolist(), strict=True)
        return np.array([*(at for span in spans for at in range(*span, PIECE)), self.bounds[-1]])

    def inside(self) -> Iterator[tuple[int, int]]:
        """Yield the pairs of pieces that one list has."""
        for pieces in self._pieces():
            yield from combinations(pieces, 2)

    def between(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield the pairs of pieces of the lists of the pairs from ``begin`` to ``end``."""
        yield from self._of_lists(map(tuple, self.pairs[begin:end].tolist()))

    def rest(self, done: int) -> Iterator[tuple[int, int]]:
        """Yield the pairs of pieces of all other pairs of lists than the first ``done``."""
        made = set(map(tuple, self.pairs[:done].tolist()))
        every = combinations(range(len(self.bounds) - 1), 2)
        yield from self._of_lists(pair for pair in every if pair not in made)

    def _of_lists(self, pairs: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
        pieces = self._pieces()
        for a, b in pairs:
            yield from product(pieces[a], pieces[b])

    def _pieces(self) -> list[range]:
        counts = -(-np.diff(self.bounds) // PIECE)
        ends = np.cumsum(counts)
        return [*map(range, (ends - counts).tolist(), ends.tolist())]

    def facts(self, pairs: int) -> dict[str, Any]:
        """Return what taking so many pairs means."""
        lists = len(self.bounds) - 1
        return {
            "lists": lists,
            "probes": 1 + 2 * pairs / lists,
            "compared": self.share(pairs),
        }


def _ranks(lists: Lists, sample: Exact) -> Rows:
    """Return how close the list of each of a query's neighbours is to it: 0, 1, ...

    Shapes:
        returns: at most (Q * k,), without neighbours whose list is not among the close ones.
    """
    wanted = lists.own[sample.nearest]
    _, _, rank = np.nonzero(wanted[:, :, None] == lists.near[sample.queries][:, None, :])
    return rank


def _chances(ranks: Rows, width: int) -> Floats:
    """Return how likely a neighbour lies in the closest, second, ... list, never rising.

    Shapes:
        returns: (R,).
    """
    counts = np.bincount(ranks, minlength=width) + 1e-3
    return np.maximum.accumulate(counts[::-1])[::-1] / counts.sum()


def _ranked_pairs(lists: Lists, chances: Floats, sizes: Floats) -> Rows:
    """Return pairs of lists by the neighbours expected for each comparison, most first.

    Shapes:
        chances: (R,). sizes: (L,). returns: (P, 2).
    """
    rows = np.repeat(lists.own, lists.near.shape[1])
    weights = np.tile(chances.astype(np.float32), len(lists.near))
    shape = (lists.count, lists.count)
    one_way = sp.csr_matrix((weights, (rows, lists.near.ravel())), shape=shape)
    both = sp.triu(one_way + one_way.T, k=1).tocoo()
    order = np.argsort(-both.data / (sizes[both.row] * sizes[both.col]), kind="stable")
    return np.stack([both.row, both.col], axis=1)[order]


def _places(pairs: Rows, mine: Rows, other: Rows, count: int) -> Rows:
    """Return after how many pairs two lists have been compared; P + 1 where they never are.

    Shapes:
        pairs: (P, 2). mine, other: any two that broadcast. returns: their broadcast shape.
    """
    low, high = np.broadcast_arrays(np.minimum(mine, other), np.maximum(mine, other))
    turn = np.arange(1, len(pairs) + 1)
    table = sp.csr_matrix((turn, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    found = np.asarray(table[low.ravel(), high.ravel()]).reshape(low.shape)
    return np.where(low == high, 0, np.where(found > 0, found, len(pairs) + 1))
