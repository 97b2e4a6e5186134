"""A scorer that says nothing is at chance, however the catalogue is ordered."""

import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.evaluate.metrics import Metric, evaluate_users
from pipeline.nearest import Ties
from pipeline.scoring import Ranking
from tests import worlds

K = 5


class Constant:
    def __init__(self, n_items: int) -> None:
        self.n_items = n_items

    def scores(self, users):
        return np.zeros((len(users), self.n_items), dtype=np.float32)


def popular_first(seed: int = 0, n_users: int = 2000, n_items: int = 200):
    """Each user holds one item out, nearly always one of the first rows: row order is a hint."""
    rng = np.random.default_rng(seed)
    item = (rng.exponential(8, size=n_users)).astype(int) % n_items
    return sp.csr_matrix((np.ones(n_users), (np.arange(n_users), item)), shape=(n_users, n_items))


def recall_of_a_constant(held_out, seed: int = 0) -> float:
    n_users, n_items = held_out.shape
    ranking = Ranking(sp.csr_matrix(held_out.shape), K, seed=seed)
    wanted = [Metric("recall", K)]
    values = evaluate_users(Constant(n_items), np.arange(n_users), held_out, ranking, wanted)
    return float(values[f"recall@{K}"].mean())


@pytest.mark.parametrize("seed", range(3))
def test_a_constant_scorer_is_at_chance(seed):
    held_out = popular_first(seed)
    n_users, n_items = held_out.shape
    chance = K / n_items
    noise = np.sqrt(chance * (1 - chance) / n_users)
    assert abs(recall_of_a_constant(held_out, seed) - chance) < 4 * noise


@pytest.mark.xfail(strict=True, reason="the broken variant: ties by row reward a popular order")
def test_ties_by_row_would_be_far_above_chance(monkeypatch):
    def by_row(order, turn):
        return Ties(np.arange(len(order)), np.zeros(len(turn), dtype=np.int64))

    monkeypatch.setattr("pipeline.scoring.Ties", by_row)
    held_out = popular_first()
    chance = K / held_out.shape[1]
    assert recall_of_a_constant(held_out) < 3 * chance


def test_taste_is_far_above_chance():
    world = worlds.planted()
    train, held_out = world.matrix(0), world.matrix(2)
    own = (world.user_cluster[:, None] == world.item_cluster).astype(np.float32)

    class Taste:
        def scores(self, users):
            return own[users].copy()

    users = np.flatnonzero(np.diff(held_out.indptr))
    wanted = [Metric("recall", K)]
    found = evaluate_users(Taste(), users, held_out, Ranking(train, K), wanted)[f"recall@{K}"]
    assert found.mean() > 2.5 * K / world.n_items
