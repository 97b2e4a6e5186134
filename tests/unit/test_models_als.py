"""ALS: each turn is the exact solution, blocks change nothing, and new users are near it."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.models import MODELS, Inputs, Options
from pipeline.models import als as module
from pipeline.models.als import blocks, solve
from pipeline.train.active import edges_of
from tests import worlds
from tests.train_worlds import inputs_of

WORLD = worlds.planted()
INPUTS = inputs_of(WORLD)


def als(inputs: Inputs = INPUTS, seed: int = 0, **options):
    values = {"width": 6, "turns": 3, "confidence": 4.0, "ridge": 0.5, **options}
    return MODELS["als"](inputs, Options(**values), seed)


def solved_slowly(matrix: sp.csr_matrix, others: np.ndarray, options: Options) -> np.ndarray:
    """Return each row's weighted ridge regression on all columns, one by one, nothing shared."""
    found = np.zeros((matrix.shape[0], others.shape[1]))
    for row, wanted in enumerate(matrix.toarray()):
        weights = np.diag(1 + options.confidence * wanted)
        system = others.T @ weights @ others + options.ridge * np.eye(others.shape[1])
        found[row] = np.linalg.solve(system, others.T @ weights @ wanted)
    return found


def whole_loss(model) -> float:
    wanted = WORLD.matrix().toarray()
    users, items, options = model.users.numpy(), model.items.numpy(), model.options
    errors = (1 + options.confidence * wanted) * (wanted - users @ items.T) ** 2
    return float(errors.sum() + options.ridge * ((users**2).sum() + (items**2).sum()))


matrices = st.tuples(st.integers(0, 999), st.integers(1, 12), st.integers(1, 9)).map(
    lambda s: sp.random(s[1], s[2], density=0.4, format="csr", rng=np.random.default_rng(s[0]))
)


@given(matrices, st.integers(1, 5), st.floats(0, 50), st.floats(0.01, 10))
@settings(max_examples=60, deadline=None)
def test_a_turn_is_the_exact_solution(matrix, width, confidence, ridge):
    matrix.data[:] = 1
    others = np.random.default_rng(0).normal(size=(matrix.shape[1], width))
    options = Options(width=width, confidence=confidence, ridge=ridge)
    found = solve(edges_of(matrix), torch.from_numpy(others), options)
    np.testing.assert_allclose(found, solved_slowly(matrix, others, options), atol=1e-8)


@given(matrices, st.integers(1, 64))
@settings(max_examples=60, deadline=None)
def test_blocks_hold_every_edge_once_and_stay_small(matrix, numbers):
    edges, seen = edges_of(matrix), []
    before, module.BLOCK_NUMBERS = module.BLOCK_NUMBERS, numbers
    try:
        for rows, columns, real in blocks(edges, 2):
            assert len(rows) == 1 or len(rows) * max(columns.shape[1], 2) <= max(1, numbers // 2)
            at, place = real.nonzero(as_tuple=True)
            seen += zip(rows[at].tolist(), columns[at, place].tolist(), strict=True)
    finally:
        module.BLOCK_NUMBERS = before
    assert sorted(seen) == [*zip(edges.rows.tolist(), edges.indices.tolist(), strict=True)]


def test_results_do_not_depend_on_blocks(monkeypatch):
    whole = als().users
    monkeypatch.setattr(module, "BLOCK_NUMBERS", 100)
    torch.testing.assert_close(als().users, whole)


def test_every_turn_lowers_the_loss_over_all_pairs():
    losses = [whole_loss(als(turns=turns)) for turns in range(6)]
    assert all(after < before for before, after in pairwise(losses))


def test_whoever_has_no_interaction_is_at_zero():
    vectors = als().outputs().vectors
    assert not vectors["user_vectors"][WORLD.cold_user].any()
    assert not vectors["item_vectors"][WORLD.warm_items].any()
    assert not vectors["fold_in"][WORLD.warm_items].any()


def test_the_fold_in_orders_items_nearly_as_the_exact_solution_does():
    model = als()
    vectors, options = model.outputs().vectors, model.options
    exact = solve(INPUTS.user_item, model.items, options).float() @ vectors["item_vectors"].T
    added = torch.from_numpy(WORLD.matrix().toarray()) @ vectors["fold_in"]
    folded = added @ vectors["item_vectors"].T
    known = INPUTS.user_degrees > 0
    alike = [
        np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1]
        for a, b in zip(exact[known].numpy(), folded[known].numpy(), strict=True)
    ]
    assert np.mean(alike) > 0.95


def test_the_fold_in_is_exact_for_a_history_as_the_average_users():
    """Where every user has the same history, the average user's system is everybody's."""
    inputs = Inputs(edges_of(sp.csr_matrix(np.ones((5, 3), dtype=np.float32))))
    model = als(inputs, width=2)
    exact = solve(inputs.user_item, model.items, model.options)[0].float()
    torch.testing.assert_close(model.outputs().vectors["fold_in"].sum(dim=0), exact)


@pytest.mark.parametrize("setting, larger", [("ridge", 50.0), ("width", 12), ("confidence", 40.0)])
def test_every_option_matters(setting, larger):
    assert not torch.equal(
        als().outputs().vectors["item_vectors"][:, :6],
        als(**{setting: larger}).outputs().vectors["item_vectors"][:, :6],
    )


def test_without_interactions_everything_is_zero():
    nothing = Inputs(edges_of(sp.csr_matrix((4, 3), dtype=np.float32)))
    vectors = als(nothing).outputs().vectors
    assert not any(v.any() for v in vectors.values())
    assert vectors["user_vectors"].shape == (4, 6)
