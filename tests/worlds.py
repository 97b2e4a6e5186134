"""A small planted world: clusters that taste and content share, and every awkward case.

Users and items fall into clusters; users take items of their own cluster; text and image vectors
point at the cluster's centre. Among them: a user with no interaction, items with no interaction
(warm: content only), an item with no picture, an item with neither text nor picture.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from pipeline import files, schema
from pipeline.artifacts import Artifact, Store
from pipeline.schema import KINDS

CLUSTERS = 4


@dataclass(frozen=True)
class World:
    """Interactions as arrays of rows, and content vectors with their masks."""

    users: np.ndarray
    items: np.ndarray
    split: np.ndarray
    n_users: int
    n_items: int
    user_cluster: np.ndarray
    item_cluster: np.ndarray
    vectors: dict[str, np.ndarray]
    present: dict[str, np.ndarray]
    cold_user: int
    warm_items: np.ndarray
    no_picture: int
    no_content: int

    def matrix(self, split: int = schema.TRAIN) -> sp.csr_matrix:
        kept = self.split == split
        ones = np.ones(kept.sum(), dtype=np.float32)
        at = (self.users[kept], self.items[kept])
        return sp.csr_matrix((ones, at), shape=(self.n_users, self.n_items))


def planted(seed: int = 0, n_users: int = 80, n_items: int = 64, taste: float = 0.9) -> World:
    """Return the world; ``taste`` is the chance that an interaction stays in the cluster."""
    rng = np.random.default_rng(seed)
    user_cluster = np.arange(n_users) % CLUSTERS
    item_cluster = np.arange(n_items) % CLUSTERS
    cold_user, warm = n_users - 1, np.arange(n_items - 4, n_items)
    interacted = np.setdiff1d(np.arange(n_items), warm)
    rows = [
        (user, item)
        for user in range(n_users)
        if user != cold_user
        for item in _basket(rng, interacted, item_cluster, user_cluster[user], taste)
    ]
    users, items = (np.array(column) for column in zip(*rows, strict=True))
    vectors, present = _content(rng, item_cluster)
    return World(
        users, items, _split(rng, users, items, n_items), n_users, n_items, user_cluster,
        item_cluster, vectors, present, cold_user, warm, no_picture=3, no_content=5,
    )  # fmt: skip


def _basket(rng, interacted, item_cluster, cluster, taste) -> np.ndarray:
    own = item_cluster[interacted] == cluster
    chance = np.where(own, taste / own.sum(), (1 - taste) / (~own).sum())
    return rng.choice(interacted, size=8, replace=False, p=chance / chance.sum())


def _split(rng, users, items, n_items) -> np.ndarray:
    """Two held-out interactions per user, one for validation, one for test."""
    split = np.zeros(len(users), dtype=np.int8)
    for user in np.unique(users):
        held = rng.choice(np.flatnonzero(users == user), size=2, replace=False)
        split[held[0]], split[held[1]] = schema.VALIDATION, schema.TEST
    return split


def _content(rng, item_cluster) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    vectors, present = {}, {}
    for modality, width in {"text": 12, "image": 8}.items():
        centres = rng.normal(size=(CLUSTERS, width))
        raw = centres[item_cluster] + 0.3 * rng.normal(size=(len(item_cluster), width))
        mask = np.ones(len(item_cluster), dtype=bool)
        mask[5] = False
        mask[3] = modality != "image"
        unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        vectors[modality] = np.where(mask[:, None], unit, 0).astype(np.float32)
        present[modality] = mask
    return vectors, present


def publish(store: Store, kind: str, fingerprint: str, write, facts=None, inputs=None) -> Artifact:
    """Publish what ``write(folder)`` leaves as an artifact with a minimal manifest."""
    with store.draft(kind, fingerprint) as draft:
        write(draft)
        manifest = {
            "kind": kind, "kind_version": KINDS[kind].version, "fingerprint": fingerprint,
            "stage": KINDS[kind].made_by, "stage_version": 1, "config": {}, "inputs": inputs or {},
            "facts": facts or {}, "cost": {}, "environment": {}, "seed": 0,
        }  # fmt: skip
        return store.publish(draft, manifest)


def tables(store: Store, world: World) -> Artifact:
    def write(into: Path) -> None:
        columns = {
            "user": world.users, "item": world.items, "weight": np.ones(len(world.users)),
            "timestamp": np.arange(len(world.users)), "split": world.split,
        }  # fmt: skip
        files.write_table(
            into / "interactions.parquet",
            schema.conform(pa.table(columns), schema.INTERACTIONS, ""),
        )
        rows = [_item(world, item) for item in range(world.n_items)]
        items = pa.Table.from_pylist(rows, schema=schema.ITEMS)
        files.write_table(into / "items.parquet", items)
        keys = pa.table({"key": [f"u{u}" for u in range(world.n_users)]}, schema=schema.USERS)
        files.write_table(into / "users.parquet", keys)
        files.write_table(into / "rejects.parquet", schema.REJECTS.empty_table())
        files.write_json(into / "quality.json", {})

    return publish(store, "tables", "7ab1e5", write)


def _item(world: World, item: int) -> dict[str, object]:
    cluster = world.item_cluster[item]
    bare = item == world.no_content
    return {
        "key": f"i{item}",
        "title": None if bare else f"Thing {item} of kind {cluster}",
        "description": None if bare else f"A thing of kind {cluster}.",
        "brand": f"brand {cluster}",
        "categories": [f"kind {cluster}"],
        "price": float(item),
        "image": f"{item}.jpg" if world.present["image"][item] else None,
    }


def embeddings(store: Store, world: World) -> Artifact:
    def write(into: Path) -> None:
        for modality, vectors in world.vectors.items():
            files.write_array(into / f"{modality}.npy", vectors)
            files.write_array(into / f"{modality}_present.npy", world.present[modality])

    return publish(store, "embeddings", "e3bed", write, inputs={"tables": "7ab1e5"})


def knn(vectors: np.ndarray, present: np.ndarray, k: int) -> sp.csr_matrix:
    """Return the cosine kNN graph the slow, obvious way."""
    similar = vectors @ vectors.T
    similar[~present] = similar[:, ~present] = -np.inf
    np.fill_diagonal(similar, -np.inf)
    graph = sp.lil_matrix(similar.shape, dtype=np.float32)
    for row, scores in enumerate(similar):
        for column in np.argsort(-scores, kind="stable")[:k]:
            if np.isfinite(scores[column]):
                graph[row, column] = scores[column]
    return sp.csr_matrix(graph)


def heaviest_first(graph: sp.csr_matrix) -> sp.csr_matrix:
    """Return the same matrix with each row's entries in the order of falling weight."""
    ranked = graph.copy()
    for start, end in zip(graph.indptr[:-1], graph.indptr[1:], strict=True):
        order = np.argsort(-graph.data[start:end], kind="stable")
        ranked.indices[start:end] = graph.indices[start:end][order]
        ranked.data[start:end] = graph.data[start:end][order]
    return ranked


def graphs(store: Store, world: World, k: int = 5) -> Artifact:
    def write(into: Path) -> None:
        train = world.matrix()
        files.write_matrix(into / "user_item.npz", train)
        for modality, vectors in world.vectors.items():
            graph = knn(vectors, world.present[modality], k)
            files.write_matrix(into / f"{modality}_knn.npz", heaviest_first(graph), ranked=True)
        together = sp.csr_matrix(train.T @ train)
        together.setdiag(0)
        together.eliminate_zeros()
        files.write_matrix(into / "cooccurrence.npz", heaviest_first(together), ranked=True)
        files.write_json(into / "statistics.json", {})

    return publish(store, "graphs", "96a9f5", write, inputs={"tables": "7ab1e5"})


def model(store: Store, world: World, width: int = 8) -> Artifact:
    """A model that knows the clusters: vectors point at the cluster, ties are broken by noise."""
    rng = np.random.default_rng(1)
    centres = np.eye(CLUSTERS, width)

    def write(into: Path) -> None:
        user_vectors = centres[world.user_cluster] + 0.05 * rng.normal(size=(world.n_users, width))
        item_vectors = centres[world.item_cluster] + 0.05 * rng.normal(size=(world.n_items, width))
        files.write_array(into / "user_vectors.npy", user_vectors.astype(np.float32))
        files.write_array(into / "item_vectors.npy", item_vectors.astype(np.float32))
        files.write_array(into / "fold_in.npy", item_vectors.astype(np.float32))
        files.write_lines(into / "curve.jsonl", [])
        (into / "weights.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")

    inputs = {"tables": "7ab1e5", "graphs": "96a9f5"}
    return publish(store, "model", "30de1", write, inputs=inputs)
