"""Which column of somebody's own table plays which role, by its name and by what it holds."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from pipeline.etl.readers import values
from pipeline.etl.readers.pictures import SUFFIXES
from pipeline.etl.readers.values import Rejected

INTERACTION_SYNONYMS = {
    "user": "user userid uid username customer customerid client clientid account accountid member "
    "memberid buyer buyerid visitor visitorid reviewer reviewerid person personid shopper reader",
    "item": "item itemid iid product productid sku asin parentasin article articleid movie movieid "
    "film filmid book bookid isbn track trackid song songid video videoid content contentid",
    "weight": "weight rating ratings stars score overall grade count quantity plays playcount",
    "timestamp": "timestamp time ts date datetime createdat created eventtime eventdate orderdate "
    "purchasedate purchasedat unixreviewtime when tdat",
    "split": "split xlabel fold subset partition",
}
"""Names of our interaction columns in other people's tables, lower case, letters and digits."""

ITEM_SYNONYMS = {
    "key": INTERACTION_SYNONYMS["item"] + " key id code",
    "title": "title name itemname productname producttitle itemtitle movietitle label headline",
    "description": "description desc text overview summary abstract plot body details about "
    "longdescription productdescription detaildesc",
    "brand": "brand brandname store manufacturer maker vendor author artist director publisher",
    "categories": "categories category genres genre tags department producttype producttypename "
    "class topic section kind",
    "price": "price cost amount listprice unitprice saleprice",
    "image": "image images imageurl imurl imagepath img picture pictureurl photo poster thumbnail "
    "cover imagelink",
}
"""Names of our item columns in other people's tables."""

_FIRST_SECOND, _LAST_SECOND = 631_152_000, 2_208_988_800
_MOST, _HALF = 0.9, 0.5
_DESCRIBES, _ENTITLES = 60, 4
_FEW, _USUAL_RATING, _LARGEST_RATING = 12, 10, 100


@dataclass(frozen=True)
class Role:
    """A column of theirs for one of ours."""

    column: str
    reason: str
    """Why it was taken, as a sentence part."""
    sure: bool = True


@dataclass(frozen=True)
class Sampled:
    """The beginning of a table: names, and rows of as many cells."""

    names: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def cells(self, name: str) -> list[Any]:
        """Return the cells of a column that hold something."""
        at = self.names.index(name)
        return [row[at] for row in self.rows if not values.blank(row[at])]

    def identifiers(self) -> set[str]:
        """Return the keys in every column whose cells all differ."""
        columns = (self.keys(name) for name in self.names)
        return {key for keys in columns if len(keys) == len(self.rows) for key in keys}

    def keys(self, name: str) -> set[str]:
        """Return the column's cells as keys, those that can be."""
        return {key for cell in self.cells(name) if (key := _try(values.key, cell)) is not None}


def interaction_roles(table: Sampled, item_keys: AbstractSet[str]) -> dict[str, Role]:
    """Return the role of each interaction column that was recognised.

    Where users and items are both numbered from 1, more of the catalogue's keys occur in the
    column of items than by chance in that of users; this is said to be unsure all the same.

    Args:
        table: The beginning of the log.
        item_keys: Values of the catalogue's columns that could be keys; empty without a catalogue.
    """
    found = _by_name(table.names, INTERACTION_SYNONYMS)
    free = _Free(table, found)
    free.take("timestamp", lambda name: _share(table.cells(name), _is_moment), "it holds times")
    free.take("weight", lambda name: _rating_like(table.cells(name)), "it holds few numbers")
    rivals = [n for n in free.names() if _share_in(table.keys(n), item_keys) > _HALF]
    reason = "most of the catalogue's keys are in it"
    shared = {name: len(table.keys(name) & item_keys) for name in free.names()}
    free.take("item", lambda name: shared[name], reason, least=0, sure=len(rivals) < 2)
    by_variety = sorted(free.names(), key=lambda name: -len(table.keys(name)))
    likely = [name for name in table.names if name in by_variety[: _missing(found)]]
    for ours in ("user", "item"):
        if ours not in found and likely:
            guessed = "a guess by position: the columns left with most values"
            found[ours] = Role(likely.pop(0), guessed, sure=False)
    return {ours: found[ours] for ours in INTERACTION_SYNONYMS if ours in found}


def item_roles(table: Sampled, seen: AbstractSet[str]) -> dict[str, Role]:
    """Return the role of each item column that was recognised.

    Args:
        table: The beginning of the catalogue.
        seen: Item keys of the interactions, empty where they are not known yet.
    """
    found = _by_name(table.names, ITEM_SYNONYMS)
    shares = {name: _share_in(table.keys(name), seen) for name in table.names}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] > 0 and (current := found.get("key")) and shares[current.column] == 0:
        found["key"] = Role(best, "its values occur among the interactions")
    found = {o: r for o, r in found.items() if o == "key" or r.column != _column(found, "key")}
    free = _Free(table, found)
    free.take("key", lambda name: shares[name], "its values occur among the interactions", least=0)
    free.take("key", lambda name: _distinct(table, name), "all its values differ", sure=False)
    free.take("image", lambda name: _share(table.cells(name), _is_picture), "it names pictures")
    free.take("description", lambda name: _text_like(table, name, _DESCRIBES), "its long texts")
    free.take("title", lambda name: _title_like(table, name), "its texts differ", sure=False)
    free.take("categories", lambda name: _share(table.cells(name), _is_list), "it holds lists")
    return {ours: found[ours] for ours in ITEM_SYNONYMS if ours in found}


class _Free:
    """The columns without a role; hands the best of them out."""

    def __init__(self, table: Sampled, found: dict[str, Role]) -> None:
        self._table, self._found = table, found

    def names(self) -> list[str]:
        """Return the columns that have no role yet."""
        taken = {role.column for role in self._found.values()}
        return [name for name in self._table.names if name not in taken]

    def take(
        self,
        ours: str,
        worth: Callable[[str], float],
        reason: str,
        *,
        least: float = _HALF,
        sure: bool = True,
    ) -> None:
        """Give ``ours`` the free column worth most, if it has none and that is above ``least``.

        Of equals the last is taken: identifiers stand first in most tables.
        """
        if ours in self._found:
            return
        worths = {name: worth(name) for name in self.names()}
        best = max(reversed(worths), key=lambda name: worths[name], default=None)
        if best is not None and worths[best] > least:
            self._found[ours] = Role(best, reason, sure)


def _by_name(names: Sequence[str], synonyms: dict[str, str]) -> dict[str, Role]:
    plain = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in reversed(names)}
    found: dict[str, Role] = {}
    for ours, known in synonyms.items():
        match = next((plain[word] for word in known.split() if word in plain), None)
        if match is not None and match not in {role.column for role in found.values()}:
            found[ours] = Role(match, "by its name")
    return found


def _missing(found: dict[str, Role]) -> int:
    return sum(ours not in found for ours in ("user", "item"))


def _column(found: dict[str, Role], ours: str) -> str | None:
    return found[ours].column if ours in found else None


def _try(convert: Callable[[Any], Any], cell: Any) -> Any:  # noqa: ANN401 - any cell
    try:
        return convert(cell)
    except Rejected:
        return None


def _share(cells: Sequence[Any], holds: Callable[[Any], bool]) -> float:
    return sum(map(holds, cells)) / len(cells) if cells else 0.0


def _share_in(keys: Collection[str], known: AbstractSet[str]) -> float:
    return sum(key in known for key in keys) / len(keys) if keys else 0.0


def _is_moment(cell: Any) -> bool:  # noqa: ANN401 - any cell
    seconds = _try(values.timestamp, cell)
    return seconds is not None and _FIRST_SECOND <= seconds <= _LAST_SECOND


def _rating_like(cells: Sequence[Any]) -> float:
    """Return the share of small numbers; less where they go beyond ten."""
    numbers = [_try(values.rating, cell) for cell in cells]
    small = {n for n in numbers if n is not None and abs(n) <= _LARGEST_RATING}
    if not small or len(small) > _FEW:
        return 0.0
    share = sum(n in small for n in numbers) / len(cells)
    return share * (0.6 if max(small) > _USUAL_RATING else 1.0)


def _is_picture(cell: Any) -> bool:  # noqa: ANN401 - any cell
    written = values.reference(cell)
    return bool(written and written.lower().split("?")[0].endswith(SUFFIXES))


def _is_list(cell: Any) -> bool:  # noqa: ANN401 - any cell
    return type(cell) is list or (type(cell) is str and any(mark in cell for mark in "|;>["))


def _strings(table: Sampled, name: str) -> Iterator[str]:
    return (c for c in table.cells(name) if type(c) is str and _try(values.rating, c) is None)


def _text_like(table: Sampled, name: str, length: int) -> float:
    """Return 1 where texts are at least ``length`` long on average, less where they are shorter."""
    lengths = [len(text) for text in _strings(table, name)]
    return min(1.0, sum(lengths) / len(lengths) / length / 2) if lengths else 0.0


def _title_like(table: Sampled, name: str) -> float:
    texts = [t for t in _strings(table, name) if len(t) >= _ENTITLES]
    share = len(texts) / max(1, len(table.rows))
    return len(set(texts)) / len(texts) * share if texts else 0.0


def _distinct(table: Sampled, name: str) -> float:
    """Return about 1 where all cells differ, a little more for columns further left, else 0."""
    differ = len(table.keys(name)) == len(table.rows)
    return differ * (1 - table.names.index(name) / (2 * len(table.names)))
