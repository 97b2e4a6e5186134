"""``task``: one context manager that records wall time, CPU time and peak memory."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from typing import Any

from pipeline.measure.memory import peak_rss_bytes, reset_peak
from pipeline.measure.progress import Bar, Listener, Silent


@dataclass(frozen=True)
class Cost:
    """What a task took. None means not measured; zero would be a lie."""

    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int | None = None
    energy_joules: float | None = None
    grams_co2e: float | None = None
    energy_source: str = "none"

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass
class Task:
    """A running or finished piece of work; ``cost`` is set when it ends."""

    name: str
    listener: Listener = field(default_factory=Silent)
    cost: Cost | None = None
    children: "list[Task]" = field(default_factory=list)
    _peak: int = 0

    @contextmanager
    def progress(self, what: str, total: int | None, unit: str) -> Iterator[Bar]:
        """Yield a bar to advance; it shows rate and time left where a listener draws it."""
        bar = Bar(f"{self.name}: {what}", total, unit, self.listener)
        try:
            yield bar
        finally:
            bar.close()

    def keep_peak(self, peak: int | None) -> None:
        """Remember the higher of the peaks seen so far."""
        self._peak = max(self._peak, peak or 0)

    @property
    def peak(self) -> int | None:
        """Return the highest resident memory seen, None if it is not known."""
        return self._peak or None


_running: ContextVar[Task | None] = ContextVar("running_task", default=None)


@contextmanager
def task(name: str, listener: Listener | None = None) -> Iterator[Task]:
    """Measure the block; tasks nest, and a child's peak counts for its parent.

    The system keeps one high-water mark per process: it is set back when a task begins, after
    its value so far was credited to the task around it.
    """
    parent = _running.get()
    started = Task(name, listener or (parent.listener if parent else Silent()))
    if parent:
        parent.keep_peak(peak_rss_bytes())
        parent.children.append(started)
    reset_peak()
    token = _running.set(started)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield started
    finally:
        _running.reset(token)
        started.keep_peak(peak_rss_bytes())
        started.cost = Cost(time.perf_counter() - wall, time.process_time() - cpu, started.peak)
        if parent:
            parent.keep_peak(started.peak)
