"""Tables whatever their file format: CSV, TSV, Parquet and JSON Lines as records of cells."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import DataError
from pipeline.etl.readers import delimited
from pipeline.etl.readers.batches import Record, Tap
from pipeline.etl.readers.delimited import Dialect
from pipeline.etl.readers.lines import PARQUET, first_lines, magic, read_lines
from pipeline.etl.readers.values import Rejected, parse_object

PEEK_LINES = 200
"""JSON lines whose fields are taken for the table's columns."""

_PARQUET_ROWS = 10_000
_OBJECT = re.compile(rb"\s*\{")


@dataclass(frozen=True)
class Table:
    """A raw table: what kind of file it is and what its columns are called."""

    path: Path
    kind: str
    """``parquet``, ``json`` or ``text``."""
    columns: list[str]
    dialect: Dialect = field(default_factory=Dialect)
    headed: bool = True
    """Whether the first record of a text names the columns."""

    def records(self, tap: Tap, wanted: list[int]) -> Iterator[Record]:
        """Yield records whose payload holds the cells of the ``wanted`` columns, in this order."""
        if self.kind == "parquet":
            return _parquet_records(self, tap, wanted)
        if self.kind == "json":
            return _json_records(self, tap, wanted)
        return self._text_records(tap, wanted)

    def _text_records(self, tap: Tap, wanted: list[int]) -> Iterator[Record]:
        rows = delimited.read_rows(
            self.path, self.dialect, tap, len(self.columns), skip=int(self.headed)
        )
        for line, cells, text in rows:
            chosen = [cells[at] for at in wanted] if isinstance(cells, list) else cells
            yield Record(line, chosen, text)

    def sample(self, count: int) -> list[list[Any]]:
        """Return the cells of the first good records, to look at."""
        every = [*range(len(self.columns))]
        read = (record.payload for record in self.records(Tap(self.path.name), every))
        good = (cells for cells in read if not isinstance(cells, Rejected))
        return [*islice(good, count)]


def open_table(path: Path, dialect: Dialect | None = None) -> Table:
    """Return a table by looking at the file's beginning; the name plays no part.

    Raises:
        DataError: no such file, an empty one, or a damaged Parquet file.
    """
    if magic(path).startswith(PARQUET):
        return Table(path, "parquet", _parquet_file(path).schema_arrow.names)
    if dialect is None and _is_json(path):
        return Table(path, "json", _json_columns(path))
    dialect = dialect or delimited.sniff(path)
    columns = delimited.header(path, dialect)
    twice = sorted({c for c in columns if columns.count(c) > 1 and c})
    if twice:
        raise DataError(f"{path} names the columns {twice} twice; rename one of them")
    return Table(path, "text", columns, dialect)


def headless(path: Path, dialect: Dialect, columns: list[str]) -> Table:
    """Return a text table without a header.

    Raises:
        DataError: no such file, an empty one, or one with another number of fields.
    """
    found = delimited.header(path, dialect)
    if len(found) != len(columns):
        raise DataError(
            f"{path}: the first line has {len(found)} fields separated by "
            f"{dialect.delimiter!r}, {len(columns)} were expected ({', '.join(columns)}): {found}"
        )
    return replace(Table(path, "text", columns, dialect), headed=False)


def _is_json(path: Path) -> bool:
    lines = first_lines(path, 1)
    return bool(lines and _OBJECT.match(lines[0]))


def _json_columns(path: Path) -> list[str]:
    found: dict[str, None] = {}
    for line in first_lines(path, PEEK_LINES):
        try:
            found.update(dict.fromkeys(parse_object(line)))
        except Rejected:
            continue
    return [*found]


def _json_records(table: Table, tap: Tap, wanted: list[int]) -> Iterator[Record]:
    names = [table.columns[at] for at in wanted]
    for number, line in read_lines(table.path, tap):
        if not line or line.isspace():
            continue
        try:
            parsed = parse_object(line)
        except Rejected as bad:
            yield Record(number, bad, line)
            continue
        yield Record(number, [parsed.get(name) for name in names], line)


def _parquet_file(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from None


def _parquet_records(table: Table, tap: Tap, wanted: list[int]) -> Iterator[Record]:
    """Yield rows; a row's number stands for its line, and its cells as JSON for its text."""
    names = [table.columns[at] for at in wanted]
    file, size = _parquet_file(table.path), table.path.stat().st_size
    total, number = max(1, file.metadata.num_rows), 0
    try:
        for batch in file.iter_batches(_PARQUET_ROWS, columns=names):
            columns = [_cells(batch.column(name)) for name in names]
            for cells in zip(*columns, strict=True):
                number += 1
                yield Record(number, cells, _CellsText(cells, names))
            tap.bytes_read = size * number // total
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{table.path} is damaged after row {number}: {error}") from None


def _cells(column: pa.Array) -> list[Any]:
    """Return Python values; times become seconds, and dictionaries their values."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        zone = getattr(column.type, "tz", None)
        column = column.cast(pa.timestamp("s", zone), safe=False).cast(pa.int64())
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    cells: list[Any] = column.to_pylist()
    return cells


class _CellsText:
    """Writes cells as JSON when somebody asks, which is only for rejects."""

    def __init__(self, cells: tuple[Any, ...], names: list[str]) -> None:
        self._cells, self._names = cells, names

    def __str__(self) -> str:
        named = dict(zip(self._names, self._cells, strict=True))
        return orjson.dumps(named, default=str).decode("utf-8", "replace")
