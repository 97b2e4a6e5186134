"""The planted world with a second stage: evidence as arrays, and as artifacts that stages made."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from pipeline import files, interactions, measure
from pipeline.artifacts import Artifact, Store
from pipeline.config import DataConfig, IndexConfig, RankConfig
from pipeline.index import stage as index_stage
from pipeline.job import Job
from pipeline.rank import stage as rank_stage
from pipeline.ranking import SecondStage, open_second_stage
from pipeline.ranking.evidence import Evidence
from pipeline.ranking.space import Space
from pipeline.relations import symmetric
from pipeline.schema import TRAIN
from tests import worlds
from tests.worlds import World

SMALL = {"candidates": 12, "hidden": 4, "epochs": 4, "folds": 3, "select_metric": "ndcg@20"}
"""Settings of the rank stage that leave most of the planted catalogue out, where recall ties."""

RANKER = "4a4ce4"


def weights(train: sp.csr_matrix) -> sp.csr_matrix:
    """Return item-item weights of both signs, as a closed-form model has them."""
    together = (train.T @ train).toarray()
    np.fill_diagonal(together, 0)
    centred = together - 0.5 * together.mean(axis=1, keepdims=True)
    kept = np.abs(centred) > np.quantile(np.abs(centred), 0.6)
    return sp.csr_matrix(np.where(kept, centred, 0).astype(np.float32))


def evidence(seed: int = 0, width: int = 6, **world_options: object) -> Evidence:
    """Return everything that features are made from, with noise enough that nothing ties."""
    world = worlds.planted(seed, **world_options)
    rng = np.random.default_rng(seed + 1)
    train = sp.csr_matrix(world.matrix())
    train.sort_indices()
    items = np.eye(worlds.CLUSTERS, width)[world.item_cluster]
    items = (items + 0.3 * rng.normal(size=items.shape)).astype(np.float32)
    users = (train @ items + 0.05 * rng.normal(size=(world.n_users, width))).astype(np.float32)
    users[world.cold_user] = 0
    relations = {
        name: symmetric(worlds.knn(vectors, world.present[name], 5))
        for name, vectors in world.vectors.items()
    }
    return Evidence(Space(users, items, items), train, relations, weights(train))


def closed_form(store: Store, world: World) -> Artifact:
    def write(into: Path) -> None:
        files.write_matrix(into / "item_item.npz", weights(world.matrix()))
        files.write_lines(into / "curve.jsonl", [])
        (into / "weights.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")

    return worlds.publish(store, "model", "ea5e", write, inputs={"tables": "7ab1e5"})


def another(store: Store, world: World) -> Artifact:
    """Return a model with narrow vectors of its own mind, which fold in differently."""
    rng = np.random.default_rng(9)
    items = rng.normal(size=(world.n_items, 3)).astype(np.float32)
    users = (world.matrix() @ items).astype(np.float32)

    def write(into: Path) -> None:
        files.write_array(into / "user_vectors.npy", users)
        files.write_array(into / "item_vectors.npy", items)
        files.write_array(into / "fold_in.npy", items * 0.5)
        files.write_lines(into / "curve.jsonl", [])
        (into / "weights.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")

    return worlds.publish(store, "model", "07e4", write, inputs={"tables": "7ab1e5"})


def inputs(store: Store, world: World) -> dict[str, Artifact]:
    """Return what the rank stage is given."""
    return {
        "tables": store.find("tables", "7ab1e5") or worlds.tables(store, world),
        "graphs": store.find("graphs", "96a9f5") or worlds.graphs(store, world),
        "model": store.find("model", "30de1") or worlds.model(store, world),
        "model:ease": store.find("model", "ea5e") or closed_form(store, world),
    }


def ranker(
    store: Store, given: dict[str, Artifact], fingerprint: str = RANKER, seed=0, **settings
) -> Artifact:
    """Return what the rank stage makes of its inputs."""
    config = RankConfig(**{**SMALL, **settings})
    facts: dict = {}

    def write(into: Path) -> None:
        with measure.task("rank") as task:
            job = Job(config, DataConfig(format="demo"), given, into, into.parent, task, seed)
            facts.update(rank_stage.run(job))

    prints = {name: artifact.fingerprint for name, artifact in given.items()}
    return worlds.publish(store, "ranker", fingerprint, write, facts, prints)


def bundle(store: Store, given: dict[str, Artifact], fingerprint: str = "b0d1e") -> Artifact:
    """Return what the index stage makes of the given artifacts, a ranker among them or not."""

    def write(into: Path) -> None:
        with measure.task("index") as task:
            config = IndexConfig(audit_k=5)
            job = Job(config, DataConfig(format="demo"), given, into, into.parent, task)
            index_stage.run(job)

    prints = {name: artifact.fingerprint for name, artifact in given.items()}
    return worlds.publish(store, "bundle", fingerprint, write, inputs=prints)


def opened(ranker: Artifact, given: dict[str, Artifact]) -> SecondStage:
    """Return the second stage as the evaluation opens it."""
    train = interactions.user_item(given["tables"])
    return open_second_stage(ranker, Space.opened(given["model"]), train)


def trained_only(world: World) -> World:
    """Return the world without held-out interactions: what is seen is what was trained on."""
    kept = world.split == TRAIN
    users, items, split = world.users[kept], world.items[kept], world.split[kept]
    return replace(world, users=users, items=items, split=split)
