"""What a graph looks like: degrees, hubs, components, agreement with categories."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from pipeline.arrays import Flags, Rows
from pipeline.graph.ranked import edges_of

Statistics = dict[str, Any]
"""JSON values; None where a number is not defined."""

_HUB_SHARE = 0.01


def item_graph(matrix: sp.csr_matrix, categories: Rows, included: Flags) -> Statistics:
    """Return the statistics of an item-item graph.

    Shapes:
        matrix: CSR (N, N). categories: (N,) numbers, -1 where unknown.
        included: (N,) items that can have edges at all.
    """
    sources, targets, weights = edges_of(matrix)
    outgoing = np.diff(matrix.indptr)
    incoming = np.bincount(targets, minlength=matrix.shape[0])
    return {
        "items": int(included.sum()),
        "edges": int(matrix.nnz),
        "self_loops": int((sources == targets).sum()),
        "isolated": int(((outgoing == 0) & (incoming == 0) & included).sum()),
        "out_degree": spread(outgoing[included]),
        "in_degree": spread(incoming[included]),
        "hubness": hubness(incoming[included]),
        "components": components(matrix, included),
        "symmetric_share": symmetric_share(matrix),
        "cross_category_share": _cross_share(categories[sources], categories[targets]),
        "weights": _quantiles(weights),
    }


def bipartite(user_item: sp.csr_matrix) -> Statistics:
    """Return the statistics of the user-item graph.

    Shapes:
        user_item: CSR (U, N).
    """
    users, items = user_item.shape
    per_user = np.diff(user_item.indptr)
    per_item = np.bincount(user_item.indices, minlength=items)
    whole = sp.bmat([[None, user_item], [user_item.T, None]], format="csr")
    return {
        "users": users,
        "items": items,
        "edges": int(user_item.nnz),
        "density": float(user_item.nnz / max(1, users * items)),
        "users_without": int((per_user == 0).sum()),
        "items_without": int((per_item == 0).sum()),
        "user_degree": spread(per_user),
        "item_degree": spread(per_item),
        "popularity": hubness(per_item),
        "components": components(whole, np.concatenate([per_user, per_item]) > 0),
    }


def spread(counts: Rows) -> Statistics:
    """Return the least, middle, mean and largest of counts."""
    if not len(counts):
        return {"min": None, "median": None, "mean": None, "max": None}
    return {
        "min": int(counts.min()),
        "median": float(np.median(counts)),
        "mean": float(counts.mean()),
        "max": int(counts.max()),
    }


def hubness(incoming: Rows) -> Statistics:
    """Return how unevenly edges arrive.

    ``skewness`` is the third standardised moment of the k-occurrence (Radovanovic et al., "Hubs in
    space", JMLR 2010); ``robin_hood`` the share of edges to move for all to be equal;
    ``top_1_percent`` the share that the largest hundredth receives; ``none`` the share of items
    that are nobody's neighbour.
    """
    total, n = int(incoming.sum()), len(incoming)
    if not total:
        return {"skewness": None, "robin_hood": None, "top_1_percent": None, "none": None}
    away = incoming - incoming.mean()
    deviation = float(incoming.std())
    hubs = np.sort(incoming)[-max(1, round(_HUB_SHARE * n)) :]
    return {
        "skewness": float((away**3).mean() / deviation**3) if deviation > 0 else 0.0,
        "robin_hood": float(np.abs(away).sum() / 2 / total),
        "top_1_percent": float(hubs.sum() / total),
        "none": float((incoming == 0).mean()),
    }


def components(matrix: sp.csr_matrix, included: Flags) -> Statistics:
    """Return how many parts the included nodes fall into when directions are ignored.

    Shapes:
        matrix: CSR (N, N). included: (N,).
    """
    _, labels = connected_components(matrix, directed=False)
    sizes = np.bincount(labels[included]) if included.any() else np.zeros(1, dtype=np.int64)
    largest = float(sizes.max() / included.sum()) if included.any() else None
    return {"count": int((sizes > 0).sum()), "largest_share": largest}


def symmetric_share(matrix: sp.csr_matrix) -> float | None:
    """Return the share of edges whose reverse is an edge too."""
    if not matrix.nnz:
        return None
    n = matrix.shape[0]
    sources, targets, _ = edges_of(matrix)
    there, back = sources * n + targets, targets * n + sources
    return float(np.isin(there, back).mean())


def _cross_share(sources: Rows, targets: Rows) -> float | None:
    """Return the share of edges between different categories, where both are known."""
    known = (sources >= 0) & (targets >= 0)
    return float((sources[known] != targets[known]).mean()) if known.any() else None


def _quantiles(weights: np.ndarray) -> Statistics | None:
    if not len(weights):
        return None
    shares = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "max": 1.0}
    values = np.quantile(weights.astype(np.float64), [*shares.values()])
    return dict(zip(shares, values.tolist(), strict=True))
