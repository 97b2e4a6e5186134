"""Lists of a bundle that nobody sees, asked for off the request's path and compared."""

import queue
import random
import threading
from typing import NamedTuple

from structlog.typing import FilteringBoundLogger

from serving.deployment.arms import Arm, Lineup
from serving.requests import RecommendRequest
from serving.summaries import Plain
from serving.telemetry.metrics import Metrics

_WAITING = 256
"""Requests that may wait; more are left out, never waited for."""


class _Asked(NamedTuple):
    arm: Arm
    request: RecommendRequest
    shown: list[str]


class Shadow:
    """A thread that asks the shadow what others were shown; closed, it forgets what waits."""

    def __init__(self, metrics: Metrics, log: FilteringBoundLogger) -> None:
        """Compare nothing until something is offered."""
        self._metrics, self._log = metrics, log
        self._waiting: queue.Queue[_Asked | None] = queue.Queue(_WAITING)
        self._draw = random.Random(0)
        self._thread: threading.Thread | None = None

    def offer(self, lineup: Lineup, request: RecommendRequest, answer: Plain) -> None:
        """Take a share of the requests; where there is no shadow that is none."""
        if lineup.shadow is None or self._draw.random() >= lineup.shadow_share:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
            self._thread.start()
        try:
            shown = [item["id"] for item in answer["items"]]
            self._waiting.put_nowait(_Asked(lineup.shadow, request, shown))
        except queue.Full:
            self._metrics.shadowed.labels("left_out").inc()

    def settle(self) -> None:
        """Return once all that waits is compared."""
        self._waiting.join()

    def close(self) -> None:
        """End the thread once it is done with the request at hand."""
        if self._thread is None:
            return
        while True:
            try:
                self._waiting.put_nowait(None)
                break
            except queue.Full:
                self._waiting.get_nowait()
                self._waiting.task_done()
        self._thread.join()
        self._thread = None

    def _run(self) -> None:
        while (asked := self._waiting.get()) is not None:
            try:
                self._compare(asked)
                outcome = "answered"
            except Exception:
                self._log.exception("shadow failed", bundle=asked.arm.fingerprint)
                outcome = "failed"
            self._metrics.shadowed.labels(outcome).inc()
            del asked  # the arm may be let go while the thread waits
            self._waiting.task_done()
        self._waiting.task_done()

    def _compare(self, asked: _Asked) -> None:
        (theirs,) = asked.arm.recommender.plain([asked.request])
        listed = [item["id"] for item in theirs["items"]]
        self._metrics.overlap.observe(overlap(asked.shown, listed))


def overlap(shown: list[str], theirs: list[str]) -> float:
    """Return the share of the longer list that both hold; two empty lists are alike."""
    longer = max(len(shown), len(theirs))
    return len({*shown} & {*theirs}) / longer if longer else 1.0
