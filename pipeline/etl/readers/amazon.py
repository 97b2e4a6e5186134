"""Amazon reviews and metadata of 2014, 2018 and 2023, told apart line by line by their fields.

Reviews: ``reviewerID`` is of 2014 or 2018 (``overall``, ``unixReviewTime`` in seconds), ``user_id``
of 2023 (``rating``, ``timestamp`` in milliseconds; items join on ``parent_asin``, not on the
``asin`` of the colour or size that was bought).

Metadata: ``parent_asin`` is of 2023; of the others, ``categories``, ``imUrl`` are of 2014 (whose
lines are Python literals) and ``category``, ``main_cat``, ``imageURL`` of 2018. Since no field
changed its meaning between the two, they are read by one function.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl.readers import values
from pipeline.etl.readers.batches import Format, Record, Tap, gather
from pipeline.etl.readers.lines import first_lines, read_lines
from pipeline.etl.readers.pictures import Pictures
from pipeline.etl.readers.values import Rejected, parse_object
from pipeline.etl.records import RAW_INTERACTIONS, RAW_ITEMS, READERS, Batch, Reason

ITEM_KEYS = ("parent_asin", "asin")
"""The fields that name an item."""


@dataclass(frozen=True)
class _Kind:
    """One of the two kinds of files: its fields, what it must not have, where it belongs."""

    name: str
    place: str
    fields: tuple[str, ...]
    never: tuple[str, ...] = ()

    def is_in(self, found: Collection[str]) -> bool:
        """Return whether these are the fields of such a file."""
        return any(f in found for f in self.fields) and not any(f in found for f in self.never)


REVIEWS = _Kind("reviews", "data.interactions", ("reviewerID", "user_id"))
METADATA = _Kind("metadata", "data.items", ITEM_KEYS, never=REVIEWS.fields)

_LOOKED_AT = 50
_ALT = re.compile(r"""\balt=["']([^"']*)["']""")
_BY = re.compile(r"^\s*by\s*\n\s*")
_SCRIPT_TITLE = "getTime"
"""Titles of 2018 that hold a page's script instead of a name hold this word."""

Fields = Mapping[str, Any]


def read_reviews(data: DataConfig) -> Iterator[Batch]:
    """Yield the reviews of ``data.interactions``.

    Raises:
        DataError: the file is missing, empty, or holds no reviews.
    """
    if data.interactions is None:
        raise DataError("amazon-reviews needs data.interactions: the file of reviews")
    _expect(data.interactions, REVIEWS)
    yield from _batches(data.interactions, RAW_INTERACTIONS, review)


def read_metadata(data: DataConfig) -> Iterator[Batch]:
    """Yield the items of ``data.items``, of any edition; nothing where it is not given.

    Raises:
        DataError: the file is missing, empty, or holds no metadata.
    """
    if data.items is None:
        return
    _expect(data.items, METADATA)
    pictures = Pictures(data.images)

    def parse(line: bytes) -> tuple[Any, ...]:
        """Return the item of a metadata line."""
        return metadata(line, pictures)

    yield from _batches(data.items, RAW_ITEMS, parse)


READERS.register("amazon-reviews")(Format(read_reviews, read_metadata))


def _batches(path: Path, schema: Any, parse: Any) -> Iterator[Batch]:  # noqa: ANN401 - Arrow
    tap = Tap(path.name)
    records = (Record(n, line, line) for n, line in read_lines(path, tap) if line.strip())
    return gather(tap, schema, records, parse)


def review(line: bytes) -> tuple[Any, ...]:
    """Return (user, item, rating, timestamp, split) of one line.

    Raises:
        Rejected: not an object, or a field is missing or senseless.
    """
    get = parse_object(line).get
    user = get("reviewerID")
    if user is not None:
        item, stars, moment = get("asin"), get("overall"), get("unixReviewTime")
        if moment is None:
            moment = _day(get("reviewTime"))
    else:
        user, item = get("user_id"), get("parent_asin") or get("asin")
        stars, moment = get("rating"), get("timestamp")
    return (
        values.key(user),
        values.key(item),
        values.rating(stars),
        values.timestamp(moment),
        None,
    )


def _day(written: Any) -> str | None:  # noqa: ANN401 - JSON is any value
    """Return ``07 9, 2012`` as the ISO date that stands for it."""
    if type(written) is not str:
        return None
    month, day, year = [*written.replace(",", " ").split(), "", "", ""][:3]
    return f"{year}-{month:0>2}-{day:0>2}"


def metadata(line: bytes, pictures: Pictures) -> tuple[Any, ...]:
    """Return (key, title, description, brand, categories, price, image) of one line.

    Raises:
        Rejected: not an object, or without a key.
    """
    record = parse_object(line)
    read = _item_2023 if "parent_asin" in record else _item_2014_2018
    if not any(name in record for name in ITEM_KEYS):
        raise Rejected(Reason.MISSING_FIELD)
    key, title, description, brand, categories, price, image = read(record)
    return (
        values.key(key),
        None if title and _SCRIPT_TITLE in title else title,
        description,
        brand,
        categories,
        values.price(price),
        pictures.of(key.strip(), image) if type(key) is str else image,
    )


def _item_2014_2018(record: Fields) -> tuple[Any, ...]:
    get = record.get
    images = (get("imageURLHighRes"), get("imageURL"), get("image"), get("imUrl"))
    return (
        get("asin"),
        values.text(get("title")),
        _joined(get("description"), get("feature")),
        _brand(get("brand")),
        values.names(values.strings([get("categories"), get("category")]))
        or values.names([_main_category(get("main_cat"))]),
        get("price"),
        next((url for image in images if (url := values.reference(image))), None),
    )


def _main_category(written: Any) -> str:  # noqa: ANN401 - JSON is any value
    """Return the name of a main category, which may be a picture with an ``alt`` text."""
    if type(written) is not str:
        return ""
    alt = _ALT.search(written) if "<img" in written else None
    return alt.group(1) if alt else written


def _brand(written: Any) -> str | None:  # noqa: ANN401 - JSON is any value
    """Return a brand without the ``by`` and line break of the page it was taken from."""
    return values.text(_BY.sub("", written) if type(written) is str else written)


def _item_2023(record: Fields) -> tuple[Any, ...]:
    get = record.get
    main, listed = get("main_category"), get("categories")
    return (
        get("parent_asin"),
        values.text(get("title")),
        _joined(get("description"), get("features")),
        values.text(get("store")) or _detail(get("details"), "Brand"),
        values.names(values.strings([main, listed])),
        get("price"),
        _picture_2023(get("images")),
    )


def _joined(description: Any, features: Any) -> str | None:  # noqa: ANN401 - JSON is any value
    """Return the description followed by the bullet points, which are content as well."""
    return values.text([*values.strings(description), *values.strings(features)])


def _detail(details: Any, name: str) -> str | None:  # noqa: ANN401 - JSON is any value
    """Return one of the details, which are an object, or its JSON in the Hugging Face view."""
    if type(details) is str:
        try:
            details = parse_object(details.encode("utf-8", "replace"))
        except Rejected:
            return None
    return values.text(details.get(name)) if type(details) is dict else None


def _picture_2023(images: Any) -> str | None:  # noqa: ANN401 - JSON is any value
    """Return the largest version of the main picture; the others only stand in for it.

    The jsonl has a list of pictures; the Hugging Face view has one mapping of lists.
    """
    if type(images) is dict:
        sizes = [images.get(size) for size in ("hi_res", "large", "thumb")]
        return next((url for s in sizes if (url := values.reference(s))), None)
    pictures = [p for p in images if type(p) is dict] if type(images) is list else []
    pictures.sort(key=lambda p: p.get("variant") != "MAIN")
    sized = (p.get(size) for p in pictures for size in ("hi_res", "large", "thumb"))
    return next((url for s in sized if (url := values.reference(s))), None)


def _expect(path: Path, kind: _Kind) -> None:
    """Refuse a file whose beginning has other fields: two files swapped, or another format."""
    found = fields(path)
    if not found or kind.is_in(found):
        return
    other = METADATA if kind is REVIEWS else REVIEWS
    swapped = f" It looks like Amazon {other.name}, {other.place}." if other.is_in(found) else ""
    raise DataError(
        f"{path} does not hold Amazon {kind.name}, which have one of the fields {[*kind.fields]}; "
        f"found {found}.{swapped} Correct {kind.place}, or read it with format: table"
    )


def fields(path: Path) -> list[str]:
    """Return the names of the fields in a file's first lines; none where no line is an object.

    Raises:
        DataError: the file is missing or empty.
    """
    found: dict[str, None] = {}
    for line in first_lines(path, _LOOKED_AT):
        try:
            found.update(dict.fromkeys(parse_object(line)))
        except Rejected:
            continue
    return [*found]
