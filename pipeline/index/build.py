"""FAISS indexes by inner product: exact, or a small-world graph with measured recall."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.arrays import Floats
from pipeline.errors import ArtifactError
from pipeline.nearest import recall_at_k, recall_by_score, top_k_exact, top_k_faiss

Method = Literal["flat", "hnsw"]
Advance = Callable[[int], object]

FLAT_LIMIT = 50_000
"""Up to this many items, comparing with every one is fast enough."""

EF_LIMIT = 4096
"""The search effort is not raised beyond this to reach the floor."""

_CHUNK = 4096


@dataclass(frozen=True)
class Recipe:
    """How an index is built and searched."""

    method: Method
    links: int
    """HNSW: links per node."""
    ef_construction: int
    """HNSW: candidates kept while building."""
    ef_search: int
    """HNSW: candidates kept while searching."""


@dataclass(frozen=True)
class Audit:
    """What an index was measured to find."""

    k: int
    queries: int
    recall: float
    """Mean share of the exact k best found; of equal scores, any counts."""
    recall_by_row: float
    """The same, with equal scores told apart by row."""
    seconds_per_query: float
    exact_seconds_per_query: float


def choose(method: str, n_items: int) -> Method:
    """Return the method that ``auto`` means for so many items, or the one that was asked for."""
    if method == "auto":
        return "flat" if n_items <= FLAT_LIMIT else "hnsw"
    return "hnsw" if method == "hnsw" else "flat"


def build(vectors: Floats, recipe: Recipe, advance: Advance = id) -> Any:  # noqa: ANN401 - faiss
    """Return a FAISS inner-product index of the item vectors; row i is item i.

    The small-world graph is built by one thread: with several, the order in which nodes arrive
    and so the graph would differ from run to run. It searches by inner product as it is: with
    vectors made equally long by another dimension, the usual reduction to cosine, it finds far
    less where lengths vary, which they do when popularity is learned.

    Shapes:
        vectors: (N, D) float32.
    """
    import faiss

    width = vectors.shape[1]
    index: Any = faiss.IndexFlatIP(width)
    if recipe.method == "hnsw":
        index = faiss.IndexHNSWFlat(width, recipe.links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = recipe.ef_construction
        index.hnsw.efSearch = recipe.ef_search
    with faiss_threads(1):
        for start in range(0, len(vectors), _CHUNK):
            part = np.ascontiguousarray(vectors[start : start + _CHUNK], dtype=np.float32)
            index.add(part)
            advance(len(part))
    return index


@contextmanager
def faiss_threads(threads: int) -> Iterator[None]:
    """Let FAISS use so many threads; put back what was set before."""
    import faiss

    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def audit(index: Any, queries: Floats, items: Floats, k: int) -> Audit:  # noqa: ANN401
    """Return how much of the exact k best an index finds.

    Shapes:
        queries: (B, D). items: (N, D).
    """
    k = min(k, len(items))
    begun = time.perf_counter()
    exact_rows, exact = top_k_exact(queries, items, k)
    middle = time.perf_counter()
    rows, scores = top_k_faiss(index, queries, k)
    ended = time.perf_counter()
    per = max(1, len(queries))
    return Audit(
        k,
        len(queries),
        recall_by_score(scores, exact),
        recall_at_k(rows, exact_rows),
        seconds_per_query=(ended - middle) / per,
        exact_seconds_per_query=(middle - begun) / per,
    )


def audit_until(index: Any, queries: Floats, items: Floats, k: int, floor: float) -> Audit:  # noqa: ANN401
    """Return the audit of an index whose search effort was doubled until recall met the floor.

    The effort that was enough stays set in the index, and is written with it.

    Shapes:
        queries: (B, D). items: (N, D).

    Raises:
        ArtifactError: recall stays below the floor at the highest effort.
    """
    found = audit(index, queries, items, k)
    while found.recall < floor and raise_effort(index, len(items)):
        found = audit(index, queries, items, k)
    if found.recall < floor:
        raise ArtifactError(
            f"the index finds {found.recall:.4f} of the exact {found.k} best (over "
            f"{found.queries} users, ef_search {effort(index)}); index.recall_floor={floor} is "
            f"wanted. Raise index.hnsw_links and index.ef_construction, or set index.method=flat"
        )
    return found


def effort(index: Any) -> int | None:  # noqa: ANN401
    """Return the search effort of a small-world index, None of an exact one."""
    return int(index.hnsw.efSearch) if hasattr(index, "hnsw") else None


def raise_effort(index: Any, n_items: int) -> bool:  # noqa: ANN401
    """Double the search effort; return whether there was room to."""
    now = effort(index)
    limit = min(EF_LIMIT, n_items)
    if now is None or now >= limit:
        return False
    index.hnsw.efSearch = min(limit, 2 * now)
    return True
