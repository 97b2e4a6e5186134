"""MovieLens: 100K (``u.data``), 1M and 10M (``ratings.dat``), latest, 20M and larger (CSV).

The folder says which it is by its files. Lines that are not UTF-8 are Latin-1 (100K, 1M). Besides
title and genres, a ``movies.csv`` may bring columns such as ``overview`` and ``poster``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.readers import columns, values
from pipeline.etl.readers.batches import Format, Tap, gather
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


def read_ratings(data: DataConfig) -> Iterator[Batch]:
    """Yield the ratings of a MovieLens folder.

    Raises:
        DataError: the folder is not one of MovieLens, or the file lacks a column.
    """
    folder = _folder(data)
    if (path := find(folder, "ratings.csv")) is not None:
        table = open_table(path, _COMMA)
    elif (path := find(folder, "ratings.dat")) is not None:
        table = headless(path, _COLONS, _RATED)
    elif (path := find(folder, "u.data")) is not None:
        table = headless(path, _TABS, _RATED)
    else:
        found = sorted(p.name for p in folder.iterdir())
        raise DataError(
            f"{folder} holds neither ratings.csv, ratings.dat nor u.data; found {found}. Name the "
            f"unpacked MovieLens folder as data.folder"
        )
    at = columns.bind(table, {}, INTERACTION_NAMES, [*INTERACTION_NAMES])
    yield from columns.read_interactions(table, at)


def read_films(data: DataConfig) -> Iterator[Batch]:
    """Yield the films of a MovieLens folder, nothing where it has none.

    Raises:
        DataError: the file lacks a column.
    """
    folder, pictures = _folder(data), Pictures(data.images)
    if (path := find(folder, "movies.csv")) is not None:
        table = open_table(path, _COMMA)
    elif (path := find(folder, "movies.dat")) is not None:
        table = headless(path, _COLONS, _FILMS)
    else:
        yield from _films_100k(find(folder, "u.item"), pictures)
        return
    at = columns.bind(table, {}, ITEM_NAMES, ("key", "title"))
    yield from columns.read_items(table, at, Meaning(genres, pictures))


READERS.register("movielens")(Format(read_ratings, read_films))


def _folder(data: DataConfig) -> Path:
    if data.folder is None:
        raise DataError("movielens needs data.folder: the folder that holds ratings.csv or u.data")
    if not data.folder.is_dir():
        raise DataError(f"data.folder: {data.folder} is not a folder")
    return data.folder


def find(folder: Path, name: str) -> Path | None:
    """Return the file of that name, or its gzip, or None."""
    return next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)


def _films_100k(path: Path | None, pictures: Pictures) -> Iterator[Batch]:
    if path is None:
        return
    flags = [f"genre {name}" for name in _GENRES_100K]
    named = ["movieId", "title", "released", "released on video", "url", *flags]

    def parse(cells: Sequence[str]) -> tuple[Any, ...]:
        """Return the item of a line of u.item."""
        key, title = values.key(cells[0]), values.text(cells[1])
        flagged = zip(_GENRES_100K, cells[_FIELDS_100K:], strict=True)
        found = genres("|".join(name for name, flag in flagged if flag == "1"))
        return (key, title, None, None, found, None, pictures.of(key, None))

    tap = Tap(path.name)
    records = headless(path, _BARS, named).records(tap, [*range(len(named))])
    yield from gather(tap, RAW_ITEMS, records, parse)


def genres(written: Any) -> list[str] | None:  # noqa: ANN401 - any cell
    """Return the genres of ``Comedy|Drama``, None where a film has none."""
    listed = written.split("|") if type(written) is str else []
    return values.names(name for name in listed if name.strip() not in _NO_GENRE)
