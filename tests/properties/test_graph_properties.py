"""The blocked graphs are the slow ones, whatever the vectors, blocks and duplicates."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.graph.cooccurrence import cooccurrence, cooccurrence_naive
from pipeline.graph.distinct import group_equal
from pipeline.graph.neighbors import cosine_knn
from pipeline.graph.ranked import edges_of, keep_best
from tests import worlds

QUICK = settings(deadline=None, max_examples=60)


@st.composite
def catalogues(draw):
    """Vectors with absent items and items that share a vector exactly."""
    n, width = draw(st.integers(1, 60)), draw(st.integers(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    distinct = rng.normal(size=(draw(st.integers(1, n)), width))
    distinct /= np.linalg.norm(distinct, axis=1, keepdims=True)
    vectors = distinct[rng.integers(0, len(distinct), size=n)].astype(np.float32)
    present = rng.random(n) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    return np.where(present[:, None], vectors, 0).astype(np.float32), present


@QUICK
@given(catalogues(), st.integers(1, 12), st.sampled_from([3, 16, 2048]))
def test_neighbours_keep_every_promise(catalogue, k, block):
    vectors, present = catalogue
    graph = cosine_knn(vectors, present, k, block=block)
    sources, targets, weights = edges_of(graph)
    assert (sources != targets).all()
    assert present[sources].all() and present[targets].all()
    degree = np.bincount(sources, minlength=len(present))
    assert (degree[present] == min(k, max(0, present.sum() - 1))).all()
    same_row = sources[1:] == sources[:-1]
    assert (weights[1:] <= weights[:-1])[same_row].all()
    assert len(np.unique(sources * len(present) + targets)) == len(sources)
    assert (np.abs(weights) <= 1).all()


@QUICK
@given(catalogues(), st.integers(1, 12), st.sampled_from([3, 16, 2048]))
def test_weights_are_those_of_the_slow_graph(catalogue, k, block):
    """Rows may differ where float similarities of different vectors tie; their weights may not."""
    vectors, present = catalogue
    fast = cosine_knn(vectors, present, k, block=block)
    similar = vectors @ vectors.T
    similar[~present] = similar[:, ~present] = -np.inf
    np.fill_diagonal(similar, -np.inf)
    for row in np.flatnonzero(present):
        want = np.sort(similar[row])[::-1][:k]
        have = fast.data[fast.indptr[row] : fast.indptr[row + 1]]
        np.testing.assert_allclose(have, want[np.isfinite(want)], atol=1e-5)


@QUICK
@given(st.integers(0, 10_000), st.integers(2, 50), st.integers(1, 12))
def test_distinct_vectors_give_the_slow_graph_itself(seed, n, k):
    vectors = np.random.default_rng(seed).normal(size=(n, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    present = np.ones(n, dtype=bool)
    slow = worlds.knn(vectors, present, k)
    fast = cosine_knn(vectors, present, k, block=8)
    assert abs(fast - slow).max() < 1e-5
    assert fast.nnz == n * min(k, n - 1)


@QUICK
@given(catalogues())
def test_groups_are_those_of_a_full_sort(catalogue):
    vectors, present = catalogue
    rows = np.flatnonzero(present)
    first, group = group_equal(vectors, rows)
    np.testing.assert_array_equal(vectors[rows], vectors[rows[first]][group])
    assert len(first) == len(np.unique(vectors[rows], axis=0))
    assert (np.diff(first) > 0).all()


@QUICK
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 9), st.sampled_from([-1, -0.0, 0, 0.5, 1]))
    ),
    st.integers(1, 4),
)
def test_keep_best_is_sorting_and_cutting(edges, k):
    edges = sorted({(r, c): w for r, c, w in edges}.items())
    wanted = []
    for row in range(6):
        of_row = sorted((-w, c) for (r, c), w in edges if r == row)
        wanted += [(row, c, -w) for w, c in of_row[:k]]
    columns = [np.array(x) for x in zip(*[(r, c, w) for (r, c), w in edges], strict=True)]
    given_edges = columns or [np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)]
    rows, targets, weights = keep_best(tuple(given_edges), k)
    have = zip(rows.tolist(), targets.tolist(), weights.tolist(), strict=True)
    assert [*have] == wanted


@QUICK
@given(
    st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 3), st.sampled_from([1, 40, 1 << 25])
)
def test_cooccurrence_is_the_dense_one(seed, k, min_users, budget):
    rng = np.random.default_rng(seed)
    dense = (rng.random((rng.integers(1, 20), rng.integers(1, 15))) < 0.3).astype(np.float32)
    fast = cooccurrence(sp.csr_matrix(dense), k, min_users, budget=budget)
    slow = cooccurrence_naive(sp.csr_matrix(dense), k, min_users)
    assert fast.shape == slow.shape
    np.testing.assert_allclose(
        np.sort(fast.toarray(), axis=1), np.sort(slow.toarray(), axis=1), atol=1e-6
    )
    assert (np.diff(fast.indptr) <= k).all() and not fast.diagonal().any()
