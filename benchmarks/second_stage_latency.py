"""What the second stage costs a request: the same bundle with and without it, in one process.

OMP_NUM_THREADS=1 python -m benchmarks.second_stage_latency --store artifacts --users 500
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from pipeline.artifacts import Store
from pipeline.measure.processor import machine_name
from serving.bundle import Bundle
from serving.messages import RecommendRequest
from serving.recommender import Recommender

WARM_UP = 20
"""Requests that are answered first and not counted: caches are made on the first one."""


def milliseconds(recommender: Recommender, users: list[str]) -> list[float]:
    """Return the CPU time of each user's request, k 20, without reasons."""
    found = []
    for user in users:
        begun = time.process_time()
        recommender.recommend(RecommendRequest(user=user, k=20, explain=False))
        found.append((time.process_time() - begun) * 1e3)
    return found


def compare(bundle: Bundle, count: int) -> dict[str, object]:
    """Return percentiles of the time by vectors and with the second stage, for the same users."""
    drawn = np.random.default_rng(0).permutation(len(bundle.users))[: count + WARM_UP]
    users = [bundle.users.keys[row] for row in drawn]
    ways = {"vectors": replace(bundle, second_stage=None), "second stage": bundle}
    result: dict[str, object] = {"users": count, "items": len(bundle.catalogue)}
    for name, each in ways.items():
        recommender = Recommender(each)
        milliseconds(recommender, users[:WARM_UP])
        times = milliseconds(recommender, users[WARM_UP:])
        result[name] = {f"p{q}_cpu_ms": round(float(np.percentile(times, q)), 2) for q in (50, 99)}
    return {**result, "processor": machine_name()}


def main() -> None:
    """Print the comparison as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, default=Path("artifacts"))
    parser.add_argument("--bundle", help="fingerprint; the promoted one if left out")
    parser.add_argument("--users", type=int, default=500)
    given = parser.parse_args()
    bundle = Bundle.open(Store(given.store), given.bundle)
    print(json.dumps(compare(bundle, given.users)))


if __name__ == "__main__":
    main()
