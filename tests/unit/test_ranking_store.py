"""A second stage as files: written, opened, refused where its parts do not fit."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from safetensors.numpy import load_file, save_file

from pipeline import interactions
from pipeline.artifacts import Artifact, Store
from pipeline.errors import ArtifactError
from pipeline.ranking import RankedScorer, open_second_stage
from pipeline.ranking.candidates import candidates_of
from pipeline.ranking.scorer import BELOW
from pipeline.ranking.space import Space
from pipeline.ranking.store import NETWORK, SECOND, SETTINGS
from tests import ranking_worlds, worlds
from tests.artifacts.whole_runs import replaced, rewritten


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    return ranking_worlds.inputs(Store(tmp_path_factory.mktemp("store")), worlds.planted())


@pytest.fixture(scope="module")
def original(tmp_path_factory, given):
    return ranking_worlds.ranker(Store(tmp_path_factory.mktemp("ranker")), given)


@pytest.fixture
def ranker(tmp_path, original):
    """A copy of its own for each test, which may spoil it."""
    path = Path(shutil.copytree(original.path, tmp_path / original.path.name))
    return Artifact(path, original.manifest)


def test_what_is_opened_is_what_was_written(ranker, given):
    stage = ranking_worlds.opened(ranker, given)
    settings = ranker.json(SETTINGS)
    assert stage.count == 12 and stage.share == settings["vectors"]
    assert list(stage.network.names) == settings["features"]
    for name, array in load_file(ranker.file(NETWORK)).items():
        assert np.array_equal(getattr(stage.network, name), array)
    assert [*stage.evidence.relations] == ["cooccurrence", "image", "text"]
    assert (stage.evidence.second != ranker.matrix(SECOND)).nnz == 0


def narrower(matrix):
    return sp.csr_matrix(matrix[:-1, :-1])


def fewer_names(settings):
    return {**settings, "features": settings["features"][:-1]}


def other_names(settings):
    return {**settings, "features": ["smell", *settings["features"][1:]]}


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (SETTINGS, fewer_names, r"network has arrays of shapes .*wanted .*\(20,\)"),
        (SETTINGS, other_names, r"network wants \['smell', .*there are \['vectors'"),
        ("relation_text.npz", narrower, r"matrices have the shapes .*\(63, 63\).*\(64, 64\)"),
        (SECOND, narrower, r"matrices have the shapes .*\(63, 63\).*wanted \(64, 64\)"),
    ],
)
def test_parts_that_do_not_fit_are_named(ranker, given, name, change, says):
    with pytest.raises(ArtifactError, match=f"second stage of ranker 4a4ce4: .*{says}.*--from ran"):
        ranking_worlds.opened(replaced(ranker, name, change), given)


def without_bias(arrays):
    del arrays["bias"]


def flat(arrays):
    arrays["hidden"] = arrays["hidden"][0]


def one_network_less(arrays):
    arrays["linear"] = arrays["linear"][1:]


@pytest.mark.parametrize("change", [without_bias, flat, one_network_less])
def test_a_network_of_other_shapes_is_named(ranker, given, change):
    arrays = load_file(ranker.file(NETWORK))
    change(arrays)
    spoiled = rewritten(ranker, lambda into: save_file(arrays, into / NETWORK))
    with pytest.raises(ArtifactError, match="its network has arrays of shapes"):
        ranking_worlds.opened(spoiled, given)


def test_a_relation_less_is_other_features(ranker, given):
    spoiled = rewritten(ranker, lambda into: (into / "relation_image.npz").unlink())
    with pytest.raises(ArtifactError, match=r"its network wants .*'image_sum'"):
        ranking_worlds.opened(spoiled, given)


def test_vectors_of_other_items_are_refused(ranker, given):
    model, train = given["model"], interactions.user_item(given["tables"])
    items = model.array("item_vectors.npy")[:-1]
    fewer = Space(model.array("user_vectors.npy"), items, items)
    with pytest.raises(ArtifactError, match=r"wanted \(63, 63\)"):
        open_second_stage(ranker, fewer, sp.csr_matrix(train[:, :-1]))


class TestScorer:
    @pytest.fixture
    def scorer(self, ranker, given):
        train = interactions.user_item(given["tables"])
        return RankedScorer.opened(ranker, given["model"], train)

    def test_candidates_stand_above_everything_else_in_the_order_of_the_stage(self, scorer):
        users = np.array([0, 7, 30])
        scores = scorer.scores(users)
        taste = scorer.stage.evidence.tastes(users)
        rows = candidates_of(scorer.stage.evidence, taste, 12, scorer.masked[users])
        wanted = scorer.stage.scores(taste, rows)
        assert scores.dtype == np.float32 and np.isfinite(scores).all()
        for b, row in enumerate(rows):
            real = row >= 0
            np.testing.assert_allclose(scores[b, row[real]], wanted[b, real], rtol=1e-5)
            others = np.delete(scores[b], row[real])
            assert others.max() < scores[b, row[real]].min() - BELOW / 2

    def test_the_others_follow_in_the_order_of_the_vectors(self, scorer):
        users = np.array([3, 11])
        scores, evidence = scorer.scores(users), scorer.stage.evidence
        products = evidence.space.user_vectors[users] @ evidence.space.item_vectors.T
        for b in range(2):
            others = np.flatnonzero(scores[b] < -BELOW / 2)
            by_score = others[np.argsort(-scores[b, others])]
            # Far below zero, float32 tells scores apart by a thousandth.
            assert (np.diff(products[b, by_score]) < 0.01).all()

    def test_what_is_masked_is_no_candidate(self, scorer):
        users = np.arange(40)
        scores = scorer.scores(users)
        assert (scores[scorer.masked[users].toarray() > 0] < -BELOW / 2).all()

    def test_users_score_the_same_alone(self, scorer):
        together = scorer.scores(np.arange(20))
        alone = np.concatenate([scorer.scores(np.array([user])) for user in range(20)])
        np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-4)
