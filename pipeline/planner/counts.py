"""How much there is to work on: exact from complete tables."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.arrays import Rows
from pipeline.artifacts import Artifact
from pipeline.interactions import shape_of
from pipeline.schema import (
    BRAND,
    CATEGORIES,
    DESCRIPTION,
    IMAGE,
    ITEM,
    SPLIT,
    TEST,
    TITLE,
    TRAIN,
    USER,
    VALIDATION,
)

UNPACKED = 4
"""Bytes of text in a byte of gzip."""
TEXT_FIELDS = (TITLE, BRAND, CATEGORIES, DESCRIPTION)
SAMPLED_TEXTS = 2000
"""Items whose texts are measured."""


@dataclass(frozen=True)
class Counts:
    """How much data a run works on."""

    users: int
    items: int
    interactions: int
    """Kept, one per user and item."""
    train: int
    """Interactions of the training split."""
    hot: int
    """Items with a training interaction."""
    validation_users: int
    """Users who can be evaluated on validation, and so are learned from by the second stage."""
    test_users: int
    pairs: float
    """Sum over users of the square of their training interactions."""
    texts: int
    """Items with any text."""
    pictures: int
    """Items that name a picture."""
    text_lengths: tuple[int, ...] = ()
    """Characters of the texts of a sample of the items that have any."""
    records: int = 0
    """Raw records read; 0 if that is not known."""
    raw_bytes: int = 0
    """Of the raw files, as text."""
    source: str = ""
    """Where the counts come from, for people."""
    spread: float = 1.0
    """Factor by which the counts may be wrong; 1 where they are exact."""

    @property
    def exact(self) -> bool:
        """Return whether these are counts and not estimates."""
        return self.spread == 1.0


def of_tables(tables: Artifact) -> Counts:
    """Return the counts of a tables artifact."""
    n_users, n_items = shape_of(tables)
    table = tables.table("interactions.parquet", [USER, ITEM, SPLIT])
    users, items, split = (column.to_numpy() for column in table.itercolumns())
    degrees = {s: np.bincount(users[split == s], minlength=n_users) for s in (TRAIN, *_HELD_OUT)}
    learned = degrees[TRAIN] > 0
    coverage = tables.facts.get("coverage", {})
    lengths, share = text_lengths(_first_items(tables))
    return Counts(
        users=n_users,
        items=n_items,
        interactions=len(users),
        train=int(degrees[TRAIN].sum()),
        hot=int(np.count_nonzero(np.bincount(items[split == TRAIN], minlength=n_items))),
        validation_users=int((learned & (degrees[VALIDATION] > 0)).sum()),
        test_users=int((learned & (degrees[TEST] > 0)).sum()),
        pairs=float(np.square(degrees[TRAIN].astype(np.float64)).sum()),
        texts=round(share * n_items),
        pictures=round(coverage.get("image", 0.0) * n_items),
        text_lengths=lengths,
        records=int(tables.facts.get("records", {}).get("read", 0)),
        source=f"tables {tables.fingerprint}",
    )


_HELD_OUT = (VALIDATION, TEST)


def text_bytes(path: Path, size: int) -> int:
    """Return about how many bytes of text a raw file of this name and size holds."""
    return size * UNPACKED if path.suffix == ".gz" else size


def _first_items(tables: Artifact) -> pa.Table:
    with pq.ParquetFile(tables.file("items.parquet")) as file:
        batches = file.iter_batches(SAMPLED_TEXTS, columns=[*TEXT_FIELDS])
        return pa.Table.from_batches([next(batches)] if file.metadata.num_rows else [], _TEXTS)


_TEXTS = pa.schema(
    [
        pa.field(name, pa.list_(pa.string()) if name == CATEGORIES else pa.string())
        for name in TEXT_FIELDS
    ]
)


def text_lengths(items: pa.Table) -> tuple[tuple[int, ...], float]:
    """Return the characters of the texts of items that have any, and the share that has."""
    total = np.zeros(len(items), dtype=np.int64)
    for name in TEXT_FIELDS:
        total += _characters(items[name].slice(0, len(items)))
    found = total[total > 0]
    return tuple(found.tolist()), len(found) / max(1, len(items))


def _characters(column: Any) -> Rows:  # noqa: ANN401 - pyarrow has no types
    if pa.types.is_list(column.type):
        column = pc.binary_join(column, ", ")
    lengths: Rows = pc.fill_null(pc.utf8_length(column), 0).to_numpy().astype(np.int64)
    return lengths


def pictured(items: pa.Table) -> float:
    """Return the share of items that name a picture."""
    return 1 - int(items[IMAGE].null_count) / max(1, len(items))
