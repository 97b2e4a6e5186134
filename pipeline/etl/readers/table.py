"""Anybody's own files: CSV, TSV, JSON Lines or Parquet, with ``data.columns`` where names differ.

Our columns are user, item, weight (the rating), timestamp and split of interactions, and key,
title, description, brand, categories, price and image of items. A column that has our name, or
``item`` for an item's key, needs no mention. User, item and key must exist, the others may.
Further columns of items that filters may ask for are named, with their types, in
``data.attributes``. Categories are a list, or text separated by ``|``, ``;``, ``>`` or commas.
Without an items file and with ``data.images``, the pictures are the catalogue: ``<item key>.jpg``.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import starmap
from typing import Any

from pipeline.config import DataConfig
from pipeline.errors import ConfigError, DataError, suggest
from pipeline.etl.readers import columns
from pipeline.etl.readers.batches import Format, Record, Tap, gather
from pipeline.etl.readers.columns import INTERACTION_COLUMNS, ITEM_COLUMNS, Meaning
from pipeline.etl.readers.pictures import Pictures
from pipeline.etl.readers.tabular import open_table
from pipeline.etl.records import RAW_ITEMS, READERS, Batch


def read_log(data: DataConfig) -> Iterator[Batch]:
    """Yield the interactions of ``data.interactions``.

    Raises:
        DataError: the file is missing, empty, or lacks a column.
        ConfigError: ``data.columns`` has a key that is no column of ours.
    """
    _check_names(data)
    if data.interactions is None:
        raise DataError("table needs data.interactions: a CSV, TSV, JSON Lines or Parquet file")
    table = open_table(data.interactions)
    named = _only(data.columns, INTERACTION_COLUMNS)
    at = columns.bind(table, named, {c: (c,) for c in INTERACTION_COLUMNS}, ("user", "item"))
    yield from columns.read_interactions(table, at)


def read_catalogue(data: DataConfig) -> Iterator[Batch]:
    """Yield the items of ``data.items``, or of the pictures, or nothing.

    Raises:
        DataError: the file is missing, empty, or lacks a column.
        ConfigError: ``data.columns`` has a key that is no column of ours.
    """
    _check_names(data)
    pictures = Pictures(data.images)
    if data.items is None:
        if data.images is not None:
            yield from _pictured(pictures, data.images.name)
        return
    table = open_table(data.items)
    ours = (*ITEM_COLUMNS, *data.attributes)
    synonyms: dict[str, tuple[str, ...]] = {column: (column,) for column in ours}
    synonyms["key"] = ("key", data.columns.get("item", "item"), "item")
    at = columns.bind(table, _only(data.columns, ours), synonyms, ("key", *data.attributes))
    meaning = Meaning(pictures=pictures, attributes=data.attributes)
    yield from columns.read_items(table, at, meaning)


READERS.register("table")(Format(read_log, read_catalogue))


def _pictured(pictures: Pictures, folder: str) -> Iterator[Batch]:
    if not pictures.named:
        raise DataError(f"data.images: {folder} holds no picture named by an item's key")
    numbered = enumerate(pictures.named.items(), start=1)
    records = starmap(lambda line, named: Record(line, named, named[1]), numbered)
    yield from gather(Tap(folder), RAW_ITEMS, records, _picture_item)


def _picture_item(named: tuple[str, str]) -> tuple[Any, ...]:
    return (named[0], None, None, None, None, None, named[1])


def _only(named: Mapping[str, str], ours: tuple[str, ...]) -> dict[str, str]:
    return {column: theirs for column, theirs in named.items() if column in ours}


_TAKEN = {*INTERACTION_COLUMNS, *RAW_ITEMS.names, "id", "category", "seq", "row", "code", "last"}
"""Names that mean something else, here, in etl's database or in a filter."""
_NAME = re.compile(r"[A-Za-z]\w{0,62}")


def _check_names(data: DataConfig) -> None:
    for name in data.attributes:
        if name in _TAKEN or not _NAME.fullmatch(name):
            raise ConfigError(
                f"data.attributes: {name!r} cannot be the name of an attribute; take letters, "
                f"digits and underscores, and none of {sorted(_TAKEN)}"
            )
    known = [*INTERACTION_COLUMNS, *ITEM_COLUMNS, *data.attributes]
    for ours in data.columns:
        if ours not in known:
            hint = " (did you mean 'weight'?)" if ours == "rating" else suggest(ours, known)
            raise ConfigError(f"data.columns has no {ours!r}{hint}; our columns are {known}")
