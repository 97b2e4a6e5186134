"""What users did since the bundle was made: events to what each has and does not want."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.ids import UNKNOWN
from serving.bundle import NOTHING, Activity, Bundle
from serving.messages_feedback import NEGATIVE, PASSIVE
from serving.wire import MAX_HISTORY

REMEMBERED = 1_000_000
"""Ids of events and keys of batches that are known again, the latest."""

Event = Mapping[str, Any]


class Memory:
    """The latest names, and what belongs to each."""

    def __init__(self, most: int = REMEMBERED) -> None:
        """Keep at most so many."""
        self._most, self._kept = most, OrderedDict[str, Any]()

    def __contains__(self, name: str) -> bool:
        """Return whether a name is among them."""
        return name in self._kept

    def get(self, name: str) -> Any:  # noqa: ANN401 - what was kept
        """Return what belongs to a name, None where it is not among them."""
        return self._kept.get(name)

    def keep(self, name: str, what: Any = True) -> None:  # noqa: ANN401
        """Keep a name; the oldest is forgotten where there are too many."""
        self._kept[name] = what
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)


@dataclass
class Activities(Mapping[str, Activity]):
    """The activity of each user. One thread writes; others may read a user at any time."""

    ids: Memory = field(default_factory=Memory)
    """Of events."""
    batches: Memory = field(default_factory=Memory)
    """By Idempotency-Key: the digest of what was sent, and what was answered."""

    def __post_init__(self) -> None:
        """Know nobody."""
        self._of: dict[str, Activity] = {}

    def __getitem__(self, user: str) -> Activity:
        """Return what a user did."""
        return self._of[user]

    def __iter__(self) -> Iterator[str]:
        """Yield the users."""
        return iter(self._of)

    def __len__(self) -> int:
        """Return the number of users."""
        return len(self._of)

    def take(self, events: Iterable[Event], bundle: Bundle) -> None:
        """Add events, in order; one on an item that is not known moves nobody."""
        listed = [event for event in events if sign_of(event)]
        rows = bundle.catalogue.ids.rows([event["item"] for event in listed]).tolist()
        changes: dict[str, dict[int, bool]] = {}
        for event, row in zip(listed, rows, strict=True):
            if row != UNKNOWN:
                mine = changes.setdefault(event["user"], {})
                mine.pop(row, None)  # so that the latest stands last
                mine[row] = sign_of(event) > 0
        for user, mine in changes.items():
            self._of[user] = changed(self._of.get(user, NOTHING), mine)


def sign_of(event: Event) -> int:
    """Return 1 for an event that says yes to an item, -1 for one that says no, 0 for neither."""
    kind, value = event["type"], event["value"]
    if kind in PASSIVE:
        return 0
    if kind in NEGATIVE:
        return -1
    return 1 if value is None else int(np.sign(value))


def changed(before: Activity, rows: Mapping[int, bool]) -> Activity:
    """Return an activity after some items were taken (true) or rejected, the latest alone kept."""
    return Activity(
        _listed(before.taken, rows, [row for row, taken in rows.items() if taken]),
        _listed(before.hidden, rows, [row for row, taken in rows.items() if not taken]),
    )


def _listed(before: np.ndarray, rows: Mapping[int, bool], fresh: list[int]) -> np.ndarray:
    kept = [row for row in before.tolist() if row not in rows]
    return np.array([*kept, *fresh][-MAX_HISTORY:], dtype=np.int64)
