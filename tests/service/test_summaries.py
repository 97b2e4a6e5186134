"""Summaries read from buffers say what reading each record would."""

import math
import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving import summaries
from serving.summaries import Summaries, Texts, decimals
from tests.service import shelves

RECORDS = shelves.catalogue(90)
TABLE = shelves.table(RECORDS)
TIERS = ["hot", "warm", "cold"] * 30
TEXTS = st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]))))


def plain(row: int) -> dict:
    record = RECORDS[row]
    price = record["price"]
    known = price is not None and not math.isnan(price)
    return {
        "id": record["key"],
        "title": record["title"],
        "image": record["image"],
        "price": price if known else None,
        "tier": TIERS[row],
    }


@given(st.lists(st.integers(0, 89), max_size=30))
def test_each_is_what_its_record_says(rows):
    found = Summaries(TABLE, TIERS).of(np.array(rows, dtype=np.int64))
    assert found == [plain(row) for row in rows]


@given(TEXTS, st.integers(0, 5), st.booleans())
def test_texts_are_arrow_s(texts, start, large):
    kind = pa.large_string() if large else pa.string()
    column = pa.chunked_array([pa.array(texts, kind)]).slice(start)
    rows = np.arange(len(column))[::-1]
    expected = [text or None for text in column.to_pylist()][::-1]
    assert Texts.of(column).at(rows) == expected


def test_texts_in_pieces_are_read_as_one():
    column = pa.chunked_array([["a", None], ["", "ü"], []], pa.string())
    assert Texts.of(column).at(np.array([3, 0, 1, 2])) == ["ü", "a", None, None]


@given(st.lists(st.floats(width=32)))
def test_prices_stand_for_what_is_stored(prices):
    stored = np.array(prices, dtype=np.float32)
    for found, price in zip(decimals(stored).tolist(), stored, strict=True):
        if np.isfinite(price):
            assert np.float32(found) == price
        else:
            assert math.isnan(found)


@given(st.lists(st.integers(0, 999_999)))
def test_cents_come_back_as_they_were(cents):
    prices = [cent / 100 for cent in cents]
    assert decimals(np.array(prices, dtype=np.float32)).tolist() == prices


def test_a_finer_price_is_the_shortest_that_stands_for_it():
    assert decimals(np.array([0.125, 1e-7, 12.345], dtype=np.float32)).tolist() == [
        0.125,
        1e-7,
        12.345,
    ]


def test_what_is_kept_is_bounded_and_may_vanish_at_any_time(monkeypatch):
    monkeypatch.setattr(summaries, "_KEPT", 5)
    some, wrong = Summaries(TABLE, TIERS), []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(200):
            rows = rng.integers(0, 90, 4)
            if some.of(rows) != [plain(row) for row in rows.tolist()]:
                wrong.append(rows)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(some._kept) <= 5 + 4 * len(threads) + 4


@pytest.mark.parametrize("picture", [lambda key, image: f"/{key}", lambda key, image: image])
def test_pictures_are_shown_from_where_they_are_told(picture):
    row = np.array([3])
    assert Summaries(TABLE, TIERS, picture).of(row)[0]["image"] == picture("i3", None)
