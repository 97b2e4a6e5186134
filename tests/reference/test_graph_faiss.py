"""The exact graph is the one of faiss's exact index."""

import faiss
import numpy as np
import pytest

from pipeline.graph.neighbors import cosine_knn


@pytest.mark.parametrize(("n", "k"), [(700, 10), (2500, 40)])
def test_neighbours_are_those_of_the_flat_index(n, k):
    rng = np.random.default_rng(n)
    vectors = rng.normal(size=(n, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(24)
    index.add(vectors)
    scores, rows = index.search(vectors, k + 1)
    graph = cosine_knn(vectors, np.ones(n, dtype=bool), k)
    assert (rows[:, 0] == np.arange(n)).all()
    ours = graph.indices.reshape(n, k)
    assert (ours == rows[:, 1:]).mean() > 0.9999
    np.testing.assert_allclose(graph.data.reshape(n, k), scores[:, 1:], atol=1e-5)
