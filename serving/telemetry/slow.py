"""The requests that took long: a sample to look into, without a word about who asked."""

from collections import deque
from datetime import UTC, datetime

from serving.messages_operations import SlowRequest

_KEPT = 100


class SlowLog:
    """Keeps the latest requests that took longer than a threshold."""

    def __init__(self, threshold: float) -> None:
        """Keep requests of ``threshold`` seconds and more."""
        self.threshold = threshold
        self._kept: deque[SlowRequest] = deque(maxlen=_KEPT)

    def add(self, **told: str | int | float | None) -> None:
        """Keep one request."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._kept.append(SlowRequest(at=now, **told))

    def latest(self) -> list[SlowRequest]:
        """Return what is kept, newest first."""
        return [*self._kept][::-1]
