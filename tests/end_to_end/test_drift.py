"""``plotpointe drift``: versions of tables and embeddings, and training beside served traffic."""

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from pipeline import files
from pipeline.artifacts import Store
from pipeline.cli.app import main
from pipeline.compare.inputs import common, popularity_groups
from serving.live.segments import EVENTS, FOLDER
from tests import worlds


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    place = Store(tmp_path_factory.mktemp("store"))
    world = worlds.planted(n_users=300)
    first = worlds.tables(place, world)
    log = first.table("interactions.parquet").to_pydict()
    rng = np.random.default_rng(0)
    changed = {**log, "weight": [float(w) for w in rng.gamma(2, 1, len(log["weight"]))]}

    def write(rows):
        def into(folder):
            for name in ("items.parquet", "users.parquet", "rejects.parquet", "quality.json"):
                (folder / name).write_bytes(first.file(name).read_bytes())
            table = pa.table(rows, schema=first.table("interactions.parquet").schema)
            files.write_table(folder / "interactions.parquet", table)

        return into

    worlds.publish(place, "tables", "same", write(log))
    worlds.publish(place, "tables", "other", write(changed))
    worlds.embeddings(place, world)
    return place


@pytest.fixture
def drift(store, monkeypatch, capsys):
    def asked(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(
            "sys.argv", ["plotpointe", "drift", *arguments, "--store", str(store.root)]
        )
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return asked


def first_of(store) -> str:
    return next(
        a for a in store.all("tables") if a.fingerprint not in ("same", "other")
    ).fingerprint


def traffic(folder, items: list[str]) -> str:
    rows = [
        {
            "event_id": str(n), "user_id": f"u{n % 7}", "item_id": item, "event_type": "click",
            "value": None, "event_timestamp": 0, "received_timestamp": 0,
            "recommendation_id": None, "context": "{}", "idempotency_key": None, "bundle": "b",
        }
        for n, item in enumerate(items)
    ]  # fmt: skip
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows, schema=EVENTS)
    files.write_table(folder / FOLDER / "feedback-00000001.parquet", table)
    return str(folder)


def test_the_same_data_do_not_drift(drift, store):
    code, out, _ = drift(f"tables/{first_of(store)}", "tables/same")
    assert code == 0 and "popularity" in out and "has a picture" in out


def test_what_changed_is_named_with_its_own_exit_code(drift, store):
    code, out, err = drift(f"tables/{first_of(store)}", "tables/other", "--json")
    assert code == 11 and "features drifted: weight" in err
    found = {each["feature"]: each for each in json.loads(out)["features"]}
    assert found["weight"]["drifted"] and not found["interactions of a user"]["drifted"]


def test_embeddings(drift):
    code, out, _ = drift("embeddings", "embeddings")
    assert code == 0 and "text vectors" in out and "energy" in out


def test_traffic_like_training_and_unlike_it(drift, store, tmp_path):
    tables = store.open("tables", "same")
    keys = tables.table("items.parquet")["key"].to_pylist()
    log = tables.table("interactions.parquet")["item"].to_pylist()
    rng = np.random.default_rng(0)
    alike = traffic(tmp_path / "a", [keys[item] for item in rng.choice(log, 3000)])
    assert drift("tables/same", alike)[0] == 0
    unlike = traffic(tmp_path / "b", [keys[log[0]]] * 500 + ["unheard of"] * 200)
    code, _, err = drift("tables/same", unlike)
    assert code == 11 and "popularity" in err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("tables/same", "nonsense"), "neither tables"),
        (("tables/same", "tables/nope"), "match 'nope'"),
        (("tables/same", "embeddings"), "no feature in common"),
    ],
)
def test_mistakes_are_one_sentence(drift, arguments, why):
    code, _, err = drift(*arguments)
    assert code == 4 and why in err


def test_a_service_without_closed_feedback(drift, tmp_path):
    (tmp_path / FOLDER).mkdir()
    assert "no closed file" in drift("tables/same", str(tmp_path))[2]


def test_tenths_hold_a_tenth_of_the_interactions_each():
    groups = popularity_groups({f"i{n:03d}": 1 for n in range(100)})
    assert {*Counter(groups.values()).values()} == {10}
    assert popularity_groups({"much": 90, "little": 10}) == {"much": "01", "little": "10"}


def test_rare_categories_are_one():
    many = Counter({str(n): 100 - n for n in range(40)})
    ours, theirs = common(many, Counter({"0": 1, "39": 2, "new": 3}))
    assert len(ours) == 21 and ours["others"] == sum(100 - n for n in range(20, 40))
    assert theirs == Counter({"0": 1, "others": 5})
