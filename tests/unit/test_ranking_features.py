"""Each feature by its obvious computation, for known users and for strangers alike."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.ids import UNKNOWN
from pipeline.ranking import evidence as evidence_module
from pipeline.ranking.candidates import candidates_of
from pipeline.ranking.evidence import Evidence, Taste
from pipeline.ranking.features import (
    NEIGHBOURS,
    closeness,
    features,
    neighbours_took,
    places,
    second_deviation,
)
from pipeline.ranking.space import Space, unit
from tests.ranking_worlds import evidence as planted

USERS = np.array([0, 3, 17, 42, 5])
close = {"atol": 2e-5, "rtol": 1e-5}


@pytest.fixture(scope="module")
def known():
    return planted()


@pytest.fixture(scope="module")
def taste(known):
    return known.tastes(USERS)


@pytest.fixture(scope="module")
def candidates(known, taste):
    return candidates_of(known, taste, 15, taste.history)[:, :15]


def named(known, taste, candidates):
    names, values = features(known, taste, candidates)
    return {name: values[:, :, at] for at, name in enumerate(names)}


def test_the_names_are_those_of_the_documents(known, taste, candidates):
    relations = [f"{m}_{part}" for m in ("text", "image") for part in ("sum", "max", "two")]
    assert [*named(known, taste, candidates)] == [
        "vectors", "vectors_rank", "closest_sum", "closest_max", "second", "second_rank",
        "second_max", *relations, "neighbours_50", "neighbours_300", "profiles", "popularity",
        "history",
    ]  # fmt: skip


def test_the_vectors_score_in_standard_deviations(known, taste, candidates):
    scores = taste.vectors @ known.space.item_vectors.T
    standard = (scores - scores.mean(axis=1, keepdims=True)) / scores.std(axis=1, keepdims=True)
    np.testing.assert_allclose(known.space.catalogue_scores(taste.vectors), standard, **close)
    of_candidates = np.take_along_axis(standard, candidates, axis=1)
    np.testing.assert_allclose(
        known.space.scores(taste.vectors, candidates), of_candidates, **close
    )


def test_a_vector_of_nothing_scores_nothing(known):
    nobody = np.zeros((1, known.space.item_vectors.shape[1]), dtype=np.float32)
    assert not known.space.catalogue_scores(nobody).any()


def test_closeness_is_that_of_every_pair(known, taste, candidates):
    sums, largest = closeness(known, taste, candidates)
    for b, row in enumerate(candidates):
        has = known.space.item_vectors[taste.history[b].indices]
        for c, item in enumerate(row):
            mine = known.space.item_vectors[item]
            cosines = [
                max(0.0, float(h @ mine / np.linalg.norm(h) / np.linalg.norm(mine))) for h in has
            ]
            assert sums[b, c] == pytest.approx(np.log1p(sum(cosines)), abs=1e-5)
            assert largest[b, c] == pytest.approx(max(cosines), abs=1e-5)


def test_the_second_model_scores_in_its_standard_deviations(known, taste, candidates):
    scores = (taste.history @ known.second).toarray()
    deviation = scores.std(axis=1, keepdims=True)
    np.testing.assert_allclose(second_deviation(taste.history, known.second), deviation, **close)
    wanted = np.take_along_axis(scores / deviation, candidates, axis=1)
    found = named(known, taste, candidates)["second"]
    np.testing.assert_allclose(found, np.sign(wanted) * np.log1p(np.abs(wanted)), **close)
    assert (found < 0).any() and (found > 0).any()


def test_relations_are_sums_and_maxima_over_the_history(known, taste, candidates):
    found = named(known, taste, candidates)
    dense = known.relations["text"].toarray()
    for b, row in enumerate(candidates):
        edges = dense[taste.history[b].indices][:, row]
        np.testing.assert_allclose(found["text_sum"][b], np.log1p(edges.sum(axis=0)), **close)
        np.testing.assert_allclose(found["text_max"][b], edges.max(axis=0), **close)
        two_steps = (dense @ dense)[taste.history[b].indices][:, row]
        np.testing.assert_allclose(found["text_two"][b], np.log1p(two_steps.sum(axis=0)), **close)


def test_places_are_those_of_a_sorted_list():
    scores = np.array([[0.5, 2.0, 2.0, -1.0, 9.0]], dtype=np.float32)
    real = np.array([[True, True, True, True, False]])
    wanted = np.log1p([[2, 0, 1, 3, 4]])
    np.testing.assert_allclose(places(scores, real), wanted, **close)
    alone = np.log1p([[2, 0, 1, 3]])
    np.testing.assert_allclose(places(scores[:, :4], real[:, :4]), alone, **close)


def test_the_places_are_among_the_candidates(known, taste, candidates):
    found = named(known, taste, candidates)
    for source in ("vectors", "second"):
        by_place = np.take_along_axis(found[source], found[f"{source}_rank"].argsort(axis=1), 1)
        assert (np.diff(by_place, axis=1) <= 1e-6).all()


def test_neighbours_are_asked_one_by_one(known, taste, candidates):
    """The 50 nearest of the users with items and a vector, weighed by the cosine to the fourth."""
    directions = unit(known.space.user_vectors)
    found = named(known, taste, candidates)
    for b, user in enumerate(USERS):
        others = [u for u in known.pool if u != user]
        cosine = {u: float(directions[user] @ directions[u]) for u in others}
        for count in NEIGHBOURS:
            nearest = sorted(others, key=lambda u: -cosine[u])[:count]
            weights = np.array([max(0.0, cosine[u]) ** 4 for u in nearest])
            took = weights @ known.taken[nearest][:, candidates[b]].toarray()
            np.testing.assert_allclose(found[f"neighbours_{count}"][b], np.log1p(took), **close)


def test_nobody_is_their_own_neighbour(known, taste):
    """The only user who has an item finds nobody who has it; a stranger with that vector does."""
    taken = sp.lil_matrix(known.taken)
    mine = int(np.flatnonzero(np.asarray(known.taken.sum(axis=0)).ravel() == 0)[0])
    taken[USERS[0], mine] = 1
    changed = replace(known, taken=sp.csr_matrix(taken))
    user = changed.tastes(USERS[:1])
    stranger = replace(user, users=np.array([UNKNOWN]))
    assert [found[0, mine] for found in neighbours_took(changed, user)] == [0, 0]
    assert all(found[0, mine] > 0.99 for found in neighbours_took(changed, stranger))


def test_popularity_and_history_are_counts(known, taste, candidates):
    found = named(known, taste, candidates)
    counts = np.asarray(known.taken.sum(axis=0)).ravel()
    np.testing.assert_allclose(found["popularity"], np.log1p(counts[candidates]), **close)
    lengths = np.diff(taste.history.indptr)[:, None]
    np.testing.assert_allclose(
        found["history"], np.log1p(np.broadcast_to(lengths, candidates.shape)), **close
    )


def test_a_stranger_has_the_features_of_a_known_user_of_the_same_taste(known, taste, candidates):
    """But for the neighbours, among whom the stranger finds the known user as well."""
    strangers = Taste(taste.vectors, taste.history, np.full(len(USERS), UNKNOWN))
    names, ours = features(known, taste, candidates)
    theirs = features(known, strangers, candidates)[1]
    alike = np.array([not name.startswith(("neighbours", "profiles")) for name in names])
    assert np.array_equal(ours[..., alike], theirs[..., alike])
    vectors = known.space.user_vectors.copy()
    vectors[USERS] = 0
    without_them = replace(known, space=replace(known.space, user_vectors=vectors))
    same = (features(without_them, each, candidates)[1] for each in (taste, strangers))
    assert np.array_equal(*same)


def test_an_empty_history_has_no_relations(known):
    nobody = known.tastes(np.array([known.taken.shape[0] - 1]))
    assert not nobody.history.nnz
    found = named(known, nobody, np.arange(5)[None])
    silent = [n for n in found if n != "popularity" and not n.endswith("_rank")]
    assert not any(found[name].any() for name in silent)


def test_without_a_second_model_there_are_fewer_features(known, taste, candidates):
    fewer = named(replace(known, second=None), taste, candidates)
    assert {*named(known, taste, candidates)} - {*fewer} == {"second", "second_rank", "second_max"}


def test_another_model_has_a_say_beside_the_one_that_retrieves(known, taste, candidates):
    rng = np.random.default_rng(5)
    users, items = (rng.normal(size=(n, 3)).astype("f4") for n in known.taken.shape)
    both = replace(known, others={"mf": Space(users, items, items)})
    found = named(both, both.tastes(USERS), candidates)
    assert {*found} - {*named(known, taste, candidates)} == {"other_mf", "other_mf_rank"}
    scores = both.others["mf"].catalogue_scores(users[USERS])
    wanted = np.take_along_axis(scores, candidates, axis=1)
    np.testing.assert_allclose(found["other_mf"], wanted, **close)
    np.testing.assert_allclose(found["other_mf_rank"], places(wanted, candidates >= 0), **close)


def test_the_pool_holds_those_with_most_items(known, monkeypatch):
    counts = np.diff(known.taken.indptr)
    everybody = np.flatnonzero((counts > 0) & known.space.user_vectors.any(axis=1))
    assert np.array_equal(known.pool, everybody)
    monkeypatch.setattr(evidence_module, "POOL", 10)
    few = Evidence(known.space, known.taken, known.relations)
    assert len(few.pool) == 10 and (np.diff(few.pool) > 0).all()
    assert counts[few.pool].min() >= np.sort(counts[everybody])[-10]


def test_unit_leaves_zero_rows():
    rows = unit(np.array([[3, 4], [0, 0]], dtype=np.float32))
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0, 0]]
