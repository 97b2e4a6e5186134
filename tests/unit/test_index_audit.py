"""Audits: what an index is measured to find, how its effort is raised, what a list is worth."""

import faiss
import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.errors import ArtifactError
from pipeline.index import audit as audits
from pipeline.index.audit import Exact, Search, audit, audit_until, effort, ndcg, raised
from pipeline.index.build import build
from pipeline.index.recipe import Recipe
from pipeline.nearest import rescored, top_k_exact, top_k_faiss, top_k_naive, top_k_rescored
from tests.index_worlds import clustered

FLAT = Recipe("flat")
HNSW = Recipe("hnsw", links=16, ef_search=32)
WEAK = Recipe("hnsw", links=4, ef_construction=8, ef_search=1)


def measured(index, items, queries, k):
    return audit(Search(index, items), Exact.of(queries, items, k), k)


def test_flat_is_exact():
    items, queries = clustered(0, 3000, skew=1.0), clustered(1, 50)
    index = build(items, FLAT)
    np.testing.assert_array_equal(
        top_k_faiss(index, queries, 20)[0], top_k_exact(queries, items, 20)[0]
    )
    found = measured(index, items, queries, 20)
    assert (found.recall, found.recall_at_10, effort(index)) == (1.0, 1.0, None)


@pytest.mark.parametrize("skew", [0.0, 1.0, 2.0])
def test_small_world_finds_nearly_all_even_where_lengths_vary(skew):
    items, queries = clustered(0, 6000, skew=skew), clustered(1, 200)
    assert measured(build(items, Recipe("hnsw")), items, queries, 20).recall > 0.95


def test_the_audit_notices_an_index_of_other_vectors():
    items, queries = clustered(0, 2000), clustered(1, 50)
    shuffled = np.random.default_rng(0).permutation(items)
    assert measured(build(shuffled, FLAT), items, queries, 10).recall_by_row < 0.1


def test_equal_items_are_no_miss():
    items = np.repeat(clustered(0, 50), 40, axis=0)
    found = measured(build(items, HNSW), items, clustered(1, 100), 10)
    assert found.recall > found.recall_by_row


def test_recall_at_ten_is_that_of_the_short_list():
    class Late:
        """Finds all but the two best, which it puts last."""

        def search(self, queries, k):
            rows, scores = top_k_naive(queries, self.items, k)
            return np.roll(scores, -2, axis=1), np.roll(rows, -2, axis=1)

    late, queries = Late(), clustered(1, 20)
    late.items = items = clustered(0, 500)
    found = measured(late, items, queries, 20)
    assert found.recall == 1.0 and found.recall_at_10 == pytest.approx(0.8)


def test_no_query_is_no_miss():
    items = clustered(0, 30)
    assert measured(build(items, FLAT), items, clustered(1, 0), 10).recall == 1.0


@pytest.mark.parametrize("recipe", [WEAK, Recipe("ivf", lists=64, probes=1)], ids=["hnsw", "ivf"])
def test_effort_is_raised_until_the_floor_is_met(recipe):
    items, queries = clustered(0, 6000, skew=2.0), clustered(1, 100)
    search, exact = Search(build(items, recipe), items), Exact.of(queries, items, 20)
    before = audit(search, exact, 20).recall
    _, found = audit_until(search, exact, 20, floor=before + 0.05)
    assert found.recall >= before + 0.05
    assert effort(search.index) > 1


def test_codes_are_scored_deeper_until_the_floor_is_met():
    items, queries = clustered(0, 3000), clustered(1, 60)
    search = Search(build(items, Recipe("flat", "binary")), items, 2)
    exact = Exact.of(queries, items, 20)
    assert audit(search, exact, 20).recall < 0.9
    deeper, found = audit_until(search, exact, 20, floor=0.97)
    assert deeper.depth > 2 and found.recall >= 0.97
    assert audit(deeper, exact, 20).recall == found.recall


def test_effort_is_raised_no_further_than_the_limit(monkeypatch):
    monkeypatch.setattr(audits, "EFFORT_LIMIT", 2)
    items, queries = clustered(0, 6000, skew=2.0), clustered(1, 50)
    index = build(items, WEAK)
    with pytest.raises(ArtifactError, match=r"of the exact 20 best.*effort 2.*method=flat"):
        audit_until(Search(index, items), Exact.of(queries, items, 20), 20, floor=1.0)


def test_depth_is_raised_no_further_than_the_catalogue():
    items = clustered(0, 100)
    search = Search(build(items, Recipe("flat", "sq8")), items, 4)
    assert (harder := raised(search, 20)) and harder.depth == 5
    assert raised(harder, 20) is None
    assert raised(Search(build(items, FLAT), items), 20) is None


def test_rescoring_puts_candidates_in_the_order_of_their_vectors():
    items, queries = clustered(0, 50), clustered(1, 8)
    everything = np.tile(np.random.default_rng(0).permutation(50), (8, 1))
    rows, scores = rescored(items, queries, everything, 7)
    wanted = top_k_naive(queries, items, 7)
    np.testing.assert_array_equal(rows, wanted[0])
    np.testing.assert_allclose(scores, wanted[1], rtol=1e-5)


def test_rescoring_leaves_what_was_not_found_at_the_end():
    items, queries = clustered(0, 50), clustered(1, 2)
    rows, scores = rescored(items, queries, np.array([[-1, 3, -1], [-1, -1, -1]]), 2)
    assert rows.tolist() == [[3, -1], [-1, -1]]
    assert (scores[rows < 0] == np.finfo(np.float32).min).all()


def test_many_queries_are_scored_as_each_is_alone():
    items, queries = clustered(0, 400), clustered(1, 600)
    index = build(items, Recipe("flat", "sq4"))
    together = top_k_rescored(index, items, queries, 5, 4)[0]
    for at in (0, 255, 256, 599):
        alone = top_k_rescored(index, items, queries[at : at + 1], 5, 4)[0]
        np.testing.assert_array_equal(together[at], alone[0])


def csr(rows, width):
    return sp.csr_matrix(np.array([np.isin(np.arange(width), row) for row in rows], dtype=float))


def test_ndcg_by_hand():
    lists = np.array([[3, 1, 2, 0], [0, 1, 2, 3]])
    seen, wanted = csr([[3], []], 5), csr([[2], [4]], 5)
    assert ndcg(lists, seen, wanted, 2) == pytest.approx(0.5 * (1 / np.log2(3)))
    assert ndcg(lists, seen, wanted, 1) == 0.0
    assert ndcg(np.array([[-1, 2]]), csr([[]], 5), csr([[2, 4]], 5), 1) == 1.0


def test_ndcg_is_that_of_the_report():
    from pipeline.evaluate import metrics

    rng = np.random.default_rng(0)
    lists = np.argsort(rng.random((40, 30)), axis=1)[:, :10]
    wanted = sp.csr_matrix(rng.random((40, 30)) < 0.2)
    wanted = wanted[np.diff(wanted.indptr) > 0]
    lists = lists[: wanted.shape[0]]
    hits = np.array([np.isin(row, wanted[user].indices) for user, row in enumerate(lists)])
    theirs = metrics._ndcg(hits, np.diff(wanted.indptr)).mean()
    assert ndcg(lists, sp.csr_matrix(wanted.shape), wanted, 10) == pytest.approx(theirs)


def test_an_index_of_nothing_has_no_effort():
    assert effort(faiss.IndexFlatIP(4)) is None
