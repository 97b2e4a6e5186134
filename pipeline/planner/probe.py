"""How fast this machine is: five rates, measured in a second and remembered for a day."""

import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from pipeline import files
from pipeline.planner.machine import Machine

MEMORY = ".machine.json"
VALID_SECONDS = 24 * 3600
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


def rates_of(machine: Machine, store: Path) -> Rates:
    """Return the machine's rates: those remembered in the store, or measured now."""
    path = store / MEMORY
    known = _remembered(path)
    key = f"{machine.processor}, {machine.cores} cores"
    if key not in known:
        known[key] = {"at": time.time(), **asdict(_measured_alone())}
        with suppress(OSError):
            store.mkdir(parents=True, exist_ok=True)
            files.write_json(path, known)
    return Rates(**{f.name: known[key][f.name] for f in fields(Rates)})


def _remembered(path: Path) -> dict[str, dict[str, float]]:
    """Return the rates of machines that were measured less than a day ago."""
    wanted = {"at", *(f.name for f in fields(Rates))}
    try:
        found = files.read_json(path)
        fresh = time.time() - VALID_SECONDS
        return {k: v for k, v in found.items() if wanted <= {*v} and v["at"] > fresh}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _measured_alone() -> Rates:
    """Return the rates by a process of its own, in which matrix products use one thread."""
    limits = dict.fromkeys(THREAD_VARIABLES, "1")
    asked = [sys.executable, "-m", "pipeline.planner.probe"]
    done = subprocess.run(
        asked, env={**os.environ, **limits}, capture_output=True, text=True, check=False
    )
    return Rates(**json.loads(done.stdout)) if done.returncode == 0 else measured()


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
