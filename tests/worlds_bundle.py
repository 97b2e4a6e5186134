"""The planted world as a bundle: built by hand, so that the service is tested without any stage."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from pipeline import files, schema
from pipeline.artifacts import Artifact, Store
from pipeline.nearest import top_k_naive
from pipeline.schema import TEST, TRAIN, VALIDATION
from tests import worlds
from tests.worlds import World

FINGERPRINT = "b0d1e5"
K = 10


@dataclass
class Parts:
    """The files of a bundle before they are written; a test bends one to see it refused."""

    world: World
    item_vectors: np.ndarray
    user_vectors: np.ndarray
    fold_in: np.ndarray
    hot: np.ndarray
    popular: np.ndarray
    seen: sp.csr_matrix
    graphs: dict[str, sp.csr_matrix]
    canary_users: np.ndarray
    canary_top: np.ndarray
    items: pa.Table
    users: pa.Table
    index: Any = None
    audit: dict[str, Any] = field(default_factory=dict)

    def build_index(self) -> Any:
        index = faiss.IndexFlatIP(self.item_vectors.shape[1])
        index.add(self.item_vectors)
        return index


def parts(seed: int = 0, width: int = 8, **world_options: Any) -> Parts:
    """Return the pieces of a bundle; a user's vector is the fold-in of what they have."""
    world = worlds.planted(seed, **world_options)
    rng = np.random.default_rng(seed + 1)
    centres = np.eye(worlds.CLUSTERS, width)
    noise = 0.05 * rng.normal(size=(world.n_items, width))
    item_vectors = (centres[world.item_cluster] + noise).astype(np.float32)
    seen = sp.csr_matrix(sum(world.matrix(split) for split in (TRAIN, VALIDATION, TEST)))
    counts = np.asarray(seen.sum(axis=1)).ravel()
    user_vectors = (seen @ item_vectors / np.sqrt(np.maximum(1, counts))[:, None]).astype(
        np.float32
    )
    train = world.matrix()
    together = sp.csr_matrix(train.T @ train)
    together.setdiag(0)
    together.eliminate_zeros()
    canaries = np.arange(0, world.n_users - 1, 7)
    takers = np.asarray(train.sum(axis=0)).ravel()
    rows = [worlds._item(world, item) for item in range(world.n_items)]
    return Parts(
        world=world,
        item_vectors=item_vectors,
        user_vectors=user_vectors,
        fold_in=item_vectors.copy(),
        hot=takers > 0,
        popular=np.argsort(-takers, kind="stable"),
        seen=seen,
        graphs={
            "cooccurrence": together,
            **{
                f"{m}_knn": worlds.knn(vectors, world.present[m], 5)
                for m, vectors in world.vectors.items()
            },
        },
        canary_users=canaries,
        canary_top=top_k_naive(user_vectors[canaries], item_vectors, K)[0],
        items=pa.Table.from_pylist(rows, schema=schema.ITEMS),
        users=pa.table({"key": [f"u{u}" for u in range(world.n_users)]}, schema=schema.USERS),
        audit={"recall": 1.0, "k": K, "method": "flat", "recall_floor": 0.95},
    )


def write(these: Parts, into: Path) -> None:
    index = these.index if these.index is not None else these.build_index()
    faiss.write_index(index, str(into / "items.faiss"))
    files.write_table(into / "items.parquet", these.items)
    files.write_table(into / "users.parquet", these.users)
    for name in (
        "item_vectors", "user_vectors", "fold_in", "hot", "popular", "canary_users", "canary_top",
    ):  # fmt: skip
        files.write_array(into / f"{name}.npy", getattr(these, name))
    files.write_matrix(into / "seen.npz", these.seen)
    for name, graph in these.graphs.items():
        files.write_matrix(into / f"{name}.npz", graph)
    files.write_json(into / "audit.json", these.audit)


def publish(
    store: Store,
    these: Parts | None = None,
    fingerprint: str = FINGERPRINT,
    *,
    promote: bool = True,
) -> Artifact:
    """Publish a bundle, and promote it."""
    chosen = these or parts()
    inputs = {"tables": "7ab1e5", "graphs": "96a9f5", "model": "30de1"}
    artifact = worlds.publish(
        store, "bundle", fingerprint, lambda into: write(chosen, into), inputs=inputs
    )
    if promote:
        store.point("bundle", fingerprint, "a test")
    return artifact
