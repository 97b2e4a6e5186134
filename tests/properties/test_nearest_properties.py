"""The fast top-k is the slow one, whatever the scores and however many are equal."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline import nearest

FEW_VALUES = st.sampled_from([-np.inf, -2.0, -1.0, 0.0, 0.5, 1.0])
"""So that most scores are equal to others."""


def naive(scores, k):
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


@settings(deadline=None, max_examples=150)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 90)), elements=FEW_VALUES),
    st.integers(1, 100),
)
def test_ties_go_to_the_lowest_column(scores, k):
    columns, values = nearest.top_k_of_scores(scores, k)
    want_columns, want_values = naive(scores, k)
    np.testing.assert_array_equal(columns, want_columns)
    np.testing.assert_array_equal(values, want_values)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1000), st.integers(1, 700), st.integers(1, 40), st.booleans())
def test_distinct_and_mostly_equal_scores(seed, wide, k, equal):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(3, wide)).astype(np.float32)
    if equal:
        scores[:, rng.random(wide) < 0.9] = 0.0
    columns, values = nearest.top_k_of_scores(scores, k)
    want_columns, want_values = naive(scores, k)
    np.testing.assert_array_equal(columns, want_columns)
    np.testing.assert_array_equal(values, want_values)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1000), st.integers(1, 600), st.integers(1, 30))
def test_at_least_k_scores_reach_the_bound(seed, wide, k):
    k = min(k, wide)
    scores = np.random.default_rng(seed).normal(size=(4, wide)).astype(np.float32)
    bounds = nearest.lower_bounds(scores, k)
    assert ((scores >= bounds[:, None]).sum(axis=1) >= k).all()
    assert (bounds <= np.sort(scores, axis=1)[:, -k]).all()
