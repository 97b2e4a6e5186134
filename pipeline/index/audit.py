"""What an index finds, measured against exact search: recall, time, and what a list is worth."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from pipeline.arrays import Floats, Rows
from pipeline.errors import ArtifactError
from pipeline.interactions import columns_of
from pipeline.nearest import recall_at_k, recall_by_score, top_k_exact, top_k_rescored

EFFORT_LIMIT = 4096
"""The search effort is not raised beyond this to reach the floor."""

DEPTH_LIMIT = 64
"""No more candidates per item wanted are scored afresh to reach it."""


@dataclass(frozen=True)
class Exact:
    """Queries and their exact lists.

    Shapes:
        queries: (B, D). rows, scores: (B, K), best first.
    """

    queries: Floats
    rows: Rows
    scores: Floats
    seconds: float = 0.0
    """Of all queries."""

    @classmethod
    def of(cls, queries: Floats, vectors: Floats, k: int) -> "Exact":
        """Return the answers of comparing with every item.

        Shapes:
            queries: (B, D). vectors: (N, D).
        """
        begun = time.perf_counter()
        rows, scores = top_k_exact(queries, vectors, k)
        return cls(queries, rows, scores, time.perf_counter() - begun)

    def at(self, places: Rows) -> "Exact":
        """Return the queries at the given places."""
        return Exact(self.queries[places], self.rows[places], self.scores[places])


@dataclass(frozen=True)
class Search:
    """An index, the vectors it stands for, and how many candidates are scored afresh.

    Shapes:
        vectors: (N, D).
    """

    index: Any
    vectors: Floats
    depth: int = 1

    def top(self, queries: Floats, k: int) -> tuple[Rows, Floats]:
        """Return the k best found for each query: rows (B, k), -1 for none, and scores."""
        return top_k_rescored(self.index, self.vectors, queries, k, self.depth)


@dataclass(frozen=True)
class Audit:
    """What an index was measured to find."""

    k: int
    queries: int
    recall: float
    """Mean share of the exact k best found; of equal scores, any counts."""
    recall_by_row: float
    """The same, with equal scores told apart by row."""
    recall_at_10: float
    """The share of the exact 10 best that the list of 10 holds."""
    seconds_per_query: float
    exact_seconds_per_query: float


def audit(search: Search, exact: Exact, k: int) -> Audit:
    """Return how much of the exact k best a search finds; ``exact`` holds at least k."""
    k = min(k, len(search.vectors))
    begun = time.perf_counter()
    rows, scores = search.top(exact.queries, k)
    seconds = time.perf_counter() - begun
    ten, per = min(10, k), max(1, len(exact.queries))
    return Audit(
        k,
        len(exact.queries),
        recall_by_score(scores, exact.scores[:, :k]),
        recall_at_k(rows, exact.rows[:, :k]),
        recall_by_score(scores[:, :ten], exact.scores[:, :ten]),
        seconds_per_query=seconds / per,
        exact_seconds_per_query=exact.seconds / per,
    )


def audit_until(search: Search, exact: Exact, k: int, floor: float) -> tuple[Search, Audit]:
    """Return a search whose effort was doubled until recall met the floor, and its audit.

    The effort that was enough stays set in the index, and is written with it.

    Raises:
        ArtifactError: recall stays below the floor at the highest effort.
    """
    found = audit(search, exact, k)
    while found.recall < floor and (harder := raised(search, k)):
        search = harder
        found = audit(search, exact, k)
    if found.recall < floor:
        raise ArtifactError(
            f"the index finds {found.recall:.4f} of the exact {found.k} best (over "
            f"{found.queries} users, effort {effort(search.index)}, depth {search.depth}); "
            f"index.recall_floor={floor} is wanted. Raise index.hnsw_links and "
            f"index.ef_construction, or index.code_bytes, or set index.compress=none or "
            f"index.method=flat"
        )
    return search, found


def effort(index: Any) -> int | None:  # noqa: ANN401 - faiss
    """Return the search effort: of a small world its candidates, of lists those looked at.

    None where every item is compared.
    """
    import faiss

    if hasattr(index, "hnsw"):
        return int(index.hnsw.efSearch)
    lists = faiss.try_extract_index_ivf(index)
    return None if lists is None else int(lists.nprobe)


def raised(search: Search, k: int) -> Search | None:
    """Return a search of twice the effort, None where there is no room to.

    Where codes are searched, twice as many candidates are scored afresh too.
    """
    harder = _raise_effort(search.index, len(search.vectors))
    deepest = min(DEPTH_LIMIT, -(-len(search.vectors) // max(1, k)))
    if 1 < search.depth < deepest:
        return replace(search, depth=min(deepest, 2 * search.depth))
    return search if harder else None


def _raise_effort(index: Any, n_items: int) -> bool:  # noqa: ANN401 - faiss
    import faiss

    now = effort(index)
    if now is None:
        return False
    lists = None if hasattr(index, "hnsw") else faiss.try_extract_index_ivf(index)
    limit = min(EFFORT_LIMIT, n_items if lists is None else lists.nlist)
    if now >= limit:
        return False
    if lists is None:
        index.hnsw.efSearch = min(limit, 2 * now)
    else:
        lists.nprobe = min(limit, 2 * now)
    return True


def ndcg(lists: Rows, seen: sp.csr_matrix, wanted: sp.csr_matrix, k: int) -> float:
    """Return the mean NDCG@k of lists, what a user has seen left out.

    Shapes:
        lists: (B, L) item rows, best first, -1 for none. seen, wanted: CSR (B, N), sorted; each
        user wants something.
    """
    gains = [
        _one_ndcg(lists[user], columns_of(seen, user), columns_of(wanted, user), k)
        for user in range(len(lists))
    ]
    return float(np.mean(gains)) if gains else 0.0


def _one_ndcg(listed: Rows, seen: Rows, wanted: Rows, k: int) -> float:
    shown = listed[(listed >= 0) & ~np.isin(listed, seen)][:k]
    discounts = 1 / np.log2(np.arange(2, k + 2))
    hits = np.isin(shown, wanted)
    return float((hits * discounts[: len(shown)]).sum() / discounts[: len(wanted)].sum())
