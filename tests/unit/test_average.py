"""Averaged weights against the formula; they are what is validated and kept."""

import numpy as np
import pytest
import torch

from pipeline.train.average import Average
from pipeline.train.checkpoint import Checkpoints, copied
from pipeline.train.loop import fit, validation
from pipeline.train.optimizer import optimizer_of
from tests import worlds
from tests.train_worlds import config_of, data_of, model_of, trainer_of

WORLD = worlds.planted()


def test_the_average_is_its_formula():
    model = torch.nn.Linear(2, 1, bias=False)
    average, mean = Average(model, 0.6), model.weight.detach().clone()
    for step, value in enumerate([1.0, -2.0, 5.0, 0.5, 3.0, 8.0, -1.0, 4.0, 2.0, 9.0, 0.0, 7.0]):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(step)
        decay = min(0.6, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * value
        torch.testing.assert_close(average.means["weight"], mean)
    assert (1 + step) / (10 + step) < 0.6 < (1 + 99) / (10 + 99)


def test_the_decay_grows_to_what_was_asked():
    model = torch.nn.Linear(1, 1, bias=False)
    average = Average(model, 0.6)
    with torch.no_grad():
        average.means["weight"].fill_(1.0)
        model.weight.fill_(0.0)
    average.update(10_000)
    assert average.means["weight"].item() == pytest.approx(0.6)


def test_a_model_holds_the_average_only_while_it_is_applied():
    model = torch.nn.Linear(2, 1)
    average, own = Average(model, 0.9), copied(model)
    for mean in average.means.values():
        mean.fill_(3.0)
    with pytest.raises(RuntimeError), average.applied():
        assert (model.weight == 3.0).all()
        raise RuntimeError
    assert all(torch.equal(own[name], tensor) for name, tensor in copied(model).items())


def test_without_a_decay_nothing_is_kept():
    model = torch.nn.Linear(2, 1)
    average, own = Average(model, 0.0), copied(model)
    average.update(0)
    assert average.tensors() == {}
    with average.applied():
        assert torch.equal(model.weight, own["weight"])


def test_tensors_give_the_average_back():
    first, second = (Average(torch.nn.Linear(3, 2), 0.5) for _ in range(2))
    second.restore(first.tensors())
    assert all(torch.equal(first.means[n], second.means[n]) for n in first.means)


def test_the_kept_weights_are_the_averaged_ones(tmp_path):
    settings = {"model": "mf", "epochs": 6, "evaluate_every": 1, "patience": 9}
    trainer = trainer_of(WORLD, **settings, average=0.9)
    progress = fit(trainer, Checkpoints(tmp_path), lambda _: None)
    held = validation(trainer.model, trainer.data, "recall@20")["recall@20"]
    assert held == progress.best_value == max(e["recall@20"] for e in progress.curve)

    slow = trainer_of(WORLD, **settings)
    means, step = {n: p.detach().clone() for n, p in slow.model.named_parameters()}, 0
    for epoch in range(progress.best_epoch):
        for batch in slow.sampler.epoch(slow.seeds.rng(epoch)):
            slow.step(slow._on_device(batch), slow.seeds.noise(epoch, slow.device))
            decay, step = min(0.9, (1 + step) / (10 + step)), step + 1
            for name, parameter in slow.model.named_parameters():
                means[name] = decay * means[name] + (1 - decay) * parameter.detach()
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), means[name])
        assert not torch.allclose(parameter, dict(slow.model.named_parameters())[name])


def by_hand(weight: torch.Tensor, gradient: torch.Tensor, decay: float, rate: float):
    """The first step of Adam with an L2 penalty in the gradient."""
    whole = gradient + decay * weight
    first, second = 0.1 * whole / (1 - 0.9), 0.001 * whole.square() / (1 - 0.999)
    return weight - rate * first / (second.sqrt() + 1e-8)


def test_coupled_decay_is_adam_with_the_penalty_in_every_gradient():
    trainer = trainer_of(WORLD, model="gat", weight_decay=0.0, coupled_decay=0.3)
    named = dict(trainer.model.named_parameters())
    before = {n: p.detach().clone() for n, p in named.items()}
    trainer.step(trainer._on_device(next(trainer.sampler.epoch(np.random.default_rng(0)))))
    rates = {id(p): g["lr"] for g in trainer.optimizer.param_groups for p in g["params"]}
    assert len(rates) == len(named)
    for name, parameter in named.items():
        want = by_hand(before[name], parameter.grad, 0.3, rates[id(parameter)])
        torch.testing.assert_close(parameter.detach(), want, rtol=1e-4, atol=1e-5)


def test_coupled_decay_reaches_rows_outside_the_batch():
    def moved(**settings) -> torch.Tensor:
        trainer = trainer_of(WORLD, model="mf", batch_size=4, **settings)
        before = trainer.model.users.detach().clone()
        trainer.step(trainer._on_device(next(trainer.sampler.epoch(np.random.default_rng(0)))))
        return (trainer.model.users.detach() != before).any(dim=1)

    assert moved(coupled_decay=1e-4).all()
    assert moved().sum() <= 4


def test_the_optimizer_is_adamw_unless_decay_is_coupled():
    model = model_of(data_of(WORLD), config_of(model="mf"))
    assert type(optimizer_of(model, config_of())) is torch.optim.AdamW
    assert type(optimizer_of(model, config_of(coupled_decay=1e-6))) is torch.optim.Adam
