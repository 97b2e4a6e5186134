"""Cleaning: which records stay, in which order, and where every other one goes."""

import pytest

from pipeline.config import DataConfig
from pipeline.errors import DataError
from pipeline.etl import database
from tests.etl_worlds import LOG, SHOP, Raw, reading, run

BY_LABEL = {"split": {"rule": "label"}}


def log(*pairs, rating=None, timestamp=None):
    """Interactions of (user, item), their labels cycling so that every split has some."""
    return [(u, i, rating, timestamp, n % 3) for n, (u, i) in enumerate(pairs)]


def clean(monkeypatch, folder, raw, data=None, **config):
    with reading(monkeypatch, raw):
        return run(folder, data, **(BY_LABEL | config))


SOME = log(("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "x"), ("c", "z"))


def test_of_duplicates_the_latest_wins(monkeypatch, tmp_path):
    raw = Raw([
        ("a", "x", 1.0, 50, 0), ("a", "x", 5.0, 90, 1), ("a", "x", 2.0, 70, 2),
        ("b", "x", 1.0, 10, 0), ("b", "x", 3.0, 10, 1), ("c", "x", 4.0, 1, 2),
        ("d", "x", 2.0, 1, 0), ("d", "x", 5.0, None, 1), ("e", "x", 3.0, 2, 0),
    ])  # fmt: skip
    result = clean(monkeypatch, tmp_path, raw)
    assert result.interactions() == [
        ("a", "x", 5.0, 90, 1), ("b", "x", 3.0, 10, 1), ("c", "x", 4.0, 1, 2),
        ("d", "x", 2.0, 1, 0), ("e", "x", 3.0, 2, 0),
    ]  # fmt: skip
    assert result.rejects() == [
        (LOG, 1, "duplicate", "a,x,1.0,50"), (LOG, 3, "duplicate", "a,x,2.0,70"),
        (LOG, 4, "duplicate", "b,x,1.0,10"), (LOG, 8, "duplicate", "d,x,5.0,"),
    ]  # fmt: skip


def test_a_low_rating_is_rejected_and_no_rating_is_not(monkeypatch, tmp_path):
    raw = Raw([("a", "x", 3.5, 1, 0), ("a", "y", 4.0, 2, 0), ("b", "x", None, 3, 1),
               ("b", "y", 4.5, 4, 2)])  # fmt: skip
    result = clean(monkeypatch, tmp_path, raw, min_rating=4)
    assert [row[:3] for row in result.interactions()] == [
        ("a", "y", 4.0), ("b", "x", 1.0), ("b", "y", 4.5),
    ]  # fmt: skip
    assert result.rejects() == [(LOG, 1, "below_min_rating", "a,x,3.5,1")]


def test_a_later_low_rating_replaces_an_earlier_high_one(monkeypatch, tmp_path):
    raw = Raw([*log(("b", "x"), ("b", "y"), ("b", "z")), ("a", "x", 5.0, 1, 0),
               ("a", "x", 1.0, 2, 0)])  # fmt: skip
    result = clean(monkeypatch, tmp_path, raw, min_rating=4)
    assert [r[2] for r in result.rejects()] == ["duplicate", "below_min_rating"]


def test_the_core_is_taken_until_nothing_changes(monkeypatch, tmp_path):
    # z has one user; without it c has one item; without c, w has one user; a, b, x, y remain.
    raw = Raw(log(("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("b", "w"), ("c", "w"),
                  ("c", "z")))  # fmt: skip
    result = clean(monkeypatch, tmp_path, raw, user_core=2, item_core=2)
    assert {row[:2] for row in result.interactions()} == {
        ("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"),
    }  # fmt: skip
    assert {row[2] for row in result.rejects()} == {"below_core"}
    assert result.keys("users") == ["a", "b"]
    assert result.keys("items") == ["x", "y"]
    assert result.report["core_rounds"] == 4


def test_an_item_with_metadata_stays_and_one_without_vanishes(monkeypatch, tmp_path):
    raw = Raw([*SOME, ("d", "known", None, None, 0), ("d", "unknown", None, None, 0)],
              [("known", "A title"), ("never", "Sold by nobody")])  # fmt: skip
    result = clean(monkeypatch, tmp_path, raw, item_core=2)
    assert result.keys("items") == ["known", "never", "x", "y"]
    assert [row["title"] for row in result.rows("items")] == [
        "A title", "Sold by nobody", None, None,
    ]  # fmt: skip
    assert "d" not in result.keys("users")


def test_the_last_metadata_record_wins_at_the_place_of_the_first(monkeypatch, tmp_path):
    items = [("x", "old"), ("y", "Y"), ("x", "newer"), ("z", "Z"), ("x", None)]
    result = clean(monkeypatch, tmp_path, Raw(SOME, items))
    assert [(row["key"], row["title"]) for row in result.rows("items")] == [
        ("x", None), ("y", "Y"), ("z", "Z"),
    ]  # fmt: skip
    assert result.rejects() == [(SHOP, 1, "duplicate", "x"), (SHOP, 3, "duplicate", "x")]


@pytest.mark.parametrize(
    ("keys", "ordered"),
    [
        (["10", "9", "-3", "007", "7"], ["-3", "007", "7", "9", "10"]),
        (["10", "9", "b"], ["10", "9", "b"]),
        (["é", "z", "a", "Z", "日本", "🦉"], ["Z", "a", "z", "é", "日本", "🦉"]),
        (["9" * 30, "1"], ["1", "9" * 30]),
    ],
)
def test_keys_are_ordered_as_numbers_only_where_all_are(monkeypatch, tmp_path, keys, ordered):
    pairs = [(key, item) for key in keys for item in ("x", "y")]
    result = clean(monkeypatch, tmp_path / "users", Raw(log(*pairs)))
    assert result.keys("users") == ordered
    result = clean(monkeypatch, tmp_path / "items", Raw(log(*((i, u) for u, i in pairs))))
    assert result.keys("items") == ordered


def test_the_catalogues_order_comes_before_that_of_keys(monkeypatch, tmp_path):
    raw = Raw(log(("a", "2"), ("a", "10"), ("a", "9")), [("30", None), ("9", None)])
    assert clean(monkeypatch, tmp_path, raw).keys("items") == ["30", "9", "2", "10"]


AWKWARD = ["it's", 'say "hi"', "a,b", "a;b", "line\u2028break", "%", "\\", "null", " pad", "ﬁ", ""]


def test_any_text_can_be_a_key(monkeypatch, tmp_path):
    pairs = [(user, item) for user in AWKWARD for item in AWKWARD]
    result = clean(monkeypatch, tmp_path, Raw(log(*pairs), [(key, key) for key in AWKWARD]))
    assert {row[:2] for row in result.interactions()} == set(pairs)
    assert result.keys("items") == AWKWARD
    assert result.keys("users") == sorted(AWKWARD)


def test_unknown_rating_and_time_get_their_defaults(monkeypatch, tmp_path):
    result = clean(monkeypatch, tmp_path, Raw(SOME))
    assert {row[2:4] for row in result.interactions()} == {(1.0, 0)}


def test_interactions_are_ordered_by_user_time_and_item(monkeypatch, tmp_path):
    raw = Raw([("b", "x", None, 5, 0), ("a", "y", None, 9, 1), ("a", "x", None, 9, 2),
               ("a", "z", None, 1, 0)])  # fmt: skip
    result = clean(monkeypatch, tmp_path, raw)
    assert [row[:2] for row in result.interactions()] == [
        ("a", "z"), ("a", "x"), ("a", "y"), ("b", "x"),
    ]  # fmt: skip


MMREC = DataConfig(format="mmrec")


def test_in_mmrec_an_items_row_is_its_key_even_where_it_lost_everything(monkeypatch, tmp_path):
    pairs = [("0", "11"), ("0", "2"), ("1", "2"), ("1", "11"), ("2", "2"), ("2", "5"), ("3", "11")]
    raw = Raw(log(*pairs), [("13", "last"), ("0", "first")])
    result = clean(monkeypatch, tmp_path, raw, MMREC, item_core=2)
    assert result.keys("items") == [str(row) for row in range(14)]
    assert result.rows("items")[13]["title"] == "last"
    assert {row[1] for row in result.interactions()} == {"2", "11"}


@pytest.mark.parametrize("key", ["x7", "-1", "07", "1.0", "999999999"])
def test_in_mmrec_another_key_is_refused(monkeypatch, tmp_path, key):
    raw = Raw(log(("0", "0"), ("0", "1"), ("0", key)))
    with pytest.raises(DataError, match=f"must be 0, 1, 2.*found '{key}'"):
        clean(monkeypatch, tmp_path, raw, MMREC)


def test_row_groups_are_filled_whatever_the_pieces(monkeypatch, tmp_path):
    import pyarrow.parquet as pq

    monkeypatch.setattr(database, "ROW_GROUP", 4)
    pairs = [(f"u{n:02d}", "x") for n in range(11)]
    result = clean(monkeypatch, tmp_path, Raw(log(*pairs), per_batch=3))
    file = pq.ParquetFile(result.into / "interactions.parquet")
    sizes = [file.metadata.row_group(n).num_rows for n in range(file.metadata.num_row_groups)]
    assert sizes == [4, 4, 3]
    assert len(result.interactions()) == 11
