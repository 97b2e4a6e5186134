"""Who asks decides the strategy; every list is full or says why not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.artifacts import Store
from serving.bundle import Bundle
from serving.messages import RecommendRequest
from serving.recommender import Recommender, UnknownItemError, UnknownRelationError
from tests import worlds_bundle

ITEMS = st.lists(st.integers(0, 70).map("i{}".format), max_size=8)


def ask(recommender, **request):
    return recommender.recommend(RecommendRequest(**request))


def ids(answer) -> list[str]:
    return [item.id for item in answer.items]


def bent(tmp_path, **changes) -> Recommender:
    these = worlds_bundle.parts()
    for name, change in changes.items():
        setattr(these, name, change(getattr(these, name)))
    store = Store(tmp_path)
    worlds_bundle.publish(store, these)
    return Recommender(Bundle.open(store))


def expected(parts, vector, barred, k) -> list[str]:
    scores = parts.item_vectors @ vector
    scores[list(barred)] = -np.inf
    return [f"i{row}" for row in np.argsort(-scores, kind="stable")[:k]]


class TestStrategies:
    def test_a_known_user_gets_the_model_without_what_they_have(self, recommender, parts):
        answer = ask(recommender, user="u1", k=10)
        seen = parts.seen[1].indices
        assert (answer.strategy, answer.user_tier) == ("model", "hot")
        assert ids(answer) == expected(parts, parts.user_vectors[1], seen, 10)
        assert answer.bundle.model_dump() == {"fingerprint": "b0d1e5", "model": "30de1"}
        assert [item.rank for item in answer.items] == [*range(1, 11)]

    def test_an_unknown_user_gets_popular_items_labelled(self, recommender, bundle):
        answer = ask(recommender, user="a stranger", k=5)
        assert (answer.strategy, answer.user_tier) == ("popular", "cold")
        assert ids(answer) == [f"i{row}" for row in bundle.by_popularity[:5]]
        assert all(item.reasons[0].relation == "popular" for item in answer.items)
        assert answer.unknown_items == []

    def test_nobody_at_all_gets_the_same(self, recommender):
        assert ids(ask(recommender, k=5)) == ids(ask(recommender, user="a stranger", k=5))

    def test_a_known_user_without_interactions_gets_popular_items(self, recommender, parts):
        answer = ask(recommender, user=f"u{parts.world.cold_user}")
        assert (answer.strategy, answer.user_tier) == ("popular", "cold")

    def test_a_history_is_folded_in(self, recommender, parts):
        answer = ask(recommender, history=["i1", "i9"], k=7)
        vector = (parts.fold_in[1] + parts.fold_in[9]) / np.sqrt(2)
        assert (answer.strategy, answer.user_tier) == ("fold_in", "warm")
        assert ids(answer) == expected(parts, vector, [1, 9], 7)

    def test_a_repeated_item_counts_once(self, recommender):
        once, twice = (ask(recommender, history=h) for h in (["i1", "i2"], ["i1", "i2", "i1"]))
        assert ids(once) == ids(twice)

    def test_a_warm_item_in_the_history_works(self, recommender, parts):
        assert ask(recommender, history=[f"i{parts.world.warm_items[0]}"]).strategy == "fold_in"

    def test_unknown_items_are_named_and_left_aside(self, recommender):
        answer = ask(recommender, history=["i1", "gone", "gone"], exclude_ids=["lost", "i2"])
        assert answer.unknown_items == ["gone", "lost"]
        assert ids(answer) == ids(ask(recommender, history=["i1"], exclude_ids=["i2"]))

    def test_a_history_of_unknown_items_is_answered_with_popular_ones(self, recommender):
        answer = ask(recommender, history=["gone"])
        assert (answer.strategy, answer.unknown_items) == ("popular", ["gone"])

    def test_a_history_of_items_without_vectors_is_answered_with_popular_ones(self, tmp_path):
        recommender = bent(tmp_path, fold_in=np.zeros_like)
        assert ask(recommender, history=["i1"]).strategy == "popular"

    def test_a_user_whose_vector_was_never_trained_is_folded_in(self, tmp_path, parts):
        recommender = bent(tmp_path, user_vectors=np.zeros_like)
        answer = ask(recommender, user="u1")
        history = [f"i{row}" for row in parts.seen[1].indices]
        assert (answer.strategy, answer.user_tier) == ("fold_in", "warm")
        assert ids(answer) == ids(ask(recommender, history=history))

    def test_a_seen_item_in_the_history_changes_nothing(self, recommender, parts):
        known = f"i{parts.seen[1].indices[0]}"
        answer = ask(recommender, user="u1", history=[known])
        assert answer.strategy == "model"
        assert ids(answer) == ids(ask(recommender, user="u1"))

    @settings(max_examples=25)
    @given(st.integers(0, 78), st.lists(st.integers(0, 63), min_size=1, max_size=6))
    def test_user_and_history_together_are_the_union(self, recommender, parts, user, more):
        """The planted users are exactly the fold-in of what they have, so both must agree."""
        seen = [f"i{row}" for row in parts.seen[user].indices]
        history = [f"i{row}" for row in more]
        both = ask(recommender, user=f"u{user}", history=history, k=20)
        union = ask(recommender, history=seen + history, k=20)
        np.testing.assert_allclose(
            [i.score for i in both.items], [i.score for i in union.items], rtol=1e-4
        )
        assert both.strategy == ("model+fold_in" if set(history) - set(seen) else "model")


class TestLists:
    @settings(max_examples=40)
    @given(
        user=st.sampled_from(["u0", "u7", "u79", "who"]),
        history=ITEMS,
        exclude_ids=ITEMS,
        exclude_seen=st.booleans(),
        k=st.integers(1, 80),
        offset=st.integers(0, 80),
    )
    def test_k_items_or_the_reason_why_not(self, recommender, parts, **asked):
        answer = ask(recommender, **asked)
        shown = ids(answer)
        assert len(shown) == len(set(shown))
        assert (len(shown) == asked["k"]) == (answer.shortfall_reason is None)
        assert not set(shown) & set(asked["exclude_ids"])
        if asked["exclude_seen"]:
            assert not set(shown) & set(asked["history"])
        scores = [item.score for item in answer.items]
        assert scores == sorted(scores, reverse=True)
        assert [i.rank for i in answer.items] == [
            *range(asked["offset"] + 1, asked["offset"] + len(shown) + 1)
        ]

    @given(st.integers(0, 30), st.integers(1, 15), st.sampled_from(["u3", "who"]))
    def test_pages_are_parts_of_one_list(self, recommender, offset, k, user):
        page = ask(recommender, user=user, offset=offset, k=k)
        whole = ask(recommender, user=user, k=offset + k)
        assert page.items == whole.items[offset:]

    def test_seen_items_are_shown_on_request(self, recommender, parts):
        answer = ask(recommender, user="u1", exclude_seen=False, k=64)
        assert {f"i{row}" for row in parts.seen[1].indices} < set(ids(answer))
        assert answer.shortfall_reason is None

    def test_a_short_list_says_how_many_there_are(self, recommender):
        answer = ask(recommender, user="u1", k=100)
        assert len(answer.items) == 56
        assert "64 items, 8 of them excluded: 56 can be ranked" in answer.shortfall_reason

    def test_a_batch_is_its_requests_one_by_one(self, recommender):
        requests = [
            RecommendRequest(user="u1", k=3),
            RecommendRequest(user="who", k=5),
            RecommendRequest(history=["i4"], k=40, explain=False),
            RecommendRequest(user="u1", history=["i4"], offset=5),
        ]
        together = recommender.recommend_many(requests)
        alone = [recommender.recommend(request) for request in requests]
        no_id = {"recommendation_id"}
        assert [a.model_dump(exclude=no_id) for a in together] == [
            a.model_dump(exclude=no_id) for a in alone
        ]

    def test_every_list_has_its_own_id(self, recommender):
        assert len({ask(recommender, k=1).recommendation_id for _ in range(20)}) == 20


class TestReasons:
    def test_a_connection_names_something_the_user_has(self, recommender, parts):
        seen = {f"i{row}" for row in parts.seen[1].indices}
        answer = ask(recommender, user="u1", k=20)
        linked = [r for i in answer.items for r in i.reasons if r.item]
        assert linked and all(reason.item in seen for reason in linked)
        assert {r.relation for r in linked} == {"bought_together", "text", "image"}

    def test_weights_are_the_graph_s(self, recommender, parts):
        graph = parts.graphs["cooccurrence"]
        for item in ask(recommender, user="u1", k=20).items:
            for reason in item.reasons:
                if reason.relation == "bought_together":
                    edge = int(item.id[1:]), int(reason.item[1:])
                    assert reason.weight == graph[edge]

    def test_every_item_has_a_reason(self, recommender):
        for user in ("u1", "who"):
            assert all(i.reasons for i in ask(recommender, user=user, k=56).items)

    def test_what_no_edge_explains_is_the_model_s(self, tmp_path):
        recommender = bent(tmp_path, graphs=lambda g: {n: m * 0 for n, m in g.items()})
        reasons = ask(recommender, user="u1", k=1).items[0].reasons
        assert [r.text for r in reasons] == ["similar to your taste (model)"]

    def test_none_are_given_where_none_are_wanted(self, recommender):
        assert not any(i.reasons for i in ask(recommender, user="u1", explain=False).items)


class TestSimilar:
    def test_the_model_goes_by_cosine(self, recommender, parts):
        unit = parts.item_vectors / np.linalg.norm(parts.item_vectors, axis=1, keepdims=True)
        cosines = unit @ unit[1]
        cosines[1] = -np.inf
        alike = recommender.similar("i1", 5)
        assert ids(alike) == [f"i{row}" for row in np.argsort(-cosines, kind="stable")[:5]]
        np.testing.assert_allclose([i.score for i in alike.items], np.sort(cosines)[::-1][:5], 1e-5)

    @pytest.mark.parametrize("by", ["text", "image"])
    def test_a_modality_goes_by_its_graph(self, recommender, parts, by):
        row = parts.graphs[f"{by}_knn"][1]
        best = row.indices[np.argsort(-row.data, kind="stable")]
        alike = recommender.similar("i1", 3, by)
        assert ids(alike) == [f"i{r}" for r in best[:3]]
        assert alike.items[0].reasons[0].relation == by

    def test_taken_together_goes_by_counts(self, recommender, parts):
        scores = [i.score for i in recommender.similar("i1", 10, "bought_together").items]
        row = np.sort(parts.graphs["cooccurrence"][1].data)[::-1]
        assert scores == row[:10].tolist()

    def test_a_short_list_says_why(self, recommender, parts):
        alike = recommender.similar("i1", 50, "text")
        assert len(alike.items) == 5 and "5 others" in alike.shortfall_reason
        bare = recommender.similar(f"i{parts.world.no_content}", 5, "text")
        assert bare.items == [] and "0 others" in bare.shortfall_reason

    def test_an_item_without_a_vector_is_like_nothing(self, tmp_path):
        recommender = bent(tmp_path, item_vectors=lambda v: np.where(np.eye(64)[1][:, None], 0, v))
        assert recommender.similar("i1", 5).items == []
        assert "i1" not in ids(recommender.similar("i2", 63))

    def test_an_unknown_item_is_an_error(self, recommender):
        with pytest.raises(UnknownItemError, match="holds no item 'gone'"):
            recommender.similar("gone", 5)

    def test_an_unknown_relation_is_an_error_with_a_suggestion(self, recommender):
        with pytest.raises(UnknownRelationError, match="did you mean 'image'"):
            recommender.similar("i1", 5, "images")


class TestGoldenList:
    """Three items, one user, worked by hand."""

    def test_by_hand(self, tmp_path):
        items = np.array([[1, 0], [0, 1], [0.6, 0.6]], dtype=np.float32)
        recommender = bent(
            tmp_path,
            item_vectors=lambda _: np.concatenate([items, np.full((61, 2), -1, np.float32)]),
            fold_in=lambda _: np.concatenate([items, np.zeros((61, 2), np.float32)]),
            user_vectors=lambda _: np.zeros((80, 2), np.float32),
            canary_top=lambda top: top * 0,
        )
        answer = ask(recommender, history=["i0"], k=2, explain=False)
        assert [(i.id, round(i.score, 6)) for i in answer.items] == [("i2", 0.6), ("i1", 0.0)]
        both = ask(recommender, history=["i0", "i1"], k=1, explain=False)
        assert [(i.id, round(i.score, 6)) for i in both.items] == [
            ("i2", round(1.2 / np.sqrt(2), 6))
        ]
