"""How much there will be, from the first records of the raw files.

The readers of the etl stage are asked for their first batches, so that every format is understood
here exactly as it will be when it is read in full.
"""

import importlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.config import Config, DataConfig, EtlConfig
from pipeline.planner.counts import SAMPLED_TEXTS, Counts, pictured, text_bytes, text_lengths
from pipeline.planner.distinct import distinct_in
from pipeline.schema import IMAGE, KEY

SAMPLE_SECONDS = 0.6
"""Reading of the log, and of the catalogue, stops at the first batch after this."""
ROUGH = 1.3
"""Factor by which an estimate from a sample may be wrong, and in its square root for distinct
users."""


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
    kept = _kept(log, config.etl)
    users = distinct_in(_keys(log.table, "user"), max(kept, len(log.table)))
    known = distinct_in(_keys(log.table, "item"), max(kept, len(log.table)))
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
        spread=1.05 if whole else ROUGH,
    )


def _format(name: str) -> Any:  # noqa: ANN401 - etl's, which is not imported before it is used
    for package in ("pipeline.etl.readers", "pipeline.etl.demo"):
        importlib.import_module(package)
    return importlib.import_module("pipeline.etl.records").READERS[name]


def _sampled(batches: Iterator[Any], data: DataConfig) -> Sample:
    """Return the first batches of a reader, and how many records the rest must hold."""
    deadline = time.perf_counter() + SAMPLE_SECONDS
    parts: list[pa.Table] = []
    read, taken, sources, ended = 0, 0, set[str](), True
    for batch in batches:
        parts.append(batch.interactions if len(batch.interactions) else batch.items)
        read, taken = read + batch.records, taken + batch.bytes_read
        sources.add(batch.source)
        if time.perf_counter() > deadline:
            ended = next(batches, None) is None
            break
    table = pa.concat_tables(p for p in parts if len(p)) if any(map(len, parts)) else _NOTHING
    paths = _files_like(sources, data)
    size = sum(path.stat().st_size for path in paths)
    total = read if ended or not taken else round(read * max(size, taken) / taken)
    return Sample(table, read, total, sum(text_bytes(p, p.stat().st_size) for p in paths))


_NOTHING = pa.schema([(name, pa.string()) for name in ("user", "item", KEY, IMAGE)]).empty_table()


def _files_like(sources: set[str], data: DataConfig) -> set[Path]:
    """Return the files that were read from, and those in the folder of the same kind."""
    paths = {p for p in (data.interactions, data.items) if p and p.name in sources}
    if data.folder and data.folder.is_dir():
        suffixes = {Path(name).suffix for name in sources if Path(name).suffix == ".inter"}
        inside = (p for p in data.folder.iterdir() if p.is_file())
        paths |= {p for p in inside if p.name in sources or p.suffix in suffixes}
    return paths


def _keys(table: pa.Table, name: str) -> list[str]:
    keys: list[str] = table[name].to_pylist() if name in table.column_names else []
    return keys


def _items(catalogue: Sample) -> int:
    """Return how many items a catalogue holds; some repeat a key."""
    if not len(catalogue.table):
        return 0
    return catalogue.scaled(len(set(_keys(catalogue.table, KEY))))


def _kept(log: Sample, etl: EtlConfig) -> int:
    """Return how many interactions will be kept, before users and items of few are left out."""
    table = log.table
    if not len(table):
        return 0
    kept = len(table)
    if etl.min_rating is not None and "rating" in table.column_names:
        ratings = table["rating"].to_numpy()
        kept = int(np.count_nonzero(~(ratings < etl.min_rating)))
    if log.whole:
        pairs = set(zip(_keys(table, "user"), _keys(table, "item"), strict=True))
        kept = round(kept * len(pairs) / len(table))
    return log.scaled(kept)


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
    if rule.rule == "global-time":  # a user is there at some time or not: far fewer are in both
        share = 0.6 * (1 - (1 - rule.validation) ** per_user)
    pairs = 2.0 * train * train / max(1, users)  # twice what equal users would have
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
