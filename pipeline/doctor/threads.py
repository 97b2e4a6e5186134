"""Numeric libraries and how many threads they would take."""

import importlib
import os
from collections.abc import Iterator
from contextlib import suppress

from pipeline.doctor.finding import OK, SKIP, WARN, Finding
from pipeline.measure.rates import THREAD_VARIABLES


def libraries() -> Iterator[Finding]:
    """Yield which BLAS and OpenMP are loaded, and whether they take more threads than there are."""
    try:
        from threadpoolctl import threadpool_info
    except ModuleNotFoundError:
        cure = "pip install 'plotpointe[pipeline]'"
        yield Finding("threads", SKIP, "threadpoolctl is not installed", cure)
        return
    for name in ("numpy", "scipy.linalg", "faiss"):
        with suppress(ModuleNotFoundError):
            importlib.import_module(name)
    cores = len(os.sched_getaffinity(0))
    pools = threadpool_info()
    told = ", ".join(sorted({f"{_name(pool)} ({pool['num_threads']})" for pool in pools}))
    most = max((int(pool["num_threads"]) for pool in pools), default=1)
    if most > cores:
        what = f"{told}: {most} threads on {cores} cores get into each other's way"
        yield Finding("threads", WARN, what, f"export OMP_NUM_THREADS={cores}")
    else:
        yield Finding("threads", OK, f"{told or 'no BLAS'} on {cores} cores")


def _name(pool: dict[str, object]) -> str:
    version = pool.get("version") or ""
    return f"{pool['internal_api']} {version}".strip()


def environment() -> Iterator[Finding]:
    """Yield whether variables ask for more threads than there are cores, or contradict."""
    cores = len(os.sched_getaffinity(0))
    asked = {name: os.environ[name] for name in THREAD_VARIABLES if os.environ.get(name)}
    if not asked:
        yield Finding("threads", OK, "no variable sets threads; each stage sets its own")
        return
    told = ", ".join(f"{name}={value}" for name, value in asked.items())
    numbers = {int(value) for value in asked.values() if value.isdigit()}
    if any(number > cores for number in numbers):
        cure = f"unset {' '.join(asked)}"
        yield Finding("threads", WARN, f"{told} with {cores} cores", cure)
    elif len(numbers) > 1:
        cure = f"unset {' '.join(asked)}"
        yield Finding("threads", WARN, f"{told}: they contradict each other", cure)
    else:
        yield Finding("threads", OK, told)
