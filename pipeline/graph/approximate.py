"""Cosine neighbours of most items' exact ones: only lists that lie close together are compared.

Vectors are sorted into lists by k-means. Pairs of lists are ranked by how many neighbours they are
expected to hold for each comparison, and taken from the best on until enough of the exact
neighbours of a sample lie inside the pairs taken; other queries then measure what was found. A
pair is multiplied once for both sides, as in the exact search, which is this one with every pair.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Flags, Floats
from pipeline.graph.clusters import Lists
from pipeline.graph.distinct import Distinct
from pipeline.graph.pairs import Advance, PairSearch
from pipeline.graph.plan import Exact, Plan
from pipeline.graph.ranked import Edges, ranked_matrix

LIST_SIZE = 256
"""Vectors a list has on average."""

NEAR_LISTS = 32
"""Lists of each vector that can be compared with its own, if not all are."""

_SEED = 20
"""Of the sample that centres are learned from, and of the queries: part of the method."""

_TRIALS, _QUERIES = 1000, 5000
"""Queries that choose the pairs, and other ones that measure the recall."""

_MARGIN = 0.004
"""Aimed at above the floor: about two standard errors of what a thousand queries say."""


def approximate_knn(
    vectors: Floats, present: Flags, k: int, floor: float, advance: Advance = id
) -> tuple[sp.csr_matrix, dict[str, Any]]:
    """Return for every present item k of its most similar others, and how they were found.

    The share found of the exact k is at least ``floor``, as measured; where no choice of lists
    reaches that with half the comparisons of the exact search, all of them are made.

    Shapes:
        vectors: (N, D) any float. present: (N,). returns: CSR (N, N), weights falling in a row.

    Raises:
        ArtifactError: a present vector is not finite.
    """
    distinct = Distinct.of(vectors, present)
    near, facts = near_others(distinct.unit, k, floor, advance)
    return ranked_matrix(distinct.groups.expand(near, k), len(vectors)), facts


def near_others(
    unit: Floats, k: int, floor: float, advance: Advance = id
) -> tuple[Edges, dict[str, Any]]:
    """Return k of the nearest other rows of each row, and how they were found.

    Shapes:
        unit: (N, D) float32, distinct. returns: three arrays (N * min(k, N - 1),).
    """
    rng = np.random.default_rng(_SEED)
    lists = Lists.of(unit, len(unit) // LIST_SIZE, NEAR_LISTS, least=k + 1, rng=rng)
    order = np.argsort(lists.own, kind="stable")
    unit, lists = unit[order], lists.ordered(order)
    asked = rng.permutation(len(unit))
    plan = Plan.of(lists, Exact.of(unit, asked[-_TRIALS:], k))
    judge = Exact.of(unit, asked[:_QUERIES], k)
    near, facts = _search(PairSearch(unit, plan.starts, k, advance), plan, judge, floor)
    return (order[near[0]], order[near[1]], near[2]), facts


def _search(
    search: PairSearch, plan: Plan, judge: Exact, floor: float
) -> tuple[Edges, dict[str, Any]]:
    """Return what the first pairs of the plan find, so many that the judge sees the floor."""
    search.compare(plan.inside())
    aim, done, recall = floor + _MARGIN, 0, -1.0
    while recall < floor and (upto := plan.needed(aim)) is not None:
        search.compare(plan.between(done, upto))
        recall, done = judge.recall(search.edges()), upto
        aim += max(_MARGIN, floor - recall)
    if recall >= floor:
        asked = len(judge.queries)
        return search.edges(), {
            "exact": False, "recall": recall, "recall_queries": asked, **plan.facts(done),
        }  # fmt: skip
    search.compare(plan.rest(done))
    return search.edges(), {"exact": True, "recall": 1.0}
