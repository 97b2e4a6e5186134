"""Workers that encode batches: one thread of arithmetic each, so results do not depend on them.

Measured (docs/log.md): on a CPU, single-threaded workers on different batches beat one batch
spread over the same cores, and leave no core idle when one modality ends before the other. On an
accelerator the workers tokenise and decode ahead while one of them at a time encodes.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


@contextmanager
def workers(count: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of ``count`` threads; queued work is dropped when the block fails."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="embed")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def run_all(
    pool: ThreadPoolExecutor,
    work: Callable[[A], B],
    jobs: Sequence[A],
    *,
    ahead: int,
) -> Iterator[tuple[A, B]]:
    """Yield each job with its result as it ends, with at most ``ahead`` begun.

    The bound lets several callers share a pool in turns, and keeps few results waiting.

    Raises:
        BaseException: what the first failed job raised; jobs not begun are dropped.
    """
    waiting = iter(jobs)
    begun: dict[Future[B], A] = {}
    try:
        while True:
            while len(begun) < ahead and (job := next(waiting, None)) is not None:
                begun[pool.submit(work, job)] = job
            if not begun:
                return
            for ended in wait(begun, return_when=FIRST_COMPLETED).done:
                yield begun.pop(ended), ended.result()
    finally:
        for future in begun:
            future.cancel()


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
