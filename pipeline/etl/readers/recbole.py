"""RecBole's atomic files: tab-separated, headers such as ``item_id:token``.

``<name>.inter`` holds interactions and ``<name>.item`` items; benchmark parts
(``<name>.train.inter``, ``.valid.inter``, ``.test.inter``) bring their split. Fields are found by
name, or by ``data.columns`` with or without their type. A ``token_seq`` of categories is separated
by spaces; a title of that type is words, which are text already.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.readers import columns, values
from pipeline.etl.readers.batches import Format
from pipeline.etl.readers.columns import Meaning
from pipeline.etl.readers.delimited import Dialect
from pipeline.etl.readers.pictures import Pictures
from pipeline.etl.readers.tabular import Table, open_table
from pipeline.etl.records import RAW_INTERACTIONS, READERS, Batch
from pipeline.schema import TEST, TRAIN, VALIDATION

INTERACTION_NAMES = {
    "user": ("user_id", "userID", "user", "uid", "session_id"),
    "item": ("item_id", "itemID", "item", "iid"),
    "weight": ("rating", "stars", "overall", "label"),
    "timestamp": ("timestamp", "time", "ts"),
    "split": ("split",),
}
"""Our columns by the names in RecBole's data sets."""

ITEM_NAMES = {
    "key": ("item_id", "itemID", "item", "iid"),
    "title": ("title", "movie_title", "name", "item_name"),
    "description": ("description", "overview", "desc"),
    "brand": ("brand", "store", "artist", "author"),
    "categories": ("categories", "category", "genre", "genres", "class"),
    "price": ("price",),
    "image": ("image", "image_url", "imUrl", "poster"),
}
"""Our columns by the names in RecBole's data sets."""

_TABS = Dialect("\t", quoted=False)
_PARTS = {"train": TRAIN, "valid": VALIDATION, "test": TEST}
_QUOTED = re.compile(r"'([^']+)'")


def read_inter(data: DataConfig) -> Iterator[Batch]:
    """Yield the interactions of a folder of atomic files.

    Raises:
        DataError: the folder holds no ``.inter``, or several data sets, or a file lacks a field.
    """
    for path in find_inter(data):
        table, label = open_atomic(path), part_of(path)
        untyped = _untyped(data.columns, INTERACTION_NAMES)
        at = columns.bind(table, untyped, INTERACTION_NAMES, ("user", "item"))
        for batch in columns.read_interactions(table, at):
            yield batch if label is None else _labelled(batch, label)


def read_item(data: DataConfig) -> Iterator[Batch]:
    """Yield the items of ``data.items``, or of the ``.item`` file beside the interactions.

    Raises:
        DataError: the file lacks a field.
    """
    path = data.items or _items_beside(find_inter(data)[0])
    if path is None:
        return
    table = open_atomic(path)
    at = columns.bind(table, _untyped(data.columns, ITEM_NAMES), ITEM_NAMES, ("key",))
    yield from columns.read_items(table, at, Meaning(_sequence, Pictures(data.images)))


READERS.register("recbole")(Format(read_inter, read_item))


def find_inter(data: DataConfig) -> list[Path]:
    """Return the ``.inter`` file, or its benchmark parts, of the one data set there is.

    Raises:
        DataError: there is none, or more than one.
    """
    if data.interactions is not None:
        return [data.interactions]
    if data.folder is None:
        raise DataError("recbole needs data.folder: the folder that holds NAME.inter")
    every = sorted(data.folder.glob("*.inter")) if data.folder.is_dir() else []
    if not every:
        raise DataError(f"{data.folder} holds no .inter file; name the data set's own folder")
    parts = [p for p in every if part_of(p) is not None]
    whole = [p for p in every if p not in parts]
    sets = {p.name.split(".")[0] for p in every}
    if len(sets) > 1 or len(whole) > 1:
        raise DataError(
            f"{data.folder} holds {[p.name for p in every]}; name one of them as data.interactions"
        )
    return parts or whole


def part_of(path: Path) -> int | None:
    """Return the split that a benchmark part's name says, None for a whole data set."""
    pieces = path.name.split(".")
    return _PARTS.get(pieces[-2]) if len(pieces) > 2 else None


def open_atomic(path: Path) -> Table:
    """Return the table with its field names, types left off."""
    table = open_table(path, _TABS)
    return replace(table, columns=[name.split(":")[0] for name in table.columns])


def _untyped(named: Mapping[str, str], only: Mapping[str, Any]) -> dict[str, str]:
    return {ours: theirs.split(":")[0] for ours, theirs in named.items() if ours in only}


def _labelled(batch: Batch, label: int) -> Batch:
    at = RAW_INTERACTIONS.get_field_index("split")
    labels = pa.repeat(pa.scalar(label, pa.int8()), len(batch.interactions))
    return replace(batch, interactions=batch.interactions.set_column(at, "split", labels))


def _items_beside(inter: Path) -> Path | None:
    found = inter.with_name(f"{inter.name.split('.')[0]}.item")
    return found if found.is_file() else None


def _sequence(written: Any) -> list[str] | None:  # noqa: ANN401 - any cell
    """Return the tokens of a sequence; those in quotes, as in the Amazon sets, keep spaces."""
    if type(written) is not str:
        return None
    return values.names(_QUOTED.findall(written) or written.split())
