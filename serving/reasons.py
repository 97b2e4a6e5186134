"""Why an item is shown: its strongest edge to something the user has, per relation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.ranking.pooling import edges_from

TOGETHER = "bought_together"
"""The relation of items that the same users took; the others are modalities."""

Edges = tuple[Rows, Rows, Rows, Floats]
"""(list, shown row, owned row, weight), an edge an entry."""


@dataclass(frozen=True)
class Edge:
    """The strongest edge between a shown item and an item the user has."""

    relation: str
    item: int
    """Row of the item the user has."""
    weight: float


@dataclass(frozen=True)
class Lists:
    """What is shown to several people, and what each has.

    Shapes:
        shown, has: B lists of rows each, those of ``has`` sorted.
    """

    shown: Sequence[Rows]
    has: Sequence[Rows]


def strongest_naive(graph: sp.csr_matrix, shown: Rows, has: Rows) -> dict[int, tuple[int, float]]:
    """Return, for each shown row, the owned row with the heaviest edge in either direction.

    The slow, obvious twin of ``strongest``; equal weights go to the lowest row.
    """
    dense = graph.toarray()
    found = {}
    for item in shown.tolist():
        weights = [(max(dense[own, item], dense[item, own]), -own) for own in has.tolist()]
        weight, own = max(weights, default=(0.0, 0))
        if weight > 0:
            found[item] = (-own, float(weight))
    return found


def strongest(graph: sp.csr_matrix, lists: Lists) -> list[dict[int, tuple[int, float]]]:
    """Return for each list what ``strongest_naive`` does, touching only edges of rows concerned.

    Shapes:
        graph: CSR (N, N).
    """
    at, item, own, weight = connected(graph, lists)
    order = np.lexsort((own, -weight, item, at))
    whole = at[order] * graph.shape[1] + item[order]
    first = order[np.concatenate([[True], whole[1:] != whole[:-1]])] if len(whole) else order
    found: list[dict[int, tuple[int, float]]] = [{} for _ in lists.shown]
    columns = (at[first], item[first], own[first], weight[first])
    for b, shown, owned, heavy in zip(*(column.tolist() for column in columns), strict=True):
        found[b][shown] = (owned, heavy)
    return found


def connected(graph: sp.csr_matrix, lists: Lists) -> Edges:
    """Return every edge of some weight between a list and what its owner has, either direction.

    Shapes:
        graph: CSR (N, N).
    """
    out = _edges(graph, lists.shown, lists.has)
    # The few that are looked for must be sorted; what the user has is.
    back = _edges(graph, lists.has, [np.sort(rows) for rows in lists.shown])
    at, item = np.concatenate([out[0], back[0]]), np.concatenate([out[1], back[2]])
    own, weight = np.concatenate([out[2], back[1]]), np.concatenate([out[3], back[3]])
    kept = weight > 0
    return at[kept], item[kept], own[kept], weight[kept]


def _edges(graph: sp.csr_matrix, sources: Sequence[Rows], targets: Sequence[Rows]) -> Edges:
    """Return the edges from each list's sources to its targets: (list, source, target, weight)."""
    width = graph.shape[1]
    wanted = np.concatenate([b * width + rows for b, rows in enumerate(targets)])
    flat = np.concatenate(sources)
    lists = np.repeat(np.arange(len(sources)), [len(rows) for rows in sources])
    owner, at = edges_from(graph, flat)
    if not len(wanted) or not len(at):
        nothing = np.empty(0, dtype=np.int64)
        return nothing, nothing, nothing, np.empty(0, dtype=np.float32)
    columns = graph.indices[at]
    codes = lists[owner] * width + columns
    kept = wanted[np.searchsorted(wanted, codes).clip(max=len(wanted) - 1)] == codes
    owner = owner[kept]
    return lists[owner], flat[owner], columns[kept].astype(np.int64), graph.data[at[kept]]


def explain(graphs: Mapping[str, sp.csr_matrix], lists: Lists) -> list[dict[int, list[Edge]]]:
    """Return each list's shown rows' strongest edge per relation, in the order of ``graphs``.

    Weights of different relations are not comparable, so the order of relations is fixed: what
    people did comes before what things look like.
    """
    edges: list[dict[int, list[Edge]]] = [{} for _ in lists.shown]
    if not any(len(rows) for rows in lists.has) or not any(len(rows) for rows in lists.shown):
        return edges
    for relation, graph in graphs.items():
        for found, strong in zip(edges, strongest(graph, lists), strict=True):
            for item, (own, weight) in strong.items():
                found.setdefault(item, []).append(Edge(relation, own, weight))
    return edges
