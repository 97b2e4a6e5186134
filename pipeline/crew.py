"""Threads that multiply side by side, one processor each."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

Advance = Callable[[int], object]


@dataclass(frozen=True)
class Crew:
    """So many threads, and who hears of every piece of work done.

    A product of small matrices on one thread each wastes nothing; on all threads together it
    waits for the slowest, twice as long on a machine that others use too.
    """

    threads: int = 1
    advance: Advance = id
    """Called with 1 after each piece of work that is worth telling."""

    def each(self, work: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """Yield the result of each task, in order; few are begun before they are asked for."""
        from threadpoolctl import threadpool_limits  # the service makes do without

        waiting: deque[Future[R]] = deque()
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(self.threads) as pool:
            for task in tasks:
                waiting.append(pool.submit(work, task))
                if len(waiting) > 2 * self.threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


ALONE = Crew()
"""One thread, and nobody to tell."""
