"""Workers that encode batches: one thread of arithmetic each, so results do not depend on them.

Measured (benchmarks/embed_throughput.py): on a CPU, single-threaded workers on different batches
beat one batch spread over the same cores, and leave no core idle when one modality ends before the
other. On an accelerator the workers decode ahead while one of them at a time encodes.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Stopped(Exception):
    """The work was given up because something beside it failed."""


@dataclass(frozen=True)
class Workers:
    """Threads that several callers share."""

    pool: ThreadPoolExecutor
    count: int
    stop: Event
    """Set when everybody is to give up."""

    def each(self, work: Callable[[A], B], jobs: Sequence[A]) -> Iterator[tuple[A, B]]:
        """Yield each job with its result as it ends.

        Few jobs are begun ahead, so that callers take turns and results do not pile up. When the
        generator ends, for whatever reason, no job of it is running.

        Raises:
            Stopped: ``stop`` was set.
            BaseException: what the first failed job raised; jobs not begun are dropped.
        """
        waiting = iter(jobs)
        begun: dict[Future[B], A] = {}
        try:
            while True:
                if self.stop.is_set():
                    raise Stopped
                while len(begun) <= self.count and (job := next(waiting, None)) is not None:
                    begun[self.pool.submit(work, job)] = job
                if not begun:
                    return
                for ended in wait(begun, return_when=FIRST_COMPLETED).done:
                    yield begun.pop(ended), ended.result()
        finally:
            wait([future for future in begun if not future.cancel()])


@contextmanager
def workers(count: int, stop: Event) -> Iterator[Workers]:
    """Yield ``count`` threads that end with the block."""
    with ThreadPoolExecutor(count, thread_name_prefix="embed") as pool:
        yield Workers(pool, count, stop)


def side_by_side(ways: Sequence[Callable[[], B]], stop: Event) -> list[B]:
    """Return what each gives; all run at once, and the first failure stops the others."""
    if not ways:
        return []
    with ThreadPoolExecutor(len(ways), thread_name_prefix="embed-driver") as drivers:
        begun = [drivers.submit(_stopping(way, stop)) for way in ways]
        try:
            wait(begun)
        except BaseException:
            stop.set()
            raise
    errors = [error for future in begun if (error := future.exception())]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error
    return [future.result() for future in begun]


def _stopping(way: Callable[[], B], stop: Event) -> Callable[[], B]:
    def run() -> B:
        """Return what the way returns; its failure stops the others."""
        try:
            return way()
        except BaseException:
            stop.set()
            raise

    return run


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let every thread begun in the block compute on one core; restore torch's setting after."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
