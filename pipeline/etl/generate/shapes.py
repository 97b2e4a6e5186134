"""The lines of each edition, with what is odd about them.

Pictures are named by URLs below ``.invalid``, a domain that never resolves, so that nobody's
server is asked for pictures that do not exist.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import orjson

from pipeline.etl.generate.prose import Item
from pipeline.etl.generate.words import COLOURS, SUMMARIES

REVIEW_DRAWS = 3
"""Random whole numbers of a review, beside its text."""

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


class Review(NamedTuple):
    """What is known of one interaction before it is written."""

    user: int
    user_key: str
    item: int
    item_key: str
    stars: int
    seconds: int
    """Since 1970: whole days in 2014 and 2018."""
    text: str
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


def seconds_of(share: np.ndarray, within: np.ndarray, edition: int) -> np.ndarray:
    """Return the times for shares of an edition's span; whole days in 2014 and 2018.

    Shapes:
        share, within: (B,), ``within`` any whole numbers that say when on the day.
    """
    first, last = SPANS[edition]
    day = (share * (last - first).days).astype(np.int64)
    start = (first - dt.date(1970, 1, 1)).days + day
    seconds: np.ndarray = start * _DAY_SECONDS
    return seconds + within % _DAY_SECONDS if edition == 2023 else seconds


@lru_cache(maxsize=10_000)
def _written_day(seconds: int) -> str:
    day = dt.date(1970, 1, 1) + dt.timedelta(days=seconds // _DAY_SECONDS)
    return f"{day.month:02d} {day.day}, {day.year}"


def review_2014(review: Review) -> dict[str, Any]:
    """Return a review of 2014; a name or a text may lack."""
    total = review.draws[0] % 9
    record: dict[str, Any] = {"reviewerID": review.user_key, "asin": review.item_key}
    if review.draws[1] % 90:
        record["reviewerName"] = f'J. Doe "{review.user % 9973}"'
    return record | {
        "helpful": [review.draws[1] % (total + 1), total],
        "reviewText": review.text if review.draws[2] % 900 else "",
        "overall": float(review.stars),
        "summary": SUMMARIES[review.stars - 1],
        "unixReviewTime": review.seconds,
        "reviewTime": _written_day(review.seconds),
    }


def review_2018(review: Review) -> dict[str, Any]:
    """Return a review of 2018: votes are text with thousands, fields may lack."""
    first, second, third = review.draws
    record: dict[str, Any] = {
        "overall": float(review.stars),
        "verified": first % 4 != 0,
        "reviewTime": _written_day(review.seconds),
        "reviewerID": review.user_key,
        "asin": review.item_key,
    }
    if second % 3 == 0:
        record["style"] = {"Color:": f" {COLOURS[second % len(COLOURS)]}"}
    if third % 10:
        record["reviewerName"] = f"Kim {review.user % 97}"
    record |= {
        "reviewText": review.text,
        "summary": SUMMARIES[review.stars - 1],
        "unixReviewTime": review.seconds,
    }
    if third % 8 == 0:
        record["vote"] = f"{third % 1500:,}"
    if third % 25 == 0:
        record["image"] = [f"{_HOST}/r{third}._SY88.jpg"]
    return record


def review_2023(review: Review) -> dict[str, Any]:
    """Return a review of 2023: milliseconds, and a variant's asin beside the parent's."""
    first, second, third = review.draws
    text = review.text
    return {
        "rating": float(review.stars),
        "title": SUMMARIES[review.stars - 1],
        "text": text.replace(". ", ".<br /><br />", 1) if second % 7 == 0 else text,
        "images": [],
        "asin": item_key(review.item + 10_000_000) if first % 5 == 0 else review.item_key,
        "parent_asin": review.item_key,
        "user_id": review.user_key,
        "timestamp": review.seconds * 1000 + third % 1000,
        "helpful_vote": second % 4,
        "verified_purchase": second % 5 != 0,
    }


def _path(item: Item) -> list[str]:
    return ["Electronics", item.department, f"{item.kind}s"]


def _cents(item: Item) -> float:
    return round(4.99 + item.draws[6] % 30_000 / 100, 2)


def metadata_2014(item: Item) -> dict[str, Any]:
    """Return metadata of 2014; brand, price, picture, description and even the title may lack."""
    path, related = _path(item), item.related
    record: dict[str, Any] = {
        "asin": item.key,
        "categories": [path, ["Electronics", path[1], "Best Sellers"]][: 1 + item.draws[7] % 2],
        "salesRank": {"Electronics": item.draws[6] % 500_000},
    }
    if related:
        record["related"] = {"also_bought": related, "buy_after_viewing": related[:4]}
    for field, value, lacks in (
        ("imUrl", f"http://images.invalid/images/I/{item.row}._SY300_.jpg", not item.pictured),
        ("title", item.title.replace("&", "&amp;"), item.draws[7] % 100 == 0),
        ("price", _cents(item), item.draws[7] % 3 == 0),
        ("brand", item.brand, item.draws[7] % 4 == 0),
        ("description", " ".join(item.sentences), item.draws[7] % 15 == 0),
    ):
        if not lacks:
            record[field] = value
    return record


def metadata_2018(item: Item) -> dict[str, Any]:
    """Return metadata of 2018: markup in title, price and main category, texts for numbers."""
    brand, title, path = item.brand, item.title, _path(item)
    odd = item.draws[7]
    prices = {0: "", 1: _FAKE_STYLE, 2: f"${_cents(item):,.2f} - ${_cents(item) + 1000:,.2f}"}
    titles = {
        0: f"<span id='productTitle'>{title.replace('&', '&amp;')}</span>",
        1: _TITLE_SCRIPT.format(title=title),
    }
    pictures = [f"{_HOST}/{item.row}._SX38_SY50_CR,0,0,38,50_.jpg"] if item.pictured else []
    fields = ("image",) if odd % 40 == 1 else ("imageURL", "imageURLHighRes")
    return {
        "category": [*path, "</span></span></span>"] if odd % 33 == 0 else path,
        "tech1": "",
        "description": [*item.sentences] if odd % 9 else [],
        "fit": "",
        "title": titles.get(odd % 60, title.replace("&", "&amp;")),
        "also_buy": [],
        "tech2": "",
        "brand": f"by\n    {brand}" if odd % 20 == 0 else brand,
        "feature": [*item.bullets],
        "rank": f"{item.draws[6] % 999_999:,} in Electronics (" if odd % 5 else [],
        "also_view": [*item.related[:9]],
        "details": {},
        "main_cat": _FAKE_CAT.format(host=_HOST, name=path[1]) if odd % 6 == 0 else path[1],
        "similar_item": "",
        "date": "",
        "price": prices.get(odd % 14, f"${_cents(item) * (1 + odd % 9):,.2f}"),
        "asin": item.key,
        **{field: [p.replace("._SX38_SY50_CR,0,0,38,50_", "") for p in pictures]
           if field == "imageURLHighRes" else pictures for field in fields},
    }  # fmt: skip


def metadata_2023(item: Item) -> dict[str, Any]:
    """Return metadata of 2023: prices of any type, details as object or text."""
    brand, title, path = item.brand, item.title, _path(item)
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
        "features": [item.bullets[0]] if odd % 8 else [],
        "description": [*item.sentences] if odd % 2 else [],
        "price": prices.get(odd % 9, _cents(item)),
        "images": [side | {"variant": "PT01"}, main] if item.pictured else [],
        "videos": [],
        "store": None if odd % 10 == 0 else brand,
        "categories": path if odd % 11 else [],
        "details": orjson.dumps(details).decode() if odd % 4 == 0 else details,
        "parent_asin": item.key,
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
    return ascii(record).encode() if edition == 2014 else orjson.dumps(record)


def ratings_line(edition: int, review: Review) -> bytes:
    """Return a line of a ratings-only CSV, columns in the edition's own order."""
    user, item, seconds = review.user_key, review.item_key, review.seconds
    if edition == 2014:
        return f"{user},{item},{review.stars}.0,{seconds}".encode()
    if edition == 2018:
        return f"{item},{user},{review.stars}.0,{seconds}".encode()
    return f"{user},{item},{review.stars}.0,{seconds * 1000 + review.draws[2] % 1000}".encode()


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
