"""Pictures come from the images folder and from nowhere else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from pipeline import places
from serving.app import create_app
from serving.catalogue import Item
from serving.pictures import Pictures
from tests import worlds_bundle

ITEM = Item("a/b c", "Kettle", None, (), None, "1.jpg")


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path / "images"
    (folder / "deep").mkdir(parents=True)
    (folder / "1.jpg").write_bytes(b"one")
    (folder / "deep" / "2.PNG").write_bytes(b"two")
    (folder / "page.svg").write_bytes(b"<svg/>")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (folder / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    return Pictures(folder)


@pytest.mark.parametrize(
    "image",
    [
        None, "", "gone.jpg", "../secret.jpg", "deep/../../secret.jpg", "link.jpg", "page.svg",
        "deep", "1.jpg\0", ".", "..", "/etc/hosts",
    ],
)  # fmt: skip
def test_what_is_not_a_picture_inside_the_folder_is_not_served(outside, image):
    assert outside.file(replace(ITEM, image=image)) is None


def test_an_absolute_path_outside_is_not_served(outside, tmp_path):
    assert outside.file(replace(ITEM, image=str(tmp_path / "secret.jpg"))) is None


def test_pictures_inside_are_found(outside):
    assert outside.file(ITEM).read_bytes() == b"one"
    assert outside.file(replace(ITEM, image="deep/2.PNG")).read_bytes() == b"two"


@given(st.text())
def test_no_path_leaves_the_folder(tmp_path_factory, image):
    folder = tmp_path_factory.getbasetemp() / "images"
    folder.mkdir(exist_ok=True)
    found = Pictures(folder).file(replace(ITEM, image=image))
    assert found is None or found.is_relative_to(folder)


def test_links(outside):
    assert outside.link(ITEM.key, ITEM.image) == "/v1/items/a%2Fb%20c/image"
    assert outside.link(ITEM.key, None) is None
    assert outside.link(ITEM.key, "https://a.example/1.jpg") == "https://a.example/1.jpg"
    assert Pictures(None).link(ITEM.key, ITEM.image) is None
    assert Pictures(None).file(ITEM) is None


class TestOverHttp:
    def test_a_picture_is_sent(self, client):
        answer = client.get("/v1/items/i1/image")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["cache-control"] == "public, max-age=3600"
        assert answer.content == b"\xff\xd8\xff\xe0 a picture"

    def test_an_item_without_one_is_404(self, client):
        answer = client.get("/v1/items/i3/image")
        assert answer.status_code == 404 and "no picture" in answer.json()["detail"]

    def test_a_picture_elsewhere_is_pointed_to(self, tmp_path, settings):
        these = worlds_bundle.parts()
        at = these.items.column_names.index("image")
        urls = ["https://a.example/1.jpg"] * len(these.items)
        these.items = these.items.set_column(at, these.items.schema.field(at), [urls])
        from pipeline.artifacts import Store

        worlds_bundle.publish(Store(tmp_path), these)
        moved = settings.model_copy(update={"store": tmp_path})
        with TestClient(create_app(moved)) as client:
            answer = client.get("/v1/items/i1/image", follow_redirects=False)
            assert (answer.status_code, answer.headers["location"]) == (307, urls[0])
            assert client.get("/v1/items/i1").json()["image"] == urls[0]

    def test_the_folder_that_the_pipeline_read_is_remembered(self, store, images, settings):
        from tests import worlds

        tables = worlds.tables(store, worlds.planted())
        places.remember(store, tables, images)
        unset = settings.model_copy(update={"images": None})
        with TestClient(create_app(unset)) as client:
            assert client.get("/v1/items/i1/image").status_code == 200
