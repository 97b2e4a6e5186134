"""The index with exclusions answers as scoring every item does."""

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.retrieval import Retriever, Wanted, dots, top_allowed_naive


def vectors_of(seed: int, items: int = 200, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(items, width)).astype(np.float32)


def flat(vectors: np.ndarray):
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


class Counting:
    """An index that remembers how much it was asked for."""

    def __init__(self, index):
        self.index, self.asked = index, []

    def search(self, queries, k):
        self.asked.append((len(queries), k))
        return self.index.search(queries, k)


def same(found, expected):
    assert found[0].tolist() == expected[0].tolist()
    np.testing.assert_array_equal(found[1], expected[1])


@given(
    st.integers(0, 10_000),
    st.integers(1, 230),
    st.sets(st.integers(0, 199)),
    st.booleans(),
)
def test_a_flat_index_gives_the_exact_list(seed, count, excluded, best_excluded):
    vectors, query = vectors_of(seed), vectors_of(seed + 1, items=1)[0]
    if best_excluded:
        excluded = {*excluded, *np.argsort(-(vectors @ query))[:40].tolist()}
    want = Wanted(query, count, np.array(sorted(excluded), dtype=np.int64))
    same(Retriever(flat(vectors), vectors).top([want])[0], top_allowed_naive(vectors, want))


@given(st.integers(0, 10_000), st.integers(1, 40), st.sets(st.integers(0, 199), max_size=50))
def test_equal_items_stand_in_order_of_row(seed, count, excluded):
    vectors = np.repeat(vectors_of(seed, items=5), 40, axis=0)
    want = Wanted(vectors_of(seed + 1, items=1)[0], count, np.array(sorted(excluded), dtype=int))
    same(Retriever(flat(vectors), vectors).top([want])[0], top_allowed_naive(vectors, want))


@given(st.integers(0, 1000), st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_a_batch_is_answered_as_its_parts_are(seed, counts):
    vectors, queries = vectors_of(seed), vectors_of(seed + 1, items=len(counts))
    wants = [
        Wanted(query, count, np.arange(count)) for query, count in zip(queries, counts, strict=True)
    ]
    retriever = Retriever(flat(vectors), vectors)
    for together, want in zip(retriever.top(wants), wants, strict=True):
        same(together, retriever.top([want])[0])


def test_nothing_wanted_is_nothing_asked():
    vectors = vectors_of(0)
    assert Retriever(flat(vectors), vectors).top([]) == []


def test_the_index_is_searched_once_for_a_batch():
    vectors = vectors_of(0, items=2000)
    index = Counting(flat(vectors))
    none = np.empty(0, dtype=np.int64)
    Retriever(index, vectors).top([Wanted(query, 10, none) for query in vectors_of(1, items=5)])
    assert index.asked == [(5, 11)]


def test_the_index_is_asked_for_more_until_the_list_is_full():
    vectors, query = vectors_of(0, items=5000), vectors_of(1, items=1)[0]
    excluded = np.sort(np.argsort(-(vectors @ query))[:500])
    index = Counting(flat(vectors))
    want = Wanted(query, 10, excluded)
    found = Retriever(index, vectors).top([want])[0]
    same(found, top_allowed_naive(vectors, want))
    fetched = [k for _, k in index.asked]
    assert fetched == [85 * 2**turn for turn in range(len(fetched))]
    assert fetched[-1] < len(vectors) / 2


def test_long_exclusions_are_answered_by_scoring_everything():
    vectors, query = vectors_of(0), vectors_of(1, items=1)[0]
    index = Counting(flat(vectors))
    want = Wanted(query, 5, np.arange(196))
    found = Retriever(index, vectors).top([want])[0]
    assert sorted(found[0]) == [196, 197, 198, 199]
    assert index.asked == [(1, 1 + 5 + 69)]


def test_an_index_that_finds_too_few_does_not_shorten_the_list():
    class Lazy:
        def search(self, queries, k):
            rows = np.full((len(queries), k), -1)
            rows[:, 0] = 0
            return np.where(rows < 0, -np.inf, 1.0).astype(np.float32), rows

    vectors, query = vectors_of(0), vectors_of(1, items=1)[0]
    want = Wanted(query, 10, np.empty(0, dtype=np.int64))
    same(Retriever(Lazy(), vectors).top([want])[0], top_allowed_naive(vectors, want))


def test_a_graph_index_still_fills_every_list():
    vectors = vectors_of(0, items=3000)
    index = faiss.IndexHNSWFlat(6, 16, faiss.METRIC_INNER_PRODUCT)
    index.add(vectors)
    wants = [Wanted(q, 20, np.arange(0, 3000, 3)) for q in vectors_of(1, items=10)]
    for want, (rows, scores) in zip(wants, Retriever(index, vectors).top(wants), strict=True):
        assert len(rows) == 20 and not (rows % 3 == 0).any() and len(set(rows)) == 20
        assert (np.diff(scores) <= 0).all()
        np.testing.assert_array_equal(scores, dots(vectors[rows], want.vector))


@pytest.mark.parametrize("kind", ["SQ4", "SQ8", "HNSW8,SQ8"])
def test_an_index_of_codes_gives_full_lists_of_exact_scores(kind):
    vectors = vectors_of(0, items=1500)
    index = faiss.index_factory(6, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    wants = [Wanted(q, 20, np.arange(0, 1500, 30)) for q in vectors_of(1, items=5)]
    found = Retriever(index, vectors, depth=4).top(wants)
    hits = []
    for want, (rows, scores) in zip(wants, found, strict=True):
        exact, _ = top_allowed_naive(vectors, want)
        assert len(rows) == 20 and (np.diff(scores) <= 0).all()
        np.testing.assert_array_equal(scores, dots(vectors[rows], want.vector))
        hits.append(np.isin(rows, exact).mean())
    assert np.mean(hits) > 0.95


def test_codes_are_asked_for_so_many_times_as_many():
    vectors = vectors_of(0, items=2000)
    index = Counting(flat(vectors))
    want = Wanted(vectors_of(1, items=1)[0], 10, np.arange(5))
    Retriever(index, vectors, depth=4).top([want])
    assert index.asked == [(1, 4 * 16)]


@pytest.mark.parametrize("count", [1, 7, 200])
def test_scores_do_not_depend_on_company(count):
    vectors, query = vectors_of(3, width=64), vectors_of(4, items=1, width=64)[0]
    rows = np.random.default_rng(count).permutation(200)[:count]
    np.testing.assert_array_equal(dots(vectors[rows], query), dots(vectors, query)[rows])
