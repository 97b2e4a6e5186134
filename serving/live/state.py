"""The service's state beside a bundle: journals on disk, and what they say as one immutable view.

Every worker process has its own view of the same journals. It looks at their size before it
answers, and reads what others wrote; what it writes itself is on disk before it is answered. Two
that write at once never decide on the same state: the second finds the journal longer than it knew,
reads on, and decides again.
"""

import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from structlog.typing import FilteringBoundLogger

from pipeline.arrays import Floats
from pipeline.errors import DataError, suggest
from pipeline.ids import UNKNOWN
from serving.bundle import Bundle
from serving.columns import kind_of
from serving.live import records, segments
from serving.live.activity import Activities, Event
from serving.live.attach import Attaching, ContentError
from serving.live.journal import DamagedError, Journal, Position, Record, StorageError
from serving.live.overlay import Added, Fields, Overlay
from serving.live.view import LiveBundle
from serving.recommender import Recommender, UnknownItemError

ITEMS, FEEDBACK = "items", "feedback"
SEGMENT_BYTES = 4_000_000
"""A file of the feedback journal is closed, and written as a segment, above this size."""

Make = Callable[..., Recommender]
T = TypeVar("T")


class RepeatedKeyError(DataError):
    """An Idempotency-Key came with another batch before: 422."""


@dataclass(frozen=True)
class Taken:
    """What became of a batch of events."""

    accepted: int
    duplicates: int
    unknown_items: list[str]
    repeated: bool = False


@dataclass(frozen=True)
class Put:
    """What became of an item that was sent."""

    created: bool
    changed: bool


@dataclass
class Live:
    """The changing side of one bundle in service; threads may share it."""

    bundle: Bundle
    folder: Path
    make: Make
    log: FilteringBoundLogger | None = None
    segment_bytes: int = SEGMENT_BYTES
    attaching: Attaching = field(init=False)

    def __post_init__(self) -> None:
        """Read the journals from their beginning.

        Raises:
            DamagedError: a journal is.
        """
        # Opened now: the bundle's files may be removed while it is still served.
        self.attaching = Attaching(self.bundle)
        _ = self.attaching.contents, self.attaching.network
        self._items, self._feedback = (Journal(self.folder / n) for n in (ITEMS, FEEDBACK))
        self._at_items, self._at_feedback = Position(), Position()
        self._overlay = Overlay.empty(len(self.bundle.catalogue), self.bundle.item_vectors.shape[1])
        self._activities = Activities()
        self._lock = threading.RLock()
        self._told = ("", "")
        self._unread = count(1)
        self._base = self.make(self.bundle)
        self._view = self._look()
        self._catch_up()

    @property
    def recommender(self) -> Recommender:
        """Return what answers, knowing everything that was written until now.

        Where the journals cannot be read any more, it answers with what it knows and logs it.
        """
        behind = self._items.has_more(self._at_items), self._feedback.has_more(self._at_feedback)
        if any(behind):
            with self._lock:
                try:
                    self._catch_up()
                except (DamagedError, StorageError, OSError) as error:
                    self._tell("journal cannot be read", error)
        return self._view

    @property
    def ready(self) -> Recommender | None:
        """Return what answers, None where there is something to be read first, which may wait."""
        at = self._at_items, self._at_feedback
        behind = self._items.has_more(at[0]) or self._feedback.has_more(at[1])
        return None if behind else self._view

    @property
    def stamp(self) -> Hashable:
        """Return what is another whenever an answer may be: how far the journals were read.

        Where there is more to read it is nothing that was or will be: the next answer reads on.
        """
        at = self._at_items, self._at_feedback
        if self._items.has_more(at[0]) or self._feedback.has_more(at[1]):
            return next(self._unread)
        return at

    @property
    def overlay(self) -> Overlay:
        """Return what was changed about items."""
        return self._overlay

    def holds(self, key: str, digest: str) -> bool:
        """Return whether an item stands there as it was sent before."""
        with self._lock:
            self._catch_up()
            return self._same(key, digest)

    def put(self, key: str, fields: Fields, content: Mapping[str, Floats], digest: str) -> Put:
        """Add an item, or put it in the place of the one with its key.

        Raises:
            StorageError: it cannot be written; nothing was changed.
            CannotAttachError: the bundle takes no new items.
        """
        self.attaching.must_attach()
        placed = self.attaching.place([content])[0]
        item = Added(
            key, fields, placed.vector, placed.fold_in, placed.edges, content, digest
        )  # fmt: skip
        record = records.added_record(item, self.bundle.model)

        def decide() -> tuple[Record | None, Put]:
            """Return what to write, which is nothing where the same item stands there."""
            same = self._same(key, digest)
            return None if same else record, Put(self._row(key) == UNKNOWN, not same)

        return self._change(decide)

    def attributes(self, told: Mapping[str, Any]) -> Fields:
        """Return attributes as columns of the bundle's items.

        Raises:
            ContentError: the bundle's items have no such attribute, or it is of another type.
        """
        known = self.bundle.catalogue.attributes
        for name, value in told.items():
            if name not in known:
                raise ContentError(
                    f"items have no attribute {name!r}{suggest(name, [*known])}; they have "
                    f"{[*known]}, which data.attributes names"
                )
            if value is not None and kind_of(value) != known[name]:
                raise ContentError(f"the attribute {name} is a {known[name]}, not {value!r}")
        return dict(told)

    def patch(self, key: str, fields: Fields) -> bool:
        """Change what is told about an item; return whether anything did change.

        Raises:
            UnknownItemError: there is no such item.
            StorageError: it cannot be written; nothing was changed.
        """

        def decide() -> tuple[Record | None, bool]:
            """Return what to write."""
            known = self._overlay.patches.get(self._known(key), {})
            same = all(name in known and known[name] == fields[name] for name in fields)
            return None if same else records.patch_record(key, fields), not same

        return self._change(decide)

    def delete(self, key: str) -> None:
        """Take an item away.

        Raises:
            UnknownItemError: there is no such item.
            StorageError: it cannot be written; nothing was changed.
        """

        def decide() -> tuple[Record | None, None]:
            """Return what to write."""
            self._known(key)
            return records.delete_record(key), None

        return self._change(decide)

    def take(self, events: Sequence[Event], key: str | None = None, digest: str = "") -> Taken:
        """Keep events; they count from the next request on.

        ``digest`` is of what was sent, by which another batch under the same ``key`` is told.

        Raises:
            RepeatedKeyError: another batch came under the same key.
            StorageError: they cannot be written; none was taken.
        """
        with self._lock:
            while True:
                self._catch_up()
                if key is not None and key in self._activities.batches:
                    return self._again(key, digest)
                fresh = self._fresh(events)
                unknown = self._unknown(fresh)
                answer = Taken(len(fresh), len(events) - len(fresh), unknown)
                if not fresh:
                    return answer
                record = {
                    "at": records.now(), "key": key, "digest": digest, "events": fresh,
                    "answer": [answer.accepted, answer.duplicates, answer.unknown_items],
                    "bundle": self.bundle.fingerprint,
                }  # fmt: skip
                behind = self._feedback.append(record, self._at_feedback)
                if behind is not None:
                    self._learn([record])
                    self._at_feedback = behind
                    self._close_full()
                    return answer

    def _again(self, key: str, digest: str) -> Taken:
        before, answer = self._activities.batches.get(key)
        if before not in (None, digest):
            raise RepeatedKeyError(
                f"Idempotency-Key {key!r} came with another batch before; a new batch wants a key "
                f"of its own"
            )
        return replace(Taken(*answer), repeated=True)

    def _fresh(self, events: Iterable[Event]) -> list[Event]:
        """Return the events whose id was not taken, each id once, with an id for all."""
        found: dict[str, Event] = {}
        for event in events:
            name = event["id"] or uuid4().hex
            if name not in self._activities.ids:
                found.setdefault(name, {**event, "id": name})
        return [*found.values()]

    def _unknown(self, events: Sequence[Event]) -> list[str]:
        keys = list(dict.fromkeys(event["item"] for event in events))
        rows = self._view.bundle.catalogue.ids.rows(keys).tolist()
        return [key for key, row in zip(keys, rows, strict=True) if row == UNKNOWN]

    def _change(self, decide: Callable[[], tuple[Record | None, T]]) -> T:
        """Write what is decided on the latest state; return what was decided."""
        with self._lock:
            while True:
                self._catch_up()
                record, answer = decide()
                if record is None:
                    return answer
                behind = self._items.append(record, self._at_items)
                if behind is not None:
                    self._at_items = behind
                    self._apply([record])
                    return answer

    def _catch_up(self) -> None:
        found, behind = self._items.read(self._at_items)
        if found:
            self._apply(found)
        self._at_items = behind
        self._read_segments()
        found, behind = self._feedback.read(self._at_feedback)
        self._learn(found)
        self._at_feedback = behind

    def _read_segments(self) -> None:
        """Read the segments of files that were closed and removed before they were read here."""
        first = self._feedback.numbers()[0]
        for number in range(self._at_feedback.number, first):
            path = segments.segment(self.folder, number)
            if path.exists():
                self._learn(segments.records_in(path))
            self._at_feedback = Position(number + 1)

    def _apply(self, found: Sequence[Record]) -> None:
        self._overlay = records.applied(self._overlay, found, self.attaching)
        self._view = self._look()

    def _learn(self, found: Sequence[Record]) -> None:
        for record in found:
            if record["key"] is not None:
                self._activities.batches.keep(record["key"], (record["digest"], record["answer"]))
        self._take([event for record in found for event in record["events"]])

    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            self._activities.ids.keep(event["id"])
        self._activities.take(events, self._view.bundle)

    def _close_full(self) -> None:
        """Close the feedback journal's file where it is large, and make a segment of it."""
        if self._feedback.size() < self.segment_bytes:
            return
        try:
            self._feedback.seal()
            segments.compact(self.folder, self._feedback)
        except (OSError, StorageError, DamagedError) as error:
            self._tell("no segment written", error)

    def _tell(self, what: str, error: Exception) -> None:
        """Log what went wrong, once until something else does: it is met at every request."""
        if self.log is not None and self._told != (what, str(error)):
            self.log.error(what, why=str(error))
        self._told = what, str(error)

    def _look(self) -> Recommender:
        view = LiveBundle.over(self.bundle, self._overlay, self._activities)
        return self.make(view, under=self._base)

    def _same(self, key: str, digest: str) -> bool:
        row = self._row(key)
        now = self._overlay.item(row) if row != UNKNOWN else None
        return now is not None and now.digest == digest and row not in self._overlay.patches

    def _row(self, key: str) -> int:
        return self._view.bundle.catalogue.ids.row(key)

    def _known(self, key: str) -> int:
        row = self._row(key)
        if row == UNKNOWN:
            raise UnknownItemError(f"the catalogue holds no item {key!r}")
        return row


def events_of(sent: Iterable[Any]) -> list[dict[str, Any]]:
    """Return events as the journal holds them; one without a time is of now."""
    return [
        {
            "id": event.id,
            "user": event.user,
            "item": event.item,
            "type": event.type,
            "value": event.value,
            "at": records.now() if event.seconds is None else event.seconds,
            "recommendation_id": event.recommendation_id,
            "context": event.context,
        }
        for event in sent
    ]
