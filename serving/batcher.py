"""Questions that arrive together are answered together: one worker, one search for all of them."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

MOST = 64
"""Questions answered by one call."""


class Batcher(Generic[Q, A]):
    """Gathers what is asked while a call runs, and asks it all in the next one.

    A question that arrives while nothing runs waits for nobody. One that fails is asked again
    alone, so that it fails nobody else. Belongs to the event loop that asks.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Q]], Sequence[A]],
        most: int = MOST,
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        """Answer by ``answer``, at most so many at once, in a thread that begins by ``prepare``."""
        self._answer, self._most = answer, most
        self._waiting: deque[tuple[Q, asyncio.Future[A], Context]] = deque()
        self._running = False
        self._worker = ThreadPoolExecutor(1, "answers", initializer=prepare)

    async def ask(self, question: Q) -> A:
        """Return the answer to one question, or raise what answering it raised."""
        future: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, future, copy_context()))
        if not self._running:
            self._start(asyncio.get_running_loop())
        return await future

    def close(self) -> None:
        """End the worker once it has answered."""
        self._worker.shutdown()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        taken = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        # Whoever has left in the meantime is not answered.
        asked = [(question, future) for question, future, _ in taken if not future.done()]
        self._running = True
        # The trace of whoever waited longest tells of the search for all of them.
        self._worker.submit(taken[0][2].run, self._work, asked, loop)

    def _work(
        self, asked: list[tuple[Q, asyncio.Future[A]]], loop: asyncio.AbstractEventLoop
    ) -> None:
        answers = self._answers([question for question, _ in asked])
        futures = [future for _, future in asked]
        try:
            loop.call_soon_threadsafe(self._tell, loop, futures, answers)
        except RuntimeError:  # the loop has ended, and nobody waits
            return

    def _answers(self, questions: list[Q]) -> Sequence[A | Exception]:
        try:
            return self._answer(questions)
        except Exception as error:
            if len(questions) == 1:
                return [error]
            return [answer for question in questions for answer in self._answers([question])]

    def _tell(
        self,
        loop: asyncio.AbstractEventLoop,
        futures: Sequence[asyncio.Future[A]],
        answers: Sequence[A | Exception],
    ) -> None:
        self._running = False
        if self._waiting:
            self._start(loop)
        for future, answer in zip(futures, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
