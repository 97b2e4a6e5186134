"""From artifacts to model inputs: relations, patterns, options, devices."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.artifacts import Store
from pipeline.config import TrainConfig
from pipeline.models import Options
from pipeline.models.base import Recommender
from pipeline.train import stage
from pipeline.train.active import edges_of
from pipeline.train.data import load, relation_of
from pipeline.train.loop import Seeds
from tests import worlds
from tests.train_worlds import inputs_of


def dense(relation) -> np.ndarray:
    return relation.edges.matrix(relation.weights).to_dense().numpy()


graphs = st.tuples(st.integers(0, 999), st.integers(1, 10)).map(
    lambda pair: sp.random(
        pair[1], pair[1], density=0.4, format="csr", rng=np.random.default_rng(pair[0])
    )
)


@given(graphs)
@settings(max_examples=50, deadline=None)
def test_a_relation_is_symmetric_without_loops_and_of_mean_one(graph):
    relation = relation_of(graph)
    found = dense(relation)
    np.testing.assert_array_equal(found, found.T)
    assert not found.diagonal().any()
    assert (relation.weights > 0).all()
    if relation.edges.count:
        assert relation.weights.mean().item() == pytest.approx(1, rel=1e-5)


@given(graphs, st.floats(0.01, 100))
@settings(max_examples=30, deadline=None)
def test_a_relation_does_not_depend_on_the_unit_of_its_weights(graph, factor):
    np.testing.assert_allclose(
        dense(relation_of(graph * factor)), dense(relation_of(graph)), rtol=1e-4
    )


def test_an_edge_named_by_either_side_has_the_larger_weight():
    graph = sp.csr_matrix(np.array([[9.0, 1.0, 0.0], [3.0, 0.0, -2.0], [0.0, 0.0, 0.0]]))
    want = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(dense(relation_of(graph)), want)


def test_building_a_relation_leaves_the_graph_alone():
    graph = sp.csr_matrix(np.array([[5.0, 1.0], [0.0, 0.0]]))
    relation_of(graph)
    assert graph.toarray().tolist() == [[5.0, 1.0], [0.0, 0.0]]


def test_inputs_know_degrees_and_who_is_hot():
    world = worlds.planted()
    inputs, train = inputs_of(world), world.matrix().toarray()
    assert (inputs.users, inputs.items) == train.shape
    assert inputs.user_degrees.tolist() == train.sum(axis=1).tolist()
    assert inputs.item_degrees.tolist() == train.sum(axis=0).tolist()
    assert inputs.hot.tolist() == (train.sum(axis=0) > 0).tolist()
    assert not inputs.hot[world.warm_items].any()


def test_moving_inputs_keeps_them():
    inputs = inputs_of(worlds.planted())
    moved = inputs.to(torch.device("cpu"))
    assert torch.equal(moved.user_item.permutation, inputs.user_item.permutation)
    assert moved.user_item.shape == inputs.user_item.shape
    assert moved.vectors.keys() == inputs.vectors.keys()


def test_artifacts_become_the_same_inputs(tmp_path):
    world, store = worlds.planted(), Store(tmp_path)
    made = {k: getattr(worlds, k)(store, world) for k in ("tables", "embeddings", "graphs")}
    data, want = load(made, TrainConfig(items="all")), inputs_of(world)
    assert set(data.inputs.relations) == {"text", "image", "cooccurrence"}
    np.testing.assert_allclose(dense(data.inputs.relations["text"]), dense(want.relations["text"]))
    assert torch.equal(data.inputs.vectors["image"], want.vectors["image"])
    assert (data.train != world.matrix()).nnz == 0
    assert data.validation.nnz == (world.split == 1).sum()


def test_a_pattern_survives_an_empty_matrix():
    edges = edges_of(sp.csr_matrix((3, 4), dtype=np.float32))
    assert edges.count == 0
    assert edges.matrix(torch.zeros(0)).shape == (3, 4)
    assert edges.transpose.shape == (4, 3)


def test_options_take_what_the_configuration_says():
    config = TrainConfig(width=5, relation_weights={"text": 0.7, "image": 0.0})
    options = stage.options_of(config, ["text", "image", "audio"])
    assert options.width == 5
    assert options.relation_weights == {"text": 0.7, "image": 0.0, "audio": stage.OTHER_RELATION}


def test_every_option_can_be_configured():
    assert set(Options.__dataclass_fields__) <= set(TrainConfig.model_fields)


def test_auto_takes_what_there_is():
    want = "cuda" if torch.cuda.is_available() else "cpu"
    assert stage.device_of("auto").type == want
    assert stage.device_of("cpu").type == "cpu"


def test_threads_are_put_back():
    before = torch.get_num_threads()
    with stage.on_this_machine(1, torch.device("cpu")):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_random_streams_differ_by_epoch_and_by_use():
    seeds, device = Seeds(3), torch.device("cpu")
    draws = {tuple(seeds.rng(epoch).integers(1 << 30, size=2)) for epoch in range(5)}
    assert len(draws) == 5
    noise = {float(torch.rand(1, generator=seeds.noise(e, device))) for e in range(5)}
    assert len(noise) == 5
    again = torch.rand(1, generator=seeds.noise(2, device))
    assert torch.equal(again, torch.rand(1, generator=Seeds(3).noise(2, device)))


def test_a_model_must_say_what_it_is():
    bare = Recommender(inputs_of(worlds.planted()))
    assert not bare.learns
    assert bare.learned() == {}
    with pytest.raises(NotImplementedError, match="Recommender has nothing to learn"):
        bare()
