"""Lists are spread out as far as they are asked to be, on every page alike."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.artifacts import Store
from pipeline.rerank import Caps
from serving.bundle import Bundle
from serving.columns import FilterError
from serving.diversity import POOL, within
from serving.recommender import Recommender
from serving.requests import RecommendRequest
from tests.service import shelves

RECORDS = shelves.catalogue(600)


@pytest.fixture(scope="module")
def recommender(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    shelves.worlds_bundle.publish(store, shelves.parts(n_items=600))
    return Recommender(Bundle.open(store))


def rows(recommender, **asked) -> list[int]:
    answer = recommender.recommend(RecommendRequest(user="u1", **{"explain": False, **asked}))
    return [int(item.id[1:]) for item in answer.items]


def likeness(recommender, listed) -> float:
    vectors = recommender.bundle.item_vectors[listed]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    return float(cosines[np.triu_indices(len(listed), 1)].mean())


def test_no_diversity_is_the_order_of_scores(recommender):
    assert rows(recommender, diversity=0.0) == rows(recommender)


def test_more_diversity_is_less_alike(recommender):
    alike = [
        likeness(recommender, rows(recommender, diversity=d, k=10)) for d in (0.0, 0.3, 0.6, 1.0)
    ]
    assert alike[0] >= alike[1] >= alike[2] >= alike[3]
    assert alike[3] < alike[0] / 2


def test_the_best_item_stays_first(recommender):
    assert rows(recommender, diversity=0.7)[0] == rows(recommender)[0]


PAGES = st.fixed_dictionaries(
    {"offset": st.integers(0, 260), "k": st.integers(1, 20)},
    optional={
        "diversity": st.sampled_from([0.2, 0.9]),
        "max_per": st.sampled_from(
            [{"field": "brand", "count": 60}, {"field": "category", "count": 30}]
        ),
    },
)


@settings(max_examples=40, deadline=None)
@given(PAGES)
def test_pages_are_parts_of_one_list(recommender, asked):
    whole = rows(recommender, **{**asked, "offset": 0, "k": asked["offset"] + asked["k"]})
    assert rows(recommender, **asked) == whole[asked["offset"] :]
    assert len(set(whole)) == len(whole)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["brand", "category", "categories", "title"]),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5]),
    st.integers(1, 40),
)
def test_caps_hold_and_nothing_that_fits_is_left_out(recommender, field, count, diversity, k):
    cap = {"field": field, "count": count}
    answer = recommender.recommend(
        RecommendRequest(user="u1", max_per=cap, diversity=diversity, k=k)
    )
    listed = [int(item.id[1:]) for item in answer.items]
    held = Counter(label for row in listed for label in labels(row, field))
    assert all(number <= count for number in held.values())
    if answer.shortfall_reason is None:
        return
    assert f"max_per ({count} of each {field}) leaves {len(listed)} of" in answer.shortfall_reason
    seen = {*recommender.bundle.seen_by(1).tolist()}
    for row in {*range(600)} - {*listed} - seen:
        assert any(held[label] == count for label in labels(row, field))


def labels(row: int, field: str) -> list[str]:
    record = RECORDS[row]
    if field in ("brand", "title"):
        return [record[field]] if record[field] else []
    listed = record["categories"] or []
    return listed[-1:] if field == "category" else listed


def test_caps_look_further_than_the_pool(recommender):
    """Only a few items have none of the crowded labels."""
    cap = {"field": "categories", "count": 1}
    assert len(rows(recommender, max_per=cap, k=100)) == 100 < POOL


def test_a_list_of_equals_is_not_reordered_by_caps_that_nothing_meets(recommender):
    assert rows(recommender, max_per={"field": "brand", "count": 500}) == rows(recommender)


@pytest.mark.parametrize(("field", "what"), [("price", "holds none"), ("brnd", "did you mean")])
def test_a_cap_on_what_is_no_text_is_refused(recommender, field, what):
    with pytest.raises(FilterError, match=what):
        rows(recommender, max_per={"field": field, "count": 1})


def test_popular_lists_are_spread_out_too(recommender):
    asked = RecommendRequest(k=30, max_per={"field": "brand", "count": 2})
    listed = [int(item.id[1:]) for item in recommender.recommend(asked).items]
    held = Counter(label for row in listed for label in labels(row, "brand"))
    assert max(held.values()) == 2


def test_who_comes_first_gets_the_room():
    import scipy.sparse as sp

    caps = Caps(sp.csr_matrix(np.array([[1, 0], [1, 1], [0, 1], [0, 0]])), np.array([1, 1]))
    assert within(caps, np.array([0, 1, 2, 3])).tolist() == [0, 2, 3]
    assert within(caps, np.array([1, 0, 2, 3])).tolist() == [1, 3]
