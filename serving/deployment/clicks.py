"""Which arm's lists are taken up: each user counted once, so that the arms may be compared.

What one user does at two times is not independent, so a user's outcome is whether anything good
came of him within half an hour of the first list that an arm showed him; later lists of his count
nothing. A user who never comes back counts as much as one who does. Every worker counts what it
sees itself: a click that another worker takes is missed alike in both arms.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline.measure.stats.sequential import Running, Tally, running
from serving.messages_feedback import NEGATIVE, PASSIVE

WITHIN_SECONDS = 1800.0
_MOST = 1_000_000
"""Users remembered; the latest to come after so many are not counted."""


@dataclass
class _Waiting:
    arm: str
    until: float
    clicked: bool = False


class Clicks:
    """Users of an experiment by arm and outcome; threads may share it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nobody seen."""
        self._clock = clock
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everybody: another challenger begins anew."""
        with self._lock:
            self._waiting: dict[str, _Waiting] = {}
            self._counted: set[int] = set()
            self._tallies: dict[str, list[int]] = {}

    def shown(self, arm: str, users: Iterable[str | None]) -> None:
        """Note whom an arm showed a list; only the first of each user counts."""
        now = self._clock()
        with self._lock:
            self._close(now)
            for user in users:
                if user is None or user in self._waiting or len(self._counted) >= _MOST:
                    continue
                if hash(user) not in self._counted:
                    self._counted.add(hash(user))
                    self._waiting[user] = _Waiting(arm, now + WITHIN_SECONDS)

    def took(self, events: Sequence[tuple[str, str, float | None]]) -> None:
        """Note what users did, as (user, type, value): anything but passing by or turning down."""
        with self._lock:
            self._close(self._clock())
            for user, kind, value in events:
                good = kind not in NEGATIVE | PASSIVE and (value is None or value > 0)
                if good and user in self._waiting:
                    self._waiting[user].clicked = True

    def tally(self, arm: str) -> Tally:
        """Return how many of an arm's users took anything up, of those whose time is over."""
        with self._lock:
            self._close(self._clock())
            return Tally(*self._tallies.get(arm, (0, 0)))

    def running(self, control: str, challenger: str) -> Running:
        """Return the difference of the arms' rates, valid whenever it is looked at."""
        return running(self.tally(control), self.tally(challenger))

    def _close(self, now: float) -> None:
        """Count those whose time is over; they stand in the order in which it ends."""
        while self._waiting:
            user, first = next(iter(self._waiting.items()))
            if first.until > now:
                return
            del self._waiting[user]
            counted = self._tallies.setdefault(first.arm, [0, 0])
            counted[0] += first.clicked
            counted[1] += 1
