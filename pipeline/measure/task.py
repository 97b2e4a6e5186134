"""``task``: one context manager that records what a piece of work took."""

import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType

from pipeline.measure.cost import (
    Cost,
    Energy,
    Meter,
    NoMeter,
    TaskCost,
    Throughput,
    throughput,
    together,
)
from pipeline.measure.counters import Reading, counters
from pipeline.measure.gpu import GpuUse
from pipeline.measure.progress import Bar, Listener, Metrics, Silent
from pipeline.measure.sampler import Sampled, Sampler

_FOLDED_AT = 256
"""So many finished children are kept one by one; a loop over a million tasks must not grow."""
_NO_METER = NoMeter()


@dataclass
class _Seen:
    """What the samples that fell into a task said."""

    last: float = 0.0
    """Until when the samples speak, on the task's clock."""
    byte_seconds: float = 0.0
    seconds: float = 0.0
    peak: int = 0
    gpu_peak: int | None = None
    busy: list[float] = field(default_factory=lambda: [0.0, 0.0])
    """Sum and number of the GPU's shares."""

    def memory(self, now: float, rss_bytes: int) -> None:
        """Let a sample stand for the time since the last."""
        seconds = max(now - self.last, 1e-9)
        self.byte_seconds += rss_bytes * seconds
        self.seconds += seconds
        self.last, self.peak = now, max(self.peak, rss_bytes)

    def gpu(self, use: GpuUse) -> None:
        """Take the GPUs' use."""
        if use.memory_bytes is not None:
            self.gpu_peak = max(self.gpu_peak or 0, use.memory_bytes)
        if use.busy_share is not None:
            self.busy[0] += use.busy_share
            self.busy[1] += 1

    @property
    def mean(self) -> int | None:
        """Return the mean resident memory, None where no sample fell in."""
        return round(self.byte_seconds / self.seconds) if self.seconds else None

    @property
    def busy_share(self) -> float | None:
        """Return the mean share of the GPU's time, None where it was never seen."""
        return self.busy[0] / self.busy[1] if self.busy[1] else None


@dataclass(eq=False)
class Task:
    """A running or finished piece of work; ``cost`` is set when it ends."""

    name: str
    listener: Listener = field(default_factory=Silent)
    meter: Meter = _NO_METER
    sampled: bool = False
    """Whether it asks for samples; tasks inside are sampled with it."""
    cost: Cost | None = None
    children: "list[Task]" = field(default_factory=list)
    """Those begun last; the costs of all are in ``cost``."""
    path: str = ""
    """The names of this task and of those around it, outermost first."""

    def __post_init__(self) -> None:
        """Know nothing yet."""
        self.path = self.path or self.name
        self._folded: list[TaskCost] = []
        self._done: dict[str, int] = {}
        self._peak = 0
        self._seen: _Seen | None = None

    @contextmanager
    def progress(self, what: str, total: int | None, unit: str) -> Iterator[Bar]:
        """Yield a bar to advance; it shows rate and time left where a listener draws it.

        What it counts is what the task did, unless the task says so itself.
        """
        bar = Bar(f"{self.name}: {what}", total, unit, self.listener)
        try:
            yield bar
        finally:
            bar.close()
            self.did(bar.done, unit)

    def did(self, count: int, unit: str) -> None:
        """Count work as done, for the throughput; work of two units has none."""
        self._done[unit] = self._done.get(unit, 0) + count

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Tell whoever listens some numbers; ``step`` is the epoch, or whatever is counted."""
        self.listener.hear(Metrics(self.path, dict(metrics), step))

    def see(self, now: float, rss_bytes: int | None) -> None:
        """Take a sample of the resident memory."""
        if rss_bytes is not None:
            self._samples().memory(now, rss_bytes)

    def see_gpu(self, use: GpuUse) -> None:
        """Take a sample of the GPUs."""
        self._samples().gpu(use)

    def _samples(self) -> _Seen:
        if self._seen is None:
            self._seen = _Seen(last=self._began)
        return self._seen

    def __enter__(self) -> "Task":
        """Begin to measure."""
        self._token: Token[Task | None] = _running.set(self)
        self.meter.start()
        self._began = time.perf_counter()
        self._start = _begin(self)
        if self.sampled:
            _sampler.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what it took, whether it ended well or not."""
        end = _end(self)
        wall = time.perf_counter() - self._began
        if self.sampled:
            _sampler.stop()
        self.cost = self._cost(wall, end, self.meter.stop())
        _running.reset(self._token)
        parent = _running.get()
        if parent is not None:
            parent.keep_peak(self.cost.peak_rss_bytes)
            if len(parent.children) >= _FOLDED_AT:
                parent.fold()

    def fold(self) -> None:
        """Keep the finished children as one cost for each name."""
        self._folded = self._inside()
        self.children = [each for each in self.children if each.cost is None]

    def _inside(self) -> list[TaskCost]:
        if not self.children and not self._folded:
            return []
        ended = [TaskCost(each.name, 1, each.cost) for each in self.children if each.cost]
        return together([*self._folded, *ended])

    def _cost(self, wall: float, end: Reading, energy: Energy) -> Cost:
        start, seen = self._start, self._seen or _NOTHING_SEEN
        return Cost(
            wall_seconds=wall,
            cpu_seconds=end.cpu_seconds - start.cpu_seconds,
            peak_rss_bytes=self._peak_of(end),
            energy_joules=energy.joules,
            grams_co2e=energy.grams_co2e,
            energy_source=energy.source,
            mean_rss_bytes=seen.mean,
            read_bytes=_apart(end.read_bytes, start.read_bytes),
            written_bytes=_apart(end.written_bytes, start.written_bytes),
            gpu_peak_bytes=seen.gpu_peak,
            gpu_utilisation_share=seen.busy_share,
            throughput=self._throughput(wall),
            tasks=self._inside(),
        )

    def _peak_of(self, end: Reading) -> int | None:
        """Return the highest memory: of the system where it tells, else of the samples."""
        before, after = self._start.peak_rss_bytes, end.peak_rss_bytes
        if after is not None and (counters().resettable or before is None or after > before):
            return max(self._peak, after)
        return (self._seen and self._seen.peak) or None

    def keep_peak(self, peak: int | None) -> None:
        """Remember the higher of the peaks that would be forgotten."""
        if peak is not None and peak > self._peak:
            self._peak = peak

    def _throughput(self, wall: float) -> Throughput | None:
        if len(self._done) != 1:
            return None
        [(unit, count)] = self._done.items()
        return throughput(count, unit, wall)


_NOTHING_SEEN = _Seen()
_running: ContextVar[Task | None] = ContextVar("running_task", default=None)
_open: list[Task] = []
"""Every task of this process that has not ended, of all its threads."""
_lock = threading.Lock()


def _all_open() -> list[Sampled]:
    return [*_open]


_sampler = Sampler(_all_open)


def _begin(task: Task) -> Reading:
    """Return the counters; the peak of what is open is kept before it is set back."""
    with _lock:
        found = counters()
        reading = found.read()
        if found.resettable:
            for each in _open:
                each.keep_peak(reading.peak_rss_bytes)
            found.reset_peak()
        _open.append(task)
    return reading


def _end(task: Task) -> Reading:
    with _lock:
        _open.remove(task)
        return counters().read()


def _forget() -> None:
    """Be ready in a forked child, where no other thread runs that could free the lock."""
    global _lock
    _lock = threading.Lock()
    _sampler.forget()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_forget)


def _apart(after: int | None, before: int | None) -> int | None:
    return None if after is None or before is None else after - before


def task(
    name: str,
    listener: Listener | None = None,
    meter: Meter | None = None,
    *,
    sampled: bool = False,
) -> Task:
    """Return what measures a block, as in ``with measure.task("graph") as graph``.

    Tasks nest, and a child's peak counts for its parent: the system keeps one high-water mark per
    process, which is set back when a task begins, after its value so far was credited to every
    task that is open. ``sampled`` starts the thread that looks at memory and GPU; it sees every
    task that is open, and ends with the last task that asked for it.
    """
    parent = _running.get()
    if parent is None:
        return Task(name, listener or Silent(), meter or _NO_METER, sampled)
    began = Task(name, listener or parent.listener, meter or _NO_METER, sampled)
    began.path = f"{parent.path}/{name}"
    parent.children.append(began)
    return began
