"""What must hold of pooling, features and candidates whatever the histories and relations."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.ids import UNKNOWN
from pipeline.nearest import top_k_naive
from pipeline.ranking.candidates import candidates_of, outside, padded, second_best
from pipeline.ranking.evidence import Evidence, Taste
from pipeline.ranking.features import features
from pipeline.ranking.pooling import pooled, pooled_naive
from pipeline.ranking.space import Space

relaxed = settings(max_examples=80, deadline=None)


def ones(size):
    return np.ones(size)


def sparse(rng, rows, columns, share, values):
    """Return a matrix with empty rows and rows in any order of column."""
    dense = np.where(rng.random((rows, columns)) < share, values(size=(rows, columns)), 0.0)
    dense[rng.random(rows) < 0.2] = 0
    matrix = sp.csr_matrix(dense.astype(np.float32))
    for row in range(rows):
        span = slice(*matrix.indptr[row : row + 2])
        order = rng.permutation(span.stop - span.start)
        matrix.indices[span] = matrix.indices[span][order]
        matrix.data[span] = matrix.data[span][order]
    matrix.has_sorted_indices = False
    return matrix


@st.composite
def meetings(draw):
    """Histories, a relation with weights of both signs, candidates that may end early."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    users, items = draw(st.integers(0, 5)), draw(st.integers(1, 12))
    share = draw(st.sampled_from([0.0, 0.2, 0.9]))
    history = sparse(rng, users, items, share, ones)
    relation = sparse(rng, items, items, draw(st.sampled_from([0.0, 0.3, 1.0])), rng.normal)
    candidates = rng.integers(UNKNOWN, items, size=(users, draw(st.integers(0, 8))))
    return history, relation, candidates


@relaxed
@given(meetings())
def test_pooled_is_pooled_one_by_one(meeting):
    for fast, slow in zip(pooled(*meeting), pooled_naive(*meeting), strict=True):
        assert fast.shape == slow.shape and fast.dtype == np.float32
        np.testing.assert_allclose(fast, slow, atol=1e-6)


@st.composite
def tastes(draw):
    """Evidence of any size, users of it and strangers, with items that must not be shown."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    users, items = draw(st.integers(1, 6)), draw(st.integers(1, 25))
    taken = sparse(rng, users, items, draw(st.sampled_from([0.1, 0.6])), ones)
    taken.sort_indices()
    vectors = rng.normal(size=(users, 3)).astype(np.float32)
    vectors[rng.random(users) < 0.2] = 0
    directions = rng.normal(size=(items, 3)).astype(np.float32)
    relations = {"text": sparse(rng, items, items, 0.3, rng.exponential)}
    second = draw(st.sampled_from([None, sparse(rng, items, items, 0.5, rng.normal)]))
    evidence = Evidence(Space(vectors, directions, directions), taken, relations, second)
    chosen = rng.integers(users, size=draw(st.integers(1, 4)))
    taste = evidence.tastes(chosen)
    if draw(st.booleans()):
        strangers = np.full(len(chosen), UNKNOWN)
        taste = Taste(rng.normal(size=(len(chosen), 3)).astype("f4"), taste.history, strangers)
    masked = sparse(rng, len(chosen), items, draw(st.sampled_from([0.0, 0.3, 1.0])), ones)
    return evidence, taste, masked, draw(st.integers(1, 30))


def real(row):
    return row[row != UNKNOWN].tolist()


@relaxed
@given(tastes())
def test_candidates_hold_the_exact_best_and_nothing_masked(case):
    evidence, taste, masked, count = case
    found = candidates_of(evidence, taste, count, masked)
    best, _ = top_k_naive(taste.vectors, evidence.space.item_vectors, evidence.items)
    for b, row in enumerate(found):
        items, barred = real(row), set(masked[b].indices.tolist())
        assert items == sorted(set(items)) and not barred & {*items}
        assert row[len(items) :].tolist() == [UNKNOWN] * (len(row) - len(items))
        assert {*[i for i in best[b].tolist() if i not in barred][:count]} <= {*items}


@relaxed
@given(tastes())
def test_candidates_are_those_of_the_vectors_and_of_the_second_model(case):
    evidence, taste, masked, count = case
    best, _ = top_k_naive(taste.vectors, evidence.space.item_vectors, evidence.items)
    for b, row in enumerate(candidates_of(evidence, taste, count, masked)):
        allowed = [i for i in range(evidence.items) if i not in masked[b].indices]
        wanted = {*[i for i in best[b].tolist() if i in allowed][:count]}
        if evidence.second is not None:
            scores = np.asarray((taste.history[b] @ evidence.second).todense()).ravel()
            order = sorted(allowed, key=lambda i: (-scores[i], i))
            wanted |= {i for i in order[:count] if scores[i] > 0}
        assert {*real(row)} == wanted


@relaxed
@given(tastes())
def test_the_second_model_gives_its_best_first(case):
    evidence, taste, masked, count = case
    if evidence.second is None:
        return
    scores = (taste.history @ evidence.second).toarray()
    for b, rows in enumerate(second_best(evidence.second, taste.history, outside(masked), count)):
        assert len(rows) <= count and (scores[b, rows] > 0).all()
        assert (np.diff(scores[b, rows]) <= 0).all()


@relaxed
@given(tastes())
def test_a_block_of_users_has_the_features_that_each_has_alone(case):
    """Catalogues of one item, users without items, masks of everything: all give numbers."""
    evidence, taste, masked, count = case
    found = candidates_of(evidence, taste, count, masked)
    names, together = features(evidence, taste, found)
    assert together.shape == (*found.shape, len(names)) and together.dtype == np.float32
    assert np.isfinite(together).all()
    for b in range(len(found)):
        one = Taste(taste.vectors[[b]], taste.history[[b]], taste.users[[b]])
        np.testing.assert_allclose(
            features(evidence, one, found[[b]])[1][0], together[b], atol=2e-5, rtol=1e-5
        )


@relaxed
@given(tastes(), st.randoms(use_true_random=False))
def test_features_follow_their_candidate(case, random):
    evidence, taste, masked, count = case
    found = candidates_of(evidence, taste, count, masked)
    order = random.sample(range(found.shape[1]), found.shape[1])
    names, values = features(evidence, taste, found)
    shuffled = features(evidence, taste, found[:, order])[1]
    there = found[:, order] != UNKNOWN
    # Places among equals go by column.
    free = [at for at, name in enumerate(names) if not name.endswith("_rank")]
    np.testing.assert_allclose(
        shuffled[there][:, free], values[:, order][there][:, free], atol=2e-5, rtol=1e-5
    )
    assert len(set(names)) == len(names)


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=4))
def test_padding_keeps_every_list(lists):
    whole = padded([np.array(rows, dtype=np.int64) for rows in lists])
    assert [real(row) for row in whole] == lists
