"""What the index stage writes is what the service opens: the contract between the two."""

import numpy as np
import pytest

from pipeline import measure
from pipeline.artifacts import Store
from pipeline.config import DataConfig, IndexConfig
from pipeline.index import stage
from pipeline.job import Job
from serving.bundle import Bundle
from serving.messages import RecommendRequest
from serving.recommender import Recommender
from tests import worlds

EVERY = [
    {"method": "flat"},
    {"method": "hnsw"},
    {"method": "ivf", "ivf_lists": 4, "ivf_probes": 1},
    {"method": "ivf", "compress": "pq"},
    {"method": "hnsw", "compress": "sq8"},
    {"method": "flat", "compress": "binary"},
]


@pytest.fixture(scope="module", params=EVERY, ids=lambda e: "-".join(map(str, e.values())))
def indexed(request, tmp_path_factory):
    """A recommender on a bundle that the index stage made of the planted world."""
    store, world = Store(tmp_path_factory.mktemp("store")), worlds.planted()
    made = [worlds.tables(store, world), worlds.graphs(store, world), worlds.model(store, world)]
    inputs = {artifact.kind: artifact for artifact in made}
    config = IndexConfig(**request.param, audit_k=5)

    def write(into):
        with measure.task("index") as task:
            stage.run(Job(config, DataConfig(format="demo"), inputs, into, into.parent, task))

    prints = {kind: artifact.fingerprint for kind, artifact in inputs.items()}
    worlds.publish(store, "bundle", "1dec5", write, inputs=prints)
    return Recommender(Bundle.open(store, "1dec5")), world


def test_it_opens_and_is_ready(indexed):
    check = indexed[0].bundle.self_check()
    assert check.ready and check.canaries == 64
    assert indexed[0].name.model == "30de1"


def test_users_get_their_own_kind_and_nothing_they_have(indexed):
    recommender, world = indexed
    hits = []
    for user in range(world.n_users - 1):
        answer = recommender.recommend(RecommendRequest(user=f"u{user}", k=5))
        rows = np.array([int(item.id[1:]) for item in answer.items])
        assert answer.strategy == "model"
        assert not np.isin(rows, world.items[world.users == user]).any()
        hits.append((world.item_cluster[rows] == world.user_cluster[user]).mean())
    assert np.mean(hits) > 0.95


def test_a_history_finds_its_kind(indexed):
    recommender, world = indexed
    answer = recommender.recommend(RecommendRequest(history=["i8", "i12"], k=5))
    kinds = {int(world.item_cluster[int(item.id[1:])]) for item in answer.items}
    assert answer.strategy == "fold_in" and kinds == {0}


def test_the_user_without_interactions_gets_popular_items(indexed):
    recommender, world = indexed
    answer = recommender.recommend(RecommendRequest(user=f"u{world.cold_user}"))
    assert (answer.strategy, len(answer.items)) == ("popular", 10)
