"""How much there is: exact from tables, close from the first records of any raw format."""

import gzip
import json

import numpy as np
import pytest

from pipeline.artifacts import Store
from pipeline.config import Config, DataConfig, EtlConfig
from pipeline.etl.demo import materialise
from pipeline.etl.readers.batches import Format
from pipeline.etl.records import RAW_INTERACTIONS, RAW_ITEMS, Batch
from pipeline.planner import raw
from pipeline.planner.counts import of_tables, text_bytes, text_lengths
from pipeline.planner.distinct import distinct_in
from pipeline.planner.raw import core, of_raw, raw_text_bytes
from pipeline.schema import ITEMS
from tests import worlds
from tests.etl_worlds import as_table
from tests.planner_worlds import planned, write_shop

USERS, PER_USER = 50, 6
PAIRS = [(u, (u + 3 * k) % 20) for u in range(USERS) for k in range(PER_USER)]


def config(etl=None, **data) -> Config:
    return Config(name="test", data=DataConfig(**data), etl=etl or EtlConfig())


def amazon(tmp_path):
    log = "\n".join(
        json.dumps({"reviewerID": f"U{u}", "asin": f"A{i:09}", "overall": 5.0,
                    "unixReviewTime": 1400000000 + u, "reviewText": "good " * 20})
        for u, i in PAIRS
    )  # fmt: skip
    shop = "\n".join(str({"asin": f"A{i:09}", "title": f"Thing {i}"}) for i in range(20))
    with gzip.open(tmp_path / "reviews.json.gz", "wt") as file:
        file.write(log)
    (tmp_path / "meta.json").write_text(shop)
    paths = tmp_path / "reviews.json.gz", tmp_path / "meta.json"
    return config(format="amazon-reviews", interactions=paths[0], items=paths[1])


def amazon_ratings(tmp_path):
    rows = "".join(f"U{u},B{i:09},5.0,{1400000000 + u}\n" for u, i in PAIRS)
    (tmp_path / "ratings.csv").write_text(rows)
    return config(format="amazon-ratings", interactions=tmp_path / "ratings.csv")


def movielens(tmp_path):
    rows = "".join(f"{u},{i},4.0,{100 + u}\n" for u, i in PAIRS)
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + rows)
    films = "".join(f"{i},Film {i} (1999),Drama\n" for i in range(20))
    (tmp_path / "movies.csv").write_text("movieId,title,genres\n" + films)
    return config(format="movielens", folder=tmp_path)


def recbole(tmp_path):
    for part in ("train", "valid", "test"):
        rows = "".join(f"{u}\t{i}\n" for n, (u, i) in enumerate(PAIRS) if PARTS[n % 3] == part)
        (tmp_path / f"a.{part}.inter").write_text("user_id:token\titem_id:token\n" + rows)
    return config(format="recbole", folder=tmp_path)


PARTS = ("train", "valid", "test")


def mmrec(tmp_path):
    rows = "".join(f"{u}\t{i}\t{n % 3}\n" for n, (u, i) in enumerate(PAIRS))
    (tmp_path / "a.inter").write_text("userID\titemID\tx_label\n" + rows)
    np.save(tmp_path / "text_feat.npy", np.ones((20, 4), dtype=np.float32))
    return config(format="mmrec", folder=tmp_path)


def table(tmp_path):
    rows = "".join(f"{u},{i}\n" for u, i in PAIRS)
    (tmp_path / "log.csv").write_text("who,what\n" + rows)
    columns = {"user": "who", "item": "what"}
    return config(format="table", interactions=tmp_path / "log.csv", columns=columns)


FORMATS = [amazon, amazon_ratings, movielens, recbole, mmrec, table]


@pytest.mark.parametrize("make", FORMATS, ids=lambda make: make.__name__)
def test_a_small_file_of_any_format_is_counted_exactly(make, tmp_path):
    found = of_raw(make(tmp_path))
    assert (found.users, found.items, found.interactions) == (USERS, 20, len(PAIRS))
    assert found.raw_bytes > 0
    assert 0 < found.train < found.interactions


@pytest.fixture
def long_log(tmp_path, monkeypatch):
    """A log of 20 equal batches of which a reader is given the time for the first."""
    log, shop = tmp_path / "log.csv", tmp_path / "shop.csv"
    log.write_bytes(b"x" * 20_000), shop.write_bytes(b"x" * 300)
    rng, drawn = np.random.default_rng(0), []

    def interactions(data):
        for _ in range(20):
            drawn.append(rng.integers(400, size=(100, 2)))
            rows = [(f"u{u}", f"i{i}", None, None, None, log.name, 1) for u, i in drawn[-1]]
            yield Batch(log.name, 100, as_table(rows, RAW_INTERACTIONS), bytes_read=1000)

    def items(data):
        rows = [(f"i{i}", f"Thing {i}", *[None] * 6, shop.name, i) for i in range(100)]
        for _ in range(3):
            yield Batch(shop.name, 100, items=as_table(rows, RAW_ITEMS), bytes_read=100)

    monkeypatch.setattr(raw, "SAMPLE_SECONDS", 0.0)
    monkeypatch.setattr(raw, "_format", lambda name: Format(interactions, items))
    return config(format="table", interactions=log, items=shop), drawn


def test_the_first_batch_says_about_how_much_there_is(long_log):
    resolved, drawn = long_log
    found = of_raw(resolved)
    assert len(drawn) == 1, "only the first batch is read"
    assert found.interactions == pytest.approx(2000, rel=0.05)
    assert found.records == pytest.approx(2300, rel=0.05)
    assert 200 < found.users < 1000 and 300 <= found.items < 1000
    assert found.raw_bytes == 20_300
    assert not found.exact and "first 100 of the raw records" in found.source


def test_the_demo_is_counted_from_its_files(tmp_path):
    demo = Config.model_validate(
        {"name": "demo", "data": {"format": "demo", "demo": {"users": 60, "items": 50}}}
    ).data.demo
    materialise(demo, tmp_path)
    found = of_raw(config(format="demo", folder=tmp_path, images=tmp_path / "images"))
    assert found.items == 50 and found.users <= 60
    assert 0 < found.pictures <= 50 and found.texts > 40


def test_ratings_below_the_threshold_and_users_of_few_do_not_count(tmp_path):
    rows = "".join(f"u{u},i{i},{1 if i == 0 else 5}\n" for u, i in PAIRS)
    (tmp_path / "log.csv").write_text("user,item,rating\n" + rows)
    where = {"format": "table", "interactions": tmp_path / "log.csv"}
    whole = of_raw(config(**where, columns={"weight": "rating"}))
    rated = of_raw(config(EtlConfig(min_rating=3), **where, columns={"weight": "rating"}))
    cored = of_raw(config(EtlConfig(user_core=PER_USER + 1), **where))
    below = sum(i == 0 for _, i in PAIRS)
    assert rated.interactions == whole.interactions - below
    assert cored.interactions == 0


def test_cores_are_repeated_until_nothing_changes():
    star = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("c", "y"), ("c", "z")]
    assert core(star, 1, 1) == (3, 3, 6)
    assert core(star, 2, 2) == (2, 2, 4)
    assert core([], 5, 5) == (0, 0, 0)


def test_tables_are_counted_exactly(tmp_path):
    world = worlds.planted()
    tables = worlds.tables(Store(tmp_path), world)
    found, train = of_tables(tables), world.matrix()
    degrees = np.diff(train.indptr)
    assert (found.users, found.items) == (world.n_users, world.n_items)
    assert found.train == train.nnz and found.interactions == len(world.users)
    assert found.pairs == float((degrees**2).sum())
    assert found.validation_users == found.test_users == world.n_users - 1  # one is cold
    assert found.hot == len(np.unique(train.indices))
    assert found.exact and tables.fingerprint in found.source


def test_texts_are_measured_in_characters():
    rows = [{"title": "abc", "categories": ["de", "f"]}, {"title": None}, {"brand": "gh"}]
    table = worlds.pa.Table.from_pylist(rows, schema=ITEMS)
    lengths, share = text_lengths(table)
    assert lengths == (3 + len("de, f"), 2)
    assert share == pytest.approx(2 / 3)


def test_gzip_counts_as_the_text_in_it(tmp_path):
    assert text_bytes(tmp_path / "a.json.gz", 100) > text_bytes(tmp_path / "a.json", 100) == 100


@pytest.mark.parametrize("grouped", [False, True])
def test_distinct_keys_are_foretold_from_a_tenth(grouped):
    rng = np.random.default_rng(0)
    weights = rng.gamma(1.0, size=3000)
    keys = rng.choice(3000, size=40_000, p=weights / weights.sum()).astype(str)
    keys = np.sort(keys) if grouped else keys
    whole = len(set(keys))
    assert distinct_in(keys[:4000].tolist(), len(keys)) == pytest.approx(whole, rel=0.3)


def test_distinct_keys_of_a_whole_log_are_counted():
    assert distinct_in(["a", "b", "a"], 3) == 2
    assert distinct_in([], 0) == 0
    assert distinct_in(["a", "a"], 10) <= 10


def test_a_shop_is_counted_before_and_after_its_tables_exist(tmp_path):
    resolved, _, _ = planned(write_shop(tmp_path), tmp_path / "store")
    found = of_raw(resolved)
    assert (found.users, found.items, found.interactions) == (40, 30, 200)


def test_raw_bytes_are_those_of_the_text(tmp_path):
    log, items = tmp_path / "log.csv", tmp_path / "items.json.gz"
    log.write_bytes(b"x" * 100)
    items.write_bytes(b"y" * 10)
    data = DataConfig(format="amazon-reviews", interactions=log, items=items)
    assert raw_text_bytes(data) == 100 + text_bytes(items, 10) > 110
    assert raw_text_bytes(DataConfig(format="demo")) == 0
