"""What a catalogue tells beyond our columns, from the raw file to a filter of a request."""

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.testclient import TestClient

from pipeline import promises
from pipeline.schema import ITEMS
from serving.app import create_app
from serving.live.export import export
from serving.live.journal import Journal
from serving.settings import Settings
from tests import live_worlds
from tests.live_worlds import ACTIVE, REST

TYPES = {"in_stock": "truth", "stock": "number", "colour": "text"}
COUNT = ACTIVE + REST


def told(number: int) -> dict:
    """Return an item's attributes; every fifth item has none."""
    if number % 5 == 4:
        return {"in_stock": None, "stock": None, "colour": None}
    return {"in_stock": number % 2 == 0, "stock": float(number), "colour": f"c{number % 3}"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    shop = live_worlds.Shop(folder)
    config = shop.write()
    items = [shop.item(n) | told(n) for n in range(COUNT)]
    pq.write_table(pa.Table.from_pylist(items), folder / "items.parquet")
    data = config.data.model_copy(update={"attributes": TYPES})
    return live_worlds.run(
        tmp_path_factory.mktemp("store"), config.model_copy(update={"data": data})
    )


@pytest.fixture
def client(made, tmp_path):
    chosen = Settings(store=made.store.root, state=tmp_path, log_level="error")
    with TestClient(create_app(chosen), raise_server_exceptions=False) as started:
        yield started


def shown(client, match) -> list[str]:
    asked = {"k": 200, "history": ["i000"], "exclude_seen": False, "filter": {"must": [match]}}
    answer = client.post("/v1/recommend", json=asked)
    assert answer.status_code == 200, answer.text
    return sorted(item["id"] for item in answer.json()["items"])


def those(wanted) -> list[str]:
    return [f"i{n:03d}" for n in range(COUNT) if wanted(told(n))]


@pytest.mark.parametrize("kind", ["tables", "bundle"])
def test_the_artifacts_hold_them_behind_our_columns_and_keep_their_promises(made, kind):
    table = made.steps[kind].table("items.parquet")
    assert table.column_names == [*ITEMS.names, *TYPES]
    assert table.select([*TYPES]).to_pylist() == [told(n) for n in range(COUNT)]
    assert promises.broken(made.steps[kind]) == []


def test_filters_ask_for_them(client):
    assert shown(client, {"key": "in_stock", "match": {"value": True}}) == those(
        lambda a: a["in_stock"]
    )
    assert shown(client, {"key": "colour", "match": {"value": "c1"}}) == those(
        lambda a: a["colour"] == "c1"
    )
    few = those(lambda a: a["stock"] is not None and a["stock"] >= 60)
    assert shown(client, {"key": "stock", "range": {"gte": 60}}) == few


def test_an_item_tells_them(client):
    assert client.get("/v1/items/i003").json()["attributes"] == told(3)
    assert client.get("/v1/items/i004").json()["attributes"] == dict.fromkeys(TYPES)


def test_a_change_counts_from_the_next_request_on(client):
    sold_out = client.patch("/v1/items/i002", json={"attributes": {"in_stock": False}})
    assert sold_out.status_code == 200, sold_out.text
    assert "i002" not in shown(client, {"key": "in_stock", "match": {"value": True}})
    assert client.get("/v1/items/i002").json()["attributes"] == told(2) | {"in_stock": False}
    client.patch("/v1/items/i002", json={"attributes": {"in_stock": None, "stock": 1}})
    assert client.get("/v1/items/i002").json()["attributes"] == {
        "in_stock": None, "stock": 1, "colour": "c2",
    }  # fmt: skip


def test_an_added_item_has_them(client):
    sent = {"id": "new", "title": "lamp", "attributes": {"in_stock": True, "colour": "gold"}}
    assert client.post("/v1/items", json=sent).status_code == 201
    assert shown(client, {"key": "colour", "match": {"value": "gold"}}) == ["new"]
    assert client.get("/v1/items/new").json()["attributes"]["stock"] is None


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"in_stok": True}, "did you mean 'in_stock'"),
        ({"in_stock": "yes"}, "is a truth"),
        ({"stock": True}, "is a number"),
        ({"colour": 3}, "is a text"),
    ],
)
def test_what_is_no_attribute_is_refused(client, attributes, words):
    answer = client.patch("/v1/items/i002", json={"attributes": attributes})
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_what_another_bundle_was_told_of_another_type_is_left_aside(made, tmp_path):
    fields = {"stock": "many", "gone": 1, "colour": "x"}
    record = {"op": "patch", "at": 4e9, "key": "i002", "fields": fields}
    Journal(tmp_path / "items").append(record)
    chosen = Settings(store=made.store.root, state=tmp_path, log_level="error")
    with TestClient(create_app(chosen)) as client:
        assert client.get("/v1/items/i002").json()["attributes"] == told(2) | {"colour": "x"}
        assert shown(client, {"key": "colour", "match": {"value": "x"}}) == ["i002"]


def test_the_tables_of_the_next_run_have_them(made, client, tmp_path):
    client.patch("/v1/items/i002", json={"attributes": {"colour": "pink"}})
    export(made.store, made.bundle, tmp_path, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out/items.parquet").to_pylist()
    assert {row["colour"] for row in rows if row["key"] == "i002"} == {"pink"}
    assert all(
        value is None or not isinstance(value, float) or math.isfinite(value)
        for row in rows
        for value in row.values()
    )


def test_json_of_an_answer_is_plain(client):
    text = client.get("/v1/items/i003").text
    assert json.loads(text)["attributes"]["stock"] == 3
