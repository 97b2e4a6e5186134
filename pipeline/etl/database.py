"""The stage's database: out-of-core SQL within a memory limit, and results as exact Parquet."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, DataError

ROW_GROUP = 20_000
"""Rows per Parquet row group, filled exactly, so that equal rows give equal bytes; few enough that
some of them with long texts fit in memory."""

_FETCH = 20_000


@contextmanager
def workspace(folder: Path, memory_limit: str, threads: int) -> Iterator[Any]:
    """Yield a database connection that spills to ``folder`` beyond ``memory_limit``.

    Rows come in no promised order unless a query sorts them: every query whose order matters
    must sort by a total order, and is then the same for any number of threads.

    Raises:
        ConfigError: the limit is not a size.
        DataError: the work does not fit into the limit.
        OSError: the disk is full.
    """
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "temp_directory": str(folder / "spill"),
        "threads": threads,
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(str(folder / "work.duckdb"), config=settings) as connection:
        with suppress(duckdb.InvalidInputException):  # a notebook without ipywidgets has no bar
            connection.execute("SET enable_progress_bar = false")  # etl shows its own
        _limit_memory(connection, memory_limit)
        try:
            yield connection
        except (duckdb.Error, OSError) as error:  # a result read through Arrow fails as OSError
            first_line = str(error).partition("\n")[0]
            if "No space left" in first_line:
                raise OSError(errno.ENOSPC, "No space left on device", str(folder)) from error
            if "Out of Memory" not in first_line:
                raise
            raise DataError(
                f"etl needs more memory than runtime.memory_limit={memory_limit} ({first_line}); "
                f"raise it, or lower runtime.threads"
            ) from error


def _limit_memory(connection: Any, limit: str) -> None:  # noqa: ANN401 - duckdb has no types
    import duckdb

    try:
        connection.execute("SET memory_limit = ?", [limit])
    except duckdb.Error as error:
        raise ConfigError(
            f"runtime.memory_limit={limit!r} is not a size; write it like 4GB or 800MB"
        ) from error


def scalar(connection: Any, query: str, values: list[Any] | None = None) -> Any:  # noqa: ANN401
    """Return the first column of the first row."""
    return connection.execute(query, values or []).fetchall()[0][0]


def pairs(connection: Any, query: str) -> dict[str, Any]:  # noqa: ANN401
    """Return the first two columns as a mapping."""
    return {str(row[0]): row[1] for row in connection.execute(query).fetchall()}


def first_row(connection: Any, query: str) -> dict[str, Any]:  # noqa: ANN401
    """Return the first row as a mapping from column name to value."""
    result = connection.execute(query)
    names = [column[0] for column in result.description]
    return dict(zip(names, result.fetchall()[0], strict=True))


def write_query(
    connection: Any,  # noqa: ANN401
    query: str,
    schema: pa.Schema,
    path: Path,
) -> int:
    """Stream a query into a Parquet file and return its number of rows."""
    reader = connection.sql(query).to_arrow_reader(_FETCH)
    with RowGroups(path, schema) as groups:
        for batch in reader:
            groups.add(pa.Table.from_batches([batch]).select(schema.names).cast(schema))
    return groups.rows


class RowGroups:
    """Writes a Parquet file in row groups of exactly ``ROW_GROUP`` rows, the last one less.

    How the rows arrive (in what pieces) leaves no trace in the file.
    """

    def __init__(self, path: Path, schema: pa.Schema, compression: str = "zstd") -> None:
        """Open the file."""
        self.rows = 0
        self._schema = schema
        self._waiting: list[pa.Table] = []
        self._count = 0
        self._writer = pq.ParquetWriter(path, schema, compression=compression)

    def __enter__(self) -> "RowGroups":
        """Return the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Write what is left and close the file."""
        try:
            if self._count:
                self._write(pa.concat_tables(self._waiting))
        finally:
            self._writer.close()

    def add(self, table: pa.Table) -> None:
        """Append rows of the file's schema."""
        self._waiting.append(table)
        self._count += len(table)
        self.rows += len(table)
        if self._count < ROW_GROUP:
            return
        whole = pa.concat_tables(self._waiting)
        full = len(whole) // ROW_GROUP * ROW_GROUP
        for start in range(0, full, ROW_GROUP):
            self._write(whole.slice(start, ROW_GROUP))
        self._waiting, self._count = [whole.slice(full)], len(whole) - full

    def _write(self, table: pa.Table) -> None:
        self._writer.write_table(table.combine_chunks(), row_group_size=ROW_GROUP)
