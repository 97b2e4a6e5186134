"""What must hold of a re-ranked list whatever the scores, the vectors and the caps."""

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import likeness, rerank
from pipeline.ids import UNKNOWN
from pipeline.rerank import Caps, Reranking

EXACT = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0.5] * 4, [0.5, -0.5, 0.5, -0.5], [0] * 4])
"""Vectors whose inner products are exact in floating point: twins then break ties alike."""
N_ITEMS = 30
relaxed = settings(deadline=None)
"""A busy machine is no failure."""


@st.composite
def cases(draw):
    """Lists with ends, scores with ties, a likeness (dense or sparse, with unknown items), caps."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    lists, long = draw(st.integers(1, 4)), draw(st.integers(1, 12))
    rows = np.stack([rng.permutation(N_ITEMS)[:long] for _ in range(lists)])
    scores = -np.sort(-rng.integers(0, 9, size=rows.shape), axis=1).astype(np.float32)
    for at in range(lists):
        end = rng.integers(0, long + 1)
        scores[at, [0, max(0, end - 1)]] = 8, 0  # the span is a power of two: exact as well
        rows[at, end:], scores[at, end:] = UNKNOWN, -np.inf
    vectors = EXACT[rng.integers(len(EXACT), size=N_ITEMS)].astype(np.float32)
    if draw(st.booleans()):
        vectors = sp.csr_matrix(vectors)
    groups = sp.csr_matrix(rng.random((N_ITEMS, 5)) < 0.3).astype(np.float32)
    caps = draw(st.none() | st.just(Caps(groups, rng.integers(1, 4, size=5))))
    balance = draw(st.sampled_from([0.0, 0.25, 0.5, 1.0]))
    how = Reranking(balance, likeness.Likeness(vectors, "planted"), caps)
    return rows, scores, how, draw(st.integers(1, 14))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_the_fast_one_is_the_slow_one(case):
    np.testing.assert_array_equal(rerank.rerank(*case), rerank.rerank_naive(*case))


@relaxed
@given(cases())
def test_blocks_of_any_size_give_the_same(case):
    whole = rerank.rerank(*case)
    at_once, rerank._COSINES_AT_ONCE = rerank._COSINES_AT_ONCE, 1
    try:
        np.testing.assert_array_equal(rerank.rerank(*case), whole)
    finally:
        rerank._COSINES_AT_ONCE = at_once


@relaxed
@given(cases())
def test_no_cap_is_ever_exceeded(case):
    rows, _, how, _ = case
    shown = rerank.taken(rows, rerank.rerank(*case))
    for listed in shown if how.caps else ():
        held = np.asarray(how.caps.labels[listed[listed >= 0]].sum(axis=0)).ravel()
        assert (held <= how.caps.limits).all()


@relaxed
@given(cases())
def test_a_list_holds_candidates_each_once_and_no_gap(case):
    rows, _, _, k = case
    places = rerank.rerank(*case)
    assert places.shape == (len(rows), min(k, rows.shape[1]))
    for listed, found in zip(rows, places, strict=True):
        kept = found[found >= 0]
        assert len({*kept.tolist()}) == len(kept) and (listed[kept] >= 0).all()
        assert (found[: len(kept)] >= 0).all()


@relaxed
@given(cases())
def test_a_list_is_short_only_where_nothing_more_is_allowed(case):
    rows, _, how, k = case
    shown = rerank.taken(rows, rerank.rerank(*case))
    for listed, found in zip(rows, shown, strict=True):
        kept = found[found >= 0]
        rest = np.setdiff1d(listed[listed >= 0], kept)
        if len(kept) < min(k, (listed >= 0).sum()):
            assert how.caps and not any(rerank._fits(np.append(kept, r), how.caps) for r in rest)


@relaxed
@given(cases())
def test_a_balance_of_one_without_caps_keeps_the_order(case):
    rows, scores, how, k = case
    base = Reranking(1.0, how.likeness)
    shown = rerank.taken(rows, rerank.rerank(rows, scores, base, k))
    np.testing.assert_array_equal(shown, rows[:, :k])


@relaxed
@given(cases())
def test_caps_alone_keep_the_order_of_what_is_left(case):
    rows, scores, how, k = case
    places = rerank.rerank(rows, scores, Reranking(1.0, None, how.caps), k)
    for found in places:
        kept = found[found >= 0]
        assert (np.diff(kept) > 0).all()


@relaxed
@given(cases(), st.floats(0.01, 100), st.floats(-50, 50))
def test_relevance_has_no_scale(case, factor, offset):
    """Scores of another scale rank the same things equally relevant."""
    rows, scores, _, _ = case
    moved = np.where(rows >= 0, scores.astype(np.float64) * factor + offset, -np.inf)
    before = rerank.relevance(rows, scores)
    np.testing.assert_allclose(rerank.relevance(rows, moved), before, atol=1e-9)
    assert (before >= 0).all() and (before <= 1).all()


@settings(max_examples=60, deadline=None)
@given(cases())
def test_mean_distance_is_that_of_the_pairs(case):
    rows, _, how, _ = case
    found = likeness.mean_distances(how.likeness, rows)
    slow = likeness.mean_distances_naive(how.likeness, rows)
    np.testing.assert_allclose(found, slow, atol=1e-6)
    assert (found >= 0).all() and (found <= 2).all()


@relaxed
@given(st.integers(0, 10_000))
def test_cosines_of_sparse_vectors_are_those_of_dense_ones(seed):
    rng = np.random.default_rng(seed)
    labels = sp.csr_matrix(rng.random((N_ITEMS, 6)) < 0.25).astype(np.float32)
    rows = rng.integers(UNKNOWN, N_ITEMS, size=(3, 7))
    sparse = likeness.of_labels(labels, "labels")
    dense = likeness.of_vectors(labels.toarray(), "labels")
    np.testing.assert_allclose(sparse.cosines(rows), dense.cosines(rows), atol=1e-6)
    np.testing.assert_array_equal(sparse.known, dense.known)


@relaxed
@given(st.lists(st.lists(st.sampled_from("abc"), max_size=3) | st.none(), min_size=1, max_size=8))
def test_labels_of_lists_are_those_of_each(lists):
    """A label listed twice counts once."""
    found = likeness.labels_of(pa.chunked_array([pa.array(lists, pa.list_(pa.string()))]))
    want = [len({*(each or [])}) for each in lists]
    assert np.asarray(found.sum(axis=1)).ravel().tolist() == want
    assert set(found.data.tolist()) <= {1.0}
