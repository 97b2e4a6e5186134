"""Answers kept for a short while, by what they were made from and what was asked."""

import threading
from collections.abc import Hashable

from cachetools import TTLCache

from serving.requests import RecommendRequest
from serving.summaries import Plain
from serving.telemetry.metrics import Metrics


class AnswerCache:
    """Keeps answers; one is found again only for the same stamp and the same request.

    The stamp (see ``Arm.stamp``) changes with the bundle and with all that is laid over it, so
    nothing ever has to be thrown out. Threads may share it.
    """

    def __init__(self, entries: int, seconds: float, metrics: Metrics) -> None:
        """Keep so many answers for so long; no entries keeps none."""
        self.entries = entries
        self._kept: TTLCache[Hashable, Plain] = TTLCache(max(1, entries), seconds)
        self._lock = threading.Lock()
        self._hits, self._misses = (metrics.cached.labels(found) for found in ("hit", "miss"))

    def key(self, stamp: Hashable, request: RecommendRequest) -> Hashable:
        """Return what an answer is kept under: equal requests are equal, however written."""
        return stamp, request.model_dump_json()

    def find(self, key: Hashable) -> Plain | None:
        """Return the answer that is kept, None where there is none."""
        with self._lock:
            found = self._kept.get(key)
        (self._misses if found is None else self._hits).inc()
        return found

    def keep(self, key: Hashable, answer: Plain) -> None:
        """Keep an answer."""
        with self._lock:
            self._kept[key] = answer
