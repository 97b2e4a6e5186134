"""An item that comes over HTTP gets the vector that the batch pipeline gives it."""

import base64
import json

import numpy as np
import pytest
from starlette.testclient import TestClient

from pipeline.artifacts import Store
from pipeline.ids import UNKNOWN
from serving.app import create_app
from serving.bundle import Bundle
from serving.live import records
from serving.live.journal import line_of, records_of
from serving.live.state import Live
from serving.recommender import Recommender
from serving.settings import Settings
from tests import live_worlds
from tests.live_worlds import ACTIVE, REST

NEW = (ACTIVE + REST, ACTIVE + REST + 1, ACTIVE + REST + 2)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw")
    return live_worlds.Shop(folder)


@pytest.fixture(scope="module")
def made(shop, tmp_path_factory):
    """A bundle without the new items, and one whose raw catalogue has them."""
    root = tmp_path_factory.mktemp("stores")
    before = live_worlds.run(root / "before", shop.write())
    further = [shop.item(number) for number in NEW]
    further[2] = {**further[2], "title": None, "description": None, "brand": None,
                  "categories": None, "price": None}  # fmt: skip
    after = live_worlds.run(root / "after", shop.write(further, pictured=len(NEW)))
    return before, after


def client_of(store: Store, **settings):
    chosen = Settings(store=store.root, log_level="error", **settings)
    return TestClient(create_app(chosen), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def client(made):
    with client_of(made[0].store) as started:
        yield started


def sent(shop, number) -> dict:
    item = shop.item(number)
    return {"id": item.pop("key"), **item}


def picture_of(shop, number) -> str:
    return base64.b64encode(shop.picture(number).read_bytes()).decode()


def state_of(client):
    return client.app_state["deployment"].service.live


def vectors_in_service(client, key):
    live = state_of(client)
    row = live.recommender.row(key)
    bundle = live.recommender.bundle
    return bundle.item_vectors[row], bundle.fold_in[row]


def vectors_of_batch(made, key):
    bundle = Bundle.of(made[1].bundle)
    row = bundle.catalogue.ids.row(key)
    return bundle.item_vectors[row], bundle.fold_in[row]


def assert_same(ours, theirs):
    for mine, batch in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, batch, atol=1e-5)
        assert np.abs(batch).max() > 1e-3


def test_training_does_not_depend_on_the_new_items(made):
    before, after = (Bundle.of(each.bundle) for each in made)
    np.testing.assert_allclose(before.user_vectors, after.user_vectors, atol=1e-6)
    old = before.catalogue.ids.keys.tolist()
    there = after.catalogue.ids.rows(old)
    np.testing.assert_allclose(before.item_vectors, after.item_vectors[there], atol=1e-5)
    assert len(after.catalogue) == len(before.catalogue) + len(NEW)


def test_text_and_picture_in_base64(made, shop, client):
    body = {**sent(shop, NEW[0]), "image_base64": picture_of(shop, NEW[0])}
    answer = client.post("/v1/items", json=body)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert told["created"] and told["changed"] and told["tier"] == "warm"
    assert told["modalities"] == ["image", "text"] and told["attached_by"] == "network"
    assert_same(vectors_in_service(client, body["id"]), vectors_of_batch(made, body["id"]))


def test_a_picture_as_a_file_of_a_form(made, shop, client):
    with shop.picture(NEW[1]).open("rb") as file:
        answer = client.post(
            "/v1/items:upload",
            data={"item": json.dumps(sent(shop, NEW[1]))},
            files={"image": ("a.png", file, "image/png")},
        )
    assert answer.status_code == 201, answer.text
    key = f"i{NEW[1]:03d}"
    assert_same(vectors_in_service(client, key), vectors_of_batch(made, key))
    shown = client.get(f"/v1/items/{key}").json()["image"]
    assert client.get(shown).headers["content-type"] == "image/jpeg"


def test_a_picture_alone(made, shop, client):
    key = f"i{NEW[2]:03d}"
    answer = client.post(
        "/v1/items", json={"id": key, "image_base64": picture_of(shop, NEW[2])}
    ).json()
    assert answer["modalities"] == ["image"]
    assert_same(vectors_in_service(client, key), vectors_of_batch(made, key))


def test_raw_vectors(made, shop, client):
    after = Bundle.of(made[1].bundle)
    row = after.catalogue.ids.row(f"i{NEW[0]:03d}")
    raw = {m: 3.7 * made[1].bundle.array(f"content_{m}.npy")[row] for m in ("text", "image")}
    body = {"id": "raw", "vectors": {m: v.tolist() for m, v in raw.items()}}
    assert client.post("/v1/items", json=body).status_code == 201
    assert_same(vectors_in_service(client, "raw"), vectors_of_batch(made, f"i{NEW[0]:03d}"))


def test_they_survive_a_restart(made, client):
    keys = [f"i{number:03d}" for number in NEW] + ["raw"]
    before = [vectors_in_service(client, key) for key in keys]
    with client_of(made[0].store) as again:
        for key, ours in zip(keys, before, strict=True):
            np.testing.assert_array_equal(vectors_in_service(again, key), ours)


def test_a_bundle_whose_raw_files_have_an_item_takes_it_over(made, shop, tmp_path, monkeypatch):
    """One that the new bundle does not hold stays, and the new network makes its vector."""
    before, after = (Bundle.of(each.bundle) for each in made)
    monkeypatch.setattr(records, "now", lambda: 1.0)  # long before any table was made
    key, row = f"i{NEW[0]:03d}", after.catalogue.ids.row(f"i{NEW[0]:03d}")
    content = {m: made[1].bundle.array(f"content_{m}.npy")[row] for m in ("text", "image")}
    first = Live(before, tmp_path, Recommender)
    for name in (key, "stays"):
        first.put(name, {"title": name}, content, "")
    first.patch("i001", {"title": "changed long ago"})
    first.patch("stays", {"brand": "mine"})
    first.delete("i002")

    newer = Live(after, tmp_path, Recommender)
    catalogue = newer.recommender.bundle.catalogue
    assert catalogue.ids.row(key) == row
    assert catalogue.item(catalogue.ids.row("i001")).title != "changed long ago"
    assert catalogue.ids.row("i002") == UNKNOWN
    stays = catalogue.ids.row("stays")
    assert stays == len(after.catalogue) and catalogue.item(stays).brand == "mine"
    vectors = newer.recommender.bundle.item_vectors
    np.testing.assert_allclose(vectors[stays], vectors[row], atol=1e-5)


def test_what_another_model_made_is_made_anew(made, tmp_path):
    before = Bundle.of(made[0].bundle)
    content = {"text": made[0].bundle.array("content_text.npy")[3]}
    live = Live(before, tmp_path, Recommender)
    live.put("new", {"title": "new"}, content, "")
    path = live._items.path(1)
    (record,), _ = records_of(path.read_bytes(), path)
    record["placed"]["model"] = "another"
    record["placed"]["vector"] = records.packed(np.full(8, 9.0))
    path.write_bytes(line_of(record))
    again = Live(before, tmp_path, Recommender)
    row = again.recommender.row("new")
    ours = live.recommender.bundle.item_vectors[row]
    np.testing.assert_allclose(again.recommender.bundle.item_vectors[row], ours, atol=1e-6)


def test_they_are_as_loud_as_the_attached_items_of_the_catalogue(made, shop, tmp_path):
    """The length that ``train.new_item_share`` gives these is given to what comes later."""
    loud = live_worlds.run(tmp_path / "store", shop.write(share=0.3))
    factor = loud.steps["model"].facts["new_items_scale"]
    assert abs(factor - 1) > 0.01
    content = {"text": made[0].bundle.array("content_text.npy")[3]}
    rows = []
    for name, run in (("plain", made[0]), ("loud", loud)):
        live = Live(Bundle.of(run.bundle), tmp_path / name, Recommender)
        live.put("new", {}, content, "")
        rows.append(live.overlay)
    np.testing.assert_allclose(rows[1].vectors, factor * rows[0].vectors, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(rows[1].fold_in, rows[0].fold_in, rtol=1e-4, atol=1e-6)
