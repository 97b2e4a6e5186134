"""``plotpointe compare`` on reports of a small world: what it pairs, refuses, and exits with."""

import json

import pyarrow as pa
import pytest

from pipeline import files
from pipeline.artifacts import Store
from pipeline.cli.app import main
from tests import evaluate_worlds, worlds

MODEL, KNN = "report/4e900", "report/4e900:item_knn"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Return a store with three seeds' reports, one on another mask, and a run's record."""
    place = Store(tmp_path_factory.mktemp("store"))
    world = worlds.planted(n_users=200)
    tables = worlds.tables(place, world)
    models = {
        "tables": tables,
        "model": evaluate_worlds.popularity(place, world),
        "model:item_knn": evaluate_worlds.item_knn(place, world),
    }
    for seed in range(3):
        evaluate_worlds.evaluate(place, models, fingerprint=f"4e90{seed}", seed=seed)
    other = evaluate_worlds.CONFIG.model_copy(update={"mask": "train"})
    evaluate_worlds.evaluate(place, models, other, fingerprint="07e4")
    run = place.root / "runs" / "20261121T2205-ab12"
    run.mkdir(parents=True)
    files.write_json(run / "run.json", {"steps": {"evaluate": {"fingerprint": "4e901"}}})
    empty = place.root / "runs" / "20261120T0000-0000"
    empty.mkdir()
    files.write_json(empty / "run.json", {"steps": {"etl": {"fingerprint": "7ab1e5"}}})
    return place


@pytest.fixture
def compare(store, monkeypatch, capsys):
    def asked(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(
            "sys.argv", ["plotpointe", "compare", *arguments, "--store", str(store.root)]
        )
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return asked


@pytest.fixture
def told(compare):
    def asked(*arguments: str) -> dict:
        code, out, err = compare(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    return asked


class TestPairs:
    def test_two_models_of_one_report(self, compare):
        code, out, _ = compare(MODEL, KNN)
        assert code == 0
        assert "item_knn beats model on ndcg@10: +0.3" in out
        assert "after Holm over 4, 199 users" in out

    def test_numbers_are_the_reports(self, told, store):
        found = told(MODEL, KNN, "--metric", "ndcg@10")["findings"][0]
        report = store.open("report", "4e900")
        base, ours = (
            evaluate_worlds.number(report, model=m, metric="ndcg@10", split="test", slice="all")
            for m in ("model", "item_knn")
        )
        assert found["baseline_value"] == pytest.approx(base["value"], rel=1e-6)
        assert found["difference"]["value"] == pytest.approx(
            ours["value"] - base["value"], rel=1e-5
        )
        ratio = ours["value"] / base["value"] - 1
        assert found["relative"]["value"] == pytest.approx(ratio, rel=1e-5)

    def test_every_slice_and_metric_is_one_family(self, told):
        found = told(MODEL, KNN, "--slice", "*", "--metric", "*")["findings"]
        assert {f["family"] for f in found} == {len(found)} and len(found) > 40
        assert {"head", "tail"} <= {f["slice"] for f in found}

    def test_all_pairs(self, told):
        found = told(MODEL, KNN, "report/4e901:item_knn", "--all-pairs", "--metric", "ndcg@10")
        assert len(found["findings"]) == 3
        first = told(MODEL, KNN, "report/4e901:item_knn", "--metric", "ndcg@10")
        assert len(first["findings"]) == 2

    def test_validation(self, told):
        assert told(MODEL, KNN, "--split", "validation")["split"] == "validation"

    def test_runs_prefixes_and_files(self, told, store):
        path = store.root / "report" / "4e901" / "per_user.parquet"
        for name in ("last", "20261121", "4e901", str(path), str(path.parent)):
            found = told(name, f"{name}:item_knn", "--metric", "ndcg@10")
            assert found["findings"][0]["n_users"] == 199, name

    def test_a_run_without_report(self, compare):
        code, _, err = compare("20261120", KNN)
        assert code == 4 and "made no report" in err and "plotpointe runs --where" in err


class TestSeeds:
    def test_named_groups(self, told):
        found = told(
            "old=4e900", "old=4e901", "new=4e900:item_knn", "new=4e901:item_knn",
            "new=4e902:item_knn",
        )  # fmt: skip
        assert found["findings"][0]["seeds"] == [3, 2]
        assert found["findings"][0]["seed_share"] is not None
        assert found["baseline"] == "old"
        assert any("ties are broken by different seeds" in note for note in found["notes"])

    def test_groups_by_what_was_made_alike(self, told):
        names = ["4e900", "4e900:item_knn", "4e901", "4e901:item_knn"]
        found = told(*names, "--seeds")
        assert {*found["contenders"]} == {"model", "item_knn"}
        assert found["findings"][0]["seeds"] == [2, 2]

    def test_one_seed_each_says_what_it_does_not_say(self, told):
        assert any("how training varies" in note for note in told(MODEL, KNN)["notes"])

    def test_a_side_of_one_seed_is_told(self, told):
        found = told("old=4e900", "new=4e900:item_knn", "new=4e901:item_knn")
        assert any(note.startswith("old has one seed") for note in found["notes"])

    def test_the_same_twice_is_no_seed(self, compare):
        code, _, err = compare("a=4e900", "a=4e900", f"b={KNN}")
        assert code == 4 and "named twice" in err

    def test_one_contender_is_none(self, compare):
        code, _, err = compare("a=4e900", "a=4e901")
        assert code == 4 and "two contenders" in err


class TestGate:
    def test_passes(self, compare):
        code, out, _ = compare(MODEL, KNN, "--gate", "ndcg@10 >= -0.5%")
        assert code == 0 and "gate passed: ndcg@10 >= -0.5%" in out

    def test_fails_with_its_own_exit_code_after_the_table(self, compare):
        code, out, err = compare(KNN, MODEL, "--gate", "ndcg@10[head] >= -0.5%")
        assert code == 10
        assert "head" in out and "failed: ndcg@10[head] >= -0.5%" in err

    def test_json_says_why(self, compare):
        code, out, _ = compare(KNN, MODEL, "--gate", "ndcg@10 >= -0.001", "--json")
        assert code == 10
        (gate,) = json.loads(out)["gates"]
        assert not gate["passed"] and "beyond the bound" in gate["why"]

    def test_what_is_not_understood_is_said(self, compare):
        code, _, err = compare(MODEL, KNN, "--gate", "ndcg@10 > 0")
        assert code == 2 and "write METRIC >= BOUND" in err


class TestProtocols:
    def test_other_cards_are_refused_field_by_field(self, compare):
        code, _, err = compare(MODEL, "report/07e4:item_knn")
        assert code == 4
        assert "mask is 'train+validation'" in err and "and 'train' for item_knn" in err

    def test_unless_forced(self, told):
        found = told(MODEL, "report/07e4:item_knn", "--force")
        assert any("mask is" in note for note in found["notes"])

    def test_a_bare_file_has_no_card(self, compare, tmp_path, store):
        path = tmp_path / "values.parquet"
        path.write_bytes((store.root / "report" / "4e900" / "per_user.parquet").read_bytes())
        code, _, err = compare(MODEL, f"{path}:item_knn")
        assert code == 4 and "no protocol card" in err
        assert compare(MODEL, f"{path}:item_knn", "--force")[0] == 0

    def test_users_of_other_tables_are_paired_by_key(self, told, store):
        """The same users in another order of rows: forced, every user meets himself again."""
        rows = store.open("report", "4e900").table("per_user.parquet").to_pydict()
        n = 200
        rows["user"] = [n - 1 - user for user in rows["user"]]
        tables = next(iter(store.all("tables")))
        turned = tables.table("users.parquet")["key"].to_pylist()[::-1]

        def write_tables(into):
            for name in ("interactions.parquet", "items.parquet", "rejects.parquet"):
                (into / name).write_bytes(tables.file(name).read_bytes())
            files.write_json(into / "quality.json", {})
            files.write_table(into / "users.parquet", pa.table({"key": turned}))

        other = worlds.publish(store, "tables", "70e4ed", write_tables)
        report = store.open("report", "4e900")

        def write_report(into):
            for name in ("metrics.json", "comparisons.json", "slices.json"):
                (into / name).write_bytes(report.file(name).read_bytes())
            files.write_table(into / "per_user.parquet", pa.table(rows))

        worlds.publish(
            store, "report", "7e90", write_report, facts=dict(report.facts),
            inputs={"tables": other.fingerprint},
        )  # fmt: skip
        found = told("4e900", "b=7e90", "--metric", "recall@10", "--force")["findings"][0]
        assert found["difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
        assert (found["wins"], found["losses"], found["n_users"]) == (0.0, 0.0, 199)


class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            ((MODEL, "report/4e900:nope"), "no model 'nope'"),
            ((MODEL, "nothing"), "no report, run or file"),
            ((MODEL, KNN, "--metric", "ndgc@10"), "did you mean 'ndcg@10'"),
            ((MODEL, KNN, "--slice", "tial"), "did you mean 'tail'"),
            ((MODEL, KNN, "--split", "tset"), "no split 'tset'"),
            (("4e90", KNN), "match '4e90'"),
        ],
    )
    def test_are_one_sentence(self, compare, arguments, why):
        code, _, err = compare(*arguments)
        assert code == 4 and why in err.replace("\n", " ")

    def test_a_file_of_something_else(self, compare, tmp_path):
        files.write_table(tmp_path / "x.parquet", pa.table({"user": [1]}))
        assert "lacks the columns" in compare(MODEL, str(tmp_path / "x.parquet"))[2]
        (tmp_path / "y.parquet").write_text("no")
        assert "no Parquet file" in compare(MODEL, str(tmp_path / "y.parquet"))[2]
