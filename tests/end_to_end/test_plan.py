"""``plan`` foretells, ``run`` says so before and compares after; what cannot fit is refused."""

import json

import pytest

from tests.end_to_end.shop import must, plotpointe, write_config

YAML = """
name: planned-shop
data: {format: demo, demo: {users: 60, items: 50, interactions_per_user: 8}}
embed: {text: {encoder: tiny}, image: null}
train: {model: gat, epochs: 2, width: 8, layers: 1}
evaluate: {resamples: 100}
"""


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planned")
    return write_config(folder, YAML), folder / "store"


def test_a_plan_a_run_and_their_comparison(planned):
    config, store = planned
    before = json.loads(must("plan", config, "--store", store, "--json"))
    assert [each["step"] for each in before["steps"]] == [
        "etl", "embed", "graph", "train", "evaluate", "index"
    ]  # fmt: skip
    assert before["fits"] and not before["counts"]["exact"]
    assert before["counts"]["items"] == 50 and before["machine"]["cores"] >= 1

    first = plotpointe("run", config, "--store", store, "--to", "etl", "--json")
    assert first.returncode == 0, first.stderr
    assert "plan:" not in first.stderr and set(json.loads(first.stdout)) == {"etl"}

    rest = plotpointe("run", config, "--store", store)
    assert rest.returncode == 0, rest.stderr
    said = rest.stderr.split("\n")
    assert said[0].startswith("plan: embed ") and "at the peak" in said[1]
    assert "etl" not in said[0], "only what is to be made is foretold"
    assert "plan and outcome" in rest.stderr
    assert all(word in rest.stderr for word in ("predicted s", "measured MB"))
    assert "plan and outcome" not in rest.stdout

    after = json.loads(must("plan", config, "--store", store, "--force", "--json"))
    assert after["counts"]["exact"] and after["counts"]["source"].startswith("tables")
    assert {each["by"] for each in after["steps"]} == {"past runs"}
    done = must("plan", config, "--store", store)
    assert "nothing to do" in done and "complete: etl, embed" in done
    again = plotpointe("run", config, "--store", store)
    assert "plan:" not in again.stderr and "nothing to do" in again.stderr


def test_a_table_for_people_names_time_memory_and_choices(planned, tmp_path):
    out = must("plan", planned[0], "--store", tmp_path, "--to", "graph")
    assert "interactions of" in out and "exact neighbours" in out and "formula" in out
    assert "in all" in out and "index" not in out


def test_what_cannot_fit_is_refused_before_anything_is_made(planned, tmp_path):
    wide = ("--set", "train.width=50000000")
    done = plotpointe("run", planned[0], "--store", tmp_path, *wide)
    assert done.returncode == 8
    assert "train.width=25000000" in done.stderr and "--no-plan" in done.stderr
    assert not [*tmp_path.glob("tables/*")]
    told = plotpointe("plan", planned[0], "--store", tmp_path, "--json", *wide)
    assert told.returncode == 8 and json.loads(told.stdout)["fits"] is False
    made = plotpointe("run", planned[0], "--store", tmp_path, *wide, "--to", "etl", "--no-plan")
    assert made.returncode == 0 and "plan:" not in made.stderr


def test_a_stage_that_is_not_known_is_named(planned):
    done = plotpointe("plan", planned[0], "--to", "trian")
    assert done.returncode == 2 and "did you mean 'train'" in done.stderr
