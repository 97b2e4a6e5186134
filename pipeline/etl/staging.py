"""Reader batches to Parquet staging files: one pass over the raw files, in bounded memory."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline.errors import DataError
from pipeline.etl.database import RowGroups
from pipeline.etl.records import RAW_INTERACTIONS, RAW_ITEMS, Batch
from pipeline.schema import REJECTS, conform

SEQUENCE = "seq"
"""Position of a record among those of its kind, in reading order: what makes "latest" exact."""

_SCHEMAS = {"interactions": RAW_INTERACTIONS, "items": RAW_ITEMS, "rejects": REJECTS}


@dataclass(frozen=True)
class Staged:
    """Where the staged records are, and how many were read from each source."""

    folder: Path
    read: Mapping[str, int]

    def file(self, kind: str) -> Path:
        """Return the file of ``interactions``, ``items`` or ``rejects``."""
        return self.folder / f"{kind}.parquet"


def stage(batches: Iterable[Batch], folder: Path, advance: Callable[[int], None]) -> Staged:
    """Write every batch below ``folder`` and return what was staged.

    What an earlier, killed attempt left there is removed first. ``advance`` is told the bytes
    that each batch took.

    Raises:
        DataError: a batch breaks the readers' contract.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    read: Counter[str] = Counter()
    writers = {kind: _Numbered(folder / f"{kind}.parquet", s) for kind, s in _SCHEMAS.items()}
    try:
        for batch in batches:
            _check(batch)
            read[batch.source] += batch.records
            for kind, writer in writers.items():
                writer.add(getattr(batch, kind))
            advance(batch.bytes_read)
    finally:
        for writer in writers.values():
            writer.close()
    return Staged(folder, dict(sorted(read.items())))


class _Numbered:
    """A Parquet file whose rows carry their position."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema, self._name = schema, path.stem
        numbered = schema.append(pa.field(SEQUENCE, pa.int64()))
        self._groups = RowGroups(path, numbered, compression="lz4")

    def add(self, table: pa.Table) -> None:
        """Append the rows of a table, numbered."""
        if not len(table):
            return
        start = self._groups.rows
        sequence = pa.array(range(start, start + len(table)), pa.int64())
        self._groups.add(conform(table, self._schema, self._name).append_column(SEQUENCE, sequence))

    def close(self) -> None:
        """Finish the file."""
        self._groups.close()


def _check(batch: Batch) -> None:
    """Refuse a batch that loses records or has interactions or items without a key."""
    found = len(batch.interactions) + len(batch.items) + len(batch.rejects)
    if found != batch.records:
        raise DataError(
            f"the reader counted {batch.records} records of {batch.source} and handed over "
            f"{found}; every record must be an interaction, an item or a reject"
        )
    for table, names in ((batch.interactions, ("user", "item")), (batch.items, ("key",))):
        for name in names:
            if table[name].null_count:
                raise DataError(f"the reader kept a record of {batch.source} without {name}")
