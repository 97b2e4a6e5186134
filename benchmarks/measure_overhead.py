"""What measuring costs: a task of its own, and the sampler thread as a share of the work under it.

python -m benchmarks.measure_overhead [--pairs 200] [--seconds 0.2]

A task is measured empty, in batches. The sampler is measured A/B: the same work in pairs, once
under a task and once under a sampled task, in random order; the ratio of every pair is taken on
the wall and in processor time (which has the thread's own), and the 95 % interval of their median
by resampling pairs. Products run on one thread: small ones on several wait for each other, and what
that costs changes from moment to moment.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
from threadpoolctl import threadpool_limits

from pipeline import measure

BATCH, BATCHES = 200, 200
RESAMPLES = 10_000
_SIDE = 160

Work = Callable[[], object]


def task_microseconds(*, nested: bool) -> dict[str, float]:
    """Return what an empty task takes: least, median and 95th percentile of batches."""
    taken = []
    with measure.task("around") if nested else nullcontext():
        for _ in range(BATCHES):
            begun = time.perf_counter()
            for _ in range(BATCH):
                with measure.task("empty"):
                    pass
            taken.append((time.perf_counter() - begun) / BATCH * 1e6)
    return {name: round(float(np.percentile(taken, at)), 1) for name, at in _SHOWN.items()}


_SHOWN = {"least": 0, "median": 50, "p95": 95}


def turns_for(seconds: float, work: Work) -> int:
    """Return how many turns of the work take about so long."""
    begun, turns = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds:
        work()
        turns += 1
    return max(1, turns)


def pairs_of(work: Work, turns: int, pairs: int, seed: int) -> np.ndarray:
    """Return the ratios sampled / not sampled of every pair.

    Shapes: (P, 2), on the wall and in processor time.
    """
    rng = np.random.default_rng(seed)
    ratios = []
    for _ in range(pairs):
        taken = {}
        for sampled in rng.permutation([False, True]):
            with measure.task("work", sampled=bool(sampled)) as task:
                for _ in range(turns):
                    work()
            assert task.cost is not None
            taken[bool(sampled)] = task.cost
        a, b = taken[False], taken[True]
        ratios.append((b.wall_seconds / a.wall_seconds, b.cpu_seconds / a.cpu_seconds))
    return np.array(ratios)


def interval(ratios: np.ndarray, seed: int) -> dict[str, float]:
    """Return the median overhead in percent, with the 95 % interval of it."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(ratios), size=(RESAMPLES, len(ratios)))
    medians = np.median(ratios[drawn], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    shown = {"percent": float(np.median(ratios)), "low": low, "high": high}
    return {name: round(100 * (float(value) - 1), 3) for name, value in shown.items()}


def works() -> dict[str, Work]:
    """Return loads that a sampler could disturb: inside the interpreter, and outside it."""
    square = np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)

    def python() -> int:
        """Hold the interpreter's lock throughout."""
        return sum(n * n for n in range(20_000))

    def numpy() -> np.ndarray:
        """Work outside the interpreter."""
        return square @ square

    return {"python": python, "numpy": numpy}


def main() -> None:
    """Print the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    for nested in (False, True):
        taken = task_microseconds(nested=nested)
        print(json.dumps({"what": "task", "nested": nested, "microseconds": taken}), flush=True)
    for name, work in works().items():
        with threadpool_limits(1):
            turns = turns_for(given.seconds, work)
            ratios = pairs_of(work, turns, given.pairs, given.seed)
        record = {
            "what": "sampler",
            "load": name,
            "pairs": given.pairs,
            "overhead_wall": interval(ratios[:, 0], given.seed),
            "overhead_cpu": interval(ratios[:, 1], given.seed),
        }
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
