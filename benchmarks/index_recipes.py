"""Index recipes: recall@10 against bytes an item and queries a second, and what their lists lose.

python -m benchmarks.index_recipes [--items 498196 --users 192403] [--bundle FOLDER]
    [--queries 1000] [--only "flat,hnsw,ivf sq8"]

Vectors are drawn (benchmarks.vectors) or those of a bundle; the NDCG needs a bundle. Bytes are the
index's; the vectors that score afresh stay on disk. One thread answers, a query at a time.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from benchmarks.vectors import ELECTRONICS, drawn
from pipeline.arrays import Floats
from pipeline.config import IndexConfig
from pipeline.index.audit import Exact, Search, audit, audit_until, effort
from pipeline.index.build import build, faiss_threads
from pipeline.index.recipe import Recipe
from pipeline.measure.processor import machine_name

Record = dict[str, Any]
_K, _FLOOR, _WIDE = 20, 0.95, 3072
RECIPES: dict[str, dict[str, Any]] = {
    "flat": {"method": "flat"},
    "hnsw": {"method": "hnsw"},
    "hnsw, sq8": {"method": "hnsw", "compress": "sq8"},
    "ivf": {"method": "ivf"},
    "ivf, sq8": {"method": "ivf", "compress": "sq8"},
    "ivf, sq4": {"method": "ivf", "compress": "sq4"},
    "ivf, pq 32": {"method": "ivf", "compress": "pq", "code_bytes": 32},
    "ivf, opq 32": {"method": "ivf", "compress": "opq", "code_bytes": 32},
    "ivf, opq 16": {"method": "ivf", "compress": "opq", "code_bytes": 16},
    "flat, binary": {"method": "flat", "compress": "binary"},
}


def measured(name: str, items: Floats, exact: Exact) -> Record:
    """Return what a recipe's index takes and finds, once its recall is the floor."""
    recipe = Recipe.of(IndexConfig(**RECIPES[name]), items.shape)
    begun = time.perf_counter()
    with faiss_threads(len(os.sched_getaffinity(0))):
        search = Search(build(items, recipe), items, recipe.depth)
        built = time.perf_counter() - begun
        plain = audit(Search(search.index, items, 1), exact, _K)
        search, found = audit_until(search, exact, _K, _FLOOR)
        audited = time.perf_counter() - begun - built
    with faiss_threads(1):
        begun = time.perf_counter()
        for query in exact.queries[:200]:
            search.top(query[None], _K)
        each = (time.perf_counter() - begun) / min(200, len(exact.queries))
    size = len(faiss.serialize_index(search.index)) / max(1, len(items))
    return {
        "recipe": name,
        "bytes_per_item": round(size, 1),
        "times_fewer_than_768_floats": round(_WIDE / size, 1),
        "recall_at_10": round(found.recall_at_10, 4),
        "recall_at_20": round(found.recall, 4),
        "recall_at_20_of_codes_alone": round(plain.recall, 4),
        "queries_per_second": round(1 / each),
        "build_seconds": round(built, 1),
        "audit_seconds": round(audited, 1),
        "effort": effort(search.index),
        "depth": search.depth,
    }


def main() -> None:
    """Print a record for every recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=ELECTRONICS[0])
    parser.add_argument("--items", type=int, default=ELECTRONICS[1])
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--only", default=",".join(RECIPES).replace(", ", " "))
    given = parser.parse_args()
    if given.bundle:
        items, users = (np.load(given.bundle / f"{n}_vectors.npy") for n in ("item", "user"))
    else:
        world = drawn(given.users, given.items)
        items, users = world.items, world.users
    rows = np.random.default_rng(0).choice(len(users), min(given.queries, len(users)), False)
    exact = Exact.of(np.asarray(users[rows], dtype=np.float32), items, _K)
    about = {"theme": "index_recipes", "machine": machine_name()}
    about |= {"items": len(items), "floor": _FLOOR}
    chosen = given.only.split(",")
    for name in RECIPES:
        if name.replace(", ", " ") in chosen:
            print(json.dumps(about | measured(name, items, exact)), flush=True)


if __name__ == "__main__":
    main()
