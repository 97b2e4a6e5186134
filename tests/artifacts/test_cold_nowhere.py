"""What a run makes of tables with cold items: no trace of who took them, anywhere."""

import dataclasses

import numpy as np
import pytest

from pipeline import interactions, schema
from pipeline.artifacts import Store
from pipeline.config import TrainConfig
from pipeline.train.data import load
from tests import worlds
from tests.unit.test_graph_stage import run as graph

COLD_ITEMS = (2, 7, 11)


def held_out(world: worlds.World) -> worlds.World:
    split = np.where(np.isin(world.items, COLD_ITEMS), schema.COLD, world.split)
    return dataclasses.replace(world, split=split)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store, world = Store(tmp_path_factory.mktemp("cold")), held_out(worlds.planted())
    graphs = graph(store, world)
    found = {
        "tables": worlds.tables(store, world),
        "embeddings": worlds.embeddings(store, world),
        "graphs": graphs,
    }
    return world, found


def test_neither_the_user_item_graph_nor_co_occurrence_knows_them(made):
    _, artifacts = made
    assert not artifacts["graphs"].matrix("user_item.npz")[:, COLD_ITEMS].nnz
    together = artifacts["graphs"].matrix("cooccurrence.npz")
    assert not together[:, COLD_ITEMS].nnz and not together[list(COLD_ITEMS)].nnz


def test_their_content_is_in_the_item_graphs(made):
    text = made[1]["graphs"].matrix("text_knn.npz")
    assert (np.diff(text.indptr)[list(COLD_ITEMS)] > 0).all()


def test_training_and_validation_hold_none_of_their_interactions(made):
    world, artifacts = made
    data = load(artifacts, TrainConfig(items="all"))
    for part in (data.train, data.validation):
        assert not part[:, COLD_ITEMS].nnz
    assert not data.inputs.hot[list(COLD_ITEMS)].any()
    whole = interactions.user_item(artifacts["tables"], [*schema.SPLITS.values()])
    assert whole[:, COLD_ITEMS].nnz == np.isin(world.items, COLD_ITEMS).sum()


def test_what_training_is_given_does_not_depend_on_who_took_them(made, tmp_path):
    """Shuffling the users of cold interactions changes no matrix that a model sees."""
    world, artifacts = made
    cold = world.split == schema.COLD
    users = world.users.copy()
    users[cold] = np.roll(users[cold], 1)
    other = dataclasses.replace(world, users=users)
    store = Store(tmp_path)
    graphs = graph(store, other)
    again = load(
        {**artifacts, "tables": worlds.tables(store, other), "graphs": graphs},
        TrainConfig(items="all"),
    )
    before = load(artifacts, TrainConfig(items="all"))
    assert (again.train != before.train).nnz == (again.validation != before.validation).nnz == 0
    for name, relation in before.inputs.relations.items():
        assert (again.inputs.relations[name].edges.indices == relation.edges.indices).all()
        assert (again.inputs.relations[name].weights == relation.weights).all()
