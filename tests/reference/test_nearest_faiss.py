"""Our exact top-k is faiss's."""

import faiss
import numpy as np

from pipeline import nearest


def test_exact_search_equals_the_flat_index():
    rng = np.random.default_rng(0)
    queries = rng.normal(size=(40, 16)).astype(np.float32)
    items = rng.normal(size=(700, 16)).astype(np.float32)
    index = faiss.IndexFlatIP(16)
    index.add(items)
    rows, scores = nearest.top_k_exact(queries, items, 12)
    faiss_rows, faiss_scores = nearest.top_k_faiss(index, queries, 12)
    np.testing.assert_array_equal(rows, faiss_rows)
    np.testing.assert_allclose(scores, faiss_scores, rtol=1e-5)


def test_an_index_smaller_than_k_says_so_with_minus_one():
    index = faiss.IndexFlatIP(4)
    index.add(np.eye(4, dtype=np.float32)[:2])
    rows, scores = nearest.top_k_faiss(index, np.eye(4, dtype=np.float32)[:1], 3)
    assert rows[0].tolist() == [0, 1, -1]
    assert scores[0, 2] == np.finfo(np.float32).min
