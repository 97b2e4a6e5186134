"""Cells to typed values: the strict ones reject with a reason, the others become None."""

import datetime as dt
import math

import pytest

from pipeline.etl.readers import values
from pipeline.etl.readers.values import Rejected
from pipeline.etl.records import Reason

DAY = 1_404_172_800
"""2014-07-01."""


def reason_of(convert, value) -> str:
    with pytest.raises(Rejected) as caught:
        convert(value)
    return caught.value.reason


@pytest.mark.parametrize(
    ("raw", "key"),
    [("  A1 ", "A1"), (17, "17"), (17.0, "17"), ("0042", "0042"), ("naïve id", "naïve id")],
)
def test_keys_are_text_as_it_stands(raw, key):
    assert values.key(raw) == key


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, Reason.MISSING_FIELD),
        ("  ", Reason.MISSING_FIELD),
        (math.nan, Reason.MISSING_FIELD),
        (1.5, Reason.BAD_VALUE),
        (True, Reason.BAD_VALUE),
        (["A1"], Reason.BAD_VALUE),
        ("A\0B", Reason.BAD_VALUE),
        ("A\nB", Reason.BAD_VALUE),
        ("\ud800", Reason.BAD_VALUE),
    ],
)
def test_what_is_no_key_is_rejected_with_its_reason(raw, reason):
    assert reason_of(values.key, raw) == reason


@pytest.mark.parametrize(("raw", "number"), [(4, 4.0), ("4.5", 4.5), (" 3 ", 3.0), (-1, -1.0)])
def test_ratings(raw, number):
    assert values.rating(raw) == number


@pytest.mark.parametrize("raw", ["NaN", math.nan, math.inf, "-inf", 1e300, "five", True, [4], {}])
def test_a_rating_that_is_no_finite_number_is_a_bad_value(raw):
    assert reason_of(values.rating, raw) == Reason.BAD_VALUE


@pytest.mark.parametrize("raw", [None, "", "  "])
def test_no_rating_at_all_is_a_missing_field(raw):
    assert reason_of(values.rating, raw) == Reason.MISSING_FIELD


@pytest.mark.parametrize(
    "raw",
    [
        DAY,
        DAY * 1_000 + 999,
        DAY * 10**6,
        DAY * 10**9,
        str(DAY),
        f"{DAY}.0",
        float(DAY),
        "2014-07-01",
        "2014-07-01T00:00:00Z",
        "2014-07-01 02:00:00+02:00",
        dt.date(2014, 7, 1),
        dt.datetime(2014, 7, 1),
        dt.datetime(2014, 7, 1, tzinfo=dt.UTC),
    ],
)
def test_every_way_to_write_a_moment_gives_seconds(raw):
    assert values.timestamp(raw) == DAY


def test_times_before_1970_and_small_ones_stay_seconds():
    assert values.timestamp(-86_400) == -86_400
    assert values.timestamp("12") == 12


@pytest.mark.parametrize("raw", ["soon", 10**25, math.inf, [1], "2014-13-01"])
def test_what_is_no_time_is_a_bad_value(raw):
    assert reason_of(values.timestamp, raw) == Reason.BAD_VALUE


@pytest.mark.parametrize("raw", [None, "", math.nan])
def test_no_time_is_a_missing_field(raw):
    assert reason_of(values.timestamp, raw) == Reason.MISSING_FIELD


@pytest.mark.parametrize(
    ("raw", "label"),
    [(0, 0), ("1", 1), ("2.0", 2), ("Train", 0), ("valid", 1), ("val", 1), ("TEST", 2), (1.0, 1)],
)
def test_split_labels(raw, label):
    assert values.split_label(raw) == label


def test_an_unknown_split_is_a_bad_value():
    assert reason_of(values.split_label, "holdout") == Reason.BAD_VALUE
    assert reason_of(values.split_label, 3) == Reason.BAD_VALUE


@pytest.mark.parametrize(
    ("raw", "price"),
    [
        (7.86, 7.86),
        ("$7.86", 7.86),
        ("$1,234.56", 1234.56),
        ("$5.00 - $10.00", 5.0),
        ("from 14.99", 14.99),
        ("12,50 €", 12.5),
        ("1,234", 1234.0),
        (0, 0.0),
    ],
)
def test_prices(raw, price):
    assert values.price(raw) == pytest.approx(price)


@pytest.mark.parametrize(
    "raw",
    ["", None, "—", "None", -3, math.nan, math.inf, True, [5], "<span>$9.99</span>",
     ".a-box{margin:10px}", "x" * 80 + "9"],
)  # fmt: skip
def test_what_is_no_price_is_none(raw):
    assert values.price(raw) is None


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("Sports &amp; Outdoors", "Sports & Outdoors"),
        ("A&amp;amp;B", "A&B"),
        ("<b>Bold</b><br/>new\n\tline ", "Bold new line"),
        ("<script>var a = 1;</script>Lens", "Lens"),
        ("&lt;p&gt;Tripod&lt;/p&gt;", "Tripod"),
        ("3 < 4 and 5 > 2, I <3 it", "3 < 4 and 5 > 2, I <3 it"),
        ("nul\0byte", "nul byte"),
        ("half \ud800 pair", "half ? pair"),
        ("\u00a0wide\u00a0space", "wide space"),
        (["Two", "parts."], "Two parts."),
        (7, "7"),
        ("Amélie 👍", "Amélie 👍"),
    ],
)
def test_text_is_plain(raw, plain):
    assert values.text(raw) == plain


@pytest.mark.parametrize("raw", [None, "", "  ", "<br>", [], {}, "\0"])
def test_no_text_is_none(raw):
    assert values.text(raw) is None


def test_a_book_for_a_description_is_cut():
    assert len(values.text("word " * 10_000)) <= values.LONGEST_TEXT


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        ("Action|Comedy|Action", ["Action", "Comedy"]),
        ("Home; Garden", ["Home", "Garden"]),
        ("Clothing > Shoes", ["Clothing", "Shoes"]),
        ("red, blue", ["red", "blue"]),
        ("Home &amp; Kitchen", ["Home & Kitchen"]),
        ('["a", "b, c"]', ["a", "b, c"]),
        ("['a', 'b']", ["a", "b"]),
        ([["Electronics", "Audio"], ["Electronics"]], ["Electronics", "Audio"]),
        (12, ["12"]),
        (None, None),
        ("", None),
        ([], None),
    ],
)
def test_categories(raw, names):
    assert values.categories(raw) == names


def test_references_keep_what_text_would_change():
    assert values.reference(" http://a/b?x=1&copy=2 ") == "http://a/b?x=1&copy=2"
    assert values.reference(["", "b.jpg"]) == "b.jpg"
    assert values.reference([]) is None


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"{'a': 'it\\'s', 'b': u'x', 'c': None, 'd': True}",
         {"a": "it's", "b": "x", "c": None, "d": True}),
        (b'{"a": "tab\there"}', {"a": "tab\there"}),
        (b"{'path': 'C:\\dir'}", {"path": "C:\\dir"}),
    ],
)  # fmt: skip
def test_objects_are_json_or_literals(line, record):
    assert values.parse_object(line) == record


def test_json_with_nan_is_read_and_left_to_the_fields():
    assert math.isnan(values.parse_object(b'{"a": NaN}')["a"])


@pytest.mark.parametrize(
    "line",
    [b"[1]", b"3", b"", b"{", b"{'a': __import__('os').getcwd()}", b"{[]: 1}", b"{'a': open}",
     b"(" * 500, b"[" * 100_000, b"\0\0", b"{'a': 1}; import os"],
)  # fmt: skip
def test_anything_else_is_not_parseable_and_nothing_is_run(line):
    assert reason_of(values.parse_object, line) == Reason.NOT_PARSEABLE


def test_bytes_that_are_no_text_are_bad_encoding():
    assert reason_of(values.parse_object, b'{"a": "\xff"}') == Reason.BAD_ENCODING
