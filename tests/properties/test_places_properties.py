"""The share of places that new items take, beside lists made and counted one by one."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.train import places
from pipeline.train.places import PLACES, best_scores, scale_for

relaxed = settings(max_examples=60, deadline=None)


def share_naive(trained, new, scale):
    """Return the share of places of new items: every list merged, every place looked at."""
    taken = 0
    for ours, theirs in zip(trained.tolist(), new.tolist(), strict=True):
        entries = [(score, 0) for score in ours] + [(scale * score, 1) for score in theirs]
        # On equal scores the trained item keeps its place.
        best = sorted(entries, key=lambda entry: (-entry[0], entry[1]))[:PLACES]
        taken += sum(kind for _, kind in best)
    return taken / (len(trained) * PLACES)


def falling(rng, users):
    return -np.sort(-rng.gamma(2.0, size=(users, PLACES)), axis=1)


@relaxed
@given(st.integers(0, 1 << 20), st.integers(1, 8), st.floats(0, 1), st.floats(0.2, 3))
def test_the_scale_is_the_largest_that_keeps_the_share(seed, users, share, louder):
    rng = np.random.default_rng(seed)
    trained, new = falling(rng, users), louder * falling(rng, users)
    scale = scale_for(trained, new, share)
    assert 0 <= scale <= places.LOUDEST
    share = max(share, places.LEAST)
    assert share_naive(trained, new, scale * (1 - 1e-9)) <= share
    if scale < places.LOUDEST:
        assert share_naive(trained, new, scale * (1 + 1e-9)) > share


@relaxed
@given(st.integers(0, 1 << 20), st.integers(0, 30), st.floats(0, 0.9))
def test_scores_are_those_of_the_best_allowed_items(seed, items, masked):
    rng = np.random.default_rng(seed)
    users, vectors = rng.normal(size=(5, 3)), rng.normal(size=(items, 3))
    hidden = sp.csr_matrix((rng.random((5, items)) < masked).astype(np.float32))
    found = best_scores(users.astype("f4"), vectors.astype("f4"), hidden)
    wanted = np.where(hidden.toarray() > 0, -np.inf, users @ vectors.T)
    wanted = np.pad(wanted, ((0, 0), (0, PLACES)), constant_values=-np.inf)
    np.testing.assert_allclose(found, -np.sort(-wanted, axis=1)[:, :PLACES], rtol=1e-4, atol=1e-6)


def test_places_that_nobody_wants_are_free():
    trained = np.full((1, PLACES), -1.0)
    trained[0, :5] = 1.0
    assert scale_for(trained, np.full((1, PLACES), 2.0), 0.0) == 0.5
    assert scale_for(np.full((1, PLACES), -np.inf), np.full((1, PLACES), 2.0), 0.0) == 1.0


def test_a_thousandth_is_always_given():
    trained, new = np.full((100, PLACES), 1.0), np.full((100, PLACES), 1.25)
    new[0, 0] = 1e6
    assert scale_for(trained, new, 0.0) == 0.8


def test_users_are_drawn_alike_and_sorted():
    many = np.arange(3 * places.USERS) * 2
    drawn = places.drawn(many)
    assert len(drawn) == places.USERS == len(set(drawn.tolist()))
    assert (np.diff(drawn) > 0).all() and np.isin(drawn, many).all()
    np.testing.assert_array_equal(drawn, places.drawn(many))
    np.testing.assert_array_equal(places.drawn(many[:3]), many[:3])
