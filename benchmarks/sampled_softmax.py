"""Sampled softmax with its gradient: at once, beside autograd over every score, in one run.

python -m benchmarks.sampled_softmax [--batch 2048 8192 32768] [--threads 2]
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pipeline.train.batch import TensorBatch
from pipeline.train.sampled_softmax import Softmax

USERS, ITEMS, WIDTH, NEGATIVES = 192_403, 63_001, 64, 256
ROUNDS = 3
LENGTH = 0.35
"""Of a vector's entries: scores as in training; much larger ones make denormal shares, ten times as
slow."""

Loss = Callable[[Tensor, Tensor, TensorBatch], Tensor]


def seconds(way: Loss, users: Tensor, items: Tensor, batch: TensorBatch) -> float:
    """Return how long a loss and its gradients took."""
    users.grad = items.grad = None
    begun = time.perf_counter()
    way(users, items, batch).backward()  # type: ignore[no-untyped-call]
    return time.perf_counter() - begun


def record(size: int) -> dict[str, Any]:
    """Return the best of alternating rounds for a batch of so many positives."""
    draw = torch.Generator().manual_seed(0)
    users = (LENGTH * torch.randn(USERS, WIDTH, generator=draw)).requires_grad_()
    items = (LENGTH * torch.randn(ITEMS, WIDTH, generator=draw)).requires_grad_()
    batch = TensorBatch(
        torch.randint(USERS, (size,), generator=draw),
        torch.randint(ITEMS, (size,), generator=draw),
        torch.randint(ITEMS, (NEGATIVES,), generator=draw),
    )
    of = Softmax(torch.zeros(ITEMS), 0.2, 2048)
    best = {"at_once": float("inf"), "autograd": float("inf")}
    for _ in range(ROUNDS):
        for name, way in ("at_once", of.loss), ("autograd", of.by_autograd):
            best[name] = min(best[name], seconds(way, users, items, batch))
    took = {f"{name}_ms": round(1000 * s, 1) for name, s in best.items()}
    return {"positives": size, **took, "ratio": round(best["autograd"] / best["at_once"], 2)}


def main() -> None:
    """Print one JSON record per size of batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, nargs="+", default=[2048, 8192, 32768])
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    for size in asked.batch:
        print(json.dumps(record(size)))


if __name__ == "__main__":
    main()
