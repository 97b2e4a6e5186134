"""What must hold of a ranking metric whatever the list."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluate.metrics import KERNELS, Metric, evaluate_users, rank_metrics
from pipeline.scoring import Ranking

ALL = [*KERNELS]


@st.composite
def lists(draw):
    """A list of hits and a number of relevant items that allows them."""
    hits = draw(st.lists(st.booleans(), min_size=1, max_size=15))
    spare = draw(st.integers(0, 10))
    return hits, max(1, sum(hits) + spare)


def values(hits: list[bool], n_relevant: int, k: int) -> dict[str, float]:
    wanted = [Metric(name, k) for name in ALL]
    found = rank_metrics(np.array([hits]), np.array([n_relevant]), wanted)
    return {name: float(found[f"{name}@{k}"][0]) for name in ALL}


@given(lists(), st.integers(1, 20))
def test_between_zero_and_one(case, k):
    for name, value in values(*case, k).items():
        assert 0 <= value <= 1 + 1e-12, name


@given(st.integers(1, 12), st.integers(1, 12))
def test_the_ideal_list_is_one(n_relevant, k):
    hits = [rank < n_relevant for rank in range(k)]
    found = values(hits, n_relevant, k)
    for name in "ndcg", "map", "mrr", "hit":
        assert np.isclose(found[name], 1.0), name
    assert np.isclose(found["recall"], min(k, n_relevant) / n_relevant)
    assert np.isclose(found["precision"], min(k, n_relevant) / k)


@given(lists(), st.integers(1, 20), st.data())
def test_a_hit_moved_up_never_costs(case, k, data):
    hits, n_relevant = case
    rank = data.draw(st.integers(0, len(hits) - 1))
    better = [*hits]
    if rank and hits[rank]:
        better[rank - 1], better[rank] = hits[rank], hits[rank - 1]
    before, after = values(hits, n_relevant, k), values(better, n_relevant, k)
    for name in ALL:
        assert after[name] >= before[name] - 1e-12, name


@given(lists(), st.integers(1, 20), st.data())
def test_one_more_hit_never_costs(case, k, data):
    hits, n_relevant = case
    better = [*hits]
    better[data.draw(st.integers(0, len(hits) - 1))] = True
    n_relevant = max(n_relevant, sum(better))
    before, after = values(hits, n_relevant, k), values(better, n_relevant, k)
    for name in ALL:
        assert after[name] >= before[name] - 1e-12, name


@given(lists(), st.integers(1, 20))
def test_a_longer_list_never_loses_a_hit(case, k):
    shorter, longer = values(*case, k), values(*case, k + 1)
    for name in "recall", "hit", "mrr":
        assert longer[name] >= shorter[name], name


@given(lists(), st.integers(1, 20))
def test_hit_is_recall_above_zero(case, k):
    found = values(*case, k)
    assert (found["hit"] == 1) == (found["recall"] > 0) == (found["mrr"] > 0)


class Fixed:
    """Scores given as a matrix."""

    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.matrix[users].astype(np.float32)


@settings(max_examples=40)
@given(st.integers(0, 10_000))
def test_renaming_items_changes_nothing(seed):
    """Items get other rows; scores without ties rank the same things at the same places."""
    rng = np.random.default_rng(seed)
    scores = rng.permuted(np.tile(np.arange(12.0), (6, 1)), axis=1)
    held_out = sp.csr_matrix(rng.random((6, 12)) < 0.3)
    train = sp.csr_matrix(rng.random((6, 12)) < 0.2)
    users = np.flatnonzero(np.diff(held_out.indptr))
    renamed = rng.permutation(12)
    wanted = [Metric(name, 4) for name in ALL]

    def value(columns):
        relevant, masked = (sp.csr_matrix(m[:, columns]) for m in (held_out, train))
        relevant.sort_indices()
        scorer = Fixed(scores[:, columns])
        return evaluate_users(scorer, users, relevant, Ranking(masked, 4), wanted)

    before, after = value(np.arange(12)), value(renamed)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
