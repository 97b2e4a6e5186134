"""Raw values to typed ones: keys, ratings, times, prices, text. A bad one raises ``Rejected``.

What an interaction cannot do without (its keys, a rating that is there at all) is checked strictly;
what only describes an item (a price, a title) becomes None where it makes no sense.
"""

import ast
import datetime as dt
import html
import json
import math
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import orjson

from pipeline.etl.readers import literals
from pipeline.etl.records import Reason
from pipeline.schema import TEST, TRAIN, VALIDATION

LONGEST_TEXT = 10_000
"""Characters of one text field that are read; encoders look at far fewer."""

_LARGEST_RATING = 3e38
_SPLITS = {
    "train": TRAIN,
    **dict.fromkeys(("validation", "valid", "val", "dev"), VALIDATION),
    "test": TEST,
    **{f"{code}{tail}": code for code in (TRAIN, VALIDATION, TEST) for tail in ("", ".0")},
}
_TRUE, _FALSE = {"true", "t", "yes", "y", "1", "1.0"}, {"false", "f", "no", "n", "0", "0.0"}
_SCRIPT = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>")
_NUMBER = re.compile(r"\d[\d,.]*")
_DECIMAL_COMMA = re.compile(r"\d+,\d{1,2}")
_LIST = re.compile(r"\s*[\[(].*[\])]\s*", re.DOTALL)
_SEPARATORS = ("|", ";", " > ", ">", ",")


class Rejected(Exception):
    """A record that cannot be kept, and why (a code of ``Reason``)."""

    def __init__(self, reason: str) -> None:
        """Keep the reason code."""
        super().__init__(reason)
        self.reason = reason


def parse_object(line: bytes) -> dict[str, Any]:
    """Return the mapping of a line: JSON, JSON with NaN, or a Python literal, in this order.

    Python literals are what the Amazon metadata of 2014 holds; they are parsed, never evaluated.

    Raises:
        Rejected: the line is none of these, or not a mapping, or not UTF-8.
    """
    try:
        parsed = orjson.loads(line)
    except orjson.JSONDecodeError:
        parsed = _parse_lenient(line)
    if type(parsed) is not dict:
        raise Rejected(Reason.NOT_PARSEABLE)
    return parsed


def _parse_lenient(line: bytes) -> Any:  # noqa: ANN401 - JSON is any value
    if line.lstrip().startswith(literals.BEGIN):
        with suppress(literals.NotJSONError):
            return literals.loads(line)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise Rejected(Reason.BAD_ENCODING) from None
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return parse_literal(text)


def parse_literal(text: str) -> Any:  # noqa: ANN401 - a literal is any value
    """Return the value of a Python literal (strings, numbers, lists, mappings); nothing is run.

    Raises:
        Rejected: it is not a literal.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of unknown escapes such as "\d", which occur
            return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        raise Rejected(Reason.NOT_PARSEABLE) from None


def empty(value: Any) -> bool:  # noqa: ANN401 - any cell
    """Return whether a cell holds nothing: None or white space."""
    return value is None or (type(value) is str and (not value or value.isspace()))


def blank(value: Any) -> bool:  # noqa: ANN401 - any cell
    """Return whether a cell holds nothing or NaN, which is what data frames write for nothing."""
    return empty(value) or (type(value) is float and math.isnan(value))


def key(value: Any) -> str:  # noqa: ANN401 - any cell
    """Return the key as text; whole numbers lose a decimal point that a float column gave them.

    Raises:
        Rejected: there is none, or it holds control characters, or is no text or number.
    """
    if type(value) is str:
        text = value.strip()
    elif blank(value):
        raise Rejected(Reason.MISSING_FIELD)
    elif type(value) is int:
        text = str(value)
    elif type(value) is float and value.is_integer():
        text = str(int(value))
    else:
        raise Rejected(Reason.BAD_VALUE)
    if not text:
        raise Rejected(Reason.MISSING_FIELD)
    if not text.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise Rejected(Reason.BAD_VALUE)
    return text


def rating(value: Any) -> float:  # noqa: ANN401 - any cell
    """Return the rating.

    Raises:
        Rejected: there is none, or it is not a finite number.
    """
    if empty(value):
        raise Rejected(Reason.MISSING_FIELD)
    if type(value) is bool:
        raise Rejected(Reason.BAD_VALUE)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise Rejected(Reason.BAD_VALUE) from None
    if not -_LARGEST_RATING < number < _LARGEST_RATING:
        raise Rejected(Reason.BAD_VALUE)
    return number


def timestamp(value: Any) -> int:  # noqa: ANN401 - any cell
    """Return seconds since 1970 of a number, an ISO date or a datetime; UTC where nothing is said.

    The unit of a number follows from its size: below 1e11 it is seconds (until the year 5138),
    then milliseconds (from 1973), microseconds and nanoseconds, each a thousand times larger.

    Raises:
        Rejected: there is none, or it is no time.
    """
    whole = value if type(value) is int else _whole_time(value)
    size = abs(whole)
    if size < 10**11:
        return whole
    if size >= 10**20:
        raise Rejected(Reason.BAD_VALUE)
    divisor = 1000 if size < 10**14 else 10**6 if size < 10**17 else 10**9
    return whole // divisor


def _whole_time(value: Any) -> int:  # noqa: ANN401 - any cell
    if blank(value):
        raise Rejected(Reason.MISSING_FIELD)
    try:
        if type(value) is str:
            return _time_of_text(value.strip())
        if isinstance(value, dt.datetime):
            return _seconds(value)
        if isinstance(value, dt.date):
            return _seconds(dt.datetime(value.year, value.month, value.day))
        if type(value) is float:
            return int(value)
    except (ValueError, OverflowError):
        pass
    raise Rejected(Reason.BAD_VALUE)


def _time_of_text(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return int(float(text))
    except ValueError:
        return _seconds(dt.datetime.fromisoformat(text))


def _seconds(moment: dt.datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return int(aware.timestamp())


def split_label(value: Any) -> int:  # noqa: ANN401 - any cell
    """Return 0, 1 or 2 for a label of training, validation or test, as number or word.

    Raises:
        Rejected: there is none, or it is none of these.
    """
    if blank(value):
        raise Rejected(Reason.MISSING_FIELD)
    label = _SPLITS.get(str(value).strip().lower())
    if label is None:
        raise Rejected(Reason.BAD_VALUE)
    return label


def price(value: Any) -> float | None:  # noqa: ANN401 - any cell
    """Return a price: a number, or the first in a text such as ``$1,234.56`` or ``$5 - $10``.

    Markup and style sheets, which scraped price fields hold now and then, are None.
    """
    if value is None or type(value) is bool:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = _price_of_text(value) if type(value) is str else math.nan
    return number if 0 <= number < 1e9 else None


def _price_of_text(text: str) -> float:
    found = _NUMBER.search(text)
    if found is None or len(text) > 60 or "<" in text or "{" in text:
        return math.nan
    digits = found.group().rstrip(".,")
    digits = digits.replace(",", "." if _DECIMAL_COMMA.fullmatch(digits) else "")
    try:
        return float(digits)
    except ValueError:
        return math.nan


def number(value: Any) -> str | None:  # noqa: ANN401 - any cell
    """Return a finite number as text, None where there is none."""
    if value is None or type(value) is bool:
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return repr(found) if math.isfinite(found) else None


def truth(value: Any) -> str | None:  # noqa: ANN401 - any cell
    """Return ``true`` or ``false`` of a truth value, 1 or 0, or a word for either; else None."""
    word = str(value).strip().lower()
    if word in _TRUE:
        return "true"
    return "false" if word in _FALSE else None


def text(value: Any) -> str | None:  # noqa: ANN401 - any cell
    """Return plain text of a string or a list of strings, None where nothing is left.

    Markup is removed, entities are resolved, white space and control characters become one space.
    """
    if type(value) is list:
        value = " ".join(part for part in strings(value))
    if type(value) is not str:
        return None if value is None or isinstance(value, (dict, bool)) else _cleaned(str(value))
    return _cleaned(value)


def _cleaned(raw: str) -> str | None:
    kept = raw[:LONGEST_TEXT]
    if "<" in kept or "&" in kept:
        kept = html.unescape(html.unescape(kept))
        kept = _TAG.sub(" ", _SCRIPT.sub(" ", kept))
    if not kept.isprintable():
        kept = kept.encode("utf-8", "replace").decode()
        kept = "".join(c if unicodedata.category(c) != "Cc" else " " for c in kept)
    return " ".join(kept.split()) or None


def reference(value: Any) -> str | None:  # noqa: ANN401 - any cell
    """Return a path or URL as it stands, without outer white space; the first of a list."""
    return next((found for s in strings(value) if (found := s.strip())), None)


def strings(value: Any) -> Iterator[str]:  # noqa: ANN401 - any cell
    """Yield every string and whole number in nested lists, in order."""
    stack = [value]
    while stack:
        top = stack.pop()
        if type(top) is str:
            yield top
        elif type(top) is int:
            yield str(top)
        elif isinstance(top, (list, tuple)):
            stack.extend(reversed(top))


def names(values: Iterable[str]) -> list[str] | None:
    """Return cleaned, distinct names in their order, None where there is none."""
    cleaned = (text(value) for value in values)
    return [*dict.fromkeys(name for name in cleaned if name)] or None


def categories(value: Any) -> list[str] | None:  # noqa: ANN401 - any cell
    """Return categories of a list, a written list, or a text with separators.

    The first separator that occurs is taken, of ``|``, ``;``, ``>`` and comma in this order.
    """
    if type(value) is not str:
        return names(strings(value))
    if _LIST.fullmatch(value):
        try:
            return names(strings(_parse_lenient(value.encode("utf-8", "replace"))))
        except Rejected:
            pass
    plain = html.unescape(value)  # an entity's own semicolon separates nothing
    separator = next((s for s in _SEPARATORS if s in plain), None)
    return names(plain.split(separator) if separator else [plain])


ATTRIBUTES = {"text": text, "number": number, "truth": truth}
"""What makes an attribute's cell a text, by its type; what makes no sense is None."""
