"""Somebody's own tables: CSV, TSV, JSON Lines and Parquet say the same; wrong columns are named."""

import csv
import datetime as dt
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import ConfigError, DataError
from pipeline.etl.records import BATCH_RECORDS, Reason
from tests.reading import read, write, zipped

COLUMNS = {
    "user": "customer",
    "item": "product",
    "weight": "stars",
    "timestamp": "bought",
    "key": "product",
    "title": "name",
    "categories": "kinds",
    "price": "price",
    "image": "photo",
}
LOG = [("c1", "p1", 5, "2024-01-02"), ("c2", "p1", 3, "2024-01-03"), ("c1", "p2", None, None)]
CATALOGUE = [
    ("p1", "A &amp; B, C", ["x", "y"], 1.5, "p1.jpg"),
    ("p2", None, None, None, None),
]
LOG_NAMES = ("customer", "product", "stars", "bought")
CATALOGUE_NAMES = ("product", "name", "kinds", "price", "photo")


def cell(value) -> str:
    return "" if value is None else "|".join(value) if isinstance(value, list) else str(value)


def delimited(rows, names, mark: str) -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=mark).writerows([names, *([*map(cell, row)] for row in rows)])
    return written.getvalue()


def as_text(path, rows, names, mark):
    return write(path, delimited(rows, names, mark))


def as_json(path, rows, names):
    lines = (json.dumps(dict(zip(names, row, strict=True))) for row in rows)
    return zipped(path, "\n".join(lines))


def as_parquet(path, rows, names):
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, names=list(names)), path)
    return path


WRITERS = {
    "csv": lambda path, *table: as_text(path, *table, ","),
    "tsv": lambda path, *table: as_text(path, *table, "\t"),
    "semicolon": lambda path, *table: as_text(path, *table, ";"),
    "json": as_json,
    "parquet": as_parquet,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_file_format_says_the_same(tmp_path, kind):
    log = WRITERS[kind](tmp_path / "log", LOG, LOG_NAMES)
    items = WRITERS[kind](tmp_path / "items", CATALOGUE, CATALOGUE_NAMES)
    found = read("table", interactions=log, items=items, columns=COLUMNS)
    kept = [[r["user"], r["item"], r["rating"], r["timestamp"]] for r in found.interactions]
    assert kept == [
        ["c1", "p1", 5.0, 1704153600], ["c2", "p1", 3.0, 1704240000], ["c1", "p2", None, None],
    ]  # fmt: skip
    first, second = found.items
    assert (first["key"], first["title"], first["price"]) == ("p1", "A & B, C", 1.5)
    assert (first["categories"], first["image"]) == (["x", "y"], "p1.jpg")
    assert (second["title"], second["categories"], second["image"]) == (None, None, None)
    assert found.rejects == []
    assert sum(batch.bytes_read for batch in found.batches) == sum(
        path.stat().st_size for path in (log, items)
    )


def test_our_own_names_need_no_mapping(tmp_path):
    log = write(tmp_path / "log.csv", "USER,Item,weight,timestamp,split\nu,i,2,5,valid\n")
    items = write(tmp_path / "items.csv", "item,title\ni,Thing\n")
    found = read("table", interactions=log, items=items)
    (row,) = found.interactions
    assert (row["rating"], row["timestamp"], row["split"]) == (2.0, 5, 1)
    assert found.item("i")["title"] == "Thing"


@pytest.mark.parametrize(
    "moments",
    [
        pa.array([dt.datetime(2024, 1, 2)], pa.timestamp("us")),
        pa.array([dt.datetime(2024, 1, 2)], pa.timestamp("ns")),
        pa.array([dt.datetime(2024, 1, 2)], pa.timestamp("ms", "UTC")),
        pa.array([dt.date(2024, 1, 2)], pa.date32()),
        pa.array([1_704_153_600_000], pa.int64()),
        pa.array([1_704_153_600.0], pa.float64()),
        pa.array(["2024-01-02"]).dictionary_encode(),
    ],
    ids=lambda moments: str(moments.type),
)
def test_times_of_any_arrow_type(tmp_path, moments):
    table = pa.table({"user": [1], "item": [2.0], "timestamp": moments})
    pq.write_table(table, tmp_path / "log.parquet")
    (row,) = read("table", interactions=tmp_path / "log.parquet").interactions
    assert (row["user"], row["item"], row["timestamp"]) == ("1", "2", 1_704_153_600)


def test_a_bad_row_of_parquet_is_rejected_by_number_with_its_cells(tmp_path):
    table = pa.table(
        {"user": ["a", None, "c"], "item": ["i"] * 3, "weight": [1.0, 2.0, float("nan")]}
    )
    pq.write_table(table, tmp_path / "log.parquet")
    found = read("table", interactions=tmp_path / "log.parquet")
    assert found.reasons == [(2, Reason.MISSING_FIELD), (3, Reason.BAD_VALUE)]
    assert json.loads(found.rejects[0]["text"]) == {"user": None, "item": "i", "weight": 2.0}


def test_bad_lines_of_json_are_rejected(tmp_path):
    log = write(tmp_path / "log.jsonl", '{"user": "a", "item": "i"}\n{broken\n{"user": "b"}\n')
    found = read("table", interactions=log)
    assert found.reasons == [(2, Reason.NOT_PARSEABLE), (3, Reason.MISSING_FIELD)]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_wrong_column_names_what_there_is_and_the_closest(tmp_path, kind):
    log = WRITERS[kind](tmp_path / "log", LOG, LOG_NAMES)
    with pytest.raises(DataError) as caught:
        read("table", interactions=log, columns=COLUMNS | {"user": "custommer"})
    said = str(caught.value)
    assert "did you mean 'customer'?" in said
    assert str(list(LOG_NAMES)) in said
    assert "data.columns" in said


def test_a_column_that_is_named_but_optional_must_exist_too(tmp_path):
    log = write(tmp_path / "log.csv", "user,item\na,b\n")
    with pytest.raises(DataError, match="no column 'stars' for weight"):
        read("table", interactions=log, columns={"weight": "stars"})


def test_a_column_of_ours_that_does_not_exist_is_a_config_error(tmp_path):
    log = write(tmp_path / "log.csv", "user,item\na,b\n")
    with pytest.raises(ConfigError, match="did you mean 'weight'"):
        read("table", interactions=log, columns={"rating": "stars"})
    with pytest.raises(ConfigError, match="did you mean 'timestamp'"):
        read("table", interactions=log, columns={"timestmap": "t"})


@pytest.mark.parametrize("content", ["user,item\n", "user,item\n\n \n"])
def test_a_header_alone_is_no_data(tmp_path, content):
    with pytest.raises(DataError, match="holds no records"):
        read("table", interactions=write(tmp_path / "log.csv", content))


def test_a_damaged_parquet_is_a_data_error(tmp_path):
    path = write(tmp_path / "log.parquet", b"PAR1" + b"x" * 100)
    with pytest.raises(DataError, match="not a readable Parquet"):
        read("table", interactions=path)


def test_a_name_that_stands_twice_is_refused(tmp_path):
    path = write(tmp_path / "log.csv", "user,item,item\na,b,c\n")
    with pytest.raises(DataError, match=r"\['item'\] twice"):
        read("table", interactions=path)


def test_batches_are_bounded(tmp_path):
    lines = "".join(f"u{n},i{n % 7}\n" for n in range(2 * BATCH_RECORDS + 5))
    found = read("table", interactions=write(tmp_path / "log.csv", "user,item\n" + lines))
    assert [batch.records for batch in found.batches] == [BATCH_RECORDS, BATCH_RECORDS, 5]


def test_a_file_of_wrong_rows_does_not_pile_up(tmp_path):
    content = "user,item\n" + "lonely\n" * (BATCH_RECORDS + 5)
    found = read("table", interactions=write(tmp_path / "log.csv", content))
    assert [batch.records for batch in found.batches] == [BATCH_RECORDS, 5]


def test_pictures_alone_are_a_catalogue(tmp_path):
    log = write(tmp_path / "log.csv", "user,item\na,p1\n")
    for name in ("p2.png", "p1.jpg", "notes.txt"):
        write(tmp_path / "photos" / name, b"x")
    found = read("table", interactions=log, images=tmp_path / "photos")
    assert [(i["key"], i["image"]) for i in found.items] == [("p1", "p1.jpg"), ("p2", "p2.png")]


def test_an_empty_folder_of_pictures_is_a_data_error(tmp_path):
    log = write(tmp_path / "log.csv", "user,item\na,p1\n")
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="no picture"):
        read("table", interactions=log, images=tmp_path / "photos")
