"""One layer of propagation and of attention: our kernels beside torch's, on one graph in one run.

python -m benchmarks.propagation [--scale 1.0] [--width 64] [--threads 2]

A product gathers a row of ``width`` floats for each edge; that rate is printed beside the rate of
copying on the same machine.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from pipeline.models import kernels

Record = dict[str, Any]
USERS, ITEMS, INTERACTIONS, NEIGHBOURS = 192_403, 63_001, 1_350_000, 20
ROUNDS = 5


def active_graph(scale: float, seed: int = 0) -> Tensor:
    """Return users and items in one symmetric CSR tensor, like Electronics' active part."""
    rng = np.random.default_rng(seed)
    users, items, taken = (round(n * scale) for n in (USERS, ITEMS, INTERACTIONS))
    popularity = 1 / (np.arange(items) + 20.0) ** 0.9
    bought = rng.choice(items, taken, p=popularity / popularity.sum())
    ones = np.ones(taken, np.float32)
    between = sp.csr_matrix((ones, (rng.integers(0, users, taken), bought)), shape=(users, items))
    near = rng.integers(0, items, items * NEIGHBOURS)
    sources = np.repeat(np.arange(items), NEIGHBOURS)
    alike = sp.csr_matrix((np.ones(len(near), np.float32), (sources, near)), shape=(items, items))
    joint = sp.bmat([[None, between], [between.T, alike + alike.T]]).tocsr()
    parts = (torch.from_numpy(a.astype(np.int64)) for a in (joint.indptr, joint.indices))
    values = torch.from_numpy(joint.data.astype(np.float32))
    return torch.sparse_csr_tensor(*parts, values, size=joint.shape, check_invariants=False)


def seconds(ways: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
    """Return the best time of each way, in alternating rounds."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - begun)
    return best


def records(scale: float, width: int, threads: int) -> list[Record]:
    """Return a record for the product and one for the inner products at edges."""
    torch.set_num_threads(threads)
    graph = active_graph(scale)
    indptr, indices, values = graph.crow_indices(), graph.col_indices(), graph.values()
    x = torch.randn(graph.shape[0], width)
    product = {
        "ours": lambda: kernels.product(indptr, indices, values, x),
        "torch": lambda: graph @ x,
    }
    dots = {
        "ours": lambda: kernels.dots(indptr, indices, x, x),
        "torch": lambda: torch.sparse.sampled_addmm(graph, x, x.T, beta=0.0),
    }
    copied = seconds({"copy": x.clone})["copy"]
    rate = 2 * x.numel() * x.element_size() / copied / 1e9
    moved = len(values) * width * x.element_size() / 1e9
    return [_record(name, seconds(ways), moved, rate) for name, ways in
            (("product", product), ("dots", dots))]  # fmt: skip


def _record(name: str, took: dict[str, float], moved: float, copy_rate: float) -> Record:
    return {
        "kernel": name,
        **{f"{way}_ms": round(1000 * s, 1) for way, s in took.items()},
        "ratio": round(took["torch"] / took["ours"], 2),
        "gathered_gb_per_second": round(moved / took["ours"], 1),
        "copy_gb_per_second": round(copy_rate, 1),
    }


def main() -> None:
    """Print one JSON record per kernel."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    for record in records(asked.scale, asked.width, asked.threads):
        print(json.dumps(record))


if __name__ == "__main__":
    main()
