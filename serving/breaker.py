"""Calls of what may fail for long: after a few failures they are refused for a while.

Ours, since pybreaker runs every call under one lock and goes by the clock on the wall.
"""

import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pipeline.errors import PlotpointeError
from serving.telemetry.metrics import Metrics

Params = ParamSpec("Params")
Result = TypeVar("Result")


class UnavailableError(PlotpointeError):
    """Something that the answer needs does not work at the moment."""

    def __init__(self, detail: str, retry_after: float) -> None:
        """Tell what, and after how many seconds to try again."""
        super().__init__(detail)
        self.retry_after = retry_after


class Breaker:
    """Counts failures in a row of a dependency; threads may share it, and call side by side.

    Closed, calls go through. After ``failures`` in a row it opens: calls are refused at once for
    ``seconds``, then a single one is let through, whose outcome closes or opens it again.
    """

    def __init__(
        self,
        name: str,
        metrics: Metrics,
        *,
        failures: int = 5,
        seconds: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin closed."""
        self.name, self.failures, self.seconds = name, failures, seconds
        self._clock, self._lock = clock, threading.Lock()
        self._in_a_row, self._again_at, self._trying = 0, 0.0, False
        self._gauge = metrics.breakers.labels(name)
        self._gauge.set(0)

    @property
    def is_open(self) -> bool:
        """Return whether calls are refused, but for one that tries."""
        return self._in_a_row >= self.failures

    def call(
        self, work: Callable[Params, Result], *args: Params.args, **kwargs: Params.kwargs
    ) -> Result:
        """Return what ``work`` returns; errors of the asker are no failures of the dependency.

        Raises:
            UnavailableError: calls are refused at the moment.
        """
        self._enter()
        try:
            result = work(*args, **kwargs)
        except PlotpointeError:
            self._done(failed=False)
            raise
        except BaseException:
            self._done(failed=True)
            raise
        self._done(failed=False)
        return result

    def _enter(self) -> None:
        with self._lock:
            if not self.is_open:
                return
            wait = self._again_at - self._clock()
            if wait > 0 or self._trying:
                raise UnavailableError(
                    f"{self.name} failed {self._in_a_row} times in a row and is left alone "
                    "for a while; try again later",
                    max(1.0, wait),
                )
            self._trying = True

    def _done(self, *, failed: bool) -> None:
        with self._lock:
            self._trying = False
            self._in_a_row = self._in_a_row + 1 if failed else 0
            if self.is_open:
                self._again_at = self._clock() + self.seconds
            self._gauge.set(float(self.is_open))
