"""Lists of a large catalogue: what is passed over, and that nothing is lost by it."""

import numpy as np
import pytest
import scipy.sparse as sp

from pipeline import scoring
from pipeline.crew import Crew
from pipeline.nearest import Ties, top_k_of_scores
from pipeline.scoring import Ranking, VectorScorer
from pipeline.tiled import TILE, Asked, Found, Tiles

USERS, ITEMS, WIDTH, K = 40, 9000, 32, 20


def vectors(rows, seed):
    """Return vectors whose strength falls from axis to axis, in a rotation of their own."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))
    falling = 0.8 ** np.arange(WIDTH)
    return (rng.normal(size=(rows, WIDTH)) * falling @ turn).astype(np.float32)


def asked(hidden=None, k=K):
    nothing = sp.csr_matrix((USERS, ITEMS))
    ties = Ties(np.arange(ITEMS), np.zeros(USERS, np.int64))
    return Asked(nothing if hidden is None else hidden, k, ties)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_lists_are_those_of_all_scores(scale):
    users, items = vectors(USERS, 1) * np.float32(scale), vectors(ITEMS, 2)
    found, scores = Tiles.of(items, None).top(users, asked())
    want, best = top_k_of_scores(users @ items.T, K)
    np.testing.assert_allclose(scores, best, rtol=1e-5, atol=1e-6 * scale)
    assert (found == want).mean() > 0.999


def test_axes_are_orthogonal_and_the_first_hold_the_most():
    tiles = Tiles.of(items := vectors(ITEMS, 2), None)
    np.testing.assert_allclose(tiles.axes.T @ tiles.axes, np.eye(WIDTH), atol=1e-5)
    head = tiles.heads.shape[1] - 1
    assert head == 8
    whole = (items[tiles.names] ** 2).sum(axis=1)
    np.testing.assert_allclose((tiles.heads**2).sum(axis=1), whole, rtol=1e-4)
    assert (tiles.heads[:, :head] ** 2).sum() > 0.8 * whole.sum()


@pytest.fixture
def scored(monkeypatch):
    """Return the number of scores computed, as a list that grows."""
    counts = []
    take = Found.take
    monkeypatch.setattr(Found, "take", lambda self, *e: (counts.append(len(e[0])), take(self, *e)))
    return counts


def test_most_scores_are_never_made(scored):
    Tiles.of(vectors(ITEMS, 2), None).top(vectors(USERS, 1), asked())
    assert sum(scored) < 0.1 * USERS * ITEMS


def test_short_items_are_not_even_bounded(scored, monkeypatch):
    """Popularity: one number an item, the same for all users."""
    counts = np.sort(np.random.default_rng(0).pareto(1, ITEMS).astype(np.float32))[:, None]
    products = []
    matmul = np.matmul
    monkeypatch.setattr(np, "matmul", lambda *a, **b: (products.append(1), matmul(*a, **b))[1])
    found, _ = Tiles.of(counts, None).top(np.ones((USERS, 1), np.float32), asked())
    assert len(products) == 1
    assert found[0].tolist() == [*range(ITEMS - 1, ITEMS - 1 - K, -1)]


def test_a_user_without_a_vector_gets_items_in_order_of_ties():
    found, scores = Tiles.of(vectors(ITEMS, 2), None).top(np.zeros((USERS, WIDTH), "f4"), asked())
    assert (found == np.arange(K)).all() and (scores == 0).all()


def test_equal_scores_do_not_pile_up(monkeypatch):
    settled = []
    settle = Found.settle
    monkeypatch.setattr(Found, "settle", lambda self: (settled.append(self._held), settle(self))[1])
    monkeypatch.setattr("pipeline.tiled._HELD", 50_000)
    Tiles.of(vectors(ITEMS, 2), None).top(np.zeros((USERS, WIDTH), "f4"), asked())
    assert len(settled) > 5 and max(settled) <= 50_000 + (1 << 16)


def test_no_item_allowed_gives_empty_lists():
    tiles = Tiles.of(vectors(ITEMS, 2), np.zeros(ITEMS, dtype=np.bool_))
    found, scores = tiles.top(vectors(USERS, 1), asked())
    assert (found == -1).all() and np.isneginf(scores).all()


def test_a_crew_makes_the_same_lists(monkeypatch):
    monkeypatch.setattr(VectorScorer, "at_once", 7)
    monkeypatch.setattr(scoring, "LARGE", 100)
    scorer = VectorScorer(vectors(USERS, 1), vectors(ITEMS, 2))
    ranking = Ranking(sp.random_array((USERS, ITEMS), density=0.01, rng=0, format="csr"), K)
    alone, together = ([*ranking.lists(scorer, np.arange(USERS), crew)] for crew in (None, Crew(3)))
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_shorter_item_that_points_better_is_found():
    """Lengths end the search only where no direction could make up for them."""
    long = np.tile([[0.9, np.sqrt(1 - 0.81)]], (4 * TILE, 1))
    short = np.tile([[0.95, 0.0]], (ITEMS - len(long), 1))
    items = np.concatenate([long, short]).astype(np.float32)
    found, _ = Tiles.of(items, None).top(np.tile([[1, 0]], (USERS, 1)).astype("f4"), asked())
    assert (found == len(long) + np.arange(K)).all()
