"""Items over HTTP: added, changed, deleted, searched by content; and everything that is refused."""

import base64
import errno
import io
import json
import os
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from pipeline.artifacts import Store
from pipeline.errors import DataError
from serving.app import create_app
from serving.live import encoders, uploads
from serving.live.journal import line_of
from serving.settings import Settings
from tests import live_worlds, worlds_bundle


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return live_worlds.Shop(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def made(shop, tmp_path_factory):
    return live_worlds.run(tmp_path_factory.mktemp("stores"), shop.write())


def client_of(store: Store, state, **settings):
    chosen = Settings(store=store.root, log_level="error", state=state, **settings)
    return TestClient(create_app(chosen), raise_server_exceptions=False)


@pytest.fixture
def client(made, tmp_path):
    with client_of(made.store, tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def lasting(made, tmp_path_factory):
    with client_of(made.store, tmp_path_factory.mktemp("state")) as started:
        yield started


def png(number=0, size=(20, 20)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, (number, 90, 200)).save(out, "PNG")
    return out.getvalue()


def text64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def problem_of(answer, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    return answer.json()["detail"]


LAMP = {"id": "new lamp", "title": "lamp lamp desk", "brand": "brand 0", "price": 12.25,
        "categories": ["kind 0"], "description": "a good red lamp"}  # fmt: skip


class TestLife:
    def test_added_found_patched_deleted(self, client):
        assert client.get("/v1/items/new lamp").status_code == 404
        answer = client.post("/v1/items", json=LAMP)
        assert answer.status_code == 201
        assert answer.json()["modalities"] == ["text"] and answer.json()["title"] == LAMP["title"]
        assert answer.headers["cache-control"] == "private, no-store"

        told = client.get("/v1/items/new lamp").json()
        assert told["price"] == 12.25 and told["description"] == LAMP["description"]
        assert told["categories"] == ["kind 0"] and told["users"] == 0
        everything = client.post("/v1/recommend", json={"user": "u0", "k": 76}).json()
        assert "new lamp" in [item["id"] for item in everything["items"]]
        assert client.get("/v1/items", params={"query": "lamp lamp desk"}).json()["total"] >= 1

        patched = client.patch("/v1/items/new lamp", json={"title": "A lamp", "price": None})
        assert patched.json()["title"] == "A lamp" and patched.json()["price"] is None
        assert patched.json()["changed"] and not patched.json()["created"]
        again = client.patch("/v1/items/new lamp", json={"title": "A lamp"})
        assert not again.json()["changed"]
        assert client.get("/v1/items/new lamp").json()["brand"] == "brand 0"

        assert client.delete("/v1/items/new lamp").json() == {"id": "new lamp", "deleted": True}
        assert client.get("/v1/items/new lamp").status_code == 404
        assert client.delete("/v1/items/new lamp").status_code == 404
        everything = client.post("/v1/recommend", json={"user": "u0", "k": 76}).json()
        assert "new lamp" not in [item["id"] for item in everything["items"]]

    def test_the_same_again_changes_nothing(self, client, tmp_path):
        assert client.post("/v1/items", json=LAMP).status_code == 201
        size = (tmp_path / "items" / "00000001.log").stat().st_size
        again = client.post("/v1/items", json=LAMP)
        assert again.status_code == 200 and not again.json()["changed"]
        assert (tmp_path / "items" / "00000001.log").stat().st_size == size
        client.patch("/v1/items/new lamp", json={"title": "other"})
        back = client.post("/v1/items", json=LAMP).json()
        assert back["changed"] and back["title"] == LAMP["title"]

    def test_one_of_the_bundle_is_replaced_patched_and_deleted(self, client):
        before = client.get("/v1/items/i001").json()
        answer = client.post("/v1/items", json={"id": "i001", "title": "drill drill"})
        assert answer.status_code == 200 and answer.json()["changed"]
        after = client.get("/v1/items/i001").json()
        assert after["title"] == "drill drill" and after["brand"] is None != before["brand"]
        assert client.patch("/v1/items/i002", json={"brand": "mine"}).json()["attached_by"] is None
        assert client.get("/v1/items/i002").json()["brand"] == "mine"
        assert client.delete("/v1/items/i003").status_code == 200
        shown = client.post("/v1/recommend", json={"k": 75, "exclude_seen": False}).json()["items"]
        assert "i003" not in [item["id"] for item in shown]

    def test_similar_by_everything(self, client):
        client.post("/v1/items", json={**LAMP, "image_base64": text64(png())})
        for by in ("model", "text", "image"):
            items = client.get("/v1/items/new lamp/similar", params={"by": by, "k": 3}).json()
            assert len(items["items"]) == 3
        kinds = client.get("/v1/items/new lamp/similar", params={"by": "text", "k": 3}).json()
        assert int(kinds["items"][0]["id"][1:]) % 3 == 0
        none = client.get("/v1/items/new lamp/similar", params={"by": "bought_together"}).json()
        assert none["items"] == [] and none["shortfall_reason"]

    def test_other_workers_know_at_once(self, made, client, tmp_path):
        with client_of(made.store, tmp_path) as other:
            client.post("/v1/items", json=LAMP)
            assert other.get("/v1/items/new lamp").json()["title"] == LAMP["title"]
            other.delete("/v1/items/new lamp")
            assert client.get("/v1/items/new lamp").status_code == 404
            other.post("/v1/items", json={**LAMP, "title": "back"})
            assert client.get("/v1/items/new lamp").json()["title"] == "back"
            assert client.post("/v1/items", json=LAMP).status_code == 200

    def test_many_at_once_from_several_threads_are_all_there(self, made, tmp_path):
        with client_of(made.store, tmp_path) as one, client_of(made.store, tmp_path) as other:

            def add(client, name):
                for at in range(6):
                    body = {"id": f"{name}{at}", "title": "lamp"}
                    assert client.post("/v1/items", json=body).status_code == 201

            for client in (one, other):  # FastAPI makes a route when it is first asked for
                client.post("/v1/items", json={"id": "first", "title": "lamp"})
            threads = [
                threading.Thread(target=add, args=(client, name))
                for client, name in ((one, "a"), (one, "b"), (other, "c"))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for client in (one, other):
                for name in "abc":
                    assert client.get(f"/v1/items/{name}5").status_code == 200
        with client_of(made.store, tmp_path) as after:
            assert after.get("/v1/items", params={"query": "lamp"}).json()["total"] >= 18

    @pytest.mark.parametrize("title", [None, "???", "lamp desk"])
    def test_an_item_that_says_nothing_is_cold(self, client, title):
        """The last title is one that the tiny encoder turns into zeros, as in the batch."""
        told = client.post("/v1/items", json={"id": "bare", "title": title}).json()
        assert told["tier"] == "cold" and told["modalities"] == []
        assert client.get("/v1/items/bare/similar").json()["items"] == []


class TestSearch:
    def test_by_text(self, client):
        found = client.post("/v1/search", json={"text": "coat boots scarf", "k": 5}).json()
        assert found["by"] == "text" and len(found["items"]) == 5
        assert {int(item["id"][1:]) % 3 for item in found["items"]} == {1}
        scores = [item["score"] for item in found["items"]]
        assert scores == sorted(scores, reverse=True) and scores[0] <= 1

    def test_by_picture_in_every_way(self, client, shop):
        data = shop.picture(4).read_bytes()
        sent = client.post("/v1/search", json={"image_base64": text64(data), "k": 3}).json()
        form = client.post("/v1/search:upload", data={"k": 3}, files={"image": data}).json()
        assert sent["items"][0]["id"] == form["items"][0]["id"] == "i004"
        assert sent["items"][0]["score"] == pytest.approx(1, abs=1e-5) and len(sent["items"]) == 3

    def test_added_items_are_found_and_deleted_ones_not(self, client):
        client.post("/v1/items", json={**LAMP, "image_base64": text64(png(3))})
        query = {"image_base64": text64(png(3)), "k": 1}
        assert client.post("/v1/search", json=query).json()["items"][0]["id"] == "new lamp"
        client.delete("/v1/items/new lamp")
        assert client.post("/v1/search", json=query).json()["items"][0]["id"] != "new lamp"
        client.delete("/v1/items/i004")
        found = client.post("/v1/search", json={"text": "coat", "k": 75}).json()
        assert "i004" not in [item["id"] for item in found["items"]]
        assert found["shortfall_reason"] == "74 items have text"

    def test_it_is_the_exact_search(self, client, made):
        vectors = made.bundle.array("content_text.npy")
        found = client.post("/v1/search", json={"vector": vectors[8].tolist(), "by": "text"}).json()
        order = np.argsort(-(vectors @ vectors[8]), kind="stable")[:10]
        exact = (vectors @ vectors[8])[order]
        np.testing.assert_allclose([i["score"] for i in found["items"]], exact, atol=1e-5)

    @pytest.mark.parametrize(
        ("body", "what"),
        [
            ({}, "exactly one"),
            ({"text": "a", "image_base64": "aa"}, "exactly one"),
            ({"vector": [1.0]}, "wants by"),
            ({"vector": [1.0], "by": "text"}, "64 numbers, this one 1"),
            ({"vector": [1.0], "by": "sound"}, "no modality 'sound'"),
            ({"text": "coat", "by": "image"}, "112 numbers, this one 64"),
            ({"text": "???"}, "zeros alone"),
        ],
    )
    def test_refusals(self, client, body, what):
        assert what in problem_of(client.post("/v1/search", json=body), 422)


class TestRefused:
    @pytest.mark.parametrize(
        "body",
        [
            {"title": "no id"}, {"id": ""}, {"id": " "}, {"id": "a\x00"}, {"id": "x" * 513},
            {"id": "a", "price": -1}, {"id": "a", "price": "1"}, {"id": "a", "colour": "red"},
            {"id": "a", "vectors": {"text": []}}, {"id": "a", "vectors": {"text": [1] * 5}},
            {"id": "a", "vectors": {"text": [0] * 64}}, {"id": "a", "vectors": {"x": [1]}},
            {"id": "a", "image_base64": "no base64!"}, {"id": "a", "image_url": "file:///etc/x"},
            {"id": "a", "image_base64": text64(b"no picture")},
            {"id": "a", "image_base64": text64(png()[:60])},
            {"id": "a", "image_base64": text64(png()), "image_url": "http://a/b"},
            {"id": "a", "title": "x" * 2001},
        ],
        ids=str,
    )  # fmt: skip
    def test_a_bad_item(self, lasting, body):
        problem_of(lasting.post("/v1/items", json=body), 422)
        assert lasting.get("/v1/items/a").status_code == 404

    def test_not_a_number_in_raw_json(self, lasting):
        body = '{"id": "a", "vectors": {"text": [' + ",".join(["1e999"] * 64) + "]}}"
        assert lasting.post("/v1/items", content=body).status_code in (400, 422)
        body = '{"id": "a", "vectors": {"text": [' + ",".join(["1e308"] * 64) + "]}}"
        assert lasting.post("/v1/items", content=body).status_code in (200, 201)
        lasting.delete("/v1/items/a")

    def test_a_form_that_holds_no_item(self, lasting):
        files = {"image": png()}
        problem_of(lasting.post("/v1/items:upload", files=files), 422)
        for item in ("{", '{"id": ""}', "[]", "7"):
            problem_of(lasting.post("/v1/items:upload", data={"item": item}, files=files), 422)
        problem_of(lasting.post("/v1/items:upload", content=b"x", headers={
            "content-type": "multipart/form-data; boundary=y"}), 400)  # fmt: skip

    def test_what_is_not_there_cannot_be_changed(self, lasting):
        assert "no item 'nobody'" in problem_of(
            lasting.patch("/v1/items/nobody", json={"title": "x"}), 404
        )
        problem_of(lasting.patch("/v1/items/nobody", json={}), 404)
        problem_of(lasting.delete("/v1/items/nobody"), 404)
        problem_of(lasting.patch("/v1/items/i001", json={"id": "other"}), 422)


class TestPictures:
    @given(st.binary(max_size=300), st.integers(0, 200), st.booleans())
    @settings(
        max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    def test_fuzzed_bytes_are_refused_or_taken(self, lasting, noise, at, into_a_picture):
        whole = png(1, (9, 7))
        data = whole[:at] + noise + whole[at + len(noise) :] if into_a_picture else noise
        answer = lasting.post("/v1/search", json={"image_base64": text64(data), "k": 1})
        assert answer.status_code in (200, 422), answer.text
        answer = lasting.post("/v1/items", json={"id": "fuzz", "image_base64": text64(data)})
        assert answer.status_code in (200, 201, 422), answer.text

    def test_a_bomb_is_not_decoded(self, lasting):
        bomb = io.BytesIO()
        Image.new("1", (9000, 9000)).save(bomb, "PNG")
        assert len(bomb.getvalue()) < 50_000
        body = {"id": "bomb", "image_base64": text64(bomb.getvalue())}
        assert "40,000,000" in problem_of(lasting.post("/v1/items", json=body), 422)
        huge = bytearray(png())
        huge[16:24] = (60_000).to_bytes(4, "big") * 2
        body["image_base64"] = text64(bytes(huge))
        problem_of(lasting.post("/v1/items", json=body), 422)

    def test_what_is_kept_is_drawn_anew(self, tmp_path):
        out = io.BytesIO()
        picture = Image.new("RGB", (3000, 20))
        exif = picture.getexif()
        exif[0x010E] = "where I live"
        picture.save(out, "JPEG", exif=exif)
        name = uploads.kept(out.getvalue(), tmp_path)
        stored = (tmp_path / "pictures" / name.removeprefix("live:")).read_bytes()
        assert b"where I live" in out.getvalue() and b"where I live" not in stored
        assert Image.open(io.BytesIO(stored)).size == (1024, 7)


class Site(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/away":
            self.send_response(302)
            self.send_header("location", "http://169.254.169.254/latest")
            self.end_headers()
            return
        body = {"/picture": png(5), "/large": b"x" * 11_000_000, "/page": b"<html>"}[self.path]
        self.send_response(200)
        kind = "text/html" if self.path == "/page" else "image/png"
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    server = HTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestUrls:
    @pytest.mark.parametrize(
        "host", ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "0.0.0.0"]
    )
    def test_no_address_of_ours_is_fetched(self, lasting, host, monkeypatch):
        opened = []
        monkeypatch.setattr(socket.socket, "connect", lambda *a: opened.append(a))
        body = {"id": "a", "image_url": f"http://{host}:9/x"}
        assert "private_address" in problem_of(lasting.post("/v1/items", json=body), 422)
        assert not opened

    def test_a_public_picture_is_fetched_once(self, client, site, monkeypatch):
        client.app_state["deployment"].service.door.encoders.allow_private = True
        body = {"id": "a", "title": "lamp", "image_url": f"{site}/picture"}
        told = client.post("/v1/items", json=body).json()
        assert told["modalities"] == ["image", "text"] and told["image"] == f"{site}/picture"
        found = client.post("/v1/search", json={"image_base64": text64(png(5)), "k": 1}).json()
        assert found["items"][0]["id"] == "a"

    @pytest.mark.parametrize(
        ("path", "why"), [("/large", "too_large"), ("/page", "not_a_picture"), ("/away", "")]
    )
    def test_what_is_no_picture_is_refused(self, client, site, path, why):
        client.app_state["deployment"].service.door.encoders.allow_private = True
        body = {"id": "a", "image_url": site + path}
        if path == "/away":
            client.app_state["deployment"].service.door.encoders.allow_private = False
            why = "private_address"
        assert why in problem_of(client.post("/v1/items", json=body), 422)


class TestEncoders:
    def test_switched_off_they_are_named_as_what_lacks(self, made, tmp_path):
        with client_of(made.store, tmp_path, encoders=False) as client:
            body = {"id": "a", "title": "lamp"}
            assert "switched off" in problem_of(client.post("/v1/items", json=body), 409)
            assert "switched off" in problem_of(client.post("/v1/search", json={"text": "a"}), 409)
            raw = made.bundle.array("content_text.npy")[0].tolist()
            told = client.post("/v1/items", json={**body, "vectors": {"text": raw}}).json()
            assert told["modalities"] == ["text"] and told["title"] == "lamp"
            picture = {"image_base64": text64(png()), "vectors": {"text": raw}}
            told = client.post("/v1/items", json={**body, **picture}).json()
            assert told["modalities"] == ["text"] and told["image"]

    def test_another_encoder_than_the_bundles_is_refused(self, made, tmp_path, monkeypatch):
        with client_of(made.store, tmp_path) as client:
            contents = client.app_state["deployment"].service.door.encoders.contents
            monkeypatch.setitem(contents["text"].encoder, "version", 7)
            detail = problem_of(client.post("/v1/items", json={"id": "a", "title": "lamp"}), 409)
            assert "here has {'version': 1}" in detail and "{'version': 7}" in detail

    def test_one_that_cannot_be_loaded_is_named(self, made, tmp_path, monkeypatch):
        def broken(*_):
            raise ImportError("no torch here")

        monkeypatch.setattr(encoders, "_recipe", broken)
        with client_of(made.store, tmp_path) as client:
            detail = problem_of(client.post("/v1/search", json={"text": "lamp"}), 409)
            assert "the encoder of text cannot be loaded: no torch here" in detail


class TestBundlesWithLess:
    def test_one_without_content_says_how_to_get_some(self, tmp_path):
        store = Store(tmp_path / "store")
        worlds_bundle.publish(store)
        with client_of(store, tmp_path / "state") as client:
            for body in ({"id": "a"}, {"id": "a", "vectors": {"text": [1.0]}}):
                detail = problem_of(client.post("/v1/items", json=body), 409)
                assert "index.live: true" in detail
            problem_of(client.post("/v1/search", json={"text": "a"}), 409)
            assert client.patch("/v1/items/i1", json={"title": "x"}).json()["title"] == "x"
            assert client.delete("/v1/items/i1").status_code == 200

    def test_one_of_a_model_without_a_network_takes_the_mean_of_neighbours(self, made, tmp_path):
        """The same bundle without its kit."""
        store = Store(tmp_path / "store")
        folder = tmp_path / "store" / "bundle" / made.bundle.fingerprint
        shutil.copytree(made.bundle.path, folder)
        manifest = folder / "manifest.json"
        told = json.loads(manifest.read_text())
        for name in [n for n in told["files"] if n.startswith("attach")]:
            del told["files"][name]
            (folder / name).unlink()
        manifest.write_text(json.dumps(told))
        store.point("bundle", made.bundle.fingerprint, "a test")
        with client_of(store, tmp_path / "state", verify=False) as client:
            told = client.post("/v1/items", json=LAMP).json()
            assert told["attached_by"] == "neighbours"
            live = client.app_state["deployment"].service.live
            added, bundle = live.overlay.added[0], live.bundle
            edges = added.edges["text"]
            mean = edges.weights @ bundle.item_vectors[edges.rows] / edges.weights.sum()
            np.testing.assert_allclose(added.vector, mean, atol=1e-6)
            assert bundle.hot[edges.rows].all() and len(edges.rows) == 5


class TestDisk:
    def test_a_full_disk_is_said_and_nothing_changes(self, client, monkeypatch):
        client.post("/v1/items", json=LAMP)
        real = os.fsync

        def full(handle):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        assert "nothing was changed" in problem_of(
            client.post("/v1/items", json={"id": "b", "title": "lamp"}), 507
        )
        problem_of(client.delete("/v1/items/new lamp"), 507)
        monkeypatch.setattr(os, "fsync", real)
        assert client.get("/v1/items/b").status_code == 404
        assert client.get("/v1/items/new lamp").status_code == 200

    def test_a_damaged_journal_stops_no_answer_but_the_next_start(self, made, client, tmp_path):
        told = []
        client.app_state["deployment"].service.live.log = SimpleNamespace(
            error=lambda what, why: told.append(f"{what}: {why}")
        )
        client.post("/v1/items", json=LAMP)
        client.post("/v1/items", json={"id": "b", "title": "desk"})
        path = tmp_path / "items" / "00000001.log"
        whole = line_of({"op": "delete", "key": "b", "at": 0})
        path.write_bytes(path.read_bytes() + b"no record\n" + whole)
        assert client.get("/v1/items/b").status_code == 200
        assert client.post("/v1/recommend", json={"k": 3}).status_code == 200
        assert len(told) == 1 and "journal cannot be read" in told[0]
        assert "is damaged at byte" in told[0]
        problem_of(client.post("/v1/items", json={"id": "c", "title": "desk"}), 503)
        with pytest.raises(DataError, match="is damaged at byte"), client_of(made.store, tmp_path):
            pass
        shutil.rmtree(tmp_path / "items")
        assert client.get("/v1/items/b").status_code == 200
