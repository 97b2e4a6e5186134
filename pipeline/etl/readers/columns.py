"""Tables to batches: which of their columns is ours, and what the cells mean."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import DataError, suggest
from pipeline.etl.readers import values
from pipeline.etl.readers.batches import Parse, Tap, gather
from pipeline.etl.readers.pictures import Pictures
from pipeline.etl.readers.tabular import Table
from pipeline.etl.records import RAW_INTERACTIONS, RAW_ITEMS, Batch

INTERACTION_COLUMNS = ("user", "item", "weight", "timestamp", "split")
ITEM_COLUMNS = ("key", "title", "description", "brand", "categories", "price", "image")


def bind(
    table: Table,
    named: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
    required: Sequence[str],
) -> dict[str, int]:
    """Return the position of each of our columns that the table has.

    Args:
        table: The raw table.
        named: Our column to theirs, as the config says; each of these must exist.
        synonyms: Their possible names of what the config does not name, likeliest first.
        required: Our columns that must be found.

    Raises:
        DataError: a named or required column is not there.
    """
    found: dict[str, int] = {}
    lower = [column.lower() for column in table.columns]
    for ours, candidates in synonyms.items():
        if ours in named:
            found[ours] = _position(table, ours, named[ours])
            continue
        at = next((lower.index(c.lower()) for c in candidates if c.lower() in lower), None)
        if at is not None:
            found[ours] = at
    for ours in required:
        if ours not in found:
            found[ours] = _position(table, ours, synonyms[ours][0])
    return found


def _position(table: Table, ours: str, theirs: str) -> int:
    if theirs in table.columns:
        return table.columns.index(theirs)
    raise DataError(
        f"{table.path} has no column {theirs!r} for {ours}{suggest(theirs, table.columns)}; it has "
        f"{table.columns}. Say which it is under data.columns, for example  {ours}: "
        f"{table.columns[0]}"
    )


def read_interactions(table: Table, at: Mapping[str, int]) -> Iterator[Batch]:
    """Yield batches of interactions from the columns at the given positions."""
    ours = [c for c in INTERACTION_COLUMNS if c in at]
    tap = Tap(table.path.name)
    records = table.records(tap, [at[c] for c in ours])
    return gather(tap, RAW_INTERACTIONS, records, interaction_parser(ours))


def interaction_parser(ours: Sequence[str]) -> Parse:
    """Return what types the cells of the columns ``ours``, which begin with user and item.

    An empty cell of weight, timestamp or split is null, as in a table without that column.
    """
    typed: list[tuple[int, Callable[[Any], Any]] | None] = [
        (ours.index(name), convert) if name in ours else None
        for name, convert in (
            ("weight", values.rating),
            ("timestamp", values.timestamp),
            ("split", values.split_label),
        )
    ]

    def parse(cells: Sequence[Any]) -> tuple[Any, ...]:
        """Return the interaction of a line's cells."""
        rest = [
            None if t is None or values.empty(cells[t[0]]) else t[1](cells[t[0]]) for t in typed
        ]
        return (values.key(cells[0]), values.key(cells[1]), *rest)

    return parse


@dataclass(frozen=True)
class Meaning:
    """What the cells of an item table mean where formats differ."""

    categories: Callable[[Any], list[str] | None] = values.categories
    pictures: Pictures = field(default_factory=lambda: Pictures(None))
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Further columns by name and type."""


def read_items(table: Table, at: Mapping[str, int], meaning: Meaning) -> Iterator[Batch]:
    """Yield batches of items from the columns at the given positions."""
    ours = [c for c in (*ITEM_COLUMNS, *meaning.attributes) if c in at]
    tap = Tap(table.path.name)
    records = table.records(tap, [at[c] for c in ours])
    return gather(tap, RAW_ITEMS, records, item_parser(ours, meaning))


def item_parser(ours: Sequence[str], meaning: Meaning) -> Parse:
    """Return what types the cells of the columns ``ours``, which begin with key."""
    place = {name: at for at, name in enumerate(ours)}
    further = [(name, values.ATTRIBUTES[kind]) for name, kind in meaning.attributes.items()]

    def parse(cells: Sequence[Any]) -> tuple[Any, ...]:
        """Return the item of a line's cells."""

        def cell(name: str) -> Any:  # noqa: ANN401 - any cell
            """Return the cell of one of our columns, None where the file has none."""
            return cells[place[name]] if name in place else None

        key = values.key(cells[0])
        return (
            key,
            values.text(cell("title")),
            values.text(cell("description")),
            values.text(cell("brand")),
            meaning.categories(cell("categories")),
            values.price(cell("price")),
            meaning.pictures.of(key, values.reference(cell("image"))),
            [(name, written(cell(name))) for name, written in further] or None,
        )

    return parse
