"""Learning from lists: the teacher's shares, the loss by hand, and what it leaves alone."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import save_file

from pipeline import files
from pipeline.artifacts import Store
from pipeline.config import DistillConfig
from pipeline.ids import UNKNOWN
from pipeline.models.base import Vectors
from pipeline.ranking import RankedScorer
from pipeline.scoring import Ranking
from pipeline.train.batch import TensorBatch
from pipeline.train.checkpoint import Checkpoints, copied
from pipeline.train.data import Lists
from pipeline.train.distill import Distillation, begin_with, lists_of, shares_of
from pipeline.train.loop import Trainer, fit
from tests import ranking_worlds, worlds
from tests.train_worlds import config_of, data_of, model_of

ENDED = -np.inf


class TestShares:
    def test_they_are_the_softmax_of_each_list(self):
        scores = np.array([[2.0, 1.0, 0.0], [5.0, 5.0, ENDED], [ENDED] * 3], dtype=np.float32)
        shares = shares_of(scores, 2.0)
        weights = np.exp([1.0, 0.5, 0.0])
        np.testing.assert_allclose(shares[0], weights / weights.sum(), rtol=1e-6)
        assert shares[1].tolist() == [0.5, 0.5, 0.0] and not shares[2].any()
        assert shares.dtype == np.float32

    @pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
    def test_rows_sum_to_one_or_to_nothing(self, temperature):
        rng = np.random.default_rng(0)
        scores = rng.normal(size=(30, 7)).astype(np.float32) * 50 + 1000
        for row, length in zip(scores, rng.integers(0, 8, size=30), strict=True):
            row[length:] = ENDED
        sums = shares_of(scores, temperature).sum(axis=1)
        there = np.isfinite(scores).any(axis=1)
        np.testing.assert_allclose(sums, there.astype(float), atol=1e-5)

    def test_items_far_below_the_candidates_have_no_share(self):
        assert shares_of(np.array([[1.0, 0.0, -9999.0]]), 1.0)[0, 2] == 0

    def test_no_users_and_no_items_are_no_shares(self):
        assert shares_of(np.zeros((0, 3)), 1.0).shape == (0, 3)
        assert shares_of(np.zeros((3, 0)), 1.0).shape == (3, 0)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    given = ranking_worlds.inputs(store, worlds.planted())
    train = sp.csr_matrix(worlds.planted().matrix())
    train.sort_indices()
    return ranking_worlds.ranker(store, given), given["model"], train


class TestLists:
    def test_they_are_the_lists_of_the_second_stage(self, taught):
        ranker, model, train = taught
        found = lists_of(ranker, model, train, DistillConfig(items=9, temperature=0.7))
        scorer = RankedScorer.opened(ranker, model, train)
        for block, items, scores in Ranking(train, 9).lists(scorer, np.arange(79)):
            assert np.array_equal(found.items[block].numpy(), items)
            np.testing.assert_allclose(found.shares[block], shares_of(scores, 0.7), atol=1e-6)

    def test_they_leave_out_what_the_user_has(self, taught):
        ranker, model, train = taught
        found = lists_of(ranker, model, train, DistillConfig(items=20))
        for user in range(79):
            kept = found.items[user][found.shares[user] > 0].numpy()
            assert len(kept) and not np.isin(kept, train[user].indices).any()

    def test_who_has_nothing_has_no_list(self, taught):
        found = lists_of(*taught, DistillConfig(items=20))
        sums = found.shares.sum(dim=1).numpy()
        assert sums[79] == 0
        np.testing.assert_allclose(sums[:79], 1, atol=1e-5)

    def test_a_list_is_no_longer_than_the_catalogue(self, taught):
        found = lists_of(*taught, DistillConfig(items=500))
        assert found.items.shape == (80, 64)
        assert not found.shares[found.items == UNKNOWN].any()


N_ITEMS, N_USERS = 10, 6


def setting(seed=0, temperature=1.0, **options):
    """Return a loss on lists of three, and vectors that gradients flow to."""
    rng = np.random.default_rng(seed)
    items = np.stack([rng.permutation(N_ITEMS)[:3] for _ in range(N_USERS)])
    scores = rng.normal(size=(N_USERS, 3))
    scores[1, 2], scores[4] = ENDED, ENDED
    items[scores == ENDED] = UNKNOWN
    lists = Lists(torch.from_numpy(items), torch.from_numpy(shares_of(scores, 1.0)))
    config = DistillConfig(**{"negatives": 4, "weight": 1.0, **options})
    users, products = (
        torch.from_numpy(rng.normal(size=(n, 3)).astype("f4")).requires_grad_()
        for n in (N_USERS, N_ITEMS)
    )
    vectors = Vectors(users, products, users, products)
    return Distillation.of(lists, np.arange(2, N_ITEMS), config, temperature), vectors


def batch(*users):
    rows = torch.tensor(users)
    return TensorBatch(rows, torch.zeros_like(rows), torch.zeros(0, dtype=torch.int64))


def noise(seed=0):
    return torch.Generator().manual_seed(seed)


def slowly(loss, vectors, users):
    """The cross-entropy one user and one item at a time, with the same random items."""
    users = users[: loss.config.users]
    at = torch.randint(len(loss.pool), (loss.config.negatives,), generator=noise())
    drawn = loss.pool[at].tolist()
    ours, items = vectors.users.detach().double(), vectors.items.detach().double()
    total = 0.0
    for user in users:
        listed = loss.lists.items[user].tolist()
        all_items = [i for i in [*listed, *drawn] if i != UNKNOWN]
        scores = [float(ours[user] @ items[i]) / loss.temperature for i in all_items]
        norm = np.log(np.exp(scores).sum())
        for share, score in zip(loss.lists.shares[user].tolist(), scores, strict=False):
            total -= share * (score - norm)
    return loss.config.weight * total / len(users)


@pytest.mark.parametrize("temperature", [1.0, 0.2])
@pytest.mark.parametrize("options", [{}, {"weight": 0.3}, {"users": 2}, {"negatives": 1}])
def test_the_loss_is_the_cross_entropy_of_every_pair(temperature, options):
    loss, vectors = setting(temperature=temperature, **options)
    users = [0, 1, 2, 2, 4]
    found = loss(None, vectors, batch(*users), noise())
    assert found.shape == ()
    assert found.item() == pytest.approx(slowly(loss, vectors, users), rel=1e-4)


def test_users_without_a_list_teach_nothing():
    loss, vectors = setting()
    value = loss(None, vectors, batch(4, 4), noise())
    value.backward()
    assert value.item() == 0
    assert not vectors.users.grad.any() and not vectors.items.grad.any()


def test_the_gradient_reaches_users_lists_and_random_items_and_nothing_else():
    loss, vectors = setting()
    loss(None, vectors, batch(0), noise()).backward()
    touched = {*np.flatnonzero(vectors.items.grad.abs().sum(dim=1).numpy()).tolist()}
    drawn = loss.pool[torch.randint(len(loss.pool), (4,), generator=noise())].tolist()
    assert touched == {*loss.lists.items[0].tolist(), *drawn}
    assert np.flatnonzero(vectors.users.grad.abs().sum(dim=1).numpy()).tolist() == [0]
    assert not {0, 1} & {*drawn}


def test_steps_down_the_gradient_give_the_teachers_shares():
    loss, vectors = setting(negatives=1)
    optimizer = torch.optim.Adam([vectors.users, vectors.items], lr=0.05)
    users, generator = batch(0, 1, 2, 3, 5), noise()
    first = None
    for _ in range(600):
        optimizer.zero_grad()
        value = loss(None, vectors, users, generator)
        first = value.item() if first is None else first
        value.backward()
        optimizer.step()
    listed = vectors.items[loss.lists.items[0]] @ vectors.users[0]
    ours = listed.softmax(dim=0).detach()
    assert value.item() < first
    np.testing.assert_allclose(ours, loss.lists.shares[0], atol=0.03)


def test_the_same_noise_draws_the_same_items():
    loss, vectors = setting()
    values = [loss(None, vectors, batch(0, 1), noise(seed)).item() for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


class TestTraining:
    """The planted world, with lists of random items."""

    def trainer(self, distill=DistillConfig(), seed=0):  # noqa: B008 - frozen
        rng = np.random.default_rng(1)
        items = torch.from_numpy(rng.integers(64, size=(80, 5)))
        shares = torch.from_numpy(shares_of(rng.normal(size=(80, 5)), 1.0))
        data = replace(data_of(worlds.planted()), lists=Lists(items, shares))
        config = config_of(model="mf", epochs=6, evaluate_every=1, patience=50, distill=distill)
        return Trainer(model_of(data, config, seed), data, config, seed)

    def test_a_stopped_training_resumes_to_the_same_weights(self, tmp_path):
        class Stopped(Exception):
            pass

        def stop(progress):
            if progress.epoch == 3:
                raise Stopped

        ends = []
        for name, told in (("whole", lambda _: None), ("part", stop)):
            (tmp_path / name).mkdir()
            trainer = self.trainer()
            with nullcontext() if name == "whole" else pytest.raises(Stopped):
                fit(trainer, Checkpoints(tmp_path / name, seconds=0.0), told)
            if name == "part":
                trainer = self.trainer()
                begun = []
                again = Checkpoints(tmp_path / name, seconds=0.0)
                fit(trainer, again, lambda p, begun=begun: begun.append(p.epoch))
                assert begun[0] == 2
            ends.append(copied(trainer.model))
        assert ends[0].keys() == ends[1].keys()
        assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])

    def test_the_lists_change_what_is_learned_only_where_they_are_asked_for(self):
        weights = []
        for distill in (None, DistillConfig(), DistillConfig(weight=0.1)):
            trainer = self.trainer(distill)
            trainer.epoch(0, 0)
            weights.append(copied(trainer.model)["users"])
            assert len(trainer.auxiliaries) == (distill is not None)
        assert not torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[1], weights[2])


def _first(tmp_path, **settings):
    """Return a model and an artifact that holds its weights."""
    data = data_of(worlds.planted())
    config = config_of(**settings)
    model = model_of(data, config, seed=5)

    def write(into):
        save_file(copied(model), into / "weights.safetensors")
        files.write_lines(into / "curve.jsonl", [])

    return model, worlds.publish(Store(tmp_path), "model", "f157", write), data


@pytest.mark.parametrize("width", [16, 24, 8])
def test_a_model_begins_where_the_first_ended(tmp_path, width):
    first, artifact, data = _first(tmp_path, model="mf", width=16)
    fresh, begun = (model_of(data, config_of(model="mf", width=width), seed=9) for _ in range(2))
    begin_with(begun, artifact)
    shared = min(width, 16)
    for name in ("users", "items"):
        theirs, ours = (getattr(m, name).detach() for m in (first, begun))
        assert torch.equal(ours[:, :shared], theirs[:, :shared])
        assert torch.equal(ours[:, shared:], getattr(fresh, name).detach()[:, shared:])


def test_the_end_of_a_list_pushes_no_item_down():
    """Item 0 is in nobody's list here and never drawn; the list of user 1 ends early."""
    loss, vectors = setting()
    items = loss.lists.items.clone()
    items[1] = torch.tensor([5, 6, UNKNOWN])
    loss = Distillation(Lists(items, loss.lists.shares), loss.pool, loss.config, 1.0)
    loss(None, vectors, batch(1), noise()).backward()
    assert not vectors.items.grad[0].any()
