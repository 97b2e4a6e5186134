"""What this machine can do at most, with as many threads as the work had: a second's probe."""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from pipeline.measure.rates import in_own_process

_SIDE = 1536
_BYTES = 1 << 26
"""Of an array to copy: larger than caches that a core has to itself."""
_SECONDS, _FEWEST = 0.6, 5
"""Of the repetitions of each."""


@dataclass(frozen=True)
class Ceilings:
    """The fastest that was seen of simple work that does nothing else."""

    threads: int
    flops_per_second: float
    """Of a large float32 matrix product."""
    bytes_per_second: float
    """Read and written, by a copy between arrays that no cache holds."""
    by: str
    """Which library multiplied."""


def ceilings(threads: int, by: str = "numpy") -> Ceilings:
    """Return the ceilings with so many threads, measured in a process of its own.

    ``by`` is ``torch`` or ``numpy``: whose matrix product is the ceiling of floating-point work.
    """
    found = in_own_process(
        "pipeline.measure.profile.ceilings", threads, "--threads", str(threads), "--by", by
    )
    return measured(threads, "numpy") if found is None else Ceilings(**found)


def measured(threads: int, by: str) -> Ceilings:
    """Return the ceilings as this process finds them."""
    multiply = _torch_product(threads) if by == "torch" else _numpy_product()
    moved, copy = _copying(threads)
    return Ceilings(threads, 2 * _SIDE**3 / _fastest(multiply), moved / _fastest(copy), by)


def _numpy_product() -> Callable[[], object]:
    square = np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)
    return lambda: square @ square


def _torch_product(threads: int) -> Callable[[], object]:
    import torch

    torch.set_num_threads(threads)
    square = torch.rand(_SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    return lambda: square @ square


def _copying(threads: int) -> tuple[int, Callable[[], object]]:
    """Return the bytes that one turn reads and writes, and the turn: each thread has its arrays."""
    pairs = [(np.ones(_BYTES // 8), np.zeros(_BYTES // 8)) for _ in range(threads)]
    pool = ThreadPoolExecutor(threads)

    def copy() -> None:
        """Copy in all threads at once."""
        for done in [pool.submit(np.copyto, to, source) for source, to in pairs]:
            done.result()

    return 2 * _BYTES * threads, copy


def _fastest(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest repetition: other work can only slow one down."""
    best, rounds, ends = float("inf"), 0, time.perf_counter() + _SECONDS
    while rounds < _FEWEST or time.perf_counter() < ends:
        begun = time.perf_counter()
        work()
        best = min(best, max(1e-9, time.perf_counter() - begun))
        rounds += 1
    return best


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--by", choices=("numpy", "torch"), default="numpy")
    asked = parser.parse_args()
    print(json.dumps(asdict(measured(asked.threads, asked.by))))  # noqa: T201 - the parent reads it
