"""What a reader yields: batches of raw interactions, raw items and rejects, with source lines.

A reader parses and types; it never drops a record in silence and never stops at a bad one. What
the records mean together (duplicates, thresholds, cores, splits) is decided after staging.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from pipeline.config import DataConfig
from pipeline.registry import Registry
from pipeline.schema import ITEMS, REJECTS

RAW_INTERACTIONS = pa.schema(
    [
        ("user", pa.string()),
        ("item", pa.string()),
        ("rating", pa.float32()),
        ("timestamp", pa.int64()),
        ("split", pa.int8()),
        ("source", pa.string()),
        ("line", pa.int64()),
    ]
)
"""Keys as in the file; rating, timestamp (seconds) and split are null where the format has none."""

RAW_ITEMS = pa.schema(
    [
        *ITEMS,
        ("attributes", pa.map_(pa.string(), pa.string())),
        ("source", pa.string()),
        ("line", pa.int64()),
    ]
)
"""One row per metadata record; a key may stand several times, the latest line wins. Attributes are
texts that their types can be read from, null from readers that know none."""

BATCH_RECORDS = 20_000
"""Records a reader gathers before it yields: bounds memory whatever the file's size."""


@dataclass(frozen=True)
class Batch:
    """Some consecutive records of one source; ``records`` counts what was read for it."""

    source: str
    records: int
    interactions: pa.Table = field(default_factory=RAW_INTERACTIONS.empty_table)
    items: pa.Table = field(default_factory=RAW_ITEMS.empty_table)
    rejects: pa.Table = field(default_factory=REJECTS.empty_table)
    bytes_read: int = 0
    """Of the raw (compressed) file, for progress."""


Reader = Callable[[DataConfig], Iterator[Batch]]
"""Streams a data set; for every batch, records = interactions + items + rejects."""

READERS: Registry[Reader] = Registry("data format")


class Reason:
    """Reason codes of rejects."""

    NOT_PARSEABLE = "not_parseable"
    MISSING_FIELD = "missing_field"
    BAD_VALUE = "bad_value"
    WRONG_WIDTH = "wrong_width"
    TRUNCATED = "truncated_file"
    BAD_ENCODING = "bad_encoding"
    DUPLICATE = "duplicate"
    BELOW_RATING = "below_min_rating"
    BELOW_CORE = "below_core"
