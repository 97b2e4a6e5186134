"""Training on sampled neighbourhoods: nearly as good as on the whole graph, in bounded memory."""

import dataclasses
import gc
import threading

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from pipeline import schema
from pipeline.errors import ConfigError
from pipeline.evaluate.metrics import Metric, validate
from pipeline.models import Inputs
from pipeline.train.active import edges_of
from pipeline.train.checkpoint import Checkpoints
from pipeline.train.data import TrainingData, relation_of
from pipeline.train.loop import Trainer, fit, scorer_of
from pipeline.train.sampling import ahead
from tests import worlds
from tests.train_worlds import config_of, data_of, model_of, trainer_of

SAMPLED = {"fan_out": (4, 3), "layers": 2}


def world_of(seed: int = 0) -> worlds.World:
    return worlds.planted(seed=seed, n_users=160, n_items=120, taste=0.95)


def recall(trainer: Trainer, world) -> float:
    scorer = scorer_of(trainer.model.outputs(), trainer.data.train)
    held_out = world.matrix(schema.TEST)
    return validate(scorer, trainer.data.train, held_out, [Metric("recall", 10)])["recall@10"]


def trained(world, folder, **asked) -> Trainer:
    folder.mkdir()
    trainer = trainer_of(world, **asked)
    fit(trainer, Checkpoints(folder), lambda _: None)
    return trainer


@pytest.mark.parametrize("loss", ["bpr", "softmax"])
def test_it_learns_nearly_what_the_whole_graph_teaches(tmp_path, loss):
    world, asked = world_of(), {"loss": loss, "negatives": 1 if loss == "bpr" else 32}
    whole = recall(trained(world, tmp_path / "whole", layers=2, **asked), world)
    sampled = recall(trained(world, tmp_path / "sampled", **SAMPLED, **asked), world)
    assert whole > 0.3
    assert sampled > 0.9 * whole


def test_every_neighbour_and_every_row_is_training_as_usual():
    """One batch of all positives, nothing dropped: then both ways take the same steps."""
    asked = {"loss": "softmax", "negatives": 200, "batch_size": 10_000, "modality_dropout": 0.0,
             "id_dropout": 0.0, "layers": 2, "weight_decay": 0.0}  # fmt: skip
    world = world_of()
    whole, sampled = trainer_of(world, **asked), trainer_of(world, fan_out=(999, 999), **asked)
    for epoch in range(3):
        losses = whole.epoch(epoch, 0), sampled.epoch(epoch, 0)
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    pairs = zip(whole.model.outputs().vectors.values(), sampled.model.outputs().vectors.values(),
                strict=True)  # fmt: skip
    for first, second in pairs:
        torch.testing.assert_close(first, second, rtol=1e-2, atol=2e-3)


def test_the_same_seed_trains_the_same_and_a_resumed_run_too(tmp_path):
    world, asked = world_of(), {**SAMPLED, "epochs": 4, "evaluate_every": 1, "average": 0.9}
    first = trained(world, tmp_path / "a", **asked)
    again = trained(world, tmp_path / "b", **asked)

    class Stopped(Exception):
        """A kill."""

    def stop(progress):
        if progress.epoch == 2:
            raise Stopped

    (tmp_path / "c").mkdir()
    every = Checkpoints(tmp_path / "c", seconds=0)
    killed = trainer_of(world, **asked)
    with pytest.raises(Stopped):
        fit(killed, every, stop)
    resumed = trainer_of(world, **asked)
    fit(resumed, every, lambda _: None)
    for other in (again, resumed):
        for name, value in first.model.state_dict().items():
            assert torch.equal(value, other.model.state_dict()[name]), name


@pytest.mark.parametrize(
    "asked",
    [
        {"edge_dropout": 0.3}, {"layer_dropout": 0.3}, {"new_items": 0.3}, {"mixup": 0.5},
        {"adversarial_weight": 0.5}, {"fusion": "mixture"}, {"attend_users": True},
        {"view_weight": 0.1, "view_kind": "noise"}, {"dropout": 0.2},
        {"loss": "softmax", "label_smoothing": 0.1},
    ],
)  # fmt: skip
def test_what_training_knows_works_with_it(asked):
    trainer = trainer_of(world_of(), **SAMPLED, **asked)
    before = {n: p.detach().clone() for n, p in trainer.model.named_parameters()}
    first = trainer.epoch(0, 0)
    for epoch in range(1, 8):
        last = trainer.epoch(epoch, 0)
    assert last < first
    assert all(not torch.equal(before[n], p) for n, p in trainer.model.named_parameters())


@pytest.mark.parametrize(
    "asked, says",
    [
        ({"model": "lightgcn"}, "lightgcn cannot sample"),
        ({"layers": 3}, "names 2 layers"),
        ({"coupled_decay": 1e-6}, "coupled_decay"),
        ({"hide_positives": True}, "hide_positives"),
        ({"view_weight": 0.1}, "view_kind: edges"),
        ({"align_weight": 0.1}, "align_weight"),
    ],
)
def test_what_cannot_be_sampled_is_refused(asked, says):
    with pytest.raises(ConfigError, match=says):
        model_of(data_of(world_of()), config_of(**{**SAMPLED, **asked}))


def chain_of(nodes: int) -> TrainingData:
    """Everybody has the same few neighbours, however many nodes there are."""
    at = np.arange(nodes)
    pairs = [(at + k) % nodes for k in range(4)]
    users, items = np.tile(at, 4), np.concatenate(pairs)
    train = sp.csr_matrix((np.ones(4 * nodes, np.float32), (users, items)), shape=(nodes, nodes))
    train.sort_indices()
    near = sp.csr_matrix((np.ones(nodes, np.float32), (at, (at + 1) % nodes)), (nodes, nodes))
    inputs = Inputs(edges_of(train), {"text": relation_of(near)})
    return TrainingData(inputs, train, train)


def largest_storage(trainer: Trainer, near: bool) -> int:
    """Return the most numbers that any tensor of a step holds, parameters aside."""
    batch = next(trainer.sampler.epoch(np.random.default_rng(0)))
    made: list[int] = []

    class Watching(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            out = function(*args, **(kwargs or {}))
            for each in out if isinstance(out, tuple | list) else [out]:
                dense = isinstance(each, torch.Tensor) and each.layout == torch.strided
                inplace = function._schema.is_mutable or "view" in str(function)
                if dense and not inplace:
                    made.append(each.numel())
            return out

    trainer.step(trainer._on_device(batch))  # the optimizer's state is made once
    ready = trainer._on_device(batch)
    with Watching():
        trainer.step(ready)
    assert near == (ready.near is not None)
    return max(made)


@pytest.mark.parametrize("fan_out", [(3, 2), None])
def test_a_step_makes_nothing_that_grows_with_the_graph(fan_out):
    """All tensors that a step makes, forward, backward and update, on graphs 1 : 10 in size."""
    sizes = []
    for nodes in (1500, 15_000):
        data = chain_of(nodes)
        config = config_of(fan_out=fan_out, layers=2, batch_size=16, heads=2)
        trainer = Trainer(model_of(data, config), data, config, 0)
        sizes.append(largest_storage(trainer, fan_out is not None))
        gc.collect()
    if fan_out is None:
        assert sizes[1] > 9 * sizes[0]  # the test can see growth
    else:
        assert sizes[1] <= 1.2 * sizes[0]


def test_batches_are_made_ahead_in_order_and_errors_arrive():
    here = threading.get_ident()
    made = ahead(iter([(n, threading.get_ident()) for n in range(5)]))
    assert [n for n, _ in made] == [*range(5)]

    def failing():
        yield threading.get_ident()
        raise ValueError("broken")

    parts = ahead(failing())
    assert next(parts) != here
    with pytest.raises(ValueError, match="broken"):
        next(parts)


def test_inputs_on_disk_are_left_there_by_steps(tmp_path):
    """The trainer's inputs are mapped; what it learns is what it learns from memory."""
    from pipeline.train.shelf import Shelf

    world = world_of()
    data, shelf = data_of(world), Shelf(tmp_path)
    relations = {
        n: shelf.relation(n, sp.csr_matrix((r.weights.numpy(), r.edges.indices.numpy(),
                                            r.edges.indptr.numpy()), r.edges.shape))
        for n, r in data.inputs.relations.items()
    }  # fmt: skip
    vectors = {n: shelf.vectors(n, v.numpy()) for n, v in data.inputs.vectors.items()}
    inputs = Inputs(shelf.edges("user_item", data.train), relations, vectors, data.inputs.present)
    config = config_of(**SAMPLED)
    results = []
    for each in (data, dataclasses.replace(data, inputs=inputs)):
        trainer = Trainer(model_of(each, config), each, config, 0)
        trainer.epoch(0, 0)
        results.append(trainer.model.outputs().vectors)
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name])
    assert "union" not in vars(trainer.model) and "priors" not in vars(trainer.model)
