"""What ``explain: full`` says of attention and of modalities is what the trained network does."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from starlette.testclient import TestClient

from pipeline.config import TrainConfig
from pipeline.relations import COOCCURRENCE
from pipeline.train.data import load
from pipeline.train.stage import made as model_of
from serving.app import create_app
from serving.bundle import Bundle
from serving.reasons import TOGETHER
from serving.recommender import Recommender
from serving.requests import RecommendRequest
from serving.settings import Settings
from tests import live_worlds

HISTORY = ["i001", "i004", "i007", "i010"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    config = live_worlds.Shop(folder).write()
    return live_worlds.run(tmp_path_factory.mktemp("store"), config)


@pytest.fixture(scope="module")
def network(shop):
    """Return the trained torch model on the data that it was trained on."""
    artifact = shop.steps["model"]
    config = TrainConfig.model_validate(artifact.manifest["config"])
    data = load(shop.steps, config)
    model = model_of(config, data.inputs, 0)
    model.load_state_dict(load_file(artifact.file("weights.safetensors")), strict=False)
    return model, data


@pytest.fixture(scope="module")
def recommender(shop):
    return Recommender(Bundle.of(shop.bundle))


@pytest.fixture(scope="module")
def answer(recommender):
    return recommender.recommend(RecommendRequest(history=HISTORY, k=30, explain="full"))


def dense(model, data) -> dict[str, np.ndarray]:
    """Return by relation the weight of every edge after prior, share and gate, by catalogue row."""
    inputs = model.item_input(None)
    with torch.no_grad():
        weights = model.edge_weights(model.users, inputs)
    rows = data.rest.active
    found = {}
    for name, relation in model.relations.items():
        whole = np.zeros((live_worlds.ACTIVE + live_worlds.REST,) * 2)
        edges = relation.edges
        whole[rows[edges.rows.numpy()], rows[edges.indices.numpy()]] = weights[name].numpy()
        found[name] = whole
    return found


def test_attention_is_what_the_network_multiplies_with(answer, network, recommender):
    weights = dense(*network)
    checked = set()
    for item in answer.items:
        for reason in item.reasons:
            if reason.attention is None:
                continue
            relation = COOCCURRENCE if reason.relation == TOGETHER else reason.relation
            ends = recommender.row(item.id), recommender.row(reason.item)
            assert reason.attention == pytest.approx(weights[relation][ends], rel=1e-4)
            assert 0 < reason.gate < 2
            checked.add(relation)
    assert checked == set(network[0].relations)


def test_gates_differ_between_edges(answer):
    gates = {reason.gate for item in answer.items for reason in item.reasons}
    assert len(gates - {None}) > 5


def test_items_that_came_after_training_have_no_attention(answer, network):
    active = {f"i{row:03d}" for row in network[1].rest.active}
    for item in answer.items:
        for reason in item.reasons:
            known = item.id in active and reason.item in active and reason.relation != TOGETHER
            assert (reason.attention is not None) == known


def test_modalities_are_the_gates_of_the_fusion(answer, network, recommender):
    model, data = network
    there = {row: place for place, row in enumerate(data.rest.active.tolist())}
    fusion = model.fusion
    with torch.no_grad():
        shares = fusion.rule.shares(fusion.parts, fusion.present).numpy()
    compared = 0
    for item in answer.items:
        told = {each.modality: each.share for each in item.content}
        assert sum(told.values()) == pytest.approx(1, abs=1e-5)
        row = recommender.row(item.id)
        if row in there:
            expected = dict(zip(fusion.names, shares[there[row]].tolist(), strict=True))
            assert told == pytest.approx(expected, abs=1e-5)
            compared += 1
    assert compared > 3


def test_only_full_gives_them(recommender):
    answer = recommender.recommend(RecommendRequest(history=HISTORY, k=5))
    assert all(reason.gate is None for item in answer.items for reason in item.reasons)
    assert not any(item.content for item in answer.items)


def test_a_bundle_without_a_network_leaves_them_out(bundle):
    plain = Recommender(bundle).recommend(RecommendRequest(user="u0", k=5, explain="full"))
    assert all(reason.attention is None for item in plain.items for reason in item.reasons)
    assert not any(item.content for item in plain.items)


def test_items_that_arrived_in_service_are_no_obstacle(shop):
    settings = Settings(store=shop.store.root, log_level="error")
    with TestClient(create_app(settings)) as client:
        vector = np.ones(live_worlds_width(shop)).tolist()
        added = client.post("/v1/items", json={"id": "fresh", "vectors": {"text": vector}})
        assert added.status_code in (200, 201), added.text
        asked = {"history": [*HISTORY, "fresh"], "k": 50, "explain": "full", "exclude_seen": False}
        items = client.post("/v1/recommend", json=asked).json()["items"]
        fresh = next(item for item in items if item["id"] == "fresh")
        assert fresh["content"] == []
        assert all(reason.get("attention") is None for reason in fresh["reasons"])


def live_worlds_width(shop) -> int:
    return int(shop.steps["embeddings"].array("text.npy").shape[1])
