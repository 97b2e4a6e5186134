"""Top-k: the blocked search, and what recall counts."""

import numpy as np
import pytest

from pipeline import nearest


def vectors(seed, rows, width=6):
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


@pytest.mark.parametrize("k", [1, 7, 50])
def test_blocked_search_equals_the_sorted_one(monkeypatch, k):
    queries, items = vectors(0, 33), vectors(1, 50)
    monkeypatch.setattr(nearest, "_BLOCK_SCORES", 200)
    rows, scores = nearest.top_k_exact(queries, items, k)
    want_rows, want_scores = nearest.top_k_naive(queries, items, k)
    np.testing.assert_array_equal(rows, want_rows)
    np.testing.assert_allclose(scores, want_scores, rtol=1e-5)


def test_k_larger_than_the_catalogue_gives_the_catalogue():
    rows, scores = nearest.top_k_exact(vectors(0, 2), vectors(1, 5), 9)
    assert rows.shape == scores.shape == (2, 5)
    assert (np.sort(rows, axis=1) == np.arange(5)).all()


def test_no_items_gives_empty_lists():
    rows, scores = nearest.top_k_exact(vectors(0, 2), vectors(1, 0), 9)
    assert rows.shape == scores.shape == (2, 0)
    assert nearest.recall_at_k(rows, rows) == nearest.recall_by_score(scores, scores) == 1.0


def test_recall_counts_rows_and_never_what_was_not_found():
    exact = np.array([[0, 1], [2, 3]])
    assert nearest.recall_at_k(exact, exact) == 1.0
    assert nearest.recall_at_k(np.array([[1, 9], [-1, -1]]), exact) == 0.25


def test_recall_by_score_takes_any_of_equal_items():
    items = np.array([[1.0], [1.0], [1.0], [0.5]], dtype=np.float32)
    exact_rows, exact = nearest.top_k_exact(np.ones((1, 1), np.float32), items, 2)
    other = np.array([[2, 1]])
    assert nearest.recall_at_k(other, exact_rows) == 0.5
    assert nearest.recall_by_score(items[other, 0], exact) == 1.0
    assert nearest.recall_by_score(items[[[0, 3]], 0], exact) == 0.5


def test_what_faiss_did_not_find_is_no_hit():
    lowest = np.finfo(np.float32).min
    found = np.array([[1.0, lowest]], dtype=np.float32)
    assert nearest.recall_by_score(found, np.array([[1.0, -5.0]], np.float32)) == 0.5
