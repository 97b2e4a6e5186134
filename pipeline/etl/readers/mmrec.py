"""MMRec folders: ``<name>.inter`` with rows for ids, ``x_label`` for the split.

Users and items are numbered from 0, and ready-made vectors and graphs stand in that order, so an
item's key is its number as text. ``i_id_mapping.csv`` names every item, those without interactions
too; the catalogue's own id (the ASIN) becomes the title, the only thing by which a person can look
the item up: MMRec folders bring no other text. Leave ``embed.text`` null with them. Columns of
rating and timestamp are read where they exist.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.readers import columns, values
from pipeline.etl.readers.batches import Format, Parse, Record, Tap, gather
from pipeline.etl.readers.pictures import Pictures
from pipeline.etl.readers.tabular import Table, open_table
from pipeline.etl.readers.values import Rejected
from pipeline.etl.records import RAW_ITEMS, READERS, Batch, Reason

INTERACTION_NAMES = {
    "user": ("userID", "user_id", "user"),
    "item": ("itemID", "item_id", "item"),
    "weight": ("rating",),
    "timestamp": ("timestamp",),
    "split": ("x_label",),
}
"""Our columns by MMRec's names."""

MAPPING = "i_id_mapping.csv"
"""The file that names the items."""

_MAPPING_NAMES = {"key": ("itemID", "item_id"), "title": ("asin", "item", "id")}


def read_inter(data: DataConfig) -> Iterator[Batch]:
    """Yield the interactions of an MMRec folder.

    Raises:
        DataError: the folder holds no ``.inter`` or several, or the file lacks a column.
    """
    table = open_table(find_inter(data))
    named = {ours: theirs for ours, theirs in data.columns.items() if ours in INTERACTION_NAMES}
    at = columns.bind(table, named, INTERACTION_NAMES, ("user", "item"))
    yield from columns.read_interactions(table, at)


def read_mapping(data: DataConfig) -> Iterator[Batch]:
    """Yield the items in the order of their rows, nothing where no mapping names them.

    Raises:
        DataError: the mapping lacks a column.
    """
    path = data.items or find_inter(data).with_name(MAPPING)
    if data.items is None and not path.is_file():
        return
    table, tap = open_table(path), Tap(path.name)
    at = columns.bind(table, {}, _MAPPING_NAMES, ("key", "title"))
    parse = _item_parser(Pictures(data.images))
    yield from gather(tap, RAW_ITEMS, _by_row(table, tap, at), parse)


READERS.register("mmrec")(Format(read_inter, read_mapping))


def find_inter(data: DataConfig) -> Path:
    """Return the one ``.inter`` file.

    Raises:
        DataError: there is none, or there are several.
    """
    if data.interactions is not None:
        return data.interactions
    if data.folder is None:
        raise DataError("mmrec needs data.folder: the folder that holds NAME.inter")
    found = sorted(data.folder.glob("*.inter")) if data.folder.is_dir() else []
    if len(found) != 1:
        raise DataError(
            f"{data.folder} must hold one .inter file; found {[p.name for p in found]}. Name the "
            f"one that is meant as data.interactions"
        )
    return found[0]


def _by_row(table: Table, tap: Tap, at: dict[str, int]) -> list[Record]:
    """Return the records ordered by item number; there are as many as items, so they fit."""

    def number(record: Record) -> int:
        """Return the row that an item's line names, or one that sorts first."""
        written = "" if isinstance(record.payload, Rejected) else str(record.payload[0]).strip()
        return int(written) if written.isdecimal() else -1

    return sorted(table.records(tap, [at["key"], at["title"]]), key=number)


def _item_parser(pictures: Pictures) -> Parse:
    def parse(cells: Sequence[Any]) -> tuple[Any, ...]:
        """Return the item of a mapping line."""
        key = values.key(cells[0])
        if not key.isdecimal():
            raise Rejected(Reason.BAD_VALUE)
        return (key, values.text(cells[1]), None, None, None, None, pictures.of(key, None))

    return parse
