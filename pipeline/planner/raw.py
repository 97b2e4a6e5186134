"""How much there will be, from the first records of the raw files.

The readers of the etl stage are asked for their first batches, so that every format is understood
here exactly as it will be when it is read in full.
"""

import importlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.arrays import Flags
from pipeline.config import Config, DataConfig, EtlConfig
from pipeline.planner.counts import SAMPLED_TEXTS, Counts, pictured, text_bytes, text_lengths
from pipeline.planner.distinct import distinct_in
from pipeline.schema import IMAGE, ITEMS, KEY

SAMPLE_SECONDS = 0.25
"""Reading of the log, and of the catalogue, stops at the first batch after this."""
ROUGH, SURE = 1.3, 1.05
"""Factors by which an estimate from a sample, and one from all records, may be wrong."""
_ATOMIC = ".inter"
"""Ends the names of files of which a folder may hold several parts."""
_THERE_IN_BOTH = 0.85
"""Of the users who would have an interaction in a period if all came and went at random."""
_UNEQUAL = 1.7
"""Mean square of histories against the square of their mean."""


@dataclass(frozen=True)
class Sample:
    """The first records of a kind, and how many there are in all."""

    table: pa.Table
    read: int
    total: int
    text_bytes: int
    """Of the files of this kind, unpacked."""

    @property
    def whole(self) -> bool:
        """Return whether everything was read."""
        return self.read >= self.total

    def scaled(self, count: int) -> int:
        """Return what a count in the sample comes to in all."""
        return round(count * self.total / max(1, self.read))


def of_raw(config: Config) -> Counts:
    """Return the counts to expect of raw files.

    Raises:
        DataError: a raw file is missing, or not of its format.
    """
    reader = _format(config.data.format)
    log = _sampled(reader.interactions(config.data), config.data)
    catalogue = _sampled(reader.items(config.data), config.data)
    users, known, kept = _counted(log, config.etl)
    items = max(known, _items(catalogue))
    lengths, worded = text_lengths(catalogue.table.slice(0, SAMPLED_TEXTS))
    whole = log.whole and catalogue.whole
    split = _divided(config.etl, users, min(known, items), kept)
    return Counts(
        users=users,
        items=items,
        interactions=kept,
        **split,
        texts=round(worded * items),
        pictures=_pictures(config.data, catalogue.table, items),
        text_lengths=lengths,
        records=log.total + catalogue.total,
        raw_bytes=log.text_bytes + catalogue.text_bytes,
        source="the raw files" if whole else f"the first {log.read:,} of the raw records",
        spread=SURE if whole else ROUGH,
    )


def raw_text_bytes(data: DataConfig) -> int:
    """Return about how many bytes of text the log and the catalogue hold, if they are files."""
    paths = {Path(path) for path in (data.interactions, data.items) if path is not None}
    return sum(text_bytes(path, path.stat().st_size) for path in paths if path.is_file())


def _format(name: str) -> Any:  # noqa: ANN401 - etl's, which is not imported before it is used
    for package in ("pipeline.etl.readers", "pipeline.etl.demo"):
        importlib.import_module(package)
    return importlib.import_module("pipeline.etl.records").READERS[name]


def _sampled(batches: Iterator[Any], data: DataConfig) -> Sample:
    """Return the first batches of a reader, and how many records the rest must hold."""
    deadline = time.perf_counter() + SAMPLE_SECONDS
    parts: list[pa.Table] = []
    paths: set[Path] = set()
    read = taken = rest = 0
    for batch in batches:
        parts.append(batch.interactions if len(batch.interactions) else batch.items)
        read, taken = read + batch.records, taken + batch.bytes_read
        paths |= _files_like(batch.source, data)
        left = sum(path.stat().st_size for path in paths) - taken
        if left > 0 and taken and time.perf_counter() > deadline:
            rest = max(1, round(read * left / taken))
            break
    found = [part for part in parts if len(part)]
    table = pa.concat_tables(found) if found else _nothing()
    return Sample(table, read, read + rest, sum(text_bytes(p, p.stat().st_size) for p in paths))


def _nothing() -> pa.Table:
    """Return no record of either kind; made when asked for, as pyarrow loads pandas to make it."""
    return pa.schema([("user", pa.string()), ("item", pa.string()), *ITEMS]).empty_table()


def _files_like(source: str, data: DataConfig) -> set[Path]:
    """Return the file of that name, and of an atomic file those beside it that are like it."""
    paths = {path for path in (data.interactions, data.items) if path and path.name == source}
    if data.folder and data.folder.is_dir():
        kind = Path(source).suffix
        alike = data.folder.glob(f"*{kind}") if kind == _ATOMIC else [data.folder / source]
        paths |= {path for path in alike if path.is_file()}
    return paths


def _keys(table: pa.Table, name: str) -> list[str]:
    keys: list[str] = table[name].to_pylist() if name in table.column_names else []
    return keys


def _items(catalogue: Sample) -> int:
    """Return how many items a catalogue holds; some repeat a key."""
    if not len(catalogue.table):
        return 0
    return catalogue.scaled(len(set(_keys(catalogue.table, KEY))))


def _counted(log: Sample, etl: EtlConfig) -> tuple[int, int, int]:
    """Return how many users, items and interactions a log comes to when it is cleaned."""
    users, items = (_keys(log.table, name) for name in ("user", "item"))
    if log.whole:
        pairs = [
            *{
                pair
                for pair, good in zip(zip(users, items, strict=True), _good(log, etl), strict=True)
                if good
            }
        ]
        return core(pairs, etl.user_core, etl.item_core)
    kept = log.scaled(int(_good(log, etl).sum()))
    return distinct_in(users, log.total), distinct_in(items, log.total), kept


def _good(log: Sample, etl: EtlConfig) -> Flags:
    """Return which interactions are rated high enough; one without a rating is."""
    if etl.min_rating is None or "rating" not in log.table.column_names:
        return np.ones(len(log.table), dtype=np.bool_)
    ratings = log.table["rating"].to_numpy()
    good: Flags = ~(ratings < etl.min_rating)
    return good


def core(pairs: Sequence[tuple[str, str]], of_user: int, of_item: int) -> tuple[int, int, int]:
    """Return the users, items and interactions that are left when those of few are left out."""
    columns = zip(*pairs, strict=True) if pairs else ((), ())
    users, items = (np.unique(np.asarray(c, str), return_inverse=True)[1] for c in columns)
    before = -1
    while before != len(users):
        before = len(users)
        often = np.bincount(users)[users] >= of_user if before else np.zeros(0, dtype=bool)
        users, items = users[often], items[often]
        often = np.bincount(items)[items] >= of_item if len(items) else np.zeros(0, dtype=bool)
        users, items = users[often], items[often]
    return len(np.unique(users)), len(np.unique(items)), len(users)


def _divided(etl: EtlConfig, users: int, hot: int, kept: int) -> dict[str, Any]:
    """Return what the split will leave, as if every user had the mean number of interactions."""
    rule = etl.split
    per_user = kept / max(1, users)
    held = rule.validation + rule.test
    if rule.rule == "leave-last-out":
        train = max(0, kept - 2 * users)
    else:
        train = round(kept * (1 - (held if rule.rule != "label" else 0.2)))
    share = 1.0
    if rule.rule == "global-time":
        share = _THERE_IN_BOTH * (1 - (1 - rule.validation) ** per_user)
    pairs = _UNEQUAL * train * train / max(1, users)
    evaluated = round(share * users)
    return {
        "train": train,
        "hot": round(0.97 * hot),
        "pairs": pairs,
        "validation_users": evaluated,
        "test_users": evaluated,
    }


def _pictures(data: DataConfig, items: pa.Table, count: int) -> int:
    if data.images is not None and data.images.is_dir():
        return min(count, sum(1 for p in data.images.rglob("*") if p.is_file()))
    return round(pictured(items) * count) if IMAGE in items.column_names else 0
