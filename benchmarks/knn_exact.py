"""Exact cosine neighbours: ours beside faiss's exact index, on the same vectors in one run.

python benchmarks/knn_exact.py --items 20000 --width 384 --neighbors 10 --rounds 3
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from typing import Any

import faiss
import numpy as np

from pipeline.graph.neighbors import cosine_knn


def catalogue(items: int, width: int, clusters: int = 200, seed: int = 0) -> np.ndarray:
    """Return unit vectors around cluster centres.

    Shapes:
        returns: (N, D) float32.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(clusters, width))
    vectors = centres[rng.integers(0, clusters, items)] + rng.normal(size=(items, width))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def ours(vectors: np.ndarray, k: int) -> np.ndarray:
    """Return the neighbours found by the graph stage: (N, k)."""
    return cosine_knn(vectors, np.ones(len(vectors), dtype=bool), k).indices.reshape(-1, k)


def theirs(vectors: np.ndarray, k: int) -> np.ndarray:
    """Return the neighbours found by IndexFlatIP, itself left out: (N, k)."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index.search(vectors, k + 1)[1][:, 1:]


def seconds(make: Callable[[], Any]) -> tuple[float, Any]:
    """Return how long a call took, and what it returned."""
    begun = time.perf_counter()
    made = make()
    return time.perf_counter() - begun, made


def compare(items: int, width: int, k: int, rounds: int) -> dict[str, Any]:
    """Return the best time of each in alternating rounds, their ratio, and their agreement."""
    vectors = catalogue(items, width)
    times: dict[str, list[float]] = {"ours": [], "faiss_flat": []}
    found: dict[str, np.ndarray] = {}
    for _ in range(rounds):
        for name, search in ("ours", ours), ("faiss_flat", theirs):
            took, found[name] = seconds(lambda search=search: search(vectors, k))
            times[name].append(round(took, 3))
    best = {name: min(each) for name, each in times.items()}
    return {
        "theme": "knn_exact",
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "items": items,
        "width": width,
        "neighbors": k,
        "seconds": times,
        "speedup_over_faiss_flat": round(best["faiss_flat"] / best["ours"], 2),
        "same_neighbours": float((found["ours"] == found["faiss_flat"]).mean()),
    }


def main() -> None:
    """Print one record as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--neighbors", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(json.dumps(compare(asked.items, asked.width, asked.neighbors, asked.rounds), indent=1))


if __name__ == "__main__":
    main()
