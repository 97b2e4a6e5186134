"""What the service takes to be ready: a drawn bundle of the reference load, opened from cold.

python -m benchmarks.bundle_load --folder /tmp/bundle-load [--items 498196 --users 192403]
Each opening is a process of its own; the bundle is made once and kept in the folder.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from benchmarks.vectors import ELECTRONICS, Drawn, drawn
from pipeline import files, schema
from pipeline.artifacts import Store
from pipeline.config import IndexConfig
from pipeline.index.audit import Exact, Search, audit
from pipeline.index.build import build
from pipeline.index.recipe import Recipe
from pipeline.measure.processor import machine_name
from pipeline.schema import KINDS

FINGERPRINT = "b0d1e10ad"
INTERACTIONS_PER_USER = 8.8
NEIGHBORS = 20
CANARIES, K = 64, 20
WORDS = ["steel", "usb", "cable", "black", "wireless", "case", "battery", "pro", "adapter", "hd"]


def make(folder: Path, users: int, items: int, method: str) -> None:
    """Publish a bundle of drawn vectors, graphs, history and metadata."""
    store, world = Store(folder), drawn(users, items)
    rng = np.random.default_rng(1)
    with store.draft("bundle", FINGERPRINT) as into:
        for name, array in {
            "item_vectors": world.items, "fold_in": world.items, "user_vectors": world.users,
            "hot": world.hot, "popular": np.argsort(~world.hot, kind="stable"),
        }.items():  # fmt: skip
            files.write_array(into / f"{name}.npy", array)
        _write_index(into, world, method)
        _write_graphs(into, rng, users, items)
        _write_tables(into, rng, users, items)
        store.publish(into, _manifest())
    store.point("bundle", FINGERPRINT, "a benchmark")


def _manifest() -> dict[str, Any]:
    return {
        "kind": "bundle", "kind_version": KINDS["bundle"].version, "fingerprint": FINGERPRINT,
        "stage": "index", "stage_version": 1, "config": {}, "inputs": {}, "facts": {}, "cost": {},
        "environment": {},
    }  # fmt: skip


def _write_index(into: Path, world: Drawn, method: str) -> None:
    import faiss

    recipe = Recipe.of(IndexConfig.model_validate({"method": method}), world.items.shape)
    index = build(world.items, recipe)
    (into / "items.faiss").write_bytes(faiss.serialize_index(index).data)
    canaries = np.arange(0, len(world.users), max(1, len(world.users) // CANARIES))[:CANARIES]
    exact = Exact.of(world.users[canaries], world.items, K)
    files.write_array(into / "canary_users.npy", canaries)
    files.write_array(into / "canary_top.npy", exact.rows)
    found = audit(Search(index, world.items, recipe.depth), exact, K)
    told = {"k": K, "recall": found.recall, "recall_floor": 0.9, "depth": recipe.depth}
    files.write_json(into / "audit.json", recipe.told() | told)


def _write_graphs(into: Path, rng: np.random.Generator, users: int, items: int) -> None:
    bounds = np.arange(items + 1) * NEIGHBORS
    for name in ("text_knn", "image_knn", "cooccurrence"):
        columns = rng.integers(0, items, items * NEIGHBORS, dtype=np.int32)
        weights = np.tile(np.linspace(1, 0.5, NEIGHBORS, dtype=np.float32), items)
        graph = sp.csr_matrix((weights, columns, bounds), shape=(items, items))
        files.write_matrix(into / f"{name}.npz", graph, ranked=True)
    count = int(users * INTERACTIONS_PER_USER)
    at = rng.integers(0, users, count), (items * rng.random(count) ** 3).astype(np.int64)
    seen = sp.csr_matrix((np.ones(count, np.float32), at), shape=(users, items))
    seen.data[:] = 1
    files.write_matrix(into / "seen.npz", seen)


def _write_tables(into: Path, rng: np.random.Generator, users: int, items: int) -> None:
    keys = [f"B{number:09X}" for number in rng.permutation(items)]
    words = rng.choice(WORDS, (items, 8))
    titles = [" ".join(row) for row in words.tolist()]
    columns = {
        "key": keys,
        "title": titles,
        "description": [f"{title}. " * 6 for title in titles],
        "brand": words[:, 0].tolist(),
        "categories": [["Electronics", *row] for row in words[:, 1:4].tolist()],
        "price": rng.random(items).round(2) * 100,
        "image": [f"https://images.example/{key}.jpg" for key in keys],
    }
    table = schema.conform(pa.table(columns), schema.ITEMS, "items.parquet")
    files.write_table(into / "items.parquet", table)
    people = pa.table({"key": [f"A{number:012X}" for number in rng.permutation(users)]})
    files.write_table(into / "users.parquet", schema.conform(people, schema.USERS, "users"))


def opened(folder: Path, verify: bool) -> dict[str, float]:
    """Return the seconds and the memory of opening the bundle and answering once, in here."""
    from serving.app import open_bundle
    from serving.messages import RecommendRequest
    from serving.recommender import Recommender
    from serving.settings import Settings

    took: dict[str, float] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        """Keep the seconds of a block."""
        begun = time.perf_counter()
        yield
        took[name] = round(time.perf_counter() - begun, 3)

    with timed("open"):
        bundle = open_bundle(Settings(store=folder, verify=verify))
    with timed("self_check"):
        recall = bundle.self_check().recall
    recommender = Recommender(bundle)
    requests = [
        RecommendRequest(user=key, k=20) for key in bundle.users.keys[:: len(bundle.users) // 200]
    ]
    with timed("first_request"):
        recommender.recommend(requests[0])
    each = [_milliseconds(recommender.recommend, request) for request in requests]
    took |= {f"request_p{q}_ms": round(float(np.percentile(each, q)), 2) for q in (50, 99)}
    return took | {
        "recall": recall,
        "private_mb": _memory("RssAnon"),
        "shared_mb": _memory("RssFile"),
    }


def _milliseconds(call: Callable[[Any], object], argument: object) -> float:
    begun = time.perf_counter()
    call(argument)
    return (time.perf_counter() - begun) * 1e3


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    found = next(line for line in lines if line.startswith(name))
    return round(int(found.split()[1]) / 1024)


def measured(folder: Path, verify: bool, rounds: int) -> list[dict[str, float]]:
    """Return what several openings took, each in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.bundle_load", "--folder", str(folder), "--opened"]
    command += ["--verify"] * verify
    outputs = [subprocess.run(command, capture_output=True, check=True) for _ in range(rounds)]
    return [json.loads(each.stdout) for each in outputs]


def main() -> None:
    """Print one record as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--users", type=int, default=ELECTRONICS[0])
    parser.add_argument("--items", type=int, default=ELECTRONICS[1])
    parser.add_argument("--method", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--opened", action="store_true", help="open it once, in this process")
    parser.add_argument("--verify", action="store_true")
    given = parser.parse_args()
    if given.opened:
        print(json.dumps(opened(given.folder, given.verify)))
        return
    if Store(given.folder).find("bundle", FINGERPRINT) is None:
        make(given.folder, given.users, given.items, given.method)
    record = {
        "theme": "bundle_load",
        "machine": machine_name(),
        "users": given.users,
        "items": given.items,
        "megabytes": round(
            sum(p.stat().st_size for p in given.folder.rglob("*") if p.is_file()) / 1e6
        ),
        "checked": measured(given.folder, True, given.rounds),
        "unchecked": measured(given.folder, False, given.rounds),
    }
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
