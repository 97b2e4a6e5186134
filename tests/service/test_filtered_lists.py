"""Filtered lists are what scoring every allowed item gives: any share, page and stage."""

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.artifacts import Store
from serving.asker import look_up
from serving.bundle import Bundle
from serving.filters import Selection
from serving.recommender import Recommender
from serving.requests import RecommendRequest
from serving.retrieval import Retriever, Wanted, dots, top_allowed_naive
from tests import ranking_worlds, worlds
from tests.service import shelves

ITEMS, WIDTH = 3000, 6
VECTORS = np.random.default_rng(0).normal(size=(ITEMS, WIDTH)).astype(np.float32)
SHARES = st.floats(-5, 0).map(lambda power: 10**power)
"""Of the catalogue, from a hundred-thousandth to all of it."""


def chosen(share: float, seed: int) -> Selection:
    rng = np.random.default_rng(seed)
    flags = rng.random(ITEMS) < share
    flags[rng.integers(ITEMS)] = True
    return Selection(flags, rng.permutation(ITEMS))


def flat():
    index = faiss.IndexFlatIP(WIDTH)
    index.add(VECTORS)
    return index


def lists(probes: int = 64):
    index = faiss.index_factory(WIDTH, "IVF64,Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(VECTORS)
    index.add(VECTORS)
    index.nprobe = probes
    return index


RETRIEVERS = {
    "flat": Retriever(flat(), VECTORS),
    "ivf": Retriever(lists(), VECTORS),
    "hnsw": Retriever(faiss.IndexHNSWFlat(WIDTH, 8, faiss.METRIC_INNER_PRODUCT), VECTORS),
}
RETRIEVERS["hnsw"].index.add(VECTORS)


@pytest.mark.parametrize("kind", RETRIEVERS)
@settings(max_examples=60)
@given(SHARES, st.integers(0, 10_000), st.integers(1, 40), st.integers(0, 80))
def test_any_share_is_answered_exactly(kind, share, seed, count, barred):
    rng = np.random.default_rng(seed)
    query = rng.normal(size=WIDTH).astype(np.float32)
    best = np.argsort(-(VECTORS @ query))
    excluded = np.sort(rng.permutation(best[:400])[:barred])
    want = Wanted(query, count, excluded, chosen(share, seed))
    rows, scores = RETRIEVERS[kind].top([want])[0]
    exact = top_allowed_naive(VECTORS, want)
    assert rows.tolist() == exact[0].tolist()
    np.testing.assert_array_equal(scores, exact[1])


def test_filters_of_a_batch_do_not_mix():
    rng = np.random.default_rng(3)
    some = [None, chosen(0.9, 1), chosen(0.5, 2), chosen(0.01, 3)]
    wants = [
        Wanted(rng.normal(size=WIDTH).astype(np.float32), 9, np.arange(0, 50), some[n % 4])
        for n in range(24)
    ]
    for want, found in zip(wants, RETRIEVERS["ivf"].top(wants), strict=True):
        assert found[0].tolist() == top_allowed_naive(VECTORS, want)[0].tolist()


def test_the_fewer_a_filter_leaves_the_more_lists_are_looked_through():
    """A filter against the grain of the query would otherwise find the lists it probes empty."""
    index = lists(probes=16)
    retriever, hits, plain = Retriever(index, VECTORS), [], []
    for seed in range(40):
        query = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
        against = VECTORS @ query < np.quantile(VECTORS @ query, 0.3)
        want = Wanted(query, 10, np.arange(0), Selection(against, np.arange(ITEMS)))
        exact = top_allowed_naive(VECTORS, want)[0]
        hits.append(np.isin(retriever.top([want])[0][0], exact).mean())
        bits = faiss.IDSelectorBitmap(want.selection.packed)
        only = faiss.SearchParametersIVF(sel=bits, nprobe=16)
        plain.append(np.isin(index.search(query[None], 10, params=only)[1][0], exact).mean())
    assert np.mean(hits) > np.mean(plain) + 0.2


@pytest.fixture(scope="module")
def these():
    return shelves.parts()


@pytest.fixture(scope="module")
def recommender(tmp_path_factory, these):
    store = Store(tmp_path_factory.mktemp("store"))
    shelves.worlds_bundle.publish(store, these)
    return Recommender(Bundle.open(store))


CLAUSES = st.sampled_from(
    [
        {"key": "brand", "match": {"value": "Acme"}},
        {"key": "category", "match": {"any": ["home", "tools"]}},
        {"key": "price", "range": {"lt": 50}},
        {"key": "available", "match": {"value": True}},
        {"key": "stock", "is_null": False},
    ]
)
FILTERS = st.dictionaries(
    st.sampled_from(["must", "must_not", "should"]),
    st.lists(CLAUSES, min_size=1, max_size=2),
    min_size=1,
)
KEYS = st.lists(st.integers(0, 63).map("i{}".format), max_size=5)


@settings(max_examples=80)
@given(
    user=st.sampled_from(["u0", "u7", "u79", "who", None]),
    history=KEYS,
    exclude_ids=KEYS,
    exclude_seen=st.booleans(),
    filter=FILTERS,
    k=st.integers(1, 20),
    offset=st.integers(0, 20),
)
def test_lists_are_those_of_brute_force(recommender, these, **asked):
    request = RecommendRequest.model_validate(asked)
    answer = recommender.recommend(request)
    bundle = recommender.bundle
    asker = look_up(bundle, request)
    records = shelves.catalogue(64)
    allowed = [
        row
        for row, record in enumerate(records)
        if shelves.passes(record, request.filter) and row not in asker.excluded
    ]
    if asker.vector is None:
        places = {row: place for place, row in enumerate(bundle.by_popularity.tolist())}
        allowed.sort(key=places.__getitem__)
    else:
        scores = dots(bundle.item_vectors, asker.vector)
        allowed.sort(key=lambda row: (-scores[row], row))
    page = allowed[request.offset : request.offset + request.k]
    assert [item.id for item in answer.items] == [f"i{row}" for row in page]
    assert (answer.shortfall_reason is None) == (len(page) == request.k)


def test_a_short_list_names_the_clause_that_leaves_few(recommender):
    wanted = {
        "must": [{"key": "brand", "match": {"value": "Acme"}}],
        "must_not": [{"key": "price", "range": {"gte": 0}}],
    }
    request = RecommendRequest(user="u1", filter=wanted, k=50)
    answer = recommender.recommend(request)
    records = shelves.catalogue(64)
    left = sum(shelves.passes(record, request.filter) for record in records)
    acme = sum(record["brand"] == "Acme" for record in records)
    unpriced = sum(not (record["price"] or 0) >= 0 or record["price"] is None for record in records)
    assert f"the filter leaves {left} items" in answer.shortfall_reason
    assert f"must[0] (brand 'Acme') leaves {acme}" in answer.shortfall_reason
    assert f"must_not[0] (price >= 0) leaves {unpriced}" in answer.shortfall_reason


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """A recommender with a second stage."""
    store, world = Store(tmp_path_factory.mktemp("store")), worlds.planted()
    given = ranking_worlds.inputs(store, world)
    whole = {**given, "ranker": ranking_worlds.ranker(store, given)}
    return Recommender(Bundle.of(ranking_worlds.bundle(store, whole)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 78), st.integers(0, 10_000), SHARES, st.integers(1, 30), st.integers(0, 9))
def test_candidates_and_their_order_are_those_of_brute_force(ranked, user, seed, share, k, offset):
    """Both sources give their best among what is allowed, and the network orders them."""
    rng = np.random.default_rng(seed)
    keys = [f"i{row}" for row in np.flatnonzero(rng.random(64) < max(share, 0.05))]
    only = {"must": [{"key": "id", "match": {"any": keys or ["i5"]}}]}
    request = RecommendRequest(user=f"u{user}", filter=only, k=k, offset=offset)
    asker = look_up(ranked.bundle, request, ranked.filters.selection(request.filter))
    rows, scores = brute_force(ranked.bundle.second_stage, asker)
    page = slice(offset, offset + k)
    answer = ranked.recommend(request)
    assert [item.id for item in answer.items] == [f"i{row}" for row in rows[page]]
    found = [item.score for item in answer.items]
    np.testing.assert_allclose(found, scores[page], rtol=1e-4, atol=1e-4)


def brute_force(stage, asker) -> tuple[list[int], list[float]]:
    evidence, space = stage.evidence, stage.evidence.space
    taste = evidence.tastes(np.array([asker.row]))
    allowed = [row for row in asker.selection.rows.tolist() if row not in asker.excluded]
    by_vectors = dots(space.item_vectors, asker.vector)
    nearest = sorted(allowed, key=lambda row: (-by_vectors[row], row))
    candidates = nearest[: stage.count]
    if evidence.second is not None:
        second = np.asarray((taste.history @ evidence.second).todense()).ravel()
        best = sorted(allowed, key=lambda row: (-second[row], row))[: stage.count]
        candidates = sorted({*candidates, *(row for row in best if second[row] > 0)})
    candidates = sorted(candidates)
    if not candidates:
        return [], []
    scores = stage.scores(taste, np.array([candidates]))[0]
    order = sorted(range(len(candidates)), key=lambda at: (-scores[at], candidates[at]))
    rows = [candidates[at] for at in order]
    others = [row for row in nearest if row not in rows]
    below = space.scores(asker.vector[None], np.array([others], dtype=np.int64))[0] - 1e4
    return rows + others, [*scores[order], *below]
