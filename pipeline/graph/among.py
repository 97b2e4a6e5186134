"""Each item's nearest of some items: those with interactions, which carry what training learns.

In a catalogue where few items have interactions, hardly any of an item's nearest do; the nearest
of those that do are what a trained item shares signal with, and what a new item is attached to.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats, Rows
from pipeline.crew import ALONE, Crew
from pipeline.graph.approximate import (
    ASKED,
    ASKING,
    LIST_SIZE,
    ROUNDING,
    SEED,
    Examined,
    Trial,
    completed,
    lists_within,
    number_of_lists,
)
from pipeline.graph.audit import Exact, Sides
from pipeline.graph.best import Best, reaching
from pipeline.graph.clusters import Probes, closest, spherical_k_means
from pipeline.graph.distinct import normalised
from pipeline.graph.ranked import Edges, ranked_matrix
from pipeline.nearest import lower_bounds


@dataclass(frozen=True)
class Among:
    """Who may be a neighbour, how many are wanted, and how well they must be found."""

    targets: Rows
    """(M,) items."""
    k: int
    floor: float | None = None
    """Least share of the exact neighbours that an approximate search finds; None: all of them."""


def knn_among(
    vectors: Floats, present: Flags, among: Among, crew: Crew = ALONE
) -> tuple[sp.csr_matrix, dict[str, Any]]:
    """Return for every present item the k most similar other targets, and how they were found.

    Equal similarities go to the lower row.

    Shapes:
        vectors: (N, D) any float. present: (N,). returns: CSR (N, N), weights falling in a row.

    Raises:
        ArtifactError: a present vector is not finite.
    """
    items, sides, targets = _sides(vectors, present, among.targets)
    edges, facts = nearest_targets(sides, among.k, among.floor, crew)
    rows, columns, weights = items[edges[0]], targets[edges[1]], np.minimum(edges[2], 1)
    return ranked_matrix((rows, columns, weights), len(vectors)), facts


def _sides(vectors: Floats, present: Flags, targets: Rows) -> tuple[Rows, Sides, Rows]:
    """Return the items that ask, their vectors and the targets', and the items that are targets."""
    rows = np.flatnonzero(present)
    unit, length = normalised(vectors, rows)
    asking = np.flatnonzero(length > 0)
    rows, unit = rows[asking], unit if len(asking) == len(rows) else unit[asking]
    wanted = np.zeros(len(vectors), dtype=bool)
    wanted[targets] = True
    at = np.flatnonzero(wanted[rows])
    itself = np.full(len(rows), -1)
    itself[at] = np.arange(len(at))
    return rows, Sides(unit, unit[at], itself), rows[at]


def nearest_targets(
    sides: Sides, k: int, floor: float | None, crew: Crew = ALONE
) -> tuple[Edges, dict[str, Any]]:
    """Return k of the nearest targets of each asker, and how they were found.

    Shapes:
        returns: three arrays (N * min(k, M - 1),).
    """
    if floor is not None and len(sides.targets) > 2 * LIST_SIZE:
        rng = np.random.default_rng(SEED)
        count = number_of_lists(len(sides.targets))
        centres = spherical_k_means(sides.targets, count, rng, crew)
        own, _ = closest(sides.targets, centres, crew)
        examined = Examined.of(sides, k, rng, crew)

        def attempt(gap: float) -> tuple[Edges, dict[str, Any]]:
            asked = Probes.of(sides.asking, centres, gap, crew)
            return search(sides, Lists.of(own, asked), k, crew)

        if found := examined.search(trial_of(sides, centres, own, examined.trial), attempt, floor):
            return found
    every = np.arange(len(sides.asking))
    return Exact.of(sides, every, k, crew).edges, {"exact": True, "recall": 1.0}


def trial_of(sides: Sides, centres: Floats, own: Rows, exact: Exact) -> Trial:
    """Return how far askers must look to find their exact neighbours.

    Shapes:
        centres: (L, D). own: (M,) the list of each target.
    """
    scores = sides.asking[exact.queries] @ centres.T
    away = scores.max(axis=1, keepdims=True) - scores
    gaps = np.sort(np.take_along_axis(away, own[exact.nearest], axis=1).ravel()) + ROUNDING
    return Trial(gaps, lists_within(scores, gaps))


@dataclass(frozen=True)
class Lists:
    """Which targets are in each list, and which askers ask it."""

    members: list[Rows]
    nearest: list[Rows]
    """Askers whose closest list it is."""
    others: list[Rows]
    """Askers that ask it beside a closer one."""

    @classmethod
    def of(cls, own: Rows, probes: Probes) -> "Lists":
        """Return the lists of all probes.

        Shapes:
            own: (M,) the list of each target.
        """
        count = probes.asked.shape[1]
        asking = probes.asked.tocsc()
        asked = np.split(asking.indices, asking.indptr[1:-1])
        others = [rows[probes.own[rows] != at] for at, rows in enumerate(asked)]
        return cls(_grouped(own, count), _grouped(probes.own, count), others)

    @property
    def compared(self) -> int:
        """How many pairs are compared."""
        asked = (len(a) + len(b) for a, b in zip(self.nearest, self.others, strict=True))
        return sum(len(m) * n for m, n in zip(self.members, asked, strict=True))


def _grouped(own: Rows, count: int) -> list[Rows]:
    order = np.argsort(own, kind="stable")
    return np.split(order, np.cumsum(np.bincount(own, minlength=count))[:-1])


def search(sides: Sides, lists: Lists, k: int, crew: Crew) -> tuple[Edges, dict[str, Any]]:
    """Return the k best of what askers find in the lists they ask, and what that took.

    Shapes:
        returns: three arrays (N * k,).
    """
    best = Best(len(sides.asking), len(sides.targets), k)
    for askers in (lists.nearest, lists.others):
        work = partial(_met, sides, best)
        for found in crew.each(work, zip(lists.members, askers, strict=True)):
            for edges in found:
                best.offer(*edges)
    facts = {
        "exact": False, "lists": len(lists.members),
        "compared": lists.compared / max(1, len(sides.asking) * len(sides.targets)),
    }  # fmt: skip
    return completed(best.edges(), sides, k), facts


def _met(sides: Sides, best: Best, group: tuple[Rows, Rows]) -> list[Edges]:
    """Return what the members of a list are to those who ask it, where that may matter.

    Askers that have no bound yet get one.
    """
    found, (members, askers) = [], group
    for begin in range(0, len(askers) if len(members) else 0, ASKING):
        mine = askers[begin : begin + ASKING]
        for start in range(0, len(members), ASKED):
            there = members[start : start + ASKED]
            scores = sides.asking[mine] @ sides.targets[there].T
            _leave_out(scores, sides.itself[mine], there)
            if len(there) > best.k:
                fresh = best.bounds[mine] == -np.inf
                best.bounds[mine[fresh]] = lower_bounds(scores[fresh], best.k)
            rows, columns, weights = reaching(scores, best.bounds[mine][:, None])
            found.append((mine[rows], there[columns], weights))
    return found


def _leave_out(scores: Floats, itself: Rows, there: Rows) -> None:
    """Put what an asker is to itself out of the question.

    Shapes:
        scores: (A, T). itself: (A,) targets or -1. there: (T,) targets, rising.
    """
    at = np.searchsorted(there, itself).clip(max=len(there) - 1)
    mine = np.flatnonzero(there[at] == itself)
    scores[mine, at[mine]] = -np.inf
