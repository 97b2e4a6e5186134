"""``plotpointe arms``: a service follows what it writes, and refusals name what is wrong."""

import json

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from pipeline.artifacts import Store
from pipeline.cli import app
from pipeline.errors import ArtifactError, ConfigError
from serving.app import create_app
from serving.settings import Settings
from tests import worlds_bundle

OTHER = "c0ffee"


@pytest.fixture(scope="module")
def store(tmp_path_factory, parts):
    root = Store(tmp_path_factory.mktemp("store"))
    worlds_bundle.publish(root, parts)
    worlds_bundle.publish(root, worlds_bundle.parts(seed=5), OTHER, promote=False)
    return root


@pytest.fixture
def verb(store, tmp_path):
    def run(*options):
        where = ["--store", str(store.root), "--state", str(tmp_path)]
        return CliRunner().invoke(app, ["arms", *options, *where, "--json"])

    return run


def test_a_running_service_follows_what_it_writes(verb, store, tmp_path):
    settings = Settings(store=store.root, state=tmp_path, log_level="error", reload_seconds=60)
    with TestClient(create_app(settings)) as client:
        told = json.loads(verb("--challenger", "c0ff", "--weight", "0.4").stdout)
        assert (told["challenger"], told["weight"]) == (OTHER, 0.4)
        assert client.post("/v1/admin/reload").status_code == 200
        arms = client.get("/v1/admin/deployment").json()["arms"]
        assert {arm["role"] for arm in arms} == {"control", "challenger"}
        verb("--stop")
        client.post("/v1/admin/reload")
        assert len(client.get("/v1/admin/deployment").json()["arms"]) == 1


def test_what_is_not_named_stays(verb):
    verb("--challenger", OTHER, "--weight", "0.2")
    told = json.loads(verb("--shadow", OTHER, "--shadow-share", "0.5").stdout)
    assert told["challenger"] == told["shadow"] == OTHER
    assert (told["weight"], told["shadow_share"]) == (0.2, 0.5)
    assert json.loads(verb().stdout) == told


def test_refusals_name_what_is_wrong(verb):
    assert isinstance(verb("--challenger", "none").exception, ArtifactError)
    assert isinstance(verb("--stop", "--weight", "0.1").exception, ConfigError)
    assert json.loads(verb().stdout)["challenger"] is None


def test_people_read_it_in_words(store, tmp_path):
    options = ["--store", str(store.root), "--state", str(tmp_path), "--shadow", OTHER]
    shown = CliRunner().invoke(app, ["arms", *options])
    assert "no challenger" in shown.stderr
    assert "shadow: c0ffee, 10% of requests" in shown.stderr
