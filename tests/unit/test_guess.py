"""``init``: what it makes of files of every format, and that what it writes can be run."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.config import load_config
from pipeline.errors import DataError
from pipeline.etl.generate import EDITIONS, AmazonSpec, make_amazon
from pipeline.etl.guess import SHOWN, guess
from pipeline.etl.records import READERS
from pipeline.etl.roles import Sampled, interaction_roles, item_roles
from tests.reading import write

DAY = 1_404_172_800


def log_rows(count: int = 200) -> list[list[object]]:
    return [[f"c{n % 40}", f"p{n * 7 % 90}", n % 5 + 1, DAY + n * 9999] for n in range(count)]


def catalogue_rows(count: int = 90) -> list[list[object]]:
    return [
        [f"p{n}", f"Thing number {n}", f"A thing of kind {n % 4}, " + "made with great care " * 5,
         f"Home|Kind {n % 4}", f"{n}.99", f"photos/p{n}.jpg"]
        for n in range(count)
    ]  # fmt: skip


def table(path, names, rows, mark=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=mark).writerows([names, *rows])
    return path


def written(found, folder):
    """Return the configuration as somebody would load it."""
    path = write(folder / "guessed.yaml", found.yaml(folder))
    return load_config(path)


def columns_of(found) -> dict[str, str]:
    return dict(found.data.columns)


NAMED = {"user": "Customer ID", "item": "product_id", "weight": "stars", "timestamp": "createdAt"}


@pytest.mark.parametrize("mark", [",", "\t", ";"])
def test_columns_are_recognised_by_their_names(tmp_path, mark):
    log = table(tmp_path / "log.txt", list(NAMED.values()), log_rows(), mark)
    items = table(
        tmp_path / "items.txt",
        ["product_id", "name", "description", "category", "price", "image_url"],
        catalogue_rows(),
        mark,
    )
    found = guess(log, items)
    assert found.doubts == []
    assert columns_of(found) == NAMED | {
        "key": "product_id", "title": "name", "description": "description",
        "categories": "category", "price": "price", "image": "image_url",
    }  # fmt: skip
    assert found.samples[0].columns == ["user", "item", "rating", "timestamp"]
    assert found.samples[0].rows[0] == ["c0", "p0", "1.0", str(DAY)]
    assert [len(sample.rows) for sample in found.samples] == [SHOWN, SHOWN]


def test_columns_are_recognised_by_their_content(tmp_path):
    rows = [[stamp, item, user, stars] for user, item, stars, stamp in log_rows()]
    log = table(tmp_path / "log.csv", ["a", "b", "c", "d"], rows)
    swapped = [[words, blurb, kinds, key, photo] for key, words, blurb, kinds, _, photo in
               catalogue_rows()]  # fmt: skip
    items = table(tmp_path / "items.csv", ["v", "w", "x", "y", "z"], swapped)
    found = guess(log, items)
    assert columns_of(found) == {
        "user": "c", "item": "b", "weight": "d", "timestamp": "a",
        "key": "y", "title": "v", "description": "w", "categories": "x", "image": "z",
    }  # fmt: skip
    assert any("user is 'c'" in doubt for doubt in found.doubts)
    assert "CHECK" in found.yaml(tmp_path)


def test_without_a_catalogue_user_and_item_are_a_guess_and_said_to_be(tmp_path):
    log = table(tmp_path / "log.csv", ["x", "y"], [[f"{n % 9}a", f"{n}b"] for n in range(50)])
    found = guess(log)
    assert columns_of(found) == {"user": "x", "item": "y"}
    assert len(found.doubts) == 2
    assert "rule: random" in found.yaml(tmp_path)


def test_what_is_written_can_be_loaded_and_read(tmp_path):
    log = table(tmp_path / "data" / "log.csv", list(NAMED.values()), log_rows())
    items = table(
        tmp_path / "data" / "yes: items.csv",
        ["product_id", "name", "text", "genres", "price", "photo"],
        catalogue_rows(),
    )
    for n in range(90):
        write(tmp_path / "data" / "photos" / f"p{n}.jpg", b"x")
    found = guess(log, items, tmp_path / "data" / "photos")
    config = written(found, tmp_path / "configs")
    assert config.data.columns == found.data.columns
    assert config.data.interactions == log.resolve()
    batches = [*READERS["table"](config.data)]
    assert sum(len(batch.interactions) for batch in batches) == 200
    assert batches[-1].items["image"].to_pylist()[:2] == ["p0.jpg", "p1.jpg"]
    assert config.embed.text is not None
    assert config.embed.image is not None


def test_modalities_that_are_not_there_are_left_out(tmp_path):
    log = table(tmp_path / "log.csv", list(NAMED.values()), log_rows())
    config = written(guess(log), tmp_path)
    assert config.embed.text is None
    assert config.embed.image is None
    assert config.etl.split.rule == "global-time"


def test_a_label_column_becomes_the_split(tmp_path):
    rows = [[*row, ("train", "valid", "test")[n % 3]] for n, row in enumerate(log_rows())]
    log = table(tmp_path / "log.csv", [*NAMED.values(), "fold"], rows)
    assert written(guess(log), tmp_path).etl.split.rule == "label"


def test_parquet_and_json_lines(tmp_path):
    names = ["visitorId", "sku", "rating", "time"]
    columns = dict(zip(names, zip(*log_rows(), strict=True), strict=True))
    pq.write_table(pa.table({k: list(v) for k, v in columns.items()}), tmp_path / "log.parquet")
    lines = "\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in log_rows())
    expected = dict(zip(("user", "item", "weight", "timestamp"), names, strict=True))
    for path in (tmp_path / "log.parquet", write(tmp_path / "log.jsonl", lines)):
        found = guess(path)
        assert found.data.format == "table"
        assert columns_of(found) == expected


@pytest.mark.parametrize("edition", EDITIONS)
def test_amazon_files_are_recognised(tmp_path, edition):
    paths = make_amazon(tmp_path, AmazonSpec(edition, 50, 300, 400))
    found = guess(paths["reviews"], paths["metadata"])
    assert found.data.format == "amazon-reviews"
    assert found.doubts == []
    config = written(found, tmp_path)
    assert config.data.items == paths["metadata"].resolve()
    assert config.embed.image is not None
    ratings = guess(paths["ratings"])
    assert ratings.data.format == "amazon-ratings"
    assert ratings.samples[0].rows[0][0].startswith("A")


@pytest.mark.parametrize("named", ["folder", "file"])
def test_known_folders_are_recognised(tmp_path, named):
    def which(name: str, log: str):
        return guess(tmp_path / name if named == "folder" else tmp_path / name / log)

    write(tmp_path / "ml" / "ratings.csv", "userId,movieId,rating,timestamp\n1,2,3.5,964982703\n")
    write(tmp_path / "ml" / "movies.csv", "movieId,title,genres\n2,A,Drama\n")
    found = which("ml", "ratings.csv")
    assert (found.data.format, found.data.folder) == ("movielens", tmp_path / "ml")
    assert found.samples[1].columns == ["key", "title", "categories"]
    write(tmp_path / "mm" / "x.inter", "userID\titemID\tx_label\n0\t0\t0\n")
    write(tmp_path / "mm" / "i_id_mapping.csv", "asin\titemID\nB0\t0\n")
    found = which("mm", "x.inter")
    assert found.data.format == "mmrec"
    assert written(found, tmp_path).embed.text is None
    write(tmp_path / "rb" / "x.inter", "user_id:token\titem_id:token\nu\ti\n")
    assert which("rb", "x.inter").data.format == "recbole"
    write(tmp_path / "old" / "u.data", "1\t2\t3\t881250949\n")
    assert which("old", "u.data").data.format == "movielens"


def test_a_catalogue_of_other_items_is_doubted(tmp_path):
    log = table(tmp_path / "log.csv", list(NAMED.values()), log_rows())
    other = [[f"q{n}", f"Thing {n}"] for n in range(50)]
    found = guess(log, table(tmp_path / "items.csv", ["product_id", "name"], other))
    assert any("no item of the first interactions" in doubt for doubt in found.doubts)


def test_many_rejects_are_doubted(tmp_path):
    rows = [[*row[:2], "n/a" if n % 2 else row[2], row[3]] for n, row in enumerate(log_rows())]
    found = guess(table(tmp_path / "log.csv", list(NAMED.values()), rows))
    assert any("100 of the first 200 records" in doubt for doubt in found.doubts)
    assert yaml.safe_load(found.yaml(tmp_path))["data"]["format"] == "table"


def test_what_cannot_be_guessed_says_what_is_needed(tmp_path):
    with pytest.raises(DataError, match=r"has no header.*for example user,item,rating"):
        guess(write(tmp_path / "log.csv", "1,2,3\n4,5,6\n"))
    with pytest.raises(DataError, match="looks like the item"):
        guess(write(tmp_path / "one.csv", "user\na\nb\n"))
    with pytest.raises(DataError, match="no file at"):
        guess(tmp_path / "absent.csv")
    write(tmp_path / "some" / "notes.txt", "x")
    with pytest.raises(DataError, match=r"notes\.txt"):
        guess(tmp_path / "some")
    with pytest.raises(DataError, match="not a folder"):
        guess(tmp_path / "log.csv", None, tmp_path / "absent")


def test_numbered_users_are_not_taken_for_items():
    rows = [[n % 60 + 1, n * 13 % 500 + 1, n % 5 + 1] for n in range(2000)]
    roles = interaction_roles(
        Sampled(["who", "what", "how"], rows), frozenset(str(n) for n in range(1, 501))
    )
    assert {ours: role.column for ours, role in roles.items()} == {
        "user": "who", "item": "what", "weight": "how",
    }  # fmt: skip
    assert not roles["item"].sure


def test_a_key_by_name_gives_way_to_one_that_joins():
    rows = [[f"row{n}", f"sku{n}", "x"] for n in range(9)]
    roles = item_roles(Sampled(["id", "reference", "label"], rows), frozenset({"sku1", "sku2"}))
    assert roles["key"].column == "reference"
    assert roles["title"].column == "label"
