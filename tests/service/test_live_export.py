"""What the service was told comes back as raw files, and the next run takes them."""

import base64
import io

import pandas as pd
import pytest
from PIL import Image
from starlette.testclient import TestClient
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.config import Config
from serving.app import create_app
from serving.bundle import Bundle
from serving.live.state import Live
from serving.recommender import Recommender
from serving.settings import Settings
from tests import live_worlds


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return live_worlds.Shop(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def exported(raw, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    made = live_worlds.run(root / "store", raw.write())
    settings = Settings(store=made.store.root, log_level="error")
    picture = io.BytesIO()
    Image.new("RGB", (30, 30), (9, 90, 200)).save(picture, "PNG")
    sent = base64.b64encode(picture.getvalue()).decode()
    with TestClient(create_app(settings)) as client:
        lamp = {"id": "new", "title": "lamp rug", "image_base64": sent}
        answer = client.post("/v1/items", json=lamp)
        assert answer.status_code == 201, answer.text
        client.patch("/v1/items/i001", json={"title": "renamed"})
        client.delete("/v1/items/i074")
        events = [
            {"user": "u0", "item": "new", "type": "purchase", "value": 5, "timestamp": 2000},
            {"user": "nova", "item": "i002", "type": "click", "timestamp": 2001.5},
            {"user": "u0", "item": "i003", "type": "impression"},
            {"user": "nova", "item": "i004", "type": "like"},
            {"user": "nova", "item": "i004", "type": "dislike"},
            {"user": "u0", "item": "i000", "type": "hide"},
        ]
        assert client.post("/v1/feedback", json={"events": events}).status_code == 200
    out = root / "out"
    done = CliRunner().invoke(
        app, ["live", "export", "--out", str(out), "--store", str(made.store.root)]
    )
    assert done.exit_code == 0, done.output
    return made, out


def test_interactions_are_those_of_the_tables_and_of_feedback(exported):
    made, out = exported
    log = pd.read_parquet(out / "interactions.parquet")
    before = made.steps["tables"].table("interactions.parquet").num_rows
    pairs = {(row.user, row.item): row for row in log.itertuples()}
    assert pairs["u0", "new"].weight == 5 and pairs["u0", "new"].timestamp == 2000
    assert pairs["nova", "i002"].weight == 1 and pairs["nova", "i002"].timestamp == 2001
    assert ("u0", "i003") in pairs  # from the tables: an impression says nothing
    assert ("nova", "i004") not in pairs and ("u0", "i000") not in pairs
    assert len(log) == before + 2 - 1


def test_items_are_as_they_are_now(exported):
    _, out = exported
    items = pd.read_parquet(out / "items.parquet").set_index("key")
    assert items.loc["i001", "title"] == "renamed" and "i074" not in items.index
    assert items.loc["new", "title"] == "lamp rug"
    assert (out / "pictures" / items.loc["new", "image"]).is_file()
    assert items.loc["i002", "description"]


def test_the_next_run_holds_what_was_told_and_the_overlay_gives_way(exported, raw, tmp_path):
    made, out = exported
    told = raw.write().model_dump(mode="json")
    for picture in (out / "pictures").iterdir():
        (raw.folder / "pictures" / picture.name).write_bytes(picture.read_bytes())
    told["data"] |= {"interactions": str(out / "interactions.parquet"),
                     "items": str(out / "items.parquet")}  # fmt: skip
    after = live_worlds.run(tmp_path / "store", Config.model_validate(told))
    bundle = Bundle.of(after.bundle)
    row = bundle.catalogue.ids.row("new")
    assert row >= 0 and row in bundle.seen_by(bundle.users.row("u0"))
    live = Live(bundle, made.store.root / ".service", Recommender)
    assert live.recommender.row("new") == row
    assert not live.overlay.added and not live.overlay.patches
    assert live.recommender.row("i001") == bundle.catalogue.ids.row("i001")
