"""Cosine neighbours: our searches beside FAISS's flat index and its small world, in one run.

python -m benchmarks.knn [--items 31137] [--neighbors 20] [--vectors FILE.npy] [--asked 4000]
    [--ways exact,approximate,flat,hnsw]

Without a file, vectors are drawn around centres. FAISS compares ``asked`` of the items with all and
its time is multiplied: a flat search takes the same for every query. Recall is that of 2,000 items.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from pipeline.arrays import Floats, Rows
from pipeline.crew import Crew
from pipeline.graph.approximate import near_others
from pipeline.graph.audit import Exact, Sides
from pipeline.graph.distinct import Distinct
from pipeline.graph.neighbors import nearest_others
from pipeline.graph.ranked import Edges
from pipeline.measure.processor import machine_name

Record = dict[str, Any]
_JUDGED, _FLOOR = 2000, 0.97


def catalogue(items: int, width: int, seed: int = 0) -> Floats:
    """Return vectors around cluster centres, one for 150 items.

    Shapes:
        returns: (N, D) float32.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, items // 150), width)).astype(np.float32)
    noise = rng.standard_normal((items, width), np.float32)
    return centres[rng.integers(0, len(centres), items)] + 0.8 * noise


def seconds(make: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long a call took, and what it returned."""
    begun = time.perf_counter()
    made = make()
    return time.perf_counter() - begun, made


def flat(unit: Floats, asked: Rows, k: int) -> tuple[float, Edges]:
    """Return the seconds FAISS's flat index takes for every item, and what it found for some."""
    index = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    took, (_, found) = seconds(lambda: index.search(unit[asked], k + 1))
    return took * len(unit) / len(asked), _edges(asked, found)


def small_world(unit: Floats, asked: Rows, k: int) -> tuple[float, Edges]:
    """Return the seconds FAISS's HNSW takes to build and to search for all, and some of it."""
    index = faiss.IndexHNSWFlat(unit.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    built, _ = seconds(lambda: index.add(unit))
    index.hnsw.efSearch = 64
    took, (_, found) = seconds(lambda: index.search(unit[asked], k + 1))
    return built + took * len(unit) / len(asked), _edges(asked, found)


def _edges(asked: Rows, found: Rows) -> Edges:
    """Return what was found but the item itself, at no similarity."""
    sources = np.repeat(asked, found.shape[1])
    other = (sources != found.ravel()) & (found.ravel() >= 0)
    return sources[other], found.ravel()[other], np.zeros(int(other.sum()), np.float32)


def compared(vectors: Floats, k: int, asked: int, ways: list[str]) -> list[Record]:
    """Return the seconds and the recall of each way."""
    unit = Distinct.of(vectors, np.ones(len(vectors), dtype=bool)).unit
    crew = Crew(len(os.sched_getaffinity(0)))
    order = np.random.default_rng(1).permutation(len(unit))
    judge = Exact.of(Sides.same(unit), order[:_JUDGED], k, crew)
    queries = np.sort(order[: max(asked, _JUDGED)])
    made: dict[str, Callable[[], tuple[float, Edges]]] = {
        "exact": lambda: seconds(lambda: nearest_others(unit, k, crew)),
        "approximate": lambda: seconds(lambda: near_others(unit, k, _FLOOR, crew)[0]),
        "flat": lambda: flat(unit, queries, k),
        "hnsw": lambda: small_world(unit, queries, k),
    }
    found = []
    for way in ways:
        took, edges = made[way]()
        recall = round(judge.recall(edges, Sides.same(unit)), 4)
        found.append({"way": way, "seconds": round(took, 2), "recall": recall})
    return found


def main() -> None:
    """Print one record as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=31_137)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--neighbors", type=int, default=20)
    parser.add_argument("--asked", type=int, default=4000)
    parser.add_argument("--ways", default="exact,approximate,flat,hnsw")
    given = parser.parse_args()
    drawn = given.vectors is None
    vectors = (
        catalogue(given.items, given.width) if drawn else np.load(given.vectors)[: given.items]
    )
    ways = compared(vectors, given.neighbors, given.asked, given.ways.split(","))
    times = {each["way"]: each["seconds"] for each in ways}
    peer = times.get("flat")
    record = {
        "theme": "knn",
        "machine": machine_name(),
        "vectors": "drawn" if drawn else given.vectors.name,
        "items": len(vectors),
        "width": vectors.shape[1],
        "neighbors": given.neighbors,
        "ways": ways,
        "flat_over": {w: round(peer / t, 2) for w, t in times.items() if peer and w != "flat"},
    }
    print(json.dumps(record))


if __name__ == "__main__":
    main()
