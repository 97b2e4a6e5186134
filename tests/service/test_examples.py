"""Positives pull, negatives push, by the formula; no order or repetition changes a bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.asker import VectorError, look_up
from serving.requests import RecommendRequest

ITEMS = st.integers(0, 63)
RAW = st.lists(st.floats(-2, 2, width=32), min_size=8, max_size=8)
EXAMPLES = st.lists(st.one_of(ITEMS.map("i{}".format), RAW), max_size=6)


def vector(bundle, **asked):
    return look_up(bundle, RecommendRequest(**asked)).vector


def by_hand(bundle, user, history, positives, negatives):
    """The formula, one item after another."""
    seen = [] if user is None else bundle.seen_by(user).tolist()
    new = {int(key[1:]) for key in history} - {*seen}
    total = np.zeros(8)
    if seen and bundle.user_vectors[user].any():
        total = np.sqrt(len(seen)) * bundle.user_vectors[user].astype(float)
    else:
        total = sum((bundle.fold_in[row].astype(float) for row in seen), total)
    total = sum((bundle.fold_in[row] for row in new), total)
    count = len(seen) + len(new)
    for sign, examples in ((1, positives), (-1, negatives)):
        for row in {int(e[1:]) for e in examples if isinstance(e, str)}:
            total, count = total + sign * bundle.fold_in[row], count + 1
        for raw in [e for e in examples if not isinstance(e, str)]:
            total, count = total + sign * np.array(raw), count + 1
    return total / np.sqrt(max(1, count))


@settings(max_examples=150)
@given(
    st.sampled_from([None, 0, 7, 79]),
    st.lists(ITEMS.map("i{}".format), max_size=5),
    EXAMPLES,
    EXAMPLES,
)
def test_the_vector_is_the_formula_s(bundle, user, history, positives, negatives):
    asked = {"history": history, "positives": positives, "negatives": negatives}
    asked |= {} if user is None else {"user": f"u{user}"}
    found = vector(bundle, **asked)
    wanted = by_hand(bundle, user, history, positives, negatives)
    if found is not None:
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    else:
        np.testing.assert_allclose(wanted, 0, atol=1e-5)


@settings(max_examples=100)
@given(
    st.lists(ITEMS.map("i{}".format), max_size=8), EXAMPLES, EXAMPLES, st.randoms(), st.booleans()
)
def test_no_order_and_no_repetition_changes_a_bit(
    recommender, history, positives, negatives, random, known
):
    asked = {"history": history, "positives": positives, "negatives": negatives}
    mixed = {name: random.sample(each, len(each)) for name, each in asked.items()}
    mixed["history"] += mixed["history"][:2]
    mixed["positives"] += [e for e in mixed["positives"] if isinstance(e, str)][:1]
    user = {"user": "u7"} if known else {}
    one = recommender.recommend(RecommendRequest(**asked, **user))
    other = recommender.recommend(RecommendRequest(**mixed, **user))
    assert one.items == other.items and one.strategy == other.strategy


def test_positives_alone_are_a_history_that_is_not_had(recommender):
    liked = recommender.recommend(RecommendRequest(positives=["i1", "i9"]))
    had = recommender.recommend(RecommendRequest(history=["i1", "i9"]))
    assert [i.score for i in liked.items] == [i.score for i in had.items]
    assert (liked.strategy, liked.user_tier) == ("fold_in", "warm")
    assert [i.reasons for i in liked.items] == [i.reasons for i in had.items]


def test_an_id_and_its_vector_are_the_same(recommender, bundle):
    raw = bundle.fold_in[9].tolist()
    by_id = recommender.recommend(RecommendRequest(positives=["i9"]))
    by_vector = recommender.recommend(RecommendRequest(positives=[raw], exclude_ids=["i9"]))
    assert [i.id for i in by_id.items] == [i.id for i in by_vector.items]


def test_a_negative_pushes_its_like_down(recommender, bundle, parts):
    def kinds(**asked):
        answer = recommender.recommend(RecommendRequest(history=["i0", "i1"], k=20, **asked))
        return [parts.world.item_cluster[int(item.id[1:])] for item in answer.items]

    disliked = parts.world.item_cluster[1]
    assert kinds(negatives=["i1", "i5"]).count(disliked) < kinds().count(disliked)


def test_a_positive_and_the_same_negative_are_nothing(recommender):
    answer = recommender.recommend(RecommendRequest(positives=["i3"], negatives=["i3"]))
    assert answer.strategy == "popular"


def test_examples_are_not_shown_unless_asked_for(recommender):
    asked = {"positives": ["i1"], "negatives": ["i2"], "k": 64}
    shown = {i.id for i in recommender.recommend(RecommendRequest(**asked)).items}
    assert not shown & {"i1", "i2"}
    every = recommender.recommend(RecommendRequest(**asked, exclude_seen=False))
    assert {"i1", "i2"} <= {i.id for i in every.items}


def test_unknown_examples_are_named(recommender):
    answer = recommender.recommend(RecommendRequest(positives=["gone"], negatives=["lost", "i1"]))
    assert answer.unknown_items == ["gone", "lost"]


def test_a_vector_of_another_width_is_refused(recommender):
    with pytest.raises(VectorError, match="3 numbers; those of this bundle have 8"):
        recommender.recommend(RecommendRequest(positives=[[1.0, 2.0, 3.0]]))
