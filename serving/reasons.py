"""Why an item is shown: its strongest edge to something the user has, per relation."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.ranking.pooling import edges_from

TOGETHER = "bought_together"
"""The relation of items that the same users took; the others are modalities."""


@dataclass(frozen=True)
class Edge:
    """The strongest edge between a shown item and an item the user has."""

    relation: str
    item: int
    """Row of the item the user has."""
    weight: float


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


def strongest(graph: sp.csr_matrix, shown: Rows, has: Rows) -> dict[int, tuple[int, float]]:
    """Return what ``strongest_naive`` does, touching only the edges of the rows concerned.

    Shapes:
        graph: CSR (N, N). shown: (k,). has: (H,) sorted.
    """
    out = _edges(graph, shown, has)
    back = _edges(graph, has, np.sort(shown))
    item = np.concatenate([out[0], back[1]])
    own = np.concatenate([out[1], back[0]])
    weight = np.concatenate([out[2], back[2]])
    order = np.lexsort((own, -weight, item))
    first = order[np.unique(item[order], return_index=True)[1]]
    chosen = first[weight[first] > 0]
    return {int(item[e]): (int(own[e]), float(weight[e])) for e in chosen}


def _edges(graph: sp.csr_matrix, sources: Rows, targets: Rows) -> tuple[Rows, Rows, Floats]:
    """Return the edges from ``sources`` to the sorted ``targets`` as (source, target, weight)."""
    owner, at = edges_from(graph, sources)
    columns = graph.indices[at]
    kept = np.isin(columns, targets)
    return sources[owner][kept], columns[kept], graph.data[at][kept]


def explain(graphs: Mapping[str, sp.csr_matrix], shown: Rows, has: Rows) -> dict[int, list[Edge]]:
    """Return each shown row's strongest edge per relation, in the order of ``graphs``.

    Weights of different relations are not comparable, so the order of relations is fixed: what
    people did comes before what things look like.
    """
    edges: dict[int, list[Edge]] = {}
    if len(shown) and len(has):
        for relation, graph in graphs.items():
            for item, (own, weight) in strongest(graph, shown, has).items():
                edges.setdefault(item, []).append(Edge(relation, own, weight))
    return edges
