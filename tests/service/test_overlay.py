"""A bundle seen through an overlay answers as one that was made with the changes in it."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.artifacts import Store
from pipeline.ids import UNKNOWN
from pipeline.nearest import top_k_naive
from serving.bundle import NOTHING, Activity, Bundle
from serving.live.grown import Edges, GrownGraph, GrownIndex, Stacked
from serving.live.overlay import Added, Overlay
from serving.live.view import LiveBundle, woven
from serving.ranking import with_newcomers
from serving.recommender import Recommender
from serving.requests import RecommendRequest
from serving.retrieval import Wanted, top_allowed_naive
from tests import worlds_bundle

WIDTH = 8


def added(key: str, vector, **fields) -> Added:
    vector = np.asarray(vector, dtype=np.float32)
    edges = {"text": Edges(np.array([1, 0]), np.array([0.9, 0.5], np.float32))}
    content = {"text": np.ones(12, np.float32)}
    return Added(
        key, {"title": f"Title of {key}", **fields}, vector, 2 * vector, edges, content, ""
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    worlds_bundle.publish(store)
    return Bundle.open(store)


def live(base, overlay, **activities) -> LiveBundle:
    return LiveBundle.over(base, overlay, activities)


@pytest.fixture(scope="module")
def fresh(base):
    """The bundle with a very good item, a poor one, a deleted, a patched and a replaced one."""
    overlay = Overlay.empty(len(base.catalogue), WIDTH)
    best = 3 * base.user_vectors[0] / np.linalg.norm(base.user_vectors[0])
    overlay = overlay.with_added([(added("best", best), UNKNOWN), (added("poor", -best), UNKNOWN)])
    overlay = overlay.with_patch(5, {"title": "A patched thing", "price": None})
    overlay = overlay.without("i6", 6)
    return overlay.with_added([(added("i7", best / 2, price=3.0), 7)])


class TestStacked:
    @given(st.integers(0, 5), st.integers(0, 4), st.data())
    @settings(max_examples=80, deadline=None)
    def test_it_is_the_concatenation(self, first, more, data):
        rng = np.random.default_rng(first * 7 + more)
        base, extra = rng.normal(size=(first, 3)), rng.normal(size=(more, 3))
        ours, whole = Stacked(base, extra), np.concatenate([base, extra])
        assert len(ours) == len(whole) and ours.shape == whole.shape and ours.size == whole.size
        np.testing.assert_array_equal(np.asarray(ours), whole)
        np.testing.assert_allclose(ours @ np.ones(3), whole @ np.ones(3))
        flags = data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole)))
        at = data.draw(st.slices(len(whole)))
        np.testing.assert_array_equal(
            ours[np.array(flags, dtype=bool)], whole[np.array(flags, bool)]
        )
        np.testing.assert_array_equal(ours[at], whole[at])
        if len(whole):
            rows = data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=6))
            rows = np.array(rows, dtype=np.int64)
            np.testing.assert_array_equal(ours[rows], whole[rows])
            pairs = np.stack([rows, rows[::-1]])
            np.testing.assert_array_equal(ours[pairs], whole[pairs])
            one = data.draw(st.integers(-len(whole), len(whole) - 1))
            np.testing.assert_array_equal(ours[one], whole[one])

    def test_numpy_takes_it_for_an_array(self):
        ours = Stacked(np.ones((2, 3)), np.zeros((1, 3)))
        assert np.einsum("nd->n", ours).tolist() == [3, 3, 0]
        with pytest.raises(ValueError, match="copy"):
            np.asarray(ours, copy=False)


class TestGrown:
    def test_an_index_finds_added_vectors_among_its_own(self, base, fresh):
        bundle = live(base, fresh)
        whole = np.asarray(bundle.item_vectors)
        index = GrownIndex(base.index, fresh.vectors)
        scores, rows = index.search(base.user_vectors[:9], 20)
        wanted, exact = top_k_naive(base.user_vectors[:9], whole, 20)
        np.testing.assert_array_equal(rows, wanted)
        np.testing.assert_allclose(scores, exact, rtol=1e-5)
        assert index.ntotal == len(whole)

    def test_an_index_that_is_asked_for_more_than_there_is_says_so(self, base, fresh):
        _, rows = GrownIndex(base.index, fresh.vectors).search(base.user_vectors[:1], 100)
        assert rows.shape == (1, 100)
        assert set(rows[0].tolist()) == {-1, *range(len(base.catalogue) + 3)}

    def test_a_graph_has_the_added_rows(self, base):
        graph = base.graphs["text"]
        edges = [Edges(np.array([4, 2]), np.array([0.7, 0.1], np.float32)), Edges()]
        grown = GrownGraph(graph, edges)
        n = graph.shape[0]
        assert grown.shape == (n + 2, n + 2)
        for row in range(n):
            span = slice(*grown.indptr[row : row + 2])
            assert grown.indices[span].tolist() == graph[row].indices.tolist()
        span = slice(*grown.indptr[n : n + 2])
        assert grown.indices[span].tolist() == [4, 2]
        assert grown.data[span].tolist() == pytest.approx([0.7, 0.1])
        assert not len(grown.indices[slice(*grown.indptr[n + 1 : n + 3])])


class TestOverlay:
    def test_rows_never_change_what_they_mean(self, fresh):
        first = fresh.first
        assert [fresh.item(first + at).key for at in range(3)] == ["best", "poor", "i7"]
        again = fresh.with_added([(added("best", np.ones(WIDTH)), UNKNOWN)])
        assert again.item(first).key == "best" and again.rows["best"] == first + 3
        assert first in again.gone and again.newer[first] == first + 3
        assert fresh.rows["best"] == first and first not in fresh.gone

    def test_what_took_the_place_of_a_row_is_known_through_several_turns(self, fresh):
        again = fresh.with_added([(added("i7", np.ones(WIDTH)), 7)])
        first = fresh.first
        assert again.forms(np.array([1, 7])).tolist() == [1, 7, first + 2, first + 3]

    def test_what_is_gone_holds_no_content_and_stays_warm(self, base, fresh):
        again = fresh.with_added([(added("poor", np.ones(WIDTH)), UNKNOWN)])
        less = again.without("best", again.rows["best"])
        held = [item.content["text"].size for item in less.added]
        assert held == [0, 0, 12, 12]  # deleted, replaced, still there, new
        assert [item.content["text"].size for item in fresh.added] == [12, 12, 12]
        bundle = live(base, less)
        assert {bundle.tier(less.first + at) for at in range(4)} == {"warm"}

    def test_a_deleted_item_that_comes_again_is_a_new_one(self, fresh):
        again = fresh.with_added([(added("i6", np.ones(WIDTH)), 6)])
        assert again.rows["i6"] == fresh.first + 3 and 6 in again.gone
        assert 6 not in again.newer

    def test_nothing_is_nothing(self, base):
        empty = Overlay.empty(5, WIDTH)
        assert not empty and empty.with_added([]) is empty
        bundle = live(base, Overlay.empty(len(base.catalogue), WIDTH))
        assert bundle.index is base.index and bundle.catalogue is base.catalogue


class TestCatalogue:
    def test_keys(self, base, fresh):
        ids = live(base, fresh).catalogue.ids
        first = fresh.first
        found = ids.rows(["i5", "best", "i6", "i7", "nobody"])
        assert found.tolist() == [5, first, UNKNOWN, first + 2, UNKNOWN]
        assert ids.keys[[5, first]].tolist() == ["i5", "best"] and len(ids) == first + 3

    def test_items_in_any_order(self, base, fresh):
        catalogue = live(base, fresh).catalogue
        rows = np.array([fresh.first + 2, 5, 0, fresh.first])
        items = catalogue.items(rows)
        assert [item.key for item in items] == ["i7", "i5", "i0", "best"]
        assert items[0].price == 3.0 and items[1].title == "A patched thing"
        assert items[1].price is None and items[1].brand == base.catalogue.item(5).brand
        assert items[2] == base.catalogue.item(0)
        assert catalogue.description(0) == base.catalogue.description(0)
        assert catalogue.description(fresh.first) is None
        assert catalogue.items(np.empty(0, np.int64)) == []

    def test_search_finds_what_is_told_now(self, base, fresh):
        catalogue = live(base, fresh).catalogue
        assert catalogue.search("patched").tolist() == [5]
        assert catalogue.search("title of").tolist() == [fresh.first + at for at in range(3)]
        assert 5 not in catalogue.search("Thing 5 ").tolist()
        everything = sorted(catalogue.search("").tolist())
        assert everything == [r for r in range(len(catalogue)) if r not in (6, 7)]

    def test_its_table_has_a_row_for_each_row(self, base, fresh):
        catalogue = live(base, fresh).catalogue
        assert catalogue.table.num_rows == len(catalogue)
        titles = catalogue.table["title"].to_pylist()
        assert titles[5] == "A patched thing" and titles[fresh.first] == "Title of best"
        for row in (0, 4, 63):
            assert titles[row] == base.catalogue.item(row).title

    @given(st.sets(st.integers(0, 9), max_size=6), st.integers(0, 3))
    @settings(max_examples=50, deadline=None)
    def test_woven(self, rows, more):
        table = pa.table({"x": list(range(10))})
        rows = np.array([*sorted(rows), *range(10, 10 + more)], dtype=np.int64)
        found = woven(table, rows, pa.table({"x": (-rows - 1).tolist()}))
        wanted = [-r - 1 if r in rows else r for r in range(10 + more)]
        assert found["x"].to_pylist() == wanted


class TestAnswers:
    def test_an_added_item_is_found_at_once_and_a_deleted_one_never(self, base, fresh):
        recommender = Recommender(live(base, fresh))
        everything = RecommendRequest(user="u0", k=66, exclude_seen=False)
        answer = recommender.recommend(everything)
        shown = [item.id for item in answer.items]
        assert shown[0] == "best" and shown[-1] == "poor" and len(shown) == 65
        assert {*shown} == {f"i{n}" for n in range(64)} - {"i6"} | {"best", "poor"}
        assert (
            answer.shortfall_reason is not None and "2 of them excluded" in answer.shortfall_reason
        )

    def test_lists_are_those_of_a_scan_of_everything(self, base, fresh):
        bundle = live(base, fresh)
        recommender = Recommender(bundle)
        for user in range(0, 79, 9):
            request = RecommendRequest(user=f"u{user}", k=15)
            has = bundle.forms(bundle.seen_by(user))
            barred = np.union1d(has, fresh.gone)
            want = Wanted(np.asarray(base.user_vectors[user]), 15, barred)
            rows, _ = top_allowed_naive(np.asarray(bundle.item_vectors), want)
            keys = bundle.catalogue.ids.keys[rows].tolist()
            assert [item.id for item in recommender.recommend(request).items] == keys

    def test_a_user_has_what_took_the_place_of_what_they_had(self, base, fresh):
        bundle = live(base, fresh)
        users = [u for u in range(79) if 7 in base.seen_by(u)]
        request = RecommendRequest(user=f"u{users[0]}", k=64)
        assert "i7" not in [item.id for item in Recommender(bundle).recommend(request).items]

    def test_strangers_are_not_shown_what_is_gone(self, base, fresh):
        answer = Recommender(live(base, fresh)).recommend(RecommendRequest(k=64))
        shown = [item.id for item in answer.items]
        assert answer.strategy == "popular" and "i6" not in shown and len(shown) == 62

    def test_similar(self, base, fresh):
        recommender = Recommender(live(base, fresh))
        assert [i.id for i in recommender.similar("best", 5, "text").items] == ["i1", "i0"]
        assert recommender.similar("best", 1).items[0].id == "i7"
        for key in ("i0", "best"):
            for by in recommender.relations:
                shown = [item.id for item in recommender.similar(key, 60, by).items]
                assert key not in shown and "i6" not in shown

    def test_reasons_name_the_edges_of_an_added_item(self, base, fresh):
        recommender = Recommender(live(base, fresh))
        request = RecommendRequest(history=["i1"], k=60)
        (reasons,) = [i.reasons for i in recommender.recommend(request).items if i.id == "best"]
        assert [(r.relation, r.item) for r in reasons] == [("text", "i1")]

    def test_an_added_item_in_a_history_moves_the_vector(self, base, fresh):
        recommender = Recommender(live(base, fresh))
        answer = recommender.recommend(RecommendRequest(history=["poor"], k=5))
        assert answer.strategy == "fold_in" and answer.unknown_items == []
        assert "best" not in [item.id for item in answer.items]


class TestActivity:
    def recommender(self, base, **activities):
        overlay = Overlay.empty(len(base.catalogue), WIDTH)
        return Recommender(live(base, overlay, **activities))

    def test_what_a_user_did_counts_as_history_does(self, base):
        rows = base.catalogue.ids.rows(["i1", "i9"])
        did = self.recommender(base, u0=Activity(rows, rows[:0]))
        asked = self.recommender(base).recommend(RecommendRequest(user="u0", history=["i1", "i9"]))
        found = did.recommend(RecommendRequest(user="u0"))
        assert [(i.id, i.score) for i in found.items] == [(i.id, i.score) for i in asked.items]
        assert found.strategy == "model+fold_in"

    def test_a_stranger_who_did_something_is_none_any_more(self, base):
        rows = base.catalogue.ids.rows(["i1"])
        answer = self.recommender(base, new=Activity(rows, rows[:0])).recommend(
            RecommendRequest(user="new")
        )
        assert answer.strategy == "fold_in" and answer.user_tier == "warm"

    def test_what_is_hidden_is_not_shown_whatever_is_asked(self, base):
        plain = RecommendRequest(user="u0", exclude_seen=False, k=5)
        best = [item.id for item in self.recommender(base).recommend(plain).items]
        hidden = base.catalogue.ids.rows(best[:2])
        after = self.recommender(base, u0=Activity(hidden[:0], hidden)).recommend(plain)
        assert [item.id for item in after.items][:3] == best[2:5]

    def test_rows_that_this_state_does_not_know_are_left_aside(self, base):
        far = Activity(np.array([10_000]), np.array([10_001]))
        answer = self.recommender(base, u0=far).recommend(RecommendRequest(user="u0"))
        assert answer.strategy == "model"
        assert NOTHING.below(3) is NOTHING


class TestPlacedInASecondStage:
    def test_as_high_as_retrieved(self):
        ranked = np.array([3, 1, 2]), np.array([9.0, 8.0, 7.0], np.float32)
        rows, scores = with_newcomers(ranked, np.array([1, 10, 2, 3, 11]), 10, 9)
        assert rows.tolist() == [3, 10, 1, 2, 11]
        assert scores.tolist() == [9, 8, 8, 7, 7]

    def test_nothing_new_changes_nothing(self):
        ranked = np.array([3, 1]), np.array([9.0, 8.0], np.float32)
        assert with_newcomers(ranked, np.array([1, 3]), 10, 2) is ranked

    def test_only_new_ones(self):
        none = np.empty(0, np.int64), np.empty(0, np.float32)
        rows, scores = with_newcomers(none, np.array([12, 10]), 10, 1)
        assert rows.tolist() == [12] and scores.tolist() == [0]
