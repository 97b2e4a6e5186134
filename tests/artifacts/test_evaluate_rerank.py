"""Re-ranking in the report: each variant beside our model, with what it costs."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pipeline import files, promises, schema
from pipeline.artifacts import Store
from pipeline.cli.inspect import show
from pipeline.cli.report import print_metrics
from pipeline.config import EvaluateConfig, parse_config
from pipeline.errors import ConfigError
from pipeline.evaluate.compared_by import choose, said
from pipeline.evaluate.costs import variants_of
from pipeline.evaluate.summary import re_ranked, summary
from pipeline.ids import UNKNOWN
from tests import worlds
from tests.evaluate_worlds import CONFIG, evaluate, item_knn, number, popularity

ASKED = {
    "same": {"mmr_lambda": 1.0},
    "diverse": {"mmr_lambda": 0.3, "candidates": 40},
    "shelves": {"max_per": {"category": 1}},
}
RERANKED = EvaluateConfig(ks=(3, 10), resamples=200, rerank=ASKED)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store, world = Store(tmp_path_factory.mktemp("store")), worlds.planted()
    inputs = {
        "tables": worlds.tables(store, world),
        "embeddings": worlds.embeddings(store, world),
        "graphs": worlds.graphs(store, world),
        "model": worlds.model(store, world),
        "model:popularity": popularity(store, world),
    }
    return store, world, inputs, evaluate(store, inputs, RERANKED)


def entry(report, name, split="test"):
    found = report.json("rerank.json")
    return next(e for e in found if e["variant"] == f"model + {name}" and e["split"] == split)


def change(report, name, metric):
    changes = entry(report, name)["changes"]
    return next(c["difference"] for c in changes if c["metric"] == metric)


class TestCosts:
    def test_an_entry_for_each_variant_and_split(self, made):
        found = [(e["variant"], e["split"]) for e in made[3].json("rerank.json")]
        assert {*found} == {
            (f"model + {name}", split) for name in ASKED for split in ("validation", "test")
        }
        assert len(found) == 6

    def test_a_lambda_of_one_costs_and_brings_nothing(self, made):
        same = entry(made[3], "same")
        assert all(
            c["difference"] == {"value": 0, "low": 0, "high": 0} and c["p_holm"] == 1
            for c in same["changes"]
        )
        assert all(both["base"] == both["variant"] for both in same["of_all_lists"].values())

    def test_diversity_rises_and_accuracy_falls(self, made):
        """The model knows the tastes, which are the clusters of content: to leave them costs."""
        spread = change(made[3], "diverse", "intra_list_distance@10")
        recall = change(made[3], "diverse", "recall@10")
        assert spread["low"] > 0.1 and recall["high"] < 0

    def test_a_change_is_that_of_the_numbers(self, made):
        report = made[3]
        for e in report.json("rerank.json"):
            for c in e["changes"]:
                at = {"metric": c["metric"], "split": e["split"]}
                variant, base = (number(report, model=e[m], **at) for m in ("variant", "base"))
                assert c["difference"]["value"] == pytest.approx(variant["value"] - base["value"])
                assert c["baseline_value"] == pytest.approx(base["value"])
            for metric, both in e["of_all_lists"].items():
                for which, value in both.items():
                    at = {"model": e[which], "metric": metric, "split": e["split"]}
                    assert number(report, **at)["value"] == value

    def test_caps_leave_lists_short_and_say_so(self, made):
        """Four categories, one each: no list of 10 can be filled."""
        capped, report = entry(made[3], "shelves"), made[3]
        assert capped["short_lists"] == {"3": 0, "10": 79}
        assert capped["shortfall_reason"].endswith("no further item that 1 per category allows")
        assert entry(report, "diverse")["shortfall_reason"] is None
        assert entry(report, "diverse")["short_lists"] == {"3": 0, "10": 0}

    def test_a_cap_on_what_no_item_has_is_said(self, made, tmp_path):
        store, world, inputs, report = made
        assert entry(report, "shelves")["settings"]["labelled_share"] == {"category": 1}
        bare = {**inputs, "tables": bare_tables(tmp_path, world)}
        config = CONFIG.model_copy(update={"rerank": parse({"shelves": ASKED["shelves"]})})
        costs = re_ranked(evaluate(store, bare, config, fingerprint="bare_caps"))
        assert costs.notes == [
            "model + shelves: no item of the catalogue has a category, so nothing was capped by it"
        ]

    def test_the_family_is_that_of_the_split(self, made):
        for e in made[3].json("rerank.json"):
            assert e["family"] == len(ASKED) * 3 * len(RERANKED.ks)
            assert len(e["changes"]) == 3 * len(RERANKED.ks)

    def test_without_any_there_are_none(self, made):
        store, _, inputs, _ = made
        report = evaluate(store, inputs, CONFIG, fingerprint="none")
        assert report.json("rerank.json") == [] and report.facts["rerank"] == []
        assert re_ranked(report).rows == []


class TestBesideTheRest:
    def test_nothing_else_changes(self, made):
        """Comparisons with baselines get no harder to show; no number of another model moves."""
        store, _, inputs, report = made
        bare = evaluate(store, inputs, CONFIG, fingerprint="bare")
        assert bare.json("comparisons.json") == report.json("comparisons.json")
        names = {"model", "popularity"}
        kept = [n for n in report.json("metrics.json") if n["model"] in names]
        assert kept == bare.json("metrics.json")

    def test_the_card_says_how(self, made):
        card = number(made[3], model="model + diverse", split="test", metric="ndcg@3")["card"]
        assert card["rerank"] == {
            "of": "model", "mmr_lambda": 0.3, "max_per": {}, "candidates": 40,
            "labelled_share": {},
        }  # fmt: skip
        assert card["model"] == "model + diverse"
        assert card["fingerprint"] == made[2]["model"].fingerprint
        base = number(made[3], model="model", split="test", metric="ndcg@3")["card"]
        assert base["rerank"] is None

    def test_slices_have_the_variants(self, made):
        for part in made[3].json("slices.json"):
            assert {f"model + {name}" for name in ASKED} <= {n["model"] for n in part["numbers"]}

    def test_the_report_keeps_its_promises(self, made):
        assert promises.broken(made[3]) == []

    def test_same_seed_same_report(self, made):
        store, _, inputs, report = made
        again = evaluate(store, inputs, RERANKED, fingerprint="again")
        assert again.manifest["files"] == report.manifest["files"]

    def test_fewer_candidates_than_the_list_is_long(self, made):
        """A list is made of as many as it holds, not cut to the candidates."""
        store, _, inputs, _ = made
        few = CONFIG.model_copy(
            update={"rerank": parse({"few": {"mmr_lambda": 0.5, "candidates": 1}})}
        )
        found = entry(evaluate(store, inputs, few, fingerprint="few"), "few")
        assert found["short_lists"] == {"3": 0, "10": 0}
        recall = next(c for c in found["changes"] if c["metric"] == "recall@10")
        assert recall["difference"]["value"] == 0, "ten of ten are the same ten"


def parse(asked):
    return EvaluateConfig(rerank=asked).rerank


class TestShown:
    def test_as_a_table(self, made):
        costs = re_ranked(made[3])
        assert costs.header == [
            "re-ranked", "change of ndcg@10", "change of recall@10",
            "change of intra_list_distance@10", "change of coverage@10", "lists that end early",
        ]  # fmt: skip
        rows = {row[0]: row for row in costs.rows}
        assert rows["model + same"][1:] == [*["+0.0000 [+0.0000, +0.0000]"] * 3, "+0.0000", "0"]
        assert rows["model + shelves"][-1] == "79"
        assert len(costs.notes) == 1 and costs.notes[0].startswith("model + shelves: lists end")

    def test_on_the_other_split(self, made):
        assert re_ranked(made[3], "validation").rows != re_ranked(made[3]).rows

    def test_the_summary_sets_variants_beside_the_model(self, made):
        rows = [row[0] for row in summary(made[3]).rows]
        assert rows == ["model", *(f"model + {name}" for name in ASKED), "popularity"]

    def test_printed(self, made, capsys):
        print_metrics(made[3])
        out = capsys.readouterr().out
        for words in "beyond accuracy", "what re-ranking costs", "1 - cosine of text embeddings":
            assert words in out

    def test_by_the_verb(self, made, capsys):
        """Tables for people, the manifest for programs."""
        show("report/4e904", store=str(made[0].root))
        assert "what re-ranking costs" in capsys.readouterr().out
        show("report/4e904", store=str(made[0].root), as_json=True)
        assert json.loads(capsys.readouterr().out)["facts"]["rerank"] == made[3].facts["rerank"]

    def test_a_report_of_before_is_still_shown(self, tmp_path, capsys):
        """It has neither the file nor the numbers."""
        card = {
            "split": "test", "split_rule": {}, "n_candidates": 3, "mask": "train", "n_users": 2,
        }  # fmt: skip
        old = [
            {"model": "m", "metric": f"{name}@20", "split": "test", "value": 0.5, "low": None,
             "card": card}
            for name in ("recall", "ndcg", "coverage")
        ]  # fmt: skip

        def write(into):
            files.write_json(into / "metrics.json", old)
            files.write_json(into / "comparisons.json", [])

        print_metrics(worlds.publish(Store(tmp_path), "report", "01d", write))
        out = capsys.readouterr().out
        assert "0.5000" in out and "beyond" not in out

    def test_the_facts_have_a_line_each(self, made):
        lines = made[3].facts["rerank"]
        assert len(lines) == 3
        assert lines[0].startswith("model + same against model, test: ndcg@10 0.")
        assert "79 of 79 lists end early" in lines[2]
        json.dumps(lines, allow_nan=False)


class TestComparedBy:
    """Content, else categories, else graphs, else what the model has."""

    def test_content_of_the_modality_most_items_have(self, made):
        _, world, inputs, _ = made
        found = choose(inputs)
        assert found.by == "text embeddings"
        np.testing.assert_array_equal(found.known, world.present["text"])
        assert said(found) == "1 - cosine of text embeddings, known of 98.4% of the items"

    def test_categories_without_content(self, made):
        inputs = {name: made[2][name] for name in ("tables", "graphs", "model")}
        assert choose(inputs).by == "categories"

    def test_a_graph_without_categories(self, made, tmp_path):
        inputs = {**made[2], "tables": bare_tables(tmp_path, made[1])}
        del inputs["embeddings"]
        assert choose(inputs).by == "neighbourhoods in text_knn"

    def test_the_model_where_there_is_nothing_else(self, made, tmp_path):
        tables = bare_tables(tmp_path, made[1])
        vectors = {"tables": tables, "model": made[2]["model"]}
        assert choose(vectors).by == "the model's own item vectors"
        weights = {"tables": tables, "model": item_knn(Store(tmp_path), made[1])}
        assert choose(weights).by == "the model's own item-item weights"

    def test_what_few_items_have_comes_after_what_many_have(self, made, tmp_path):
        """Two of 64 texts are worth less than everybody's categories."""
        world = made[1]
        few = {name: np.zeros_like(mask) for name, mask in world.present.items()}
        few["text"][:2] = True
        vectors = {name: world.vectors[name] * few[name][:, None] for name in few}
        sparse = replace(world, vectors=vectors, present=few)
        inputs = {**made[2], "embeddings": worlds.embeddings(Store(tmp_path), sparse)}
        assert choose(inputs).by == "categories"
        inputs["tables"] = bare_tables(tmp_path, world)
        del inputs["graphs"]
        inputs["model"] = nothing(Store(tmp_path), world)
        assert choose(inputs).by == "text embeddings", "better than nothing"

    def test_nothing_at_all(self, made, tmp_path):
        inputs = {
            "tables": bare_tables(tmp_path, made[1]),
            "model": nothing(Store(tmp_path), made[1]),
        }
        report = evaluate(Store(tmp_path), inputs)
        assert report.facts["distance"] is None
        metrics = {n["metric"].split("@")[0] for n in report.json("metrics.json")}
        assert "intra_list_distance" not in metrics and "gini" in metrics
        with pytest.raises(ConfigError, match=r"evaluate\.rerank\.diverse\.mmr_lambda needs"):
            evaluate(Store(tmp_path), inputs, RERANKED, fingerprint="refused")

    def test_caps_need_nothing_to_compare_by(self):
        items = pa.Table.from_pylist([{"categories": ["a"]}], schema=schema.ITEMS)
        asked = parse({"shelves": ASKED["shelves"]})
        assert variants_of(asked, items, None)["shelves"].how.likeness is None


def bare_tables(folder, world):
    """The world's tables without categories."""
    made = worlds.tables(Store(folder / "whole"), world)

    def write(into):
        for name in made.manifest["files"]:
            (into / name).write_bytes(made.file(name).read_bytes())
        items = made.table("items.parquet")
        empty = pa.nulls(len(items), items.schema.field("categories").type)
        at = items.column_names.index("categories")
        files.write_table(into / "items.parquet", items.set_column(at, "categories", empty))

    return worlds.publish(Store(folder), "tables", "ba2e", write)


def nothing(store, world):
    """A model of which every item vector is zero."""

    def write(into):
        files.write_array(into / "user_vectors.npy", np.ones((world.n_users, 1), np.float32))
        files.write_array(into / "item_vectors.npy", np.zeros((world.n_items, 1), np.float32))

    return worlds.publish(store, "model", "0000", write)


class TestSettings:
    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({}, "give mmr_lambda, max_per or both"),
            ({"mmr_lambda": 1.5}, "less than or equal to 1"),
            ({"max_per": {"brand": 0}}, "greater than or equal to 1"),
            ({"max_per": {"colour": 2}}, "'category', 'categories' or 'brand'"),
            ({"lambda": 0.5}, "unknown key"),
        ],
    )
    def test_a_wrong_one_is_explained(self, asked, said):
        values = {"name": "x", "data": {"format": "demo"}, "evaluate": {"rerank": {"a": asked}}}
        with pytest.raises(ConfigError, match=said):
            parse_config(values, "here.yaml")


def test_no_list_holds_what_its_user_has(made):
    """Re-ranking chooses among the candidates; it brings back nothing that was masked."""
    _, world, inputs, _ = made
    from pipeline.evaluate import lists as made_lists
    from pipeline.evaluate.protocol import Rules, subject
    from pipeline.measure import task
    from pipeline.scoring import open_scorer

    chosen = subject(inputs["tables"], "test", Rules())
    items = inputs["tables"].table("items.parquet")
    variants = variants_of(parse(ASKED), items, choose(inputs))
    with task("show") as running, running.progress("ranking", None, "users") as bar:
        scorer = open_scorer(inputs["model"], chosen.train)
        lists = made_lists.show(scorer, chosen, world.n_items, bar, variants)
    masked = chosen.masked.toarray() > 0
    for each in lists.values():
        for user, listed in zip(chosen.users, each.items, strict=True):
            kept = listed[listed != UNKNOWN]
            assert not masked[user, kept].any() and len({*kept}) == len(kept)
