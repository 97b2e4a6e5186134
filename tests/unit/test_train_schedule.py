"""Learning rates and plateaus, by arithmetic."""

import math

import pytest
import torch

from pipeline.train.optimizer import optimizer_of
from pipeline.train.schedule import PLATEAU_FACTOR, PLATEAU_PATIENCE, Schedule, plateaus
from tests import worlds
from tests.train_worlds import config_of, data_of, model_of, trainer_of


def test_warm_up_is_linear_and_ends_at_the_peak():
    schedule = Schedule("constant", warmup_steps=4, total_steps=10)
    assert [schedule.factor(s) for s in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


def test_cosine_falls_from_one_to_zero():
    schedule = Schedule("cosine", warmup_steps=2, total_steps=10)
    assert schedule.factor(2) == 1.0
    assert schedule.factor(6) == pytest.approx(0.5 * (1 + math.cos(math.pi / 2)))
    assert schedule.factor(10) == pytest.approx(0.0)
    assert schedule.factor(99) == pytest.approx(0.0)


def test_plateaus_halve_the_rate():
    schedule = Schedule("plateau", 0, 10)
    assert schedule.factor(5, stale=2) == PLATEAU_FACTOR**2
    assert Schedule("constant", 0, 10).factor(5, stale=2) == 1.0


def test_plateaus_count_waits_without_a_new_best():
    flat = [0.5] * PLATEAU_PATIENCE
    assert plateaus([]) == 0
    assert plateaus([0.1, 0.2, 0.3]) == 0
    assert plateaus([0.5, *flat]) == 1
    assert plateaus([0.5, *flat, *flat]) == 2
    assert plateaus([0.5, *flat[:-1], 0.6, *flat[:-1]]) == 0


def test_each_parameter_has_one_group_and_ids_do_not_decay():
    config = config_of(model="gat", weight_decay=0.3, learning_rate=0.5, gate_rate=0.1)
    model = model_of(data_of(worlds.planted()), config)
    optimizer = optimizer_of(model, config)
    groups = {id(p): g for g in optimizer.param_groups for p in g["params"]}
    assert len(groups) == sum(len(g["params"]) for g in optimizer.param_groups)
    names = dict(model.named_parameters())
    assert len(groups) == len(names)
    assert groups[id(names["users"])]["weight_decay"] == 0
    assert groups[id(names["relation_logits"])]["peak"] == pytest.approx(0.05)
    content = groups[id(names["fusion.rule.gates.text.weight"])]
    assert (content["weight_decay"], content["peak"]) == (0.3, 0.5)


def test_bfloat16_changes_a_step_a_little_and_no_parameter_s_type():
    losses = {}
    for precision in ("float32", "bfloat16"):
        trainer = trainer_of(worlds.planted(), precision=precision, loss="softmax", negatives=8)
        losses[precision] = [trainer.epoch(e, 0) for e in range(3)]
        kinds = {p.dtype for p in trainer.model.parameters()}
        assert kinds == {torch.float32}
    assert losses["bfloat16"] != losses["float32"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)


def test_sampled_steps_take_bfloat16_too():
    trainer = trainer_of(worlds.planted(), precision="bfloat16", fan_out=(3, 2))
    first = trainer.epoch(0, 0)
    assert trainer.epoch(1, 0) < first
