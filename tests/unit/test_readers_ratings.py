"""Ratings-only CSV: the order of columns is told by what they hold."""

import itertools

import pytest

from pipeline.errors import DataError
from pipeline.etl.generate import EDITIONS, AmazonSpec, make_amazon
from pipeline.etl.readers.amazon_ratings import column_order
from pipeline.etl.records import Reason
from tests.reading import read, write

ROWS = [
    ("AKM1MP6P0OYPR", "0132793040", "5.0", "1365811200"),
    ("A2CX7LUOHB2NDG", "0321732944", "5.0", "1341100800"),
    ("A2NWSAGRHCP8N5", "B00004TKVY", "1.0", "1367193600"),
    ("A2WNBOD3WNDNKT", "059400232X", "3.0", "1374451200"),
]
NAMES = ("user", "item", "rating", "timestamp")


@pytest.mark.parametrize("order", [*itertools.permutations(range(4))])
def test_any_order_of_columns_is_told_from_content(order):
    rows = [[row[at] for at in order] for row in ROWS]
    assert column_order(rows) == [NAMES[at] for at in order]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [["A", "B", "5.0"]],
        [["u1", "i1", "5.0", "1365811200"], ["u2", "i2", "4.0", "1365811200"]],
        [["A1", "B00004TKVY", "5.0", "soon"]],
        [["B00004TKVA", "B00004TKVY", "5.0", "1365811200"]],
    ],
    ids=["nothing", "three columns", "no shape", "no time", "two of items"],
)
def test_content_that_does_not_tell_is_not_guessed(rows):
    assert column_order(rows) is None


def test_bad_lines_do_not_change_the_order(tmp_path):
    lines = [",".join(row) for row in ROWS * 5]
    lines[3:3] = ["A1,B000000001,NaN,", "junk"]
    found = read("amazon-ratings", interactions=write(tmp_path / "r.csv", "\n".join(lines)))
    assert found.pairs()[0] == ("AKM1MP6P0OYPR", "0132793040")
    assert len(found.interactions) == 20
    assert found.reasons == [(4, Reason.BAD_VALUE), (5, Reason.WRONG_WIDTH)]


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_three_editions_hold_the_same_pairs_as_their_reviews(tmp_path, edition):
    spec = AmazonSpec(edition, users=50, items=300, interactions=250, bad_share=0.02)
    paths = make_amazon(tmp_path, spec)
    ratings = read("amazon-ratings", interactions=paths["ratings"], items=paths["metadata"])
    reviews = read("amazon-reviews", interactions=paths["reviews"], items=paths["metadata"])
    kept = ["user", "item", "rating", "timestamp"]
    table = [[row[k] for k in kept] for row in ratings.interactions]
    assert table == [[row[k] for k in kept] for row in reviews.interactions]
    assert ratings.items == reviews.items
    assert len(ratings.rejects) == 5 + 6


def test_undecided_columns_are_named_by_position(tmp_path):
    path = write(tmp_path / "r.csv", "i1,u1,5.0,1365811200\ni2,u2,4.0,1365811200\n")
    with pytest.raises(DataError, match=r"\['1', '2', '3', '4'\].*data\.columns"):
        read("amazon-ratings", interactions=path)
    named = {"item": "1", "user": "2", "weight": "3", "timestamp": "4"}
    found = read("amazon-ratings", interactions=path, columns=named)
    assert found.pairs() == [("u1", "i1"), ("u2", "i2")]


def test_a_header_with_unknown_names_lists_them(tmp_path):
    path = write(tmp_path / "r.csv", "who,what,rating,timestamp\na,b,5.0,1365811200\n")
    with pytest.raises(DataError, match=r"'who', 'what'"):
        read("amazon-ratings", interactions=path)
