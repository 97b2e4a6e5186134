"""Parts add up to scores, shares to one, and steps say what each step left."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.artifacts import Store
from serving.asker import look_up
from serving.bundle import Bundle
from serving.contributions import sources
from serving.recommender import Recommender
from serving.requests import RecommendRequest
from tests import ranking_worlds, worlds

KEYS = st.lists(st.integers(0, 63).map("i{}".format), max_size=5)
RAW = st.lists(st.floats(-2, 2, width=32), min_size=8, max_size=8)
EXAMPLES = st.lists(st.one_of(st.integers(0, 63).map("i{}".format), RAW), max_size=4)
ASKED = st.fixed_dictionaries(
    {
        "user": st.sampled_from(["u0", "u7", "u79", None]),
        "history": KEYS,
        "positives": EXAMPLES,
        "negatives": EXAMPLES,
        "offset": st.integers(0, 5),
    }
)


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    store, world = Store(tmp_path_factory.mktemp("store")), worlds.planted()
    given = ranking_worlds.inputs(store, world)
    given |= {"model:mf": ranking_worlds.another(store, world)}
    whole = {**given, "ranker": ranking_worlds.ranker(store, given, others=["mf"])}
    return Recommender(Bundle.of(ranking_worlds.bundle(store, whole)))


def full(recommender, **asked):
    return recommender.recommend(RecommendRequest(**{"explain": "full", **asked}))


def check(answer):
    for item in answer.items:
        total = sum(part.value for part in item.parts)
        assert total == pytest.approx(item.score, rel=1e-4, abs=1e-4), item.parts
        sizes = [abs(part.value) for part in item.parts if part.source != "base"]
        assert sizes == sorted(sizes, reverse=True)
        if any(part.value > 0 and part.source != "base" for part in item.parts):
            assert sum(share.share for share in item.shares) == pytest.approx(1)
        assert all(0 < share.share <= 1 + 1e-9 for share in item.shares)


@settings(max_examples=80, deadline=None)
@given(ASKED)
def test_parts_of_vectors_add_up(recommender, asked):
    check(full(recommender, **asked))


@settings(max_examples=60, deadline=None)
@given(ASKED, st.sampled_from([5, 40]))
def test_parts_of_the_second_stage_add_up(ranked, asked, k):
    narrow = {"positives", "negatives"}
    ids = {n: [e for e in v if isinstance(e, str)] for n, v in asked.items() if n in narrow}
    check(full(ranked, **{**asked, **ids}, k=k))


@given(ASKED)
def test_sources_add_up_to_the_vector(bundle, asked):
    asker = look_up(bundle, RecommendRequest(**asked))
    if asker.vector is not None:
        total = np.sum([each.vector for each in sources(bundle.space, asker)], axis=0)
        np.testing.assert_allclose(total, asker.vector, atol=1e-5)


def test_a_stranger_s_score_is_the_sum_over_the_history(recommender, bundle):
    answer = full(recommender, history=["i1", "i9"], k=3)
    for item in answer.items:
        row = int(item.id[1:])
        by_item = {}
        for part in item.parts:
            assert part.source == "item" and part.title
            by_item[part.item] = by_item.get(part.item, 0) + part.value
        for key, value in by_item.items():
            one = bundle.fold_in[int(key[1:])] @ bundle.item_vectors[row] / np.sqrt(2)
            assert value == pytest.approx(one, rel=1e-5)


def test_taste_is_what_the_items_do_not_tell(tmp_path, recommender):
    """The planted users are the fold-in of what they have: nothing is left to taste."""
    parts = [p for i in full(recommender, user="u1").items for p in i.parts]
    assert max(abs(p.value) for p in parts if p.source == "taste") < 1e-5
    assert {p.relation for p in parts} >= {"bought_together", "text", "image"}


def test_negatives_take_away(recommender):
    answer = full(recommender, history=["i1"], negatives=["i5"], k=5, exclude_seen=False)
    like_it = [p.value for i in answer.items if i.id == "i5" for p in i.parts]
    negative = [p for i in answer.items for p in i.parts if p.source == "negative"]
    assert negative and all(part.item == "i5" for part in negative)
    assert not like_it


def test_popular_items_are_their_takers(recommender, bundle):
    for item in full(recommender, k=4).items:
        assert [(p.source, p.value) for p in item.parts] == [("popularity", item.score)]


def test_steps_count_what_each_left(recommender, ranked, parts):
    wanted = {"must": [{"key": "price", "range": {"lt": 30}}]}
    steps = full(recommender, user="u1", filter=wanted, k=5, offset=2).steps
    seen = parts.seen[1].indices
    assert (steps.items, steps.allowed, steps.excluded) == (64, 30, int((seen < 30).sum()))
    assert (steps.ranked, steps.diversified, steps.shown) == (0, 7, 5)
    assert steps.retrieved >= 7
    stage = full(ranked, user="u1", k=5).steps
    assert stage.ranked >= 5 and stage.retrieved >= ranked.bundle.second_stage.count


def test_only_full_gives_them(recommender):
    for explain in (True, False):
        answer = full(recommender, user="u1", explain=explain)
        assert answer.steps is None
        assert not any(item.parts or item.shares for item in answer.items)
        assert any(item.reasons for item in answer.items) == explain
