"""The rank stage on the planted world: what it writes, what it says of it, what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline import files, interactions, promises
from pipeline.artifacts import Store
from pipeline.errors import ArtifactError, ConfigError, DataError
from pipeline.evaluate.metrics import Metric, validate
from pipeline.ranking import RankedScorer
from pipeline.ranking.store import SECOND, second_stage_files
from pipeline.relations import symmetric
from pipeline.schema import VALIDATION
from pipeline.scoring import VectorScorer
from tests import ranking_worlds, worlds
from tests.evaluate_worlds import popularity


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return ranking_worlds.inputs(Store(tmp_path_factory.mktemp("store")), worlds.planted())


def made(folder, given, **settings):
    return ranking_worlds.ranker(Store(folder / "made"), given, **settings)


@pytest.fixture(scope="module")
def ranker(tmp_path_factory, given):
    return made(tmp_path_factory.mktemp("ranker"), given)


def test_it_keeps_its_promises(ranker):
    assert promises.broken(ranker) == []
    assert {*second_stage_files(ranker)} == {*ranker.manifest["files"]}


def test_it_says_what_it_tried_and_what_it_looks_at(ranker, given):
    facts = ranker.facts
    assert facts["users"] == 79 and facts["features"] == ranker.json("ranking.json")["features"]
    assert {*facts["tried"]} == {"vectors alone", "0 hidden units", "4 hidden units"}
    best = max(found["ndcg@20"] for found in facts["tried"].values())
    assert facts["validation_out_of_fold"]["ndcg@20"] == best
    assert facts["vectors_share"] == ranker.json("ranking.json")["vectors"]


def test_the_vectors_alone_are_measured_as_training_measures_them(given, tmp_path):
    """More candidates than a list is long: the metric of the candidates is that of the whole."""
    tables, model = given["tables"], given["model"]
    train = interactions.user_item(tables)
    held_out = interactions.user_item(tables, (VALIDATION,))
    scorer = VectorScorer(model.array("user_vectors.npy"), model.array("item_vectors.npy"))
    wanted = validate(scorer, train, held_out, [Metric("recall", 10)])["recall@10"]
    found = made(tmp_path, given, select_metric="recall@10")
    assert found.facts["tried"]["vectors alone"]["recall@10"] == pytest.approx(wanted)


def test_the_same_request_writes_the_same_bytes(ranker, given, tmp_path):
    again = made(tmp_path, given)
    for name, told in ranker.manifest["files"].items():
        assert again.manifest["files"][name]["sha256"] == told["sha256"], name
    other = made(tmp_path / "other", given, seed=1)
    hashes = [a.manifest["files"]["network.safetensors"]["sha256"] for a in (ranker, other)]
    assert hashes[0] != hashes[1]


def test_it_holds_the_relations_of_the_graphs_and_the_weights_of_the_second_model(ranker, given):
    names = {"text": "text_knn.npz", "image": "image_knn.npz", "cooccurrence": "cooccurrence.npz"}
    for name, source in names.items():
        wanted = symmetric(given["graphs"].matrix(source))
        assert (ranker.matrix(f"relation_{name}.npz") != wanted).nnz == 0
    assert (ranker.matrix(SECOND) != given["model:ease"].matrix("item_item.npz")).nnz == 0


def test_without_a_second_model_the_vectors_find_everything(given, tmp_path):
    alone = {name: each for name, each in given.items() if name != "model:ease"}
    ranker = made(tmp_path, alone, second=None)
    assert not ranker.has(SECOND)
    assert not [name for name in ranker.facts["features"] if name.startswith("second")]
    assert ranking_worlds.opened(ranker, given).evidence.second is None


def test_other_models_are_kept_whole_and_asked(given, tmp_path):
    ranker = made(tmp_path, {**given, "model:mf": given["model"]}, others=["mf"])
    assert promises.broken(ranker) == []
    for part in ("user_vectors", "item_vectors", "fold_in"):
        found = ranker.array(f"other_mf_{part}.npy")
        assert np.array_equal(found, given["model"].array(f"{part}.npy"))
    assert {"other_mf", "other_mf_rank"} <= {*ranker.facts["features"]}
    evidence = ranking_worlds.opened(ranker, given).evidence
    assert evidence.others["mf"].shape == evidence.space.shape


def test_another_model_without_vectors_is_refused(given, tmp_path):
    inputs = {**given, "model:knn": given["model:ease"]}
    with pytest.raises(ArtifactError, match=r"rank.others has knn, which has no vectors; name"):
        made(tmp_path, inputs, others=["knn"])


def test_few_users_are_drawn_from_the_seed(given, tmp_path):
    first, again, other = (
        made(tmp_path / f"{at}", given, users=20, seed=seed).facts["tried"]["vectors alone"]
        for at, seed in enumerate((0, 0, 1))
    )
    assert first == again != other
    assert made(tmp_path / "count", given, users=20).facts["users"] == 20


def test_no_units_is_tried_once(given, tmp_path):
    tried = made(tmp_path, given, hidden=0).facts["tried"]
    assert {*tried} == {"vectors alone", "0 hidden units"}


def test_where_nothing_helps_the_vectors_rank(given, tmp_path, monkeypatch):
    """Their lists, item by item, though vectors point far outside the network's limit."""

    class Useless:
        def __init__(self, names, examples, recipe):
            self.network, self.held_out = None, -examples.features[:, :, 0]

    monkeypatch.setattr("pipeline.rank.stage.fit", Useless)
    ranker = made(tmp_path, given)
    tried = ranker.facts["tried"]
    assert ranker.facts["validation_out_of_fold"] == tried["vectors alone"]
    stage = ranking_worlds.opened(ranker, given)
    train = interactions.user_item(given["tables"])
    users = np.arange(79)
    masked = train[users].toarray() > 0
    ranked = RankedScorer(stage, train).scores(users)
    space = stage.evidence.space
    vectors = space.user_vectors[users] @ space.item_vectors.T
    best = [np.argsort(-np.where(masked, -np.inf, each))[:, :12] for each in (ranked, vectors)]
    assert (best[0] == best[1]).mean() > 0.99


def test_a_model_without_vectors_is_refused(given, tmp_path):
    with pytest.raises(ConfigError, match="has no vectors to retrieve candidates with; set rank"):
        made(tmp_path, {**given, "model": given["model:ease"]})


def test_a_second_model_without_weights_is_refused(given, tmp_path):
    store = Store(tmp_path / "popular")
    with pytest.raises(ArtifactError, match=r"rank\.second is ease, which has no item-item weig"):
        made(tmp_path, {**given, "model:ease": popularity(store, worlds.planted())})


@pytest.mark.parametrize("metric", ["cleverness@20", "ndcg"])
def test_a_metric_that_does_not_exist_is_refused(given, tmp_path, metric):
    with pytest.raises((ConfigError, ValueError), match=r"cleverness|select_metric"):
        made(tmp_path, given, select_metric=metric)


def test_nobody_to_learn_from_is_said(given, tmp_path):
    world = ranking_worlds.trained_only(worlds.planted())
    tables = worlds.tables(Store(tmp_path / "train"), world)
    with pytest.raises(DataError, match=r"nobody to learn a ranking from.*validation 0.*rank: nul"):
        made(tmp_path, {**given, "tables": tables})


def test_a_single_user_is_enough_to_run(given, tmp_path):
    world = worlds.planted()
    mine = np.flatnonzero((world.split == VALIDATION) & (world.users == 3))
    kept = np.union1d(np.flatnonzero(world.split != VALIDATION), mine)
    parts = {n: getattr(world, n)[kept] for n in ("users", "items", "split")}
    tables = worlds.tables(Store(tmp_path / "one"), replace(world, **parts))
    ranker = made(tmp_path, {**given, "tables": tables}, folds=2)
    assert ranker.facts["users"] == 1 and promises.broken(ranker) == []
    assert files.read_json(ranker.path / "ranking.json")["candidates"] == 12
