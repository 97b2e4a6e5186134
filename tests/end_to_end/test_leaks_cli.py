"""``plotpointe doctor leaks`` through the real command line; the machine's doctor stays."""

import json
import shutil

import pytest

from pipeline.artifacts import Store
from pipeline.interactions import user_item
from pipeline.leaks import find_run
from pipeline.schema import TEST, TRAIN
from tests.artifacts.leaky_runs import with_matrix
from tests.end_to_end.shop import YAML, must, plotpointe, write_config

SMALL = YAML.replace("  lightgcn: {model: lightgcn, overrides: {epochs: 2, width: 16}}\n", "")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    must("run", write_config(folder, SMALL), "--store", folder / "artifacts")
    return folder / "artifacts"


@pytest.fixture
def leaky(shop, tmp_path):
    shutil.copytree(shop, tmp_path / "store")
    run = find_run(Store(tmp_path / "store"), None)
    edges = user_item(run.tables, (TRAIN, TEST))
    with_matrix(run.by_kind["graphs"], "user_item.npz", edges)
    return tmp_path / "store"


def test_an_honest_run_has_no_leak(shop):
    done = plotpointe("doctor", "leaks", "--store", shop)
    assert done.returncode == 0, done.stderr
    assert "no leak found:" in done.stdout
    assert "user-item edges are training alone" in done.stdout
    assert "checks" in done.stderr


def test_a_leak_is_said_with_its_evidence_and_cure(leaky):
    done = plotpointe("doctor", "leaks", "report", "--store", leaky)
    assert done.returncode == 4, done.stderr
    assert "leak: user-item edges are held-out interactions" in done.stdout
    assert "for example: user user-" in done.stdout
    assert "what to do: Make the graphs again" in done.stdout
    assert "no leak found" not in done.stdout
    assert "Traceback" not in done.stderr


def test_json_holds_every_check(leaky):
    done = plotpointe("doctor", "leaks", "--store", leaky, "--json")
    assert done.returncode == 4
    answer = json.loads(done.stdout)
    assert answer["run"].startswith("bundle/")
    assert answer["found"]["leak"] == 1
    (finding,) = [
        finding
        for check in answer["checks"]
        for finding in check["findings"]
        if finding["severity"] == "leak"
    ]
    assert finding["count"] > 0
    assert len(finding["examples"]) == 3


def test_options_may_stand_before_the_subcommand(leaky):
    done = plotpointe("doctor", "--store", leaky, "--json", "leaks")
    assert done.returncode == 4
    assert json.loads(done.stdout)["found"]["leak"] == 1


@pytest.mark.parametrize("which", ["nobody", "model/nobody", "modle"])
def test_a_run_that_is_not_there(shop, which):
    done = plotpointe("doctor", "leaks", which, "--store", shop)
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert which.split("/")[-1] in done.stderr


def test_the_doctor_still_looks_at_the_machine(shop):
    told = json.loads(must("doctor", "--store", shop, "--json", "--only", "store"))
    assert any("is promoted" in finding["what"] for finding in told["findings"])
    assert "cores" in must("doctor", "--store", shop, "--only", "processor")
