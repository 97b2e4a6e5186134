"""MovieLens: 100K (``u.data``), 1M and 10M (``ratings.dat``), latest, 20M and larger (CSV).

The folder says which it is by its files. Lines that are not UTF-8 are Latin-1 (100K, 1M). Besides
title and genres, a ``movies.csv`` may bring columns such as ``overview`` and ``poster``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.readers import columns, values
from pipeline.etl.readers.batches import Tap, gather
from pipeline.etl.readers.columns import Meaning
from pipeline.etl.readers.delimited import Dialect
from pipeline.etl.readers.pictures import Pictures
from pipeline.etl.readers.tabular import headless, open_table
from pipeline.etl.records import RAW_ITEMS, READERS, Batch

INTERACTION_NAMES = {
    "user": ("userId",),
    "item": ("movieId",),
    "weight": ("rating",),
    "timestamp": ("timestamp",),
}
"""Our columns by MovieLens' names."""

ITEM_NAMES = {
    "key": ("movieId",),
    "title": ("title",),
    "description": ("overview", "description", "plot"),
    "brand": ("director", "studio"),
    "categories": ("genres",),
    "image": ("poster", "image"),
}
"""Our columns by MovieLens' names, and by those of columns that people add."""

_COMMA = Dialect(",", fallback="latin-1")
_COLONS = Dialect("::", quoted=False, fallback="latin-1")
_TABS = Dialect("\t", quoted=False, fallback="latin-1")
_BARS = Dialect("|", quoted=False, fallback="latin-1")
_RATED = ["userId", "movieId", "rating", "timestamp"]
_FILMS = ["movieId", "title", "genres"]
_GENRES_100K = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|"
    "Film-Noir|Horror|Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
).split("|")
_FIELDS_100K = 5
"""Fields of ``u.item`` before the flags: id, title, two dates, URL."""

_NO_GENRE = frozenset({"(no genres listed)", "unknown"})


@READERS.register("movielens")
def read_movielens(data: DataConfig) -> Iterator[Batch]:
    """Yield the ratings of a MovieLens folder, then its films.

    Raises:
        DataError: the folder is not one of MovieLens, or a file lacks a column.
    """
    folder = data.folder
    if folder is None:
        raise DataError("movielens needs data.folder: the folder that holds ratings.csv or u.data")
    if (ratings := find(folder, "ratings.csv")) is not None:
        yield from _latest(ratings, find(folder, "movies.csv"), data)
    elif (ratings := find(folder, "ratings.dat")) is not None:
        yield from _million(ratings, find(folder, "movies.dat"), data)
    elif (ratings := find(folder, "u.data")) is not None:
        yield from _hundred_thousand(ratings, find(folder, "u.item"), data)
    else:
        found = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else "no such folder"
        raise DataError(
            f"{folder} holds neither ratings.csv, ratings.dat nor u.data; found {found}. Name the "
            f"unpacked MovieLens folder as data.folder"
        )


def find(folder: Path, name: str) -> Path | None:
    """Return the file of that name, or its gzip, or None."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def _latest(ratings: Path, films: Path | None, data: DataConfig) -> Iterator[Batch]:
    table = open_table(ratings, _COMMA)
    at = columns.bind(table, {}, INTERACTION_NAMES, [*INTERACTION_NAMES])
    yield from columns.read_interactions(table, at)
    if films is not None:
        table = open_table(films, _COMMA)
        at = columns.bind(table, {}, ITEM_NAMES, ("key", "title"))
        yield from columns.read_items(table, at, _meaning(data))


def _million(ratings: Path, films: Path | None, data: DataConfig) -> Iterator[Batch]:
    table = headless(ratings, _COLONS, _RATED)
    yield from columns.read_interactions(table, columns.bind(table, {}, INTERACTION_NAMES, ()))
    if films is not None:
        table = headless(films, _COLONS, _FILMS)
        at = columns.bind(table, {}, ITEM_NAMES, ())
        yield from columns.read_items(table, at, _meaning(data))


def _hundred_thousand(ratings: Path, films: Path | None, data: DataConfig) -> Iterator[Batch]:
    table = headless(ratings, _TABS, _RATED)
    yield from columns.read_interactions(table, columns.bind(table, {}, INTERACTION_NAMES, ()))
    if films is None:
        return
    flags = [f"genre {name}" for name in _GENRES_100K]
    named = ["movieId", "title", "released", "released on video", "url", *flags]
    table, pictures = headless(films, _BARS, named), Pictures(data.images)

    def parse(cells: Sequence[str]) -> tuple[Any, ...]:
        key, title = values.key(cells[0]), values.text(cells[1])
        flagged = zip(_GENRES_100K, cells[_FIELDS_100K:], strict=True)
        found = genres("|".join(name for name, flag in flagged if flag == "1"))
        return (key, title, None, None, found, None, pictures.of(key, None))

    tap = Tap(films.name)
    yield from gather(tap, RAW_ITEMS, table.records(tap, [*range(len(named))]), parse)


def genres(written: Any) -> list[str] | None:  # noqa: ANN401 - any cell
    """Return the genres of ``Comedy|Drama``, None where a film has none."""
    listed = written.split("|") if type(written) is str else []
    return values.names(name for name in listed if name.strip() not in _NO_GENRE)


def _meaning(data: DataConfig) -> Meaning:
    return replace(Meaning(), categories=genres, pictures=Pictures(data.images))
