"""The index stage on the planted world: its files, its facts and its refusals."""

from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
import scipy.sparse as sp

from pipeline import files, measure, schema
from pipeline.artifacts import Store
from pipeline.config import DataConfig, IndexConfig
from pipeline.errors import ArtifactError
from pipeline.index import stage
from pipeline.index.build import build
from pipeline.index.recipe import Recipe
from pipeline.job import Job
from pipeline.nearest import recall_at_k, top_k_rescored
from pipeline.newcomers import open_contents
from pipeline.promises import broken
from tests import worlds

EVERY = [
    {"method": "flat"},
    {"method": "hnsw"},
    {"method": "ivf"},
    {"method": "hnsw", "compress": "sq8"},
    {"method": "ivf", "compress": "opq"},
    {"compress": "sq4"},
    {"compress": "binary"},
]
settings = pytest.mark.parametrize("chosen", EVERY, ids=lambda e: "-".join(e.values()))


@pytest.fixture
def world():
    return worlds.planted()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def run(store, world, model=None, extra=None, **settings):
    """Return the published bundle of the world's model, or of ``model``."""
    inputs = {
        **(extra or {}),
        "tables": worlds.tables(store, world),
        "graphs": worlds.graphs(store, world),
        "model": model or worlds.model(store, world),
    }
    facts = {}

    def write(into: Path) -> None:
        with measure.task("index") as task:
            job = Job(
                config=IndexConfig(**settings), data=DataConfig(format="demo"), inputs=inputs,
                into=into, scratch=into.parent, task=task,
            )  # fmt: skip
            facts.update(stage.run(job))

    fingerprints = {kind: artifact.fingerprint for kind, artifact in inputs.items()}
    return worlds.publish(store, "bundle", "b0d1e", write, facts, fingerprints)


def other_model(store, world, change, drop=()):
    """Return the world's model with ``change(name, array)`` made to each of its arrays."""
    good = worlds.model(store, world)

    def write(into: Path) -> None:
        for name in good.manifest["files"]:
            if name in drop:
                continue
            if name.endswith(".npy"):
                files.write_array(into / name, change(name, np.array(good.array(name))))
            else:
                (into / name).write_bytes(good.file(name).read_bytes())

    return worlds.publish(store, "model", "0dd", write, inputs=good.manifest["inputs"])


def same(_, array):
    return array


@settings
def test_every_file_of_the_kind(store, world, chosen):
    bundle = run(store, world, **chosen)
    required = {n for n, spec in schema.KINDS["bundle"].files.items() if spec.required}
    optional = {"text_knn.npz", "image_knn.npz", "known.npy"}
    assert set(bundle.manifest["files"]) == required | optional
    told = bundle.json("audit.json")
    assert told["recall"] == bundle.facts["recall"] >= 0.95
    assert told["method"] == chosen.get("method", "flat")
    assert told["compress"] == chosen.get("compress", "none")
    assert bundle.facts["seconds_per_query"] > 0
    assert not broken(bundle)


@settings
def test_the_index_repeats_the_canaries(store, world, chosen):
    bundle = run(store, world, **chosen)
    index = faiss.read_index(str(bundle.file("items.faiss")))
    top = bundle.array("canary_top.npy")
    queries = bundle.array("user_vectors.npy")[bundle.array("canary_users.npy")]
    assert top.shape == (stage.CANARIES, 20)
    depth, items = bundle.json("audit.json")["depth"], bundle.array("item_vectors.npy")
    assert recall_at_k(top_k_rescored(index, items, queries, 20, depth)[0], top) > 0.94


def test_the_audit_says_what_an_item_takes_and_what_lists_are_worth(store, world):
    bundle = run(store, world, compress="sq8")
    told = bundle.json("audit.json")
    size = bundle.file("items.faiss").stat().st_size / world.n_items
    assert told["bytes_per_item"] == pytest.approx(size, abs=0.01)
    assert told["times_smaller_than_768_float32"] == pytest.approx(3072 / size, abs=0.01)
    worth = told["ndcg"]
    assert (worth["split"], worth["k"], worth["users"]) == ("validation", 20, world.n_users - 1)
    assert 0 < worth["exact"] <= 1 and worth["index"] == pytest.approx(worth["exact"])
    assert worth["codes"] == pytest.approx(worth["exact"], rel=0.05)
    assert worth["loss"] == pytest.approx(1 - worth["index"] / worth["exact"])


def test_the_ndcg_of_exact_lists_is_that_of_ranking_everything(store, world):
    told = run(store, world).json("audit.json")["ndcg"]
    model = worlds.model(store, world)
    scores = model.array("user_vectors.npy") @ model.array("item_vectors.npy").T
    scores[world.matrix().toarray() > 0] = -np.inf
    wanted = world.matrix(schema.VALIDATION).toarray() > 0
    places = np.argsort(np.argsort(-scores, axis=1), axis=1)
    gains = np.where(wanted & (places < 20), 1 / np.log2(places + 2), 0).sum(axis=1)
    users = wanted.sum(axis=1) > 0
    assert told["exact"] == pytest.approx(gains[users].mean(), rel=1e-6)
    assert "codes" not in told and told["loss"] == 0.0


def test_users_with_long_histories_are_left_out_of_the_ndcg(store, world, monkeypatch):
    monkeypatch.setattr(stage, "LONGEST_HISTORY", 0)
    assert run(store, world).json("audit.json")["ndcg"] is None


def test_history_counts_training_and_seen_counts_all(store, world):
    bundle = run(store, world)
    counts = np.asarray(world.matrix().sum(axis=0)).ravel()
    np.testing.assert_array_equal(bundle.array("hot.npy"), counts > 0)
    assert not bundle.array("hot.npy")[world.warm_items].any()
    popular = bundle.array("popular.npy")
    assert (np.diff(counts[popular]) <= 0).all()
    assert sorted(popular) == [*range(world.n_items)]
    everything = sum(world.matrix(split) for split in schema.SPLITS.values())
    assert (bundle.matrix("seen.npz") != everything).nnz == 0


def test_equally_popular_items_stand_in_order_of_row(store, world):
    counts = np.asarray(world.matrix().sum(axis=0)).ravel()
    popular = run(store, world).array("popular.npy")
    ties = counts[popular[1:]] == counts[popular[:-1]]
    assert ties.any() and (np.diff(popular)[ties] > 0).all()


def test_two_runs_write_the_same_bytes(tmp_path, world):
    first, second = (
        run(Store(tmp_path / name), world, method="hnsw", compress="sq8") for name in "ab"
    )
    hashes = [
        {name: entry["sha256"] for name, entry in bundle.manifest["files"].items()}
        for bundle in (first, second)
    ]
    assert hashes[0] == hashes[1]


def test_large_files_are_shared_not_copied(store, world):
    bundle, model = run(store, world), worlds.model(store, world)
    assert bundle.file("item_vectors.npy").samefile(model.file("item_vectors.npy"))


def test_a_store_that_cannot_link_gets_copies(store, world, monkeypatch):
    def refuse(*_):
        raise OSError("links are not supported here")

    monkeypatch.setattr(stage.os, "link", refuse)
    bundle, model = run(store, world), worlds.model(store, world)
    assert not bundle.file("item_vectors.npy").samefile(model.file("item_vectors.npy"))
    np.testing.assert_array_equal(bundle.array("item_vectors.npy"), model.array("item_vectors.npy"))


def test_item_vectors_stand_in_for_missing_fold_in_ones(store, world):
    bundle = run(store, world, other_model(store, world, same, drop=("fold_in.npy",)))
    np.testing.assert_array_equal(bundle.array("fold_in.npy"), bundle.array("item_vectors.npy"))


def test_a_model_without_vectors_is_refused_with_those_that_have(store, world):
    model = other_model(store, world, same, drop=("item_vectors.npy", "user_vectors.npy"))
    with pytest.raises(ArtifactError, match=r"cannot be indexed\. Models with vectors can \(gat"):
        run(store, world, model)


@pytest.mark.parametrize("name", ["user_vectors.npy", "item_vectors.npy", "fold_in.npy"])
def test_a_vector_that_is_not_finite_names_its_file(store, world, name):
    def spoil(each, array):
        if each == name:
            array[7, 0] = np.nan
        return array

    with pytest.raises(ArtifactError, match=f"{name} of model 0dd has 1 rows.*first at row 7"):
        run(store, world, other_model(store, world, spoil))


@pytest.mark.parametrize("name", ["user_vectors.npy", "item_vectors.npy", "fold_in.npy"])
def test_vectors_of_other_tables_are_refused(store, world, name):
    model = other_model(store, world, lambda each, a: a[:-1] if each == name else a)
    with pytest.raises(ArtifactError, match="the tables hold 80 users and 64 items"):
        run(store, world, model)


def test_a_model_of_another_run_is_refused(store, world):
    good = worlds.model(store, world)
    stranger = replace(good, manifest={**good.manifest, "inputs": {"tables": "0ther"}})
    with pytest.raises(ArtifactError, match="made from tables 0ther, not from 7ab1e5"):
        run(store, world, stranger)


def test_a_floor_that_cannot_be_met_fails_the_stage(store, world, monkeypatch):
    monkeypatch.setattr(stage, "build", lambda vectors, *_: build(-vectors, Recipe("flat")))
    with pytest.raises(ArtifactError, match=r"recall_floor=0\.95 is wanted"):
        run(store, world)


def test_audited_users_have_a_history_where_enough_do():
    train = sp.csr_matrix(np.tile([[1], [0]], (50, 1)).astype(np.float32))
    chosen = stage.audited_users(train, 30)
    assert (chosen % 2 == 0).all() and (np.diff(chosen) > 0).all() and len(chosen) == 30
    np.testing.assert_array_equal(chosen, stage.audited_users(train, 30))
    assert len(stage.audited_users(train, 999)) == 100


class TestWhatLiveItemsNeed:
    def made(self, store, world, **settings):
        embeddings = worlds.embeddings(store, world)
        return run(store, world, extra={"embeddings": embeddings}, **settings), embeddings

    def test_content_is_linked_and_promised(self, store, world):
        bundle, embeddings = self.made(store, world)
        assert not broken(bundle)
        for name in ("text.npy", "image_present.npy"):
            own = bundle.file(f"content_{name}")
            assert own.samefile(embeddings.file(name))
        assert bundle.facts["live"] == {
            "tables_at": store.open("tables", "7ab1e5").manifest["created_at"],
            "modalities": ["image", "text"], "attaches": False,
            "content_bytes": sum(embeddings.manifest["files"][f"{m}.npy"]["bytes"]
                                 for m in ("text", "image")),
        }  # fmt: skip
        found = open_contents(bundle)
        assert found["text"].width == 12 and found["text"].neighbors == 10
        assert found["text"].encoder == {"encoder": "given"} and found["text"].config is None

    def test_it_can_be_left_out(self, store, world):
        bundle, _ = self.made(store, world, live=False)
        assert not broken(bundle) and not open_contents(bundle)

    def test_content_of_another_run_is_refused(self, store, world):
        other = worlds.publish(store, "embeddings", "07e4", lambda into: None)
        model = worlds.model(store, world)

        def write(into):
            for name in model.manifest["files"]:
                (into / name).write_bytes(model.file(name).read_bytes())

        inputs = {**model.manifest["inputs"], "embeddings": "e3bed"}
        model = worlds.publish(store, "model", "0dd", write, inputs=inputs)
        with pytest.raises(ArtifactError, match="made from embeddings e3bed, not from 07e4"):
            run(store, world, model, extra={"embeddings": other})

    def test_a_flipped_flag_is_noticed(self, store, world):
        bundle, _ = self.made(store, world)
        path = bundle.file("content_text_present.npy")
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.unlink()
        path.write_bytes(content)
        assert any("content_text_present.npy" in str(check) for check in broken(bundle))


def test_the_lists_of_known_users_can_be_left_out(store, world):
    bundle = run(store, world, known_lists=0)
    assert not bundle.has("known.npy")


def test_the_lists_of_known_users_leave_out_what_they_have(store, world):
    bundle = run(store, world, known_lists=15)
    listed, seen = bundle.array("known.npy"), bundle.matrix("seen.npz").toarray() > 0
    assert listed.shape == (world.n_users, 15)
    scores = bundle.array("user_vectors.npy") @ bundle.array("item_vectors.npy").T
    scores[seen] = -np.inf
    for user in np.flatnonzero(seen.any(axis=1)).tolist():
        expected = np.sort(scores[user])[::-1][:15]
        np.testing.assert_allclose(scores[user, listed[user]], expected, rtol=1e-5)
