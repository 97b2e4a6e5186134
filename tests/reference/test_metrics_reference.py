"""Ours beside PyG's link-prediction metrics, and beside a slow evaluator that loops over users."""

import warnings
from math import log2

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from pipeline.evaluate.metrics import KERNELS, Metric, evaluate_users
from pipeline.scoring import Ranking
from tests import worlds

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyG scripts a class when imported
    from torch_geometric import metrics as pyg

K = 10
PYG = {
    "recall": pyg.LinkPredRecall,
    "precision": pyg.LinkPredPrecision,
    "ndcg": pyg.LinkPredNDCG,
    "map": pyg.LinkPredMAP,
    "mrr": pyg.LinkPredMRR,
    "hit": pyg.LinkPredHitRatio,
}


class Fixed:
    def __init__(self, matrix: np.ndarray) -> None:
        self.matrix = matrix

    def scores(self, users: np.ndarray) -> np.ndarray:
        return self.matrix[users].astype(np.float32)


def case(seed: int, n_users: int = 60, n_items: int = 90, levels: int = 10_000):
    """Scores (few levels mean many ties), training and held-out items."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(levels, size=(n_users, n_items)).astype(np.float32)
    kind = rng.choice(3, p=[0.8, 0.1, 0.1], size=(n_users, n_items))
    train, held_out = sp.csr_matrix(kind == 1), sp.csr_matrix(kind == 2)
    return scores, train, held_out, np.flatnonzero(np.diff(held_out.indptr))


@pytest.mark.parametrize("name", [*KERNELS])
@pytest.mark.parametrize("k", [1, 5, 10, 40])
def test_pyg_agrees(name, k):
    scores, train, held_out, users = case(seed=3, levels=10**6)
    ranking = Ranking(train, k)
    ours = evaluate_users(Fixed(scores), users, held_out, ranking, [Metric(name, k)])
    theirs = PYG[name](k)
    left = np.where(train.toarray(), -np.inf, scores)[users]
    best = torch.from_numpy(np.argsort(-left, axis=1, kind="stable")[:, :k].copy())
    relevant = torch.from_numpy(np.stack(held_out[users].nonzero()).astype(np.int64))
    theirs.update(best, relevant)
    assert ours[f"{name}@{k}"].mean() == pytest.approx(float(theirs.compute()), abs=1e-6)


def slow_metric(name: str, ranked: list[int], relevant: set[int], k: int) -> float:
    """The textbook, one user at a time."""
    hits = [rank for rank, item in enumerate(ranked[:k], start=1) if item in relevant]
    reachable = min(k, len(relevant))
    if name == "recall":
        return len(hits) / len(relevant)
    if name == "precision":
        return len(hits) / k
    if name == "hit":
        return float(bool(hits))
    if name == "mrr":
        return 1 / hits[0] if hits else 0.0
    if name == "map":
        return sum(n / rank for n, rank in enumerate(hits, start=1)) / reachable
    ideal = sum(1 / log2(rank + 1) for rank in range(1, reachable + 1))
    return sum(1 / log2(rank + 1) for rank in hits) / ideal


def slow_lists(scores, masked, candidates, seed) -> list[list[int]]:
    """Sort every candidate of every user by score, then by the user's turn of the permutation."""
    n_users, n_items = scores.shape
    rng = np.random.default_rng(seed)
    order, turns = rng.permutation(n_items), rng.integers(n_items, size=n_users)
    lists = []
    for user in range(n_users):
        allowed = set(np.flatnonzero(candidates)) - set(masked[user].indices)
        queue = {item: (order[item] + turns[user]) % n_items for item in allowed}
        lists.append(sorted(allowed, key=lambda i, q=queue, u=user: (-scores[u, i], q[i])))
    return lists


@pytest.mark.parametrize("levels", [1, 2, 5, 10_000])
@pytest.mark.parametrize("share_of_candidates", [1.0, 0.5, 0.05])
def test_slow_twin_agrees_exactly(levels, share_of_candidates):
    scores, train, held_out, users = case(seed=levels, levels=levels)
    candidates = np.random.default_rng(5).random(scores.shape[1]) < share_of_candidates
    candidates[0] = True
    wanted = [Metric(name, k) for name in KERNELS for k in (1, K, 200)]
    ranking = Ranking(train, 200, candidates, seed=11)
    fast = evaluate_users(Fixed(scores), users, held_out, ranking, wanted)
    lists = slow_lists(scores, train, candidates, seed=11)
    for metric in wanted:
        slow = [
            slow_metric(metric.name, lists[user], set(held_out[user].indices), metric.k)
            for user in users
        ]
        np.testing.assert_allclose(fast[str(metric)], slow, rtol=0, atol=1e-12)


def test_slow_twin_agrees_on_the_planted_world():
    world = worlds.planted()
    train, held_out = world.matrix(0), world.matrix(2)
    rng = np.random.default_rng(0)
    own = world.user_cluster[:, None] == world.item_cluster
    scores = (own + rng.random(own.shape)).astype(np.float32)
    users = np.flatnonzero(np.diff(held_out.indptr))
    ndcg = Metric("ndcg", K)
    fast = evaluate_users(Fixed(scores), users, held_out, Ranking(train, K), [ndcg])["ndcg@10"]
    lists = slow_lists(scores, train, np.ones(world.n_items, dtype=bool), seed=0)
    slow = [slow_metric("ndcg", lists[u], set(held_out[u].indices), K) for u in users]
    np.testing.assert_allclose(fast, slow, rtol=0, atol=1e-12)
    assert fast.mean() > 0.1
