"""How fast this machine is at five simple things, by one thread: measured in a second."""

import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SIDE = 768
_ROWS, _WIDTH = 1 << 17, 64
_SECONDS, _FEWEST = 1.0, 4
"""Of all repetitions."""
_TURNS = 20_000


@dataclass(frozen=True)
class Rates:
    """What the machine does in a second."""

    gemm: float
    """Floating-point operations of a float32 matrix product, by one thread."""
    copy: float
    """Bytes copied in order, by one thread."""
    gather: float
    """Bytes of rows of 256 bytes read in random order, by one thread."""
    python: float
    """Turns of a plain loop over a dictionary, by one thread."""
    parse: float
    """Bytes of gzip JSON lines, counted as text, by one thread."""


def measured_alone() -> Rates:
    """Return the rates by a process of its own, in which matrix products use one thread."""
    found = in_own_process("pipeline.measure.rates", 1)
    return measured() if found is None else Rates(**found)


def in_own_process(module: str, threads: int, *arguments: str) -> dict[str, Any] | None:
    """Return the JSON that a module prints in a process with so many threads; None if it fails."""
    limits = dict.fromkeys(THREAD_VARIABLES, str(threads))
    asked = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        asked, env={**os.environ, **limits}, capture_output=True, text=True, check=False
    )
    found: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return found


def measured() -> Rates:
    """Return the rates of this machine as it is now; takes about a second."""
    rng = np.random.default_rng(0)
    square = rng.random((_SIDE, _SIDE), dtype=np.float32)
    table = rng.random((_ROWS, _WIDTH), dtype=np.float32)
    rows, other = rng.integers(_ROWS, size=_ROWS), np.empty_like(table)
    lines = [json.dumps({"user": f"u{n}", "text": "a word and another " * 9}) for n in range(2000)]
    text = "\n".join(lines).encode()
    packed = zlib.compress(text)
    counted: dict[int, int] = {}

    def loop() -> None:
        """Count in a dictionary, as plain Python does."""
        for n in range(_TURNS):
            counted[n & 1023] = counted.get(n & 1023, 0) + 1

    def gather() -> None:
        """Read rows in random order."""
        np.take(table, rows, axis=0, out=other, mode="clip")

    def parse() -> None:
        """Read lines of JSON."""
        for line in zlib.decompress(packed).split(b"\n"):
            json.loads(line)

    gemm, copy, gathered, python, parsed = _fastest(
        lambda: square @ square, lambda: np.copyto(other, table), gather, loop, parse
    )
    return Rates(
        gemm=2 * _SIDE**3 / gemm,
        copy=table.nbytes / copy,
        gather=table.nbytes / gathered,
        python=_TURNS / python,
        parse=len(text) / parsed,
    )


def _fastest(*works: Callable[[], object]) -> list[float]:
    """Return the processor seconds of the fastest repetition of each.

    Other work can only slow one down; they take turns, so that it does not fall on one alone.
    """
    best, rounds, ends = [float("inf")] * len(works), 0, time.perf_counter() + _SECONDS
    while rounds < _FEWEST or time.perf_counter() < ends:
        for at, work in enumerate(works):
            begun = time.thread_time()
            work()
            best[at] = min(best[at], max(1e-9, time.thread_time() - begun))
        rounds += 1
    return best


if __name__ == "__main__":
    print(json.dumps(asdict(measured())))  # noqa: T201 - the parent reads it
