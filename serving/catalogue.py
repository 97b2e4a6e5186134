"""What is known about each item, in Arrow columns: nothing becomes Python before it is shown."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrays import Rows
from pipeline.artifacts import Artifact
from pipeline.ids import IdMap
from pipeline.schema import (
    BRAND,
    CATEGORIES,
    DESCRIPTION,
    IMAGE,
    ITEMS,
    KEY,
    PRICE,
    TITLE,
    attributes_of,
)  # fmt: skip

_SHOWN = [KEY, TITLE, BRAND, CATEGORIES, PRICE, IMAGE]
_FILE = "items.parquet"


@dataclass(frozen=True)
class Item:
    """One item of the catalogue; None where it is not known."""

    key: str
    title: str | None
    brand: str | None
    categories: tuple[str, ...]
    price: float | None
    image: str | None
    """A path below the images folder, or a URL."""

    @property
    def name(self) -> str:
        """Return the title, or the key where there is none."""
        return self.title or self.key


@dataclass(frozen=True)
class Catalogue:
    """Every item's metadata by row, and the map from keys to rows."""

    artifact: Artifact
    table: pa.Table
    ids: IdMap
    opened: pa.MemoryMappedFile
    """The file, held open: it may be removed while it is still served."""

    @classmethod
    def open(cls, artifact: Artifact) -> "Catalogue":
        """Return the catalogue of a bundle; descriptions stay on disk until one is asked for."""
        table = artifact.table(_FILE, _SHOWN).combine_chunks()
        opened = pa.memory_map(str(artifact.file(_FILE)))
        return cls(artifact, table, ids_of(table), opened)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.ids)

    def items(self, rows: Rows) -> list[Item]:
        """Return the items of the given rows, in their order."""
        if not len(rows):
            return []
        return [_item(record) for record in self.table.take(_indices(rows)).to_pylist()]

    def item(self, row: int) -> Item:
        """Return one item."""
        return self.items(np.array([row]))[0]

    def description(self, row: int) -> str | None:
        """Return an item's description."""
        text: str | None = self._descriptions[row].as_py()
        return text

    @cached_property
    def attributes(self) -> dict[str, str]:
        """Return what is told of items beyond what lists show, by name and type."""
        return attributes_of(pq.ParquetFile(self.opened).schema_arrow)

    def attributes_of(self, row: int) -> dict[str, Any]:
        """Return an item's attributes, None where it is not known."""
        return {name: column[row].as_py() for name, column in self._attributes.items()}

    @cached_property
    def _attributes(self) -> dict[str, pa.ChunkedArray]:
        return {name: self.column(name) for name in self.attributes}

    def changes(self) -> tuple[Rows, pa.Table]:
        """Return the rows that were changed, and a table of them: none, see serving/live."""
        return np.empty(0, dtype=np.int64), self.table.slice(0, 0)

    def whole(self) -> pa.Table:
        """Return every column of every item, read from disk."""
        return self.artifact.table(_FILE)

    @cached_property
    def columns(self) -> list[str]:
        """Return the names of all columns of the file, in its order."""
        return list(pq.ParquetFile(self.opened).schema_arrow.names)

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column by its name; one that lists do not show is read from disk."""
        if name in self.table.column_names:
            return self.table[name]
        return pq.ParquetFile(self.opened).read([name])[name]

    def search(self, query: str) -> Rows:
        """Return the rows whose title contains ``query`` in any case, or whose key begins so."""
        if not query:
            return np.arange(len(self))
        titled = pc.match_substring(self.table[TITLE], query, ignore_case=True)
        keyed = pc.starts_with(self.table[KEY], query)
        # Not ``to_numpy``, which would load pandas.
        found = np.from_dlpack(pc.indices_nonzero(pc.or_kleene(titled, keyed)))
        return np.asarray(found, dtype=np.int64)

    @cached_property
    def _descriptions(self) -> pa.ChunkedArray:
        return self.column(DESCRIPTION)


def ids_of(table: pa.Table) -> IdMap:
    """Return the id map of a table's key column."""
    return IdMap(np.asarray(table[KEY].to_pylist(), dtype=np.str_))


def _indices(rows: Rows) -> pa.Array:
    """Return rows as Arrow indices; ``pa.array`` would load pandas to look at them."""
    whole = np.ascontiguousarray(rows, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(whole), [None, pa.py_buffer(whole)])


def _item(record: dict[str, Any]) -> Item:
    price = record[PRICE]
    known = price is not None and math.isfinite(price)
    return Item(
        key=record[KEY],
        title=record[TITLE] or None,
        brand=record[BRAND] or None,
        categories=tuple(c for c in record[CATEGORIES] or () if c),
        price=float(np.format_float_positional(np.float32(price))) if known else None,
        image=record[IMAGE] or None,
    )


assert set(_SHOWN) | {DESCRIPTION} == set(ITEMS.names)
