"""The lines of each edition, with what is odd about them.

Pictures are named by URLs below ``.invalid``, a domain that never resolves, so that nobody's
server is asked for pictures that do not exist.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from pipeline.etl.generate.vocabulary import (
    BLAME,
    BRANDS,
    COLOURS,
    KINDS,
    PRAISE,
    SUMMARIES,
)

DRAWS = 8
"""Random whole numbers that a line is made of."""

SPANS = {
    2014: (dt.date(2000, 6, 1), dt.date(2014, 7, 23)),
    2018: (dt.date(2000, 6, 1), dt.date(2018, 10, 5)),
    2023: (dt.date(2001, 1, 1), dt.date(2023, 9, 13)),
}
"""First and last day of an edition."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_HOST = "https://images.invalid/images/I"
_ISBN_EVERY = 50
_DAY_SECONDS = 86_400
_FAKE_STYLE = '<style type="text/css">.a-box{display:block}</style><span class="a-price">$9.99'
_FAKE_CAT = '<img src="{host}/nav.png" class="nav-categ-image" alt="{name}"/>'
_TITLE_SCRIPT = "var aPageStart = (new Date()).getTime(); // {title}"


@dataclass(frozen=True)
class Review:
    """What is known of one interaction before it is written."""

    user: int
    item: int
    kind: int
    stars: int
    day: float
    draws: Sequence[int]


@dataclass(frozen=True)
class Item:
    """What is known of one item before it is written."""

    row: int
    kind: int
    draws: Sequence[int]


def _base36(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def item_key(row: int) -> str:
    """Return the ASIN of an item: some are books with an ISBN, as in every category."""
    if row % _ISBN_EVERY == 7:
        body = f"{row:09d}"
        check = sum((10 - at) * int(digit) for at, digit in enumerate(body)) % 11
        return body + "0123456789X"[(11 - check) % 11]
    return "B" + _base36(row * 48_271 % 36**7 + 36**7 * 2, 9)


def user_key(row: int, edition: int) -> str:
    """Return the id of a reviewer: 13 characters until 2018, 28 in 2023."""
    width = 27 if edition == 2023 else 12
    digest = int.from_bytes(blake2b(row.to_bytes(8), digest_size=20).digest())
    return "A" + _base36(digest, width)


def seconds_of(review: Review, edition: int) -> int:
    """Return the time of a review; whole days in 2014 and 2018."""
    first, last = SPANS[edition]
    day = int(review.day * (last - first).days)
    start = (first - dt.date(1970, 1, 1)).days + day
    within = review.draws[0] % _DAY_SECONDS if edition == 2023 else 0
    return start * _DAY_SECONDS + within


def _texts(review: Review) -> tuple[str, str]:
    pool = PRAISE if review.stars >= 4 else BLAME
    noun = KINDS[review.kind][2][review.draws[1] % 2].lower()
    body = " ".join(pool[review.draws[at] % len(pool)] for at in (2, 3, 4))
    return SUMMARIES[review.stars - 1], body.replace("{noun}", noun)


def _written_day(seconds: int) -> str:
    day = dt.date(1970, 1, 1) + dt.timedelta(days=seconds // _DAY_SECONDS)
    return f"{day.month:02d} {day.day}, {day.year}"


def review_2014(review: Review) -> dict[str, Any]:
    """Return a review of 2014."""
    seconds, (summary, body) = seconds_of(review, 2014), _texts(review)
    total = review.draws[5] % 9
    return {
        "reviewerID": user_key(review.user, 2014),
        "asin": item_key(review.item),
        "reviewerName": f"J. Doe {review.user % 97}",
        "helpful": [review.draws[6] % (total + 1), total],
        "reviewText": body,
        "overall": float(review.stars),
        "summary": summary,
        "unixReviewTime": seconds,
        "reviewTime": _written_day(seconds),
    }


def review_2018(review: Review) -> dict[str, Any]:
    """Return a review of 2018: votes are text with thousands, fields may lack."""
    seconds, (summary, body) = seconds_of(review, 2018), _texts(review)
    record: dict[str, Any] = {
        "overall": float(review.stars),
        "verified": review.draws[5] % 4 != 0,
        "reviewTime": _written_day(seconds),
        "reviewerID": user_key(review.user, 2018),
        "asin": item_key(review.item),
    }
    if review.draws[6] % 3 == 0:
        record["style"] = {"Color:": f" {COLOURS[review.draws[6] % len(COLOURS)]}"}
    if review.draws[7] % 10:
        record["reviewerName"] = f"Kim {review.user % 97}"
    record |= {"reviewText": body, "summary": summary, "unixReviewTime": seconds}
    if review.draws[7] % 8 == 0:
        record["vote"] = f"{review.draws[7] % 1500:,}"
    if review.draws[7] % 25 == 0:
        record["image"] = [f"{_HOST}/r{review.draws[7]}._SY88.jpg"]
    return record


def review_2023(review: Review) -> dict[str, Any]:
    """Return a review of 2023: milliseconds, and a variant's asin beside the parent's."""
    summary, body = _texts(review)
    variant = review.draws[5] % 5 == 0
    return {
        "rating": float(review.stars),
        "title": summary,
        "text": body.replace(". ", ".<br /><br />", 1) if review.draws[6] % 7 == 0 else body,
        "images": [],
        "asin": item_key(review.item + 10_000_000) if variant else item_key(review.item),
        "parent_asin": item_key(review.item),
        "user_id": user_key(review.user, 2023),
        "timestamp": seconds_of(review, 2023) * 1000 + review.draws[7] % 1000,
        "helpful_vote": review.draws[6] % 4,
        "verified_purchase": review.draws[6] % 5 != 0,
    }


def _name(item: Item) -> tuple[str, str, list[str]]:
    """Return brand, title and category path."""
    department, kind, nouns, adjectives = KINDS[item.kind]
    brand = BRANDS[(item.kind * 3 + item.draws[0] % 4) % len(BRANDS)]
    noun, adjective = nouns[item.draws[1] % len(nouns)], adjectives[item.draws[2] % len(adjectives)]
    colour = COLOURS[item.draws[3] % len(COLOURS)]
    title = f"{brand} {adjective} {noun} {item.draws[4] % 900 + 100}, {colour}"
    return brand, title, ["Electronics", department, kind]


def _sentences(item: Item, title: str) -> list[str]:
    _, kind, nouns, adjectives = KINDS[item.kind]
    return [
        f"The {title} is a {adjectives[0]} {nouns[0].lower()} for people who care about "
        f"{kind.lower()}.",
        f"It's made to last: tested {item.draws[5] % 90 + 10} times, with a two-year warranty.",
    ]


def _cents(item: Item) -> float:
    return round(4.99 + item.draws[6] % 30_000 / 100, 2)


def metadata_2014(item: Item) -> dict[str, Any]:
    """Return metadata of 2014; brand, price, description and even the title may lack."""
    brand, title, path = _name(item)
    record: dict[str, Any] = {
        "asin": item_key(item.row),
        "related": {"also_viewed": [item_key(item.draws[at] % 10_000) for at in (4, 5)]},
        "categories": [path, ["Electronics", path[1], "Best Sellers"]][: 1 + item.draws[7] % 2],
        "imUrl": f"http://images.invalid/images/I/{item.row}.jpg",
        "salesRank": {"Electronics": item.draws[6] % 500_000},
    }
    if item.draws[7] % 100:
        record["title"] = title.replace("&", "&amp;")
    for field, value, every in (
        ("price", _cents(item), 3),
        ("brand", brand, 4),
        ("description", " ".join(_sentences(item, title)), 7),
    ):
        if item.draws[7] % every:
            record[field] = value
    return record


def metadata_2018(item: Item) -> dict[str, Any]:
    """Return metadata of 2018: markup in title, price and main category, texts for numbers."""
    brand, title, path = _name(item)
    odd = item.draws[7]
    prices = {0: "", 1: _FAKE_STYLE, 2: f"${_cents(item):,.2f} - ${_cents(item) + 1000:,.2f}"}
    titles = {
        0: f"<span id='productTitle'>{title.replace('&', '&amp;')}</span>",
        1: _TITLE_SCRIPT.format(title=title),
    }
    pictures = [f"{_HOST}/{item.row}._SX38_SY50_CR,0,0,38,50_.jpg"] if odd % 12 else []
    fields = ("image",) if odd % 40 == 1 else ("imageURL", "imageURLHighRes")
    return {
        "category": [*path, "</span></span></span>"] if odd % 33 == 0 else path,
        "tech1": "",
        "description": _sentences(item, title) if odd % 9 else [],
        "fit": "",
        "title": titles.get(odd % 60, title.replace("&", "&amp;")),
        "also_buy": [],
        "tech2": "",
        "brand": f"by\n    {brand}" if odd % 20 == 0 else brand,
        "feature": [f"{KINDS[item.kind][3][item.draws[2] % 3]} design", "Easy &amp; quick set-up"],
        "rank": f"{item.draws[6] % 999_999:,} in Electronics (" if odd % 5 else [],
        "also_view": [item_key(item.draws[5] % 10_000)],
        "details": {},
        "main_cat": _FAKE_CAT.format(host=_HOST, name=path[1]) if odd % 6 == 0 else path[1],
        "similar_item": "",
        "date": "",
        "price": prices.get(odd % 14, f"${_cents(item) * (1 + odd % 9):,.2f}"),
        "asin": item_key(item.row),
        **{field: [p.replace("._SX38_SY50_CR,0,0,38,50_", "") for p in pictures]
           if field == "imageURLHighRes" else pictures for field in fields},
    }  # fmt: skip


def metadata_2023(item: Item) -> dict[str, Any]:
    """Return metadata of 2023: prices of any type, details as object or text."""
    brand, title, path = _name(item)
    odd, url = item.draws[7], f"{_HOST}/{item.row}"
    prices = {0: None, 1: f"{_cents(item)}", 2: f"from {_cents(item)}", 3: "—"}
    details = {"Brand": brand, "Item Weight": f"{odd % 40 / 10} pounds", "Is Discontinued": "No"}
    large = {"thumb": f"{url}._SS40_.jpg", "large": f"{url}._AC_.jpg", "hi_res": f"{url}.jpg"}
    side = {"thumb": f"{url}b._SS40_.jpg", "large": f"{url}b._AC_.jpg", "hi_res": None}
    main = large | {"variant": "MAIN"} | ({"hi_res": None} if odd % 3 == 0 else {})
    return {
        "main_category": "All Electronics" if odd % 5 else None,
        "title": title,
        "average_rating": 4.1,
        "rating_number": odd % 4000,
        "features": [f"{KINDS[item.kind][3][item.draws[2] % 3]} design"] if odd % 8 else [],
        "description": _sentences(item, title) if odd % 2 else [],
        "price": prices.get(odd % 9, _cents(item)),
        "images": [side | {"variant": "PT01"}, main] if odd % 15 else [],
        "videos": [],
        "store": None if odd % 10 == 0 else brand,
        "categories": path if odd % 11 else [],
        "details": orjson.dumps(details).decode() if odd % 4 == 0 else details,
        "parent_asin": item_key(item.row),
        "bought_together": None,
        "subtitle": None,
        "author": None,
    }


def review_line(edition: int, review: Review) -> bytes:
    """Return a line of a file of reviews."""
    return orjson.dumps(_REVIEWS[edition](review))


def metadata_line(edition: int, item: Item) -> bytes:
    """Return a line of a metadata file: a Python literal in 2014, else JSON."""
    record = _METADATA[edition](item)
    return repr(record).encode() if edition == 2014 else orjson.dumps(record)


def ratings_line(edition: int, review: Review) -> bytes:
    """Return a line of a ratings-only CSV, columns in the edition's own order."""
    user, item = user_key(review.user, edition), item_key(review.item)
    seconds = seconds_of(review, edition)
    if edition == 2014:
        return f"{user},{item},{review.stars}.0,{seconds}".encode()
    if edition == 2018:
        return f"{item},{user},{review.stars}.0,{seconds}".encode()
    return f"{user},{item},{review.stars}.0,{seconds * 1000 + review.draws[7] % 1000}".encode()


RATINGS_HEADER = {2014: b"", 2018: b"", 2023: b"user_id,parent_asin,rating,timestamp\n"}
"""What a ratings-only CSV begins with."""

_REVIEWS: dict[int, Callable[[Review], dict[str, Any]]] = {
    2014: review_2014,
    2018: review_2018,
    2023: review_2023,
}
_METADATA: dict[int, Callable[[Item], dict[str, Any]]] = {
    2014: metadata_2014,
    2018: metadata_2018,
    2023: metadata_2023,
}
