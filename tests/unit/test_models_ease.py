"""EASE: two solvers, one solution; priors; what is kept; items nobody has."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ConfigError
from pipeline.models import MODELS, Inputs, Options, ease, entries, local_ridge, ridge
from pipeline.models.entries import Entries, strongest, summed, top
from pipeline.train.active import edges_of
from pipeline.train.data import relation_of
from pipeline.train.loop import matrix_of, scorer_of
from tests import worlds
from tests.ease_twins import collected, fitted, options_of, positive, slow_prior, slow_weights
from tests.train_worlds import inputs_of

SOLVERS = ["dense", "local"]
both_solvers = pytest.mark.parametrize("solver", SOLVERS)
WORLD = collected(worlds.planted())


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Cut everything into several blocks, as in a large catalogue."""
    monkeypatch.setattr(ridge, "BLOCK", 7)
    monkeypatch.setattr(local_ridge, "AT_ONCE", 5000)
    monkeypatch.setattr(entries, "SLACK", 100)


def slow(world, **changes) -> np.ndarray:
    options = options_of(world, **changes)
    prior = slow_prior(inputs_of(world).relations, options)
    return slow_weights(world.matrix().toarray(), prior, options.l2, options.user_power)


class TestSolution:
    @both_solvers
    @pytest.mark.parametrize(
        "changes", [{}, {"prior_scale": 0.0}, {"user_power": 0.0}, {"l2": 300.0}]
    )
    def test_it_is_the_constrained_regression_of_each_item(self, solver, changes):
        found = fitted(WORLD, solver=solver, **changes)
        want = positive(slow(WORLD, **changes))
        np.testing.assert_allclose(found, want, rtol=1e-3, atol=2e-6)

    def test_each_setting_matters(self):
        """Otherwise the comparison above would not see a setting that is ignored."""
        plain = fitted(WORLD)
        for changes in ({"prior_scale": 0.0}, {"user_power": 0.0}, {"l2": 300.0}):
            assert np.abs(fitted(WORLD, **changes) - plain).max() > 1e-3

    @both_solvers
    def test_no_item_explains_itself(self, solver):
        assert not fitted(WORLD, solver=solver).diagonal().any()

    @both_solvers
    def test_the_gradient_vanishes_off_the_diagonal(self, solver):
        """The optimum needs no formula: the objective's own gradient says so."""
        hot = np.flatnonzero(WORLD.matrix().toarray().any(axis=0))
        matrix = torch.from_numpy(WORLD.matrix().toarray()[:, hot]).double()
        prior = torch.zeros(len(hot), len(hot), dtype=torch.float64)
        powers = matrix.sum(dim=1).clamp(min=1) ** -0.3
        problem = problem_of(sp.csr_matrix(matrix.numpy().astype(np.float32)), 5.0)
        weights = whole(problem, solver).double().requires_grad_()
        loss = (powers[:, None] * (matrix - matrix @ weights) ** 2).sum()
        loss = loss + 5.0 * (weights - prior).square().sum()
        loss.backward()
        gradient = weights.grad.clone().fill_diagonal_(0)
        assert gradient.abs().max() < 1e-4 * (2 * matrix.T @ matrix).max()

    @both_solvers
    def test_it_does_not_depend_on_the_blocks(self, solver, monkeypatch):
        small = fitted(WORLD, solver=solver)
        monkeypatch.undo()
        np.testing.assert_allclose(fitted(WORLD, solver=solver), small, rtol=1e-4, atol=1e-6)

    @both_solvers
    def test_it_repeats_to_the_bit(self, solver):
        assert np.array_equal(fitted(WORLD, solver=solver), fitted(WORLD, solver=solver))

    @both_solvers
    def test_too_small_a_penalty_is_explained(self, solver):
        """Items that the same users have cannot be told apart without a penalty."""
        twins = sp.csr_matrix(np.ones((40, 30), dtype=np.float32))
        with pytest.raises(ConfigError, match="1e-30 is too small"):
            [*solve(problem_of(twins, 1e-30), solver)]


def problem_of(matrix: sp.csr_matrix, l2: float, user_power: float = 0.3) -> ridge.Ridge:
    inputs = Inputs(edges_of(matrix))
    nothing = relation_of(sp.csr_matrix((matrix.shape[1],) * 2, dtype=np.float32))
    weights = inputs.user_degrees.clamp(min=1).pow(-user_power)
    return ridge.Ridge(inputs.user_item, weights, nothing, l2)


def solve(problem: ridge.Ridge, solver: str, size: int | None = None):
    size = size or problem.items
    return ridge.dense(problem, size) if solver == "dense" else local_ridge.local(problem, size, 0)


def whole(problem: ridge.Ridge, solver: str, size: int | None = None) -> torch.Tensor:
    found = torch.zeros(problem.items, problem.items)
    for part in solve(problem, solver, size):
        found[part.rows, part.columns] = part.values
    return found


@st.composite
def matrices(draw, *, connected: bool) -> sp.csr_matrix:
    """Return interactions; where ``connected``, somebody has everything: all are neighbours."""
    users, items = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dense = rng.random((users, items)) < draw(st.floats(0.05, 0.95))
    dense[0] |= connected
    return sp.csr_matrix(dense.astype(np.float32))


@settings(max_examples=60, deadline=None)
@given(matrices(connected=True), st.floats(0.5, 500), st.floats(0, 1))
def test_local_is_dense_where_the_neighbourhood_is_everything(matrix, l2, user_power):
    problem = problem_of(matrix, l2, user_power)
    dense, local = (whole(problem, solver) for solver in SOLVERS)
    torch.testing.assert_close(local, dense, rtol=1e-3, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(matrices(connected=False), st.integers(1, 9))
def test_a_neighbourhood_is_bounded_and_solved_exactly(matrix, size):
    problem = problem_of(matrix, 2.0)
    found = whole(problem, "local", size).numpy()
    weighted = matrix.toarray() * problem.user_weights.numpy()[:, None]
    gram = matrix.toarray().T @ weighted + 2.0 * np.eye(matrix.shape[1])
    for item in range(matrix.shape[1]):
        near = np.flatnonzero(found[:, item])
        assert len(near) <= size
        assert item not in near
        want = np.linalg.solve(gram[np.ix_(near, near)], gram[near, item])
        np.testing.assert_allclose(found[near, item], want, rtol=1e-3, atol=1e-5)


class TestNeighbourhood:
    def test_what_says_most_about_an_item_is_chosen(self):
        """Item 0 goes with item 1 always, with item 2 once; item 3 is had by everybody."""
        rows = [[1, 1, 0, 1]] * 6 + [[1, 0, 1, 1]] + [[0, 0, 0, 1]] * 200 + [[0, 0, 1, 1]] * 5
        problem = problem_of(sp.csr_matrix(np.array(rows, dtype=np.float32)), 1.0, user_power=0)
        nearest = [whole(problem, "local", size)[:, 0].nonzero().flatten() for size in (1, 2, 3)]
        assert [n.tolist() for n in nearest] == [[1], [1, 3], [1, 2, 3]]

    def test_the_prior_proposes_items_never_had_together(self):
        matrix = sp.csr_matrix(np.eye(4, dtype=np.float32).repeat(3, axis=0))
        alike = sp.csr_matrix(([1.0], ([0], [2])), shape=(4, 4))
        problem = dataclasses.replace(problem_of(matrix, 3.0), prior=relation_of(alike))
        found = whole(problem, "local", 2)
        torch.testing.assert_close(found, whole(problem, "dense"))
        assert {*map(tuple, found.nonzero().tolist())} == {(0, 2), (2, 0)}
        assert found[0, 2] == pytest.approx(3.0 / (3.0 + 3.0))


class TestThinning:
    def test_short_histories_stay_as_they_are(self):
        edges = inputs_of(WORLD).user_item
        assert local_ridge.thinned(edges, 1 << 28, seed=0) is edges

    def test_long_histories_are_thinned_to_the_budget(self):
        edges = inputs_of(WORLD).user_item
        for pairs in (300, 1000):
            thin = local_ridge.thinned(edges, pairs, seed=0)
            assert thin.indptr.diff().square().sum() <= pairs
            before, after = (e.matrix(torch.ones(e.count)).to_dense() for e in (edges, thin))
            assert bool((after <= before).all()), "an interaction that nobody had"
            assert int(after.sum(dim=1).max()) < int(before.sum(dim=1).max())
            assert bool(
                (thin.indices[1:] > thin.indices[:-1])[thin.rows[1:] == thin.rows[:-1]].all()
            )

    def test_nobody_loses_everything(self):
        thin = local_ridge.thinned(inputs_of(WORLD).user_item, 1, seed=0)
        known = inputs_of(WORLD).user_degrees > 0
        assert torch.equal(thin.indptr.diff() > 0, known)

    def test_the_seed_decides_what_stays(self):
        edges = inputs_of(WORLD).user_item
        first, again, other = (local_ridge.thinned(edges, 500, seed) for seed in (1, 1, 2))
        assert torch.equal(first.indices, again.indices)
        assert not torch.equal(first.indices, other.indices)

    def test_a_thinned_catalogue_is_still_solved(self, monkeypatch):
        monkeypatch.setattr(local_ridge, "PAIRS", 500)
        found = fitted(WORLD, solver="local")
        assert np.isfinite(found).all()
        assert found.any()
        assert not np.allclose(found, fitted(WORLD, solver="dense"))


class TestPrior:
    def test_it_does_not_know_the_scale_of_weights(self):
        inputs = inputs_of(WORLD)
        loud = {
            n: dataclasses.replace(r, weights=7 * r.weights) for n, r in inputs.relations.items()
        }
        louder = dataclasses.replace(inputs, relations=loud)
        np.testing.assert_allclose(fitted(WORLD, louder), fitted(WORLD), rtol=1e-4, atol=1e-6)

    def test_a_relation_has_an_eigenvalue_of_one(self):
        """So prior_scale means the same whatever the number of neighbours in a graph."""
        for neighbours in (2, 10):
            inputs = inputs_of(WORLD, neighbours)
            options = Options(relation_weights={"text": 2.0, "image": 0.0}, prior_scale=0.3)
            rows, columns, values = ease.prior_of(inputs, options)
            dense = sp.csr_matrix((values, (rows, columns)), shape=(WORLD.n_items,) * 2).toarray()
            assert np.linalg.eigvalsh(dense).max() == pytest.approx(0.3, rel=1e-4)

    def test_relations_of_weight_zero_are_left_out(self):
        inputs = inputs_of(WORLD)
        none = Options(relation_weights={"text": 0.0})
        assert not len(ease.prior_of(inputs, none).values)
        text = Options(relation_weights={"text": 0.4})
        assert len(ease.prior_of(inputs, text).values) == inputs.relations["text"].edges.count

    def test_an_edge_of_two_relations_counts_once(self):
        inputs = inputs_of(WORLD)
        options = options_of(WORLD)
        rows, columns, values = ease.prior_of(inputs, options)
        assert len(torch.unique(rows * WORLD.n_items + columns)) == len(rows)
        dense = sp.csr_matrix((values, (rows, columns)), shape=(WORLD.n_items,) * 2).toarray()
        np.testing.assert_allclose(dense, slow_prior(inputs.relations, options), rtol=1e-5)


class TestItemsNobodyHas:
    @both_solvers
    def test_their_weights_are_the_prior(self, solver):
        found = fitted(WORLD, solver=solver)
        prior = slow_prior(inputs_of(WORLD).relations, options_of(WORLD))
        cold = ~inputs_of(WORLD).hot.numpy()
        assert cold.any()
        np.testing.assert_allclose(found[:, cold], prior[:, cold], rtol=1e-4)
        np.testing.assert_allclose(found[cold], prior[cold], rtol=1e-4)
        assert found[:, cold].any()

    @both_solvers
    def test_they_are_ranked_by_what_they_resemble(self, solver):
        """The users of a cluster score its new items above the new items of other clusters."""
        model = MODELS["ease"](inputs_of(WORLD), options_of(WORLD, solver=solver), 0)
        train = WORLD.matrix()
        scores = scorer_of(model.outputs(), train).scores(np.arange(WORLD.n_users))
        cold = np.array([i for i in WORLD.warm_items if i != WORLD.no_content])
        own = WORLD.user_cluster[:, None] == WORLD.item_cluster[cold][None, :]
        known = np.diff(train.indptr) > 0
        assert scores[:, cold][known][own[known]].mean() > (
            3 * scores[:, cold][known][~own[known]].mean()
        )

    @both_solvers
    def test_nothing_but_relations(self, solver):
        nothing = sp.csr_matrix(WORLD.matrix().shape, dtype=np.float32)
        inputs = dataclasses.replace(inputs_of(WORLD), user_item=edges_of(nothing))
        prior = slow_prior(inputs.relations, options_of(WORLD))
        np.testing.assert_allclose(fitted(WORLD, inputs, solver=solver), prior, rtol=1e-4)

    @both_solvers
    def test_nothing_at_all(self, solver):
        nothing = sp.csr_matrix((4, 3), dtype=np.float32)
        assert not fitted(WORLD, Inputs(edges_of(nothing)), solver=solver).any()


class TestKept:
    @both_solvers
    def test_the_largest_positive_weights_of_each_row(self, solver, monkeypatch):
        monkeypatch.setattr(ease, "CONSIDERED", WORLD.n_items)
        every, few = fitted(WORLD, solver=solver), fitted(WORLD, solver=solver, neighbors=4)
        assert (few != 0).sum(axis=1).max() == 4
        for row, kept in zip(every, few, strict=True):
            best = np.sort(row)[::-1][:4]
            np.testing.assert_allclose(np.sort(kept)[::-1][:4], best, rtol=1e-6)

    def test_top_keeps_the_order_and_breaks_ties_by_it(self):
        part = Entries(*(torch.tensor(x) for x in ([0, 1, 0, 1, 0], [5, 4, 3, 2, 1], [1.0] * 5)))
        kept = top(part, torch.tensor([1.0, 1.0, 2.0, 3.0, 1.0]), 2)
        assert kept.rows.tolist() == [0, 1, 0, 1]
        assert kept.columns.tolist() == [5, 4, 3, 2]

    def test_sums_hold_each_entry_once_and_ascend(self):
        part = Entries(
            torch.tensor([1, 0, 1, 1]), torch.tensor([2, 3, 0, 2]), torch.tensor([1.0, 2, 3, 4])
        )
        rows, columns, values = summed(part, 4)
        assert rows.tolist() == [0, 1, 1]
        assert columns.tolist() == [3, 0, 2]
        assert values.tolist() == [2.0, 3.0, 5.0]

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 9))
    def test_parts_make_no_difference(self, seed, keep, parts):
        rng = np.random.default_rng(seed)
        dense = rng.normal(size=(8, 8)).astype(np.float32)
        rows, columns = (torch.from_numpy(x.ravel()) for x in np.indices((8, 8)))
        every = Entries(rows, columns, torch.from_numpy(dense.ravel()))
        order = torch.from_numpy(rng.permutation(64))
        cut = (every.where(part) for part in torch.tensor_split(order, parts))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(entries, "SLACK", 3)
            found = strongest(cut, keep, 8)
        want = np.zeros_like(dense)
        for row in range(8):
            for column in np.argsort(-dense[row])[:keep]:
                want[row, column] = max(0, dense[row, column])
        got = sp.csr_matrix((found.values, found.indices, found.indptr), shape=(8, 8))
        np.testing.assert_array_equal(got.toarray(), want)


class TestChoice:
    def test_auto_is_dense_until_the_matrices_do_not_fit(self, monkeypatch):
        asked = []
        for name in SOLVERS:
            monkeypatch.setattr(ease, name, lambda *_, name=name: asked.append(name) or [])
        fitted(WORLD)
        monkeypatch.setattr(ease, "DENSE_ITEMS", 3)
        fitted(WORLD)
        fitted(WORLD, solver="dense")
        assert asked == ["dense", "local", "dense"]

    def test_local_explains_an_item_with_twice_as_many_as_are_kept(self, monkeypatch):
        asked = []
        monkeypatch.setattr(ease, "local", lambda _, size, seed: asked.append((size, seed)) or [])
        fitted(WORLD, solver="local", neighbors=9)
        assert asked == [(18, 0)]

    @both_solvers
    def test_a_history_in_a_request_is_scored_like_a_known_user(self, solver):
        model = MODELS["ease"](inputs_of(WORLD), options_of(WORLD, solver=solver), 0)
        weights, train = matrix_of(model.outputs()), WORLD.matrix()
        known = scorer_of(model.outputs(), train).scores(np.array([7]))[0]
        asked = np.asarray(weights[train[7].indices].sum(axis=0)).ravel()
        np.testing.assert_allclose(asked, known, rtol=1e-5)
