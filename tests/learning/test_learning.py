"""Planted structure is found, and what should break learning breaks it."""

import dataclasses

import numpy as np
import pytest
import torch

from pipeline import schema
from pipeline.evaluate.metrics import Metric, validate
from pipeline.models import MODELS
from pipeline.train.batch import TensorBatch
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.loop import Trainer, fit, scorer_of, validation
from tests import worlds
from tests.conformance.test_models import LEARNED
from tests.train_worlds import config_of, data_of, model_of, scores_of, trainer_of

every_learned = pytest.mark.parametrize("name", LEARNED)
K, N_ITEMS = 10, 120
CHANCE = K / N_ITEMS


def big_world(seed: int = 0) -> worlds.World:
    return worlds.planted(seed=seed, n_users=160, n_items=N_ITEMS, taste=0.95)


def trained(world, tmp_path, **settings) -> Trainer:
    trainer = trainer_of(world, **settings)
    fit(trainer, Checkpoints(tmp_path), lambda _: None)
    return trainer


def test_recall(trainer: Trainer, world) -> float:
    held_out = world.matrix(schema.TEST)
    scorer = scorer_of(trainer.model.outputs(), trainer.data.train)
    return validate(scorer, trainer.data.train, held_out, [Metric("recall", K)])[f"recall@{K}"]


test_recall.__test__ = False


@every_learned
def test_planted_clusters_are_recovered(name, tmp_path):
    world = big_world()
    found = test_recall(trained(world, tmp_path, model=name), world)
    popular = model_of(data_of(world), config_of(model="popularity"))
    by_popularity = validation(popular, data_of(world), f"recall@{K}")[f"recall@{K}"]
    assert found > 2 * CHANCE
    assert found > 1.5 * by_popularity


@pytest.mark.parametrize("name", ["als", "ease", "item_knn"])
def test_closed_forms_recover_them_too(name):
    data = data_of(big_world())
    model = model_of(data, config_of(model=name))
    assert validation(model, data, f"recall@{K}")[f"recall@{K}"] > 2 * CHANCE


@every_learned
def test_shuffled_interactions_give_chance(name, tmp_path):
    """Shuffling items of all interactions keeps every degree and leaves no structure."""
    world = big_world()
    shuffled = np.random.default_rng(1).permutation(world.items)
    codes = world.users * world.n_items + shuffled
    _, first = np.unique(codes, return_index=True)
    nonsense = dataclasses.replace(
        world, users=world.users[first], items=shuffled[first], split=world.split[first]
    )
    found = test_recall(trained(nonsense, tmp_path, model=name, epochs=10), nonsense)
    assert found < 1.8 * CHANCE


def one_batch(trainer: Trainer, at: int = 0) -> TensorBatch:
    batches = [*trainer.sampler.epoch(np.random.default_rng(0))]
    return trainer._on_device(batches[at])


@every_learned
@pytest.mark.parametrize("loss", ["bpr", "bce", "softmax"])
def test_the_loss_falls_on_one_repeated_batch(name, loss):
    trainer = trainer_of(worlds.planted(), model=name, loss=loss, weight_decay=0, negatives=8)
    batch = one_batch(trainer)
    losses = [float(trainer.step(batch)) for _ in range(100)]
    assert losses[-1] < 0.5 * losses[0]


@every_learned
def test_every_parameter_moves(name):
    trainer = trainer_of(worlds.planted(), model=name)
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    for epoch in range(2):
        trainer.epoch(epoch, 0)
    still = [n for n, p in trainer.model.named_parameters() if torch.equal(p, before[n])]
    assert not still


class Forgetful(Trainer):
    """What a loop without ``zero_grad`` would do: the broken variant, kept to fail."""

    def step(self, batch, noise=None):
        keep = self.optimizer.zero_grad
        self.optimizer.zero_grad = lambda **_: None
        try:
            return super().step(batch, noise)
        finally:
            self.optimizer.zero_grad = keep


@pytest.mark.parametrize(
    "kind",
    [Trainer, pytest.param(Forgetful, marks=pytest.mark.xfail(strict=True, reason="is broken"))],
)
def test_a_step_forgets_the_previous_batch(kind):
    world, config = worlds.planted(), config_of(model="mf")
    data = data_of(world)
    trainer = kind(model_of(data, config), data, config, 0)
    first, second = one_batch(trainer, 0), one_batch(trainer, 1)
    trainer.step(first)
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    trainer.step(second)
    found = {n: p.grad.clone() for n, p in trainer.model.named_parameters()}
    with torch.no_grad():
        for name, parameter in trainer.model.named_parameters():
            parameter.copy_(before[name])
            parameter.grad = None
    trainer.objective(trainer.model(None), second).backward()
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad)


def warm_hits(trainer: Trainer, world) -> float:
    """Return the share of warm items whose most interested users are of their cluster."""
    scores = scores_of(trainer.model)
    known = np.arange(world.n_users) != world.cold_user
    hits = []
    for item in world.warm_items:
        best = np.argsort(-np.where(known, scores[:, item], -np.inf))[:10]
        hits.append(np.mean(world.user_cluster[best] == world.item_cluster[item]))
    return float(np.mean(hits))


def test_warm_items_reach_users_of_their_cluster(tmp_path):
    world = big_world()
    trainer = trained(world, tmp_path, model="gat", id_dropout=0.3)
    assert warm_hits(trainer, world) > 0.8


def test_without_content_warm_items_are_lost(tmp_path):
    """Content is what finds them: vectors of the wrong items send them to the wrong users."""
    world = big_world()
    order = np.random.default_rng(2).permutation(world.n_items)
    scrambled = {m: v[order] for m, v in world.vectors.items()}
    masks = {m: p[order] for m, p in world.present.items()}
    wrong = dataclasses.replace(world, vectors=scrambled, present=masks)
    trainer = trained(wrong, tmp_path, model="gat", id_dropout=0.3)
    assert warm_hits(trainer, world) < 0.7


def test_more_than_memorising(tmp_path):
    """The best checkpoint is the one with the best validation, and it is what the model holds."""
    world = big_world()
    trainer = trainer_of(world, model="mf", epochs=40, evaluate_every=1, patience=40)
    progress = fit(trainer, Checkpoints(tmp_path), lambda _: None)
    values = [entry["recall@20"] for entry in progress.curve]
    assert progress.best_value == max(values)
    assert progress.best_epoch == 1 + int(np.argmax(values))
    held = validation(trainer.model, trainer.data, "recall@20")["recall@20"]
    assert held == progress.best_value


def test_patience_ends_training(tmp_path):
    trainer = trainer_of(worlds.planted(), model="mf", epochs=500, evaluate_every=1, patience=3)
    progress = fit(trainer, Checkpoints(tmp_path), lambda _: None)
    assert progress.epoch < 500
    assert progress.epoch == progress.best_epoch + 3


def test_all_models_are_covered():
    content = {"content_knn", "content_mean"}
    closed = {"als", "ease", "item_knn", "popularity"}
    assert set(LEARNED) | closed | content == set(MODELS.names())
