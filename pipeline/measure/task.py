"""``task``: one context manager that records wall time, CPU time and peak memory."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from pipeline.measure.cost import Cost, Meter, NoMeter, TaskCost, together, with_energy
from pipeline.measure.memory import peak_rss_bytes, reset_peak
from pipeline.measure.progress import Bar, Listener, Metrics, Silent


@dataclass
class Task:
    """A running or finished piece of work; ``cost`` is set when it ends."""

    name: str
    listener: Listener = field(default_factory=Silent)
    cost: Cost | None = None
    children: "list[Task]" = field(default_factory=list)
    path: str = ""
    """The names of this task and of those around it, outermost first."""
    _peak: int = 0

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Tell whoever listens some numbers; ``step`` is the epoch, or whatever is counted."""
        self.listener.hear(Metrics(self.path or self.name, dict(metrics), step))

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
def task(name: str, listener: Listener | None = None, meter: Meter | None = None) -> Iterator[Task]:
    """Measure the block; tasks nest, and a child's peak counts for its parent.

    The system keeps one high-water mark per process: it is set back when a task begins, after
    its value so far was credited to the task around it.
    """
    parent = _running.get()
    path = f"{parent.path}/{name}" if parent else name
    started = Task(name, listener or (parent.listener if parent else Silent()), path=path)
    meter = meter or NoMeter()
    if parent:
        parent.keep_peak(peak_rss_bytes())
        parent.children.append(started)
    reset_peak()
    token = _running.set(started)
    meter.start()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield started
    finally:
        _running.reset(token)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        started.keep_peak(peak_rss_bytes())
        inside = [TaskCost(c.name, 1, c.cost) for c in started.children if c.cost]
        cost = Cost(wall, cpu, started.peak, tasks=together(inside))
        started.cost = with_energy(cost, meter.stop())
        if parent:
            parent.keep_peak(started.peak)
