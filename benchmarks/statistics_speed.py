"""The statistics of a million users: seconds and memory of 10,000 resamples, beside the plain way.

python -m benchmarks.statistics_speed [--users 1000000] [--metrics 20] [--resamples 10000]

``bootstrap`` is 10,000 resamples of every metric's mean; ``comparison`` all that a verdict needs:
BCa intervals of difference and ratio, sign flips as many as Holm over the metrics asks for, effect
sizes. ``plain`` draws a few resamples user by user (``plain_means``) and says what all would take.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.statistics_worlds import World
from pipeline.measure.stats.bootstrap import plain_means, resampled_means
from pipeline.measure.stats.contrast import Sides
from pipeline.measure.stats.draws import Draws, Floats
from pipeline.measure.stats.verdict import judge

Record = dict[str, Any]
_KINDS = ("hit", "recall", "ndcg", "novelty")
_PLAIN = 20


def scored(users: int, metrics: int) -> tuple[Floats, Floats]:
    """Return per-user values of two models: zeros, ties and skewed ones.

    Shapes:
        returns: (M, B) float32, (M, B).
    """
    rng = np.random.default_rng(0)
    sides = np.empty((2, metrics, users), dtype=np.float32)
    for m in range(metrics):
        drawn = World(_KINDS[m % len(_KINDS)], 0.01).draw(users, 1, rng)
        for side, values in enumerate(drawn):
            sides[side, m] = values[:, 0]
    return sides[0], sides[1]


def timed(what: str, work: Callable[[], object], **about: object) -> Record:
    """Return a record of what a piece of work took."""
    wall, used = time.perf_counter(), time.process_time()
    work()
    return {
        "what": what, **about, "seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(time.process_time() - used, 2),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "cores": len(os.sched_getaffinity(0)),
    }  # fmt: skip


def records(users: int, metrics: int, resamples: int) -> Iterator[Record]:
    """Yield a record of each way."""
    ours, theirs = scored(users, metrics)
    size = {"users": users, "metrics": metrics}
    draws = Draws(resamples)
    apart = (ours - theirs).T
    yield timed("bootstrap", lambda: resampled_means(apart, draws), resamples=resamples, **size)
    asked = [
        Sides("new", "old", f"metric{m}", "all", ours[m][None], theirs[m][None])
        for m in range(metrics)
    ]
    yield timed("comparison", lambda: judge(asked, draws), resamples=resamples, **size)
    few = Draws(_PLAIN)
    plain = timed("plain", lambda: plain_means(apart, few), resamples=_PLAIN, **size)
    plain["seconds_of_all"] = round(plain["seconds"] * resamples / _PLAIN)
    yield plain


def main() -> None:
    """Print the records."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--metrics", type=int, default=20)
    parser.add_argument("--resamples", type=int, default=10_000)
    given = parser.parse_args()
    for record in records(given.users, given.metrics, given.resamples):
        print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
