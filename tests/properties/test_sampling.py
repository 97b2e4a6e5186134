"""Batches: every positive once, no negative that its user ever had, reproducible."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.train.sampling import Sampler, Seen

worlds = st.tuples(st.integers(0, 999), st.integers(1, 12), st.integers(2, 12))


def seen_of(world, chance: float = 0.4) -> Seen:
    seed, users, items = world
    rng = np.random.default_rng(seed)
    dense = rng.random((users, items)) < chance
    matrix = sp.csr_matrix(dense.astype(np.float32))
    return Seen(matrix, np.flatnonzero(dense.any(axis=0)))


def had(seen: Seen, user: int) -> set[int]:
    return set(seen.matrix[int(user)].indices.tolist())


@given(worlds)
@settings(max_examples=60, deadline=None)
def test_a_negative_was_never_seen_and_comes_from_the_pool(world):
    seen = seen_of(world)
    users = np.flatnonzero(seen.has_negatives)
    drawn = seen.negatives(users, 3, np.random.default_rng(world[0]))
    assert drawn.shape == (len(users), 3)
    for user, items in zip(users, drawn, strict=True):
        assert not had(seen, user) & set(items.tolist())
        assert set(items.tolist()) <= set(seen.pool.tolist())


@given(worlds)
@settings(max_examples=60, deadline=None)
def test_lookup_equals_the_slow_obvious_one(world):
    seen = seen_of(world)
    users, items = np.indices(seen.matrix.shape).reshape(2, -1)
    found = seen.contains(users, items)
    want = [item in had(seen, user) for user, item in zip(users, items, strict=True)]
    assert found.tolist() == want


@given(worlds)
@settings(max_examples=60, deadline=None)
def test_users_without_a_negative_are_known(world):
    seen = seen_of(world, chance=0.8)
    want = [bool(set(seen.pool.tolist()) - had(seen, u)) for u in range(seen.matrix.shape[0])]
    assert seen.has_negatives.tolist() == want


@given(worlds, st.integers(1, 7))
@settings(max_examples=40, deadline=None)
def test_an_epoch_visits_every_usable_positive_once(world, batch_size):
    seen = seen_of(world)
    sampler = Sampler(seen, batch_size, negatives=1)
    batches = [*sampler.epoch(np.random.default_rng(0))]
    assert len(batches) == sampler.steps()
    visited = [(u, i) for b in batches for u, i in zip(b.users, b.positives, strict=True)]
    want = [(u, i) for u, i in zip(*seen.pairs, strict=True) if seen.has_negatives[u]]
    assert sorted(visited) == want


def test_a_user_who_had_all_but_one_item_gets_that_one():
    matrix = sp.csr_matrix(np.array([[1] * 499 + [0], [0] * 499 + [1]], dtype=np.float32))
    drawn = Seen(matrix, np.arange(500)).negatives(np.array([0]), 4, np.random.default_rng(0))
    assert drawn.tolist() == [[499] * 4]


def test_negatives_are_uniform():
    matrix = sp.csr_matrix(np.array([[1, 0, 0, 0, 0]], dtype=np.float32))
    seen = Seen(matrix, np.arange(5))
    drawn = seen.negatives(np.zeros(8000, dtype=np.int64), 1, np.random.default_rng(0))
    counts = np.bincount(drawn.ravel(), minlength=5)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 2000).max() < 5 * np.sqrt(2000)


def test_drawing_by_users_gives_each_user_the_same_weight():
    dense = np.zeros((2, 40), dtype=np.float32)
    dense[0, :36], dense[1, 36:] = 1, 1
    sampler = Sampler(Seen(sp.csr_matrix(dense), np.arange(40)), 1000, 1, draw="users")
    rng = np.random.default_rng(0)
    users = np.concatenate([b.users for _ in range(100) for b in sampler.epoch(rng)])
    items = np.concatenate([b.positives for b in sampler.epoch(rng)])
    assert np.abs(users.mean() - 0.5) < 0.05
    assert (items >= 0).all()


@pytest.mark.parametrize("draw", ["interactions", "users"])
def test_drawn_positives_are_interactions(draw):
    seen = seen_of((3, 12, 12))
    sampler = Sampler(seen, 5, 1, draw=draw)
    for batch in sampler.epoch(np.random.default_rng(1)):
        assert seen.contains(batch.users, batch.positives).all()


@pytest.mark.parametrize("shared", [False, True])
def test_the_same_generator_gives_the_same_batches(shared):
    sampler = Sampler(seen_of((4, 10, 10)), 4, 3, shared=shared)
    first, second = ([*sampler.epoch(np.random.default_rng(7))] for _ in range(2))
    for a, b in zip(first, second, strict=True):
        for name in ("users", "positives", "negatives"):
            assert np.array_equal(getattr(a, name), getattr(b, name))
    assert first[0].negatives.shape == ((3,) if shared else (4, 3))
