"""A thread that looks at memory and GPU now and then, for every task that is open."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from pipeline.measure.counters import counters
from pipeline.measure.gpu import Gpus, GpuUse, gpus

SECONDS = 0.1
"""Between two looks at memory: short against a stage, long against the look."""
GPU_EVERY = 5
"""Looks at memory for one at the GPU, which asks a driver."""


class Sampled(Protocol):
    """Whoever wants to know what was seen."""

    def see(self, now: float, rss_bytes: int | None) -> None:
        """Take the resident memory of a moment."""

    def see_gpu(self, use: GpuUse) -> None:
        """Take the use of the GPUs at a moment."""


class Sampler:
    """One thread for everything that is measured in this process, while somebody wants it."""

    def __init__(
        self, seen_by: Callable[[], list[Sampled]], find_gpus: Callable[[], Gpus] = gpus
    ) -> None:
        """Start nothing yet; ``seen_by`` gives those to tell at every look."""
        self._seen_by, self._find_gpus = seen_by, find_gpus
        self._wanted = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    def start(self) -> None:
        """Run from now on, until as many stops were asked for as starts."""
        with self._lock:
            self._wanted += 1
            if self._wanted == 1:
                self._stop = threading.Event()
                threading.Thread(
                    target=self._run, args=(self._stop,), name="measure-sampler", daemon=True
                ).start()

    def stop(self) -> None:
        """Take one start back; the thread ends with the last."""
        with self._lock:
            self._wanted -= 1
            if self._wanted == 0:
                self._stop.set()

    def forget(self) -> None:
        """Know of no start: in a forked child no thread runs."""
        self._wanted, self._lock = 0, threading.Lock()

    def _run(self, stop: threading.Event) -> None:
        found, looks = self._find_gpus(), 0
        while True:
            now, rss = time.perf_counter(), counters().rss_bytes()
            use = found.use() if looks % GPU_EVERY == 0 else None
            for each in self._seen_by():
                each.see(now, rss)
                if use is not None:
                    each.see_gpu(use)
            looks += 1
            if stop.wait(SECONDS):
                return
