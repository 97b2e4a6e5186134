"""Native inverted lists against FAISS: the same items, whatever the width, batch or threads."""

import shutil

import faiss
import numpy as np
import pytest

from pipeline import lists
from pipeline.lists import InvertedLists
from serving.retrieval import Retriever, Wanted, top_allowed_naive

compiled = lists._library() is not None
needs_lists = pytest.mark.skipif(not compiled, reason="no C compiler when installed")


def index_of(vectors: np.ndarray, count: int = 32, probes: int = 6, metric=None):
    metric = faiss.METRIC_INNER_PRODUCT if metric is None else metric
    index = faiss.index_factory(vectors.shape[1], f"IVF{count},Flat", metric)
    index.train(vectors)
    index.add(vectors)
    index.nprobe = probes
    return index


def drawn(seed: int, rows: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


def test_a_compiler_means_lists():
    assert compiled or shutil.which("cc") is None


@needs_lists
@pytest.mark.parametrize("width", [1, 7, 16, 33, 64])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_best_are_those_of_faiss(width, threads):
    vectors, queries = drawn(0, 3000, width), drawn(1, 90, width)
    index = index_of(vectors)
    rows, scores = InvertedLists.of(index).search(queries, 12, threads)
    wanted, expected = index.search(queries, 12)
    np.testing.assert_allclose(scores, wanted, rtol=1e-5, atol=1e-5)
    assert (rows == expected).mean() > 0.99
    np.testing.assert_allclose(
        np.einsum("bd,bkd->bk", queries, vectors[rows]), scores, rtol=1e-4, atol=1e-5
    )


@needs_lists
def test_threads_and_company_change_no_bit():
    vectors, queries = drawn(0, 3000, 24), drawn(1, 70, 24)
    inverted = InvertedLists.of(index_of(vectors))
    together = inverted.search(queries, 9, 1)
    for other in (inverted.search(queries, 9, 4), inverted.search(queries[::-1].copy(), 9, 2)):
        same = other if other[0][0].tolist() == together[0][0].tolist() else None
        rows, scores = same or (other[0][::-1], other[1][::-1])
        np.testing.assert_array_equal(rows, together[0])
        np.testing.assert_array_equal(scores, together[1])


@needs_lists
def test_equal_items_stand_in_order_of_row():
    vectors = np.repeat(drawn(0, 10, 8), 50, axis=0)[np.random.default_rng(2).permutation(500)]
    queries = drawn(1, 20, 8)
    rows, scores = InvertedLists.of(index_of(vectors, 4, 4)).search(queries, 60, 2)
    for row, score in zip(rows, scores, strict=True):
        assert all(
            a < b for a, b, x, y in zip(row, row[1:], score, score[1:], strict=False) if x == y
        )


@needs_lists
def test_lists_that_hold_too_few_say_so():
    vectors = drawn(0, 200, 8)
    index = index_of(vectors, 20, 1)
    rows, scores = InvertedLists.of(index).search(drawn(1, 30, 8), 100, 2)
    _, expected = index.search(drawn(1, 30, 8), 100)
    np.testing.assert_array_equal(rows < 0, expected < 0)
    assert (scores[rows < 0] == np.finfo(np.float32).min).all()


@needs_lists
def test_nothing_asked_is_nothing():
    inverted = InvertedLists.of(index_of(drawn(0, 300, 8)))
    assert inverted.search(np.empty((0, 8), np.float32), 5, 2)[0].shape == (0, 5)
    assert inverted.search(drawn(1, 3, 8), 0, 2)[0].shape == (3, 0)


@needs_lists
def test_other_indexes_have_none():
    vectors = drawn(0, 500, 8)
    flat = faiss.IndexFlatIP(8)
    coded = faiss.index_factory(8, "IVF8,SQ8", faiss.METRIC_INNER_PRODUCT)
    distances = index_of(vectors, 8, metric=faiss.METRIC_L2)
    assert [InvertedLists.of(each) for each in (flat, coded, distances)] == [None] * 3


@needs_lists
def test_a_mapped_index_is_read_where_it_lies(tmp_path):
    from pipeline.nearest import open_index

    vectors, queries = drawn(0, 3000, 16), drawn(1, 80, 16)
    index = index_of(vectors)
    faiss.write_index(index, str(tmp_path / "items.faiss"))
    mapped = InvertedLists.of(open_index(tmp_path / "items.faiss"))
    found = mapped.search(queries, 10, 2)
    np.testing.assert_array_equal(found[0], InvertedLists.of(index).search(queries, 10, 1)[0])


@pytest.mark.parametrize("native", [pytest.param(True, marks=needs_lists), False])
def test_a_large_batch_is_answered_as_each_alone(native, monkeypatch):
    if not native:
        monkeypatch.setattr(lists, "_library", lambda: None)
    vectors, queries = drawn(0, 4000, 16), drawn(1, 120, 16)
    retriever = Retriever(index_of(vectors, probes=32), vectors)
    assert (retriever._lists is not None) == native
    wants = [Wanted(query, 1 + n % 20, np.arange(n)) for n, query in enumerate(queries)]
    for want, found in zip(wants, retriever.top(wants), strict=True):
        exact = top_allowed_naive(vectors, want)
        assert found[0].tolist() == exact[0].tolist()
        np.testing.assert_array_equal(found[1], exact[1])
