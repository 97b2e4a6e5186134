"""Amazon's ratings-only CSV of 2014, 2018 and 2023, whose columns stand in different orders.

    2014  no header  user,item,rating,timestamp
    2018  no header  item,user,rating,timestamp
    2023  header     user_id,parent_asin,rating,timestamp (milliseconds)

A header decides by its names. Without one the first ``LOOKED_AT`` lines decide:

- the rating is the column of numbers up to 10; the timestamp the one of whole numbers that are
  seconds or milliseconds between 1995 and 2040 (an ISBN is mostly outside, or begins with zero);
  nine tenths of the values must agree, since lines may be bad;
- of the two others, the item is the one in which more values have the shape of an ASIN (``B`` and
  nine capitals or digits, or an ISBN of nine digits and a check character). A reviewer's id begins
  with ``A`` and is mostly longer, so one column has nearly all and the other nearly none.

If the shares are closer than ``CLEAR`` the file is refused with the cure, which is to say the
columns under ``data.columns``: by name, or by position from 1 where there is no header.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.readers import columns, delimited
from pipeline.etl.readers.amazon import read_metadata
from pipeline.etl.readers.batches import Format
from pipeline.etl.readers.tabular import Table
from pipeline.etl.records import READERS, Batch

LOOKED_AT = 1000
"""Records whose content decides the order of columns."""

CLEAR = 0.2
"""By how much the shares of ASIN shapes must differ."""

MOST = 0.9
"""Share of a column's values that decide what it is."""

SYNONYMS = {
    "user": ("user_id", "user", "reviewerID", "userId"),
    "item": ("parent_asin", "asin", "item", "item_id", "itemId"),
    "weight": ("rating", "overall", "stars"),
    "timestamp": ("timestamp", "unixReviewTime", "time", "ts"),
}
"""Our columns by the names that headers give them."""

_MOMENT = re.compile(r"[1-9][0-9]{8,9}|[1-9][0-9]{11,12}")
_FIRST_SECOND, _LAST_SECOND = 788_918_400, 2_208_988_800
_ASIN = re.compile(r"B[0-9A-Z]{9}|[0-9]{9}[0-9X]")


def read_ratings(data: DataConfig) -> Iterator[Batch]:
    """Yield the ratings of ``data.interactions``.

    Raises:
        DataError: the file is missing or empty, or the order of columns cannot be told.
    """
    if data.interactions is None:
        raise DataError("amazon-ratings needs data.interactions: the CSV of ratings")
    table = open_ratings(data.interactions)
    at = columns.bind(table, data.columns, SYNONYMS, ("user", "item", "weight", "timestamp"))
    yield from columns.read_interactions(table, at)


READERS.register("amazon-ratings")(Format(read_ratings, read_metadata))


def open_ratings(path: Path) -> Table:
    """Return the table with our column names where it has no header.

    Raises:
        DataError: the order of columns cannot be told from names or content.
    """
    dialect = delimited.sniff(path)
    first = delimited.header(path, dialect)
    if not any(_number(cell) is not None for cell in first):
        return Table(path, "text", first, dialect)
    positions = [str(at + 1) for at in range(len(first))]
    table = Table(path, "text", positions, dialect, headed=False)
    found = column_order(table.sample(LOOKED_AT))
    if found is None:
        return table
    return replace(table, columns=found)


def column_order(rows: Sequence[Sequence[str]]) -> list[str] | None:
    """Return our column names in the order of these rows, None if their content does not tell."""
    if not rows or len(rows[0]) != 4:
        return None
    cells = [*zip(*rows, strict=True)]
    stamps = [at for at, column in enumerate(cells) if _mostly(column, _is_moment)]
    ratings = [at for at, column in enumerate(cells) if _mostly(column, _is_stars)]
    rest = [at for at in range(4) if at not in (*stamps, *ratings)]
    if (len(stamps), len(ratings), len(rest)) != (1, 1, 2):
        return None
    shares = [sum(bool(_ASIN.fullmatch(v)) for v in cells[at]) / len(rows) for at in rest]
    if abs(shares[0] - shares[1]) < CLEAR:
        return None
    user, item = rest if shares[1] > shares[0] else reversed(rest)
    named = {user: "user", item: "item", ratings[0]: "rating", stamps[0]: "timestamp"}
    return [named[at] for at in range(4)]


def _mostly(column: Sequence[str], holds: Callable[[str], bool]) -> bool:
    return sum(map(holds, column)) >= MOST * len(column)


def _is_moment(cell: str) -> bool:
    if not _MOMENT.fullmatch(cell):
        return False
    seconds = int(cell) if len(cell) <= 10 else int(cell) // 1000
    return _FIRST_SECOND <= seconds <= _LAST_SECOND


def _is_stars(cell: str) -> bool:
    number = _number(cell)
    return number is not None and 0 <= number <= 10


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
