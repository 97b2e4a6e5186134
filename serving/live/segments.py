"""Events at rest: the journal's closed files as Parquet, flat, as a data warehouse takes them."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from pipeline import files
from pipeline.artifacts import flush
from serving.live.journal import Journal, Record, records_of

FOLDER = "segments"
_NAME = "feedback-{:08d}.parquet"
_TIME = pa.timestamp("us", tz="UTC")

EVENTS = pa.schema(
    [
        ("event_id", pa.string()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),
        ("event_type", pa.string()),
        ("value", pa.float64()),
        ("event_timestamp", _TIME),
        ("received_timestamp", _TIME),
        ("recommendation_id", pa.string()),
        ("context", pa.string()),
        ("idempotency_key", pa.string()),
        ("bundle", pa.string()),
    ]
)
"""One row an event; ``context`` is JSON; only value, recommendation_id and idempotency_key may be
null. The columns and types are ones that BigQuery loads as they are."""

KEPT = 2
"""Closed files of the journal that stay beside their segment, for processes that read slowly."""


def rows_of(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row for each event of some records."""
    return [
        {
            "event_id": event["id"],
            "user_id": event["user"],
            "item_id": event["item"],
            "event_type": event["type"],
            "value": event["value"],
            "event_timestamp": _time(event["at"]),
            "received_timestamp": _time(record["at"]),
            "recommendation_id": event["recommendation_id"],
            "context": orjson.dumps(event["context"]).decode(),
            "idempotency_key": record["key"],
            "bundle": record["bundle"],
        }
        for record in records
        for event in record["events"]
    ]


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def segment(state: Path, number: int) -> Path:
    """Return the file of a number of the journal."""
    return state / FOLDER / _NAME.format(number)


def segments(state: Path) -> list[Path]:
    """Return every segment, oldest first."""
    return sorted((state / FOLDER).glob(_NAME.replace("{:08d}", "*")))


def compact(state: Path, journal: Journal) -> list[Path]:
    """Return the segments written of closed files that had none; all but the last are removed.

    Whoever finds another process at it leaves it to that.
    """
    (state / FOLDER).mkdir(exist_ok=True)
    with (state / FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        closed = journal.numbers()[:-1]
        waiting = [number for number in closed if not segment(state, number).exists()]
        written = [_written(state, journal, number) for number in waiting]
        for number in closed[:-KEPT]:
            journal.path(number).unlink()
    return written


def _written(state: Path, journal: Journal, number: int) -> Path:
    path = journal.path(number)
    records, _ = records_of(path.read_bytes(), path)
    table = pa.Table.from_pylist(rows_of(records), schema=EVENTS)
    final = segment(state, number)
    draft = final.with_name(f".{final.name}.{os.getpid()}")
    files.write_table(draft, table)
    flush(draft)
    draft.replace(final)
    flush(final.parent)
    return final


def records_in(path: Path) -> list[Record]:
    """Return what the journal's records held of a segment's batches.

    Of a batch under a key the digest is not kept, and of its answer no more than how many events
    were taken.
    """
    rows = files.read_table(path).to_pylist()
    found: list[Record] = []
    for key, batch in groupby(rows, key=lambda row: row["idempotency_key"]):
        events = [_event(row) for row in batch]
        found.append({"key": key, "digest": None, "answer": [len(events), 0, []], "events": events})
    return found


def events_in(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a segment as the journal's records hold them."""
    for record in records_in(path):
        yield from record["events"]


def _event(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["event_id"],
        "user": row["user_id"],
        "item": row["item_id"],
        "type": row["event_type"],
        "value": row["value"],
        "at": row["event_timestamp"].timestamp(),
        "recommendation_id": row["recommendation_id"],
        "context": orjson.loads(row["context"]),
    }
