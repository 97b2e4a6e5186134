"""Cosine neighbours of most items' exact ones: vectors are compared with close lists alone.

Vectors are sorted into lists by k-means. Each asks the lists whose centres are hardly farther than
its own list's, and what it finds is offered to both sides. How much farther is chosen on the exact
neighbours of a sample; other queries then measure what was found.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.crew import ALONE, Crew
from pipeline.graph.audit import Exact, Sides
from pipeline.graph.best import Best, reaching
from pipeline.graph.clusters import Probes, closest, spherical_k_means
from pipeline.graph.distinct import Distinct
from pipeline.graph.neighbors import compared, nearest_others, pairs_of_blocks
from pipeline.graph.ranked import Edges, ranked_matrix

LIST_SIZE = 128
"""Fewest vectors a list has on average."""

SEED = 20
"""Of the sample that centres are learned from, and of the queries: part of the method."""

_TRIALS, _QUERIES = 1500, 5000
"""Queries that choose how far to look, and other ones that measure the recall."""

_MARGIN = 0.005
"""Aimed at above the floor: about two standard errors of what the trial queries say."""

_WORTH = 0.5
"""Share of the exact search's comparisons above which an approximate one is not worth it."""

ROUNDING = np.float32(1e-6)
"""Two ways of multiplying the same vectors differ by less."""

ASKING, ASKED = 2048, 1024
"""Most rows and columns of a block of similarities."""


def approximate_knn(
    vectors: Floats, present: Flags, k: int, floor: float, crew: Crew = ALONE
) -> tuple[sp.csr_matrix, dict[str, Any]]:
    """Return for every present item k of its most similar others, and how they were found.

    The share found of the exact k is at least ``floor``, as measured; where that takes half the
    comparisons of the exact search, or more, the exact search is made instead.

    Shapes:
        vectors: (N, D) any float. present: (N,). returns: CSR (N, N), weights falling in a row.

    Raises:
        ArtifactError: a present vector is not finite.
    """
    distinct = Distinct.of(vectors, present)
    near, facts = near_others(distinct.unit, k, floor, crew)
    return ranked_matrix(distinct.groups.expand(near, k), len(vectors)), facts


def near_others(
    unit: Floats, k: int, floor: float, crew: Crew = ALONE
) -> tuple[Edges, dict[str, Any]]:
    """Return k of the nearest other rows of each row, and how they were found.

    Shapes:
        unit: (N, D) float32, distinct. returns: three arrays (N * min(k, N - 1),).
    """
    sides, rng = Sides.same(unit), np.random.default_rng(SEED)
    if len(unit) > 2 * LIST_SIZE:
        centres = spherical_k_means(unit, number_of_lists(len(unit)), rng, crew)

        def attempt(gap: float) -> tuple[Edges, dict[str, Any]]:
            return search(unit, Probes.of(unit, centres, gap, crew), k, crew)

        examined = Examined.of(sides, k, rng, crew)
        trial = Trial.of(unit, centres, examined.trial)
        if found := examined.search(trial, attempt, floor):
            return found
    return nearest_others(unit, k, crew), {"exact": True, "recall": 1.0}


def number_of_lists(n: int) -> int:
    """Return into how many lists so many vectors go: 4 √n at most.

    Comparing all with every centre then grows as n^1.5, and learning the centres as n.
    """
    return min(n // LIST_SIZE, math.ceil(4 * math.sqrt(n)))


@dataclass(frozen=True)
class Examined:
    """Askers that choose how far to look, and other ones that judge what was found."""

    sides: Sides
    trial: Exact
    judge: Exact

    @classmethod
    def of(cls, sides: Sides, k: int, rng: np.random.Generator, crew: Crew) -> "Examined":
        """Return both, drawn without a repeat as long as there are enough."""
        asked = rng.permutation(len(sides.asking))
        trial, judge = asked[-_TRIALS:], asked[:_QUERIES]
        return cls(sides, Exact.of(sides, trial, k, crew), Exact.of(sides, judge, k, crew))

    def search(
        self,
        trial: "Trial",
        attempt: Callable[[float], tuple[Edges, dict[str, Any]]],
        floor: float,
    ) -> tuple[Edges, dict[str, Any]] | None:
        """Return what the first attempt finds whose measured recall is the floor, and how.

        None where only an attempt would that is as much work as the exact search.
        """
        aim = floor + _MARGIN
        while (gap := trial.gap(aim)) is not None:
            near, facts = attempt(gap)
            recall = self.judge.recall(near, self.sides)
            if recall >= floor:
                return near, facts | {"recall": recall, "recall_queries": len(self.judge.queries)}
            aim += max(_MARGIN, floor - recall)
        return None


@dataclass(frozen=True)
class Trial:
    """How far queries and their exact neighbours must look to find each other."""

    gaps: Floats
    """(Q * k,) rising: how much farther than the closest centre that of the other's list is."""
    shares: Floats
    """(Q * k,) the exact search's comparisons that looking so far takes, as a share."""

    @classmethod
    def of(cls, unit: Floats, centres: Floats, exact: Exact) -> "Trial":
        """Return the trial of some queries; either side finding the other is enough.

        Shapes:
            unit: (N, D). centres: (L, D).
        """
        sources, targets, _ = exact.edges
        ends, at = np.unique(np.concatenate([sources, targets]), return_inverse=True)
        own, top = closest(unit[ends], centres)
        own, top = own[at], top[at]
        across = unit[np.concatenate([sources, targets])], centres[np.roll(own, len(sources))]
        farther = (top - np.einsum("ed,ed->e", *across)).reshape(2, -1).min(axis=0)
        gaps = np.sort(np.maximum(farther, 0)) + ROUNDING
        return cls(gaps, 2 * lists_within(unit[exact.queries] @ centres.T, gaps))

    def gap(self, aim: float) -> float | None:
        """Return how far to look for a recall; None if the exact search is as good as that."""
        at = int(np.ceil(aim * len(self.gaps))) - 1
        if at >= len(self.gaps) or self.shares[at] > _WORTH:
            return None
        return float(self.gaps[at])


def lists_within(scores: Floats, gaps: Floats) -> Floats:
    """Return the mean share of lists whose centre lies within each gap of the closest one's.

    Shapes:
        scores: (Q, L), of queries and centres. gaps: (G,). returns: (G,).
    """
    every = np.sort((scores.max(axis=1, keepdims=True) - scores).ravel())
    shares: Floats = np.searchsorted(every, gaps, side="right") / every.size
    return shares


def search(unit: Floats, probes: Probes, k: int, crew: Crew) -> tuple[Edges, dict[str, Any]]:
    """Return the k best of what probes find for either side, and what that took.

    Shapes:
        unit: (N, D). returns: three arrays (N * k,).
    """
    lists, best = Lists.of(probes), Best(len(unit), len(unit), k)
    inside = (pair for members in lists.members for pair in pairs_of_blocks(members))
    for found in crew.each(partial(compared, unit, best), inside):
        for edges in found:
            best.offer(*edges)
    for found in crew.each(partial(_turn, unit, lists, best.bounds), range(len(lists.members))):
        for edges in found:
            best.offer(*edges)
        crew.advance(1)
    return completed(best.edges(), Sides.same(unit), k), lists.facts


@dataclass(frozen=True)
class Lists:
    """Who is in each list, and who asks it."""

    probes: Probes
    members: list[Rows]
    asking: sp.csc_matrix
    """(N, L) flags."""

    @classmethod
    def of(cls, probes: Probes) -> "Lists":
        """Return the lists of all probes."""
        order = np.argsort(probes.own, kind="stable")
        sizes = np.bincount(probes.own, minlength=probes.asked.shape[1])
        return cls(probes, np.split(order, np.cumsum(sizes)[:-1]), probes.asked.tocsc())

    def askers(self, at: int) -> Rows:
        """Return the rows that ask a list and do not belong to it."""
        rows: Rows = self.asking.indices[slice(*self.asking.indptr[at : at + 2])]
        others: Rows = rows[self.probes.own[rows] != at]
        return others

    @property
    def facts(self) -> dict[str, Any]:
        """What asking takes, in lists a vector and as a share of the exact search."""
        sizes = np.array([len(each) for each in self.members])
        asked = np.diff(self.asking.indptr)
        scores = (sizes * asked).sum() - (sizes * (sizes + 1) / 2).sum()
        return {
            "exact": False, "lists": len(sizes), "probes": float(asked.sum() / sizes.sum()),
            "compared": float(scores / (sizes.sum() * (sizes.sum() - 1) / 2)),
        }  # fmt: skip


def _turn(unit: Floats, lists: Lists, bounds: Floats, at: int) -> list[Edges]:
    """Return what askers and members of a list are to each other, where that may matter.

    Two rows that ask each other's lists meet in both turns; each then hears of the other in its
    own.
    """
    found, own, askers = [], lists.probes.own, lists.askers(at)
    for start in range(0, len(lists.members[at]), ASKED):
        members = lists.members[at][start : start + ASKED]
        there, asks = unit[members], lists.probes.asked[members].toarray()
        for begin in range(0, len(askers), ASKING):
            mine = askers[begin : begin + ASKING]
            scores = unit[mine] @ there.T
            rows, columns, weights = reaching(scores, bounds[mine][:, None])
            found.append((mine[rows], members[columns], weights))
            rows, columns, weights = reaching(scores, bounds[members])
            new = ~asks[columns, own[mine[rows]]]
            found.append((members[columns[new]], mine[rows[new]], weights[new]))
    return found


def completed(edges: Edges, sides: Sides, k: int) -> Edges:
    """Return the edges with the exact ones of askers that met fewer than k targets."""
    met = np.bincount(edges[0], minlength=len(sides.asking))
    k = sides.most(k)
    short = np.flatnonzero(met < k)
    kept = met[edges[0]] >= k
    exact = Exact.of(sides, short, k).edges
    rows = np.concatenate([edges[0][kept], exact[0]])
    order = np.argsort(rows, kind="stable") if len(short) else slice(None)
    columns = np.concatenate([edges[1][kept], exact[1]])[order]
    weights = np.concatenate([edges[2][kept], exact[2]])[order]
    return rows[order], columns, np.minimum(weights, 1)
