"""So many requests at once; the rest waits a little or is turned away before all are slow."""

import asyncio
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import problem
from serving.telemetry.metrics import Metrics

FREE = ("/health/", "/metrics", "/v1/admin/")
"""Paths that are answered whatever the load: who looks after the service needs them then."""

_BEAT = 0.05
"""Seconds between two looks at the event loop."""


@dataclass(frozen=True)
class GateLimits:
    """How much is let in."""

    in_flight: int
    waiting: int
    queue_seconds: float
    timeout_seconds: float


class Lag:
    """How late the event loop comes to its work: what waits there is in no queue of ours."""

    def __init__(self, metrics: Metrics) -> None:
        """Measure nothing until ``beat`` runs."""
        self._metrics = metrics
        self._due = float("inf")
        self._last = self._before = 0.0

    @property
    def seconds(self) -> float:
        """Return how late the loop is, twice in a row: a single stall is no load."""
        now = time.monotonic() - self._due
        return max(0.0, min(self._before, self._last), min(self._last, now))

    async def beat(self) -> None:
        """Measure until cancelled."""
        while True:
            self._due = time.monotonic() + _BEAT
            await asyncio.sleep(_BEAT)
            self._before, self._last = self._last, max(0.0, time.monotonic() - self._due)
            self._metrics.lag.set(self._last)


class Gate:
    """Lets in so many requests, makes some wait in order, and answers 503 to the others."""

    def __init__(self, app: ASGIApp, limits: GateLimits, metrics: Metrics, lag: Lag) -> None:
        """Wrap ``app``."""
        self.app, self.limits, self.metrics, self.lag = app, limits, metrics, lag
        self._inside = 0
        self._queue: deque[asyncio.Future[None]] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or turn it away."""
        if scope["type"] != "http" or scope["path"].startswith(FREE):
            await self.app(scope, receive, send)
            return
        reason = await self._enter()
        if reason is not None:
            self.metrics.shed.labels(reason).inc()
            detail = "too many requests at once; try again a little later"
            answer = problem(Request(scope), 503, detail, (), **{"retry-after": "1"})
            await answer(scope, receive, send)
            return
        self.metrics.in_flight.inc()
        try:
            await self._timed(scope, receive, send)
        finally:
            self.metrics.in_flight.dec()
            self._leave()

    async def _enter(self) -> str | None:
        """Return why a request is turned away; None once it is let in."""
        if self.lag.seconds > self.limits.queue_seconds:
            return "lag"
        if self._inside < self.limits.in_flight:
            self._inside += 1
            return None
        if len(self._queue) >= self.limits.waiting:
            return "full"
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        self.metrics.waiting.inc()
        try:
            async with asyncio.timeout(self.limits.queue_seconds):
                await turn
        except BaseException as error:
            with suppress(ValueError):
                self._queue.remove(turn)
            if turn.done() and not turn.cancelled():
                self._leave()
            if isinstance(error, TimeoutError):
                return "waited"
            raise
        finally:
            self.metrics.waiting.dec()
        return None

    def _leave(self) -> None:
        """Hand the place on to who waits longest, or give it up."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._inside -= 1

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; what has not begun in time is answered with 503, and its work ends unseen.

        A thread cannot be stopped: its place is taken until it is done, which keeps count of the
        work that is really under way.
        """
        begun = late = False
        loop = asyncio.get_running_loop()
        told: list[asyncio.Task[None]] = []

        async def timed(message: Message) -> None:
            """Pass a message on unless the time is over."""
            nonlocal begun
            if not late:
                begun = True
                await send(message)

        def end() -> None:
            """Answer in the place of the work that is late."""
            nonlocal late
            if not begun:
                late = True
                self.metrics.shed.labels("timeout").inc()
                detail = f"no answer within {self.limits.timeout_seconds:g} seconds; try again"
                answer = problem(Request(scope), 503, detail, (), **{"retry-after": "1"})
                told.append(loop.create_task(answer(scope, receive, send)))

        timer = loop.call_later(self.limits.timeout_seconds, end)
        try:
            await self.app(scope, receive, timed)
        finally:
            timer.cancel()
            for task in told:
                await task
