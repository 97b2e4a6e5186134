"""Records to batches: typed rows or rejects, a bounded number at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.readers.values import Rejected
from pipeline.etl.records import BATCH_RECORDS, RAW_INTERACTIONS, RAW_ITEMS, Batch, Reader
from pipeline.schema import REJECTS

LONGEST_REJECT = 2000
"""Characters kept of a rejected record."""

Raw = object
"""A record as it stood: bytes, or what ``str`` makes its text; only rejects are written out."""


class Reject(NamedTuple):
    """A record that is not kept."""

    line: int
    reason: str
    text: Raw


class Record(NamedTuple):
    """One record of a source: its first line, its fields or bytes, and its text as it stood.

    A ``Rejected`` for payload says that it could not be taken apart.
    """

    line: int
    payload: Any
    text: Raw


Parse = Callable[[Any], tuple[Any, ...]]
"""A payload to the values of a schema, raises ``Rejected``: without source and line, and those at
the end may be left out."""


@dataclass
class Tap:
    """How far a source has been read, and what could not even be made a record."""

    name: str
    bytes_read: int = 0
    faults: list[Reject] = field(default_factory=list)


@dataclass(frozen=True)
class Format:
    """A data format: what reads its interactions, and what reads its items; called, both."""

    interactions: Reader
    items: Reader
    """Yields nothing where the data set brings no items."""

    def __call__(self, data: DataConfig) -> Iterator[Batch]:
        """Yield the interactions, then the items."""
        yield from self.interactions(data)
        yield from self.items(data)


@dataclass
class _Rows:
    values: list[tuple[Any, ...]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)

    def count(self) -> int:
        """Return how many records were taken, kept or not."""
        return len(self.values) + len(self.rejects)


def gather(
    tap: Tap, schema: pa.Schema, records: Iterable[tuple[int, Any, Raw]], parse: Parse
) -> Iterator[Batch]:
    """Yield batches of parsed records; ``schema`` is RAW_INTERACTIONS or RAW_ITEMS.

    Raises:
        DataError: the source holds no record at all.
    """
    rows, told, any_record = _Rows(), 0, False
    for line, payload, text in records:
        try:
            if isinstance(payload, Rejected):
                raise payload
            rows.values.append(parse(payload))
            rows.lines.append(line)
        except Rejected as bad:
            rows.rejects.append(Reject(line, bad.reason, text))
        if len(rows.lines) + len(rows.rejects) >= BATCH_RECORDS:
            yield _batch(tap, schema, rows, told)
            rows, told, any_record = _Rows(), tap.bytes_read, True
    if not (any_record or rows.count() or tap.faults):
        raise DataError(f"{tap.name} holds no records; is it the right file?")
    yield _batch(tap, schema, rows, told)


def _batch(tap: Tap, schema: pa.Schema, rows: _Rows, told: int) -> Batch:
    rows.rejects = sorted([*rows.rejects, *tap.faults], key=lambda reject: reject.line)
    tap.faults.clear()
    filled = _table(schema, tap.name, rows)
    return Batch(
        source=tap.name,
        records=rows.count(),
        interactions=filled if schema is RAW_INTERACTIONS else RAW_INTERACTIONS.empty_table(),
        items=filled if schema is RAW_ITEMS else RAW_ITEMS.empty_table(),
        rejects=_rejects(tap.name, rows.rejects),
        bytes_read=tap.bytes_read - told,
    )


def _table(schema: pa.Schema, name: str, rows: _Rows) -> pa.Table:
    if not rows.values:
        return schema.empty_table()
    count = len(rows.values)
    *own, _, _ = schema
    columns: list[Any] = [
        pa.array(column, type=f.type)
        for f, column in zip(own, zip(*rows.values, strict=True), strict=False)
    ]
    columns += [pa.nulls(count, f.type) for f in own[len(columns) :]]
    source = pa.repeat(pa.scalar(name), count)
    return pa.Table.from_arrays([*columns, source, pa.array(rows.lines, pa.int64())], schema=schema)


def _rejects(name: str, rejects: Sequence[Reject]) -> pa.Table:
    columns = {
        "source": [name] * len(rejects),
        "line": [r.line for r in rejects],
        "reason": [r.reason for r in rejects],
        "text": [readable(r.text) for r in rejects],
    }
    return pa.table(columns, schema=REJECTS)


def readable(raw: Raw) -> str:
    """Return the beginning of a raw record as text that every file format can hold."""
    if isinstance(raw, bytes):
        raw = raw[: 4 * LONGEST_REJECT].decode("utf-8", "replace")
    return str(raw)[:LONGEST_REJECT].encode("utf-8", "replace").decode()
