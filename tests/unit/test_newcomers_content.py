"""Who is like a new item: the graph stage's own answer, whatever the size of a block."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.graph.among import Among, knn_among
from pipeline.newcomers import Arrivals, Content, Neighbourhood, content


def made(seed=0, count=60, width=7, dtype=np.float32, neighbors=5) -> Content:
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(count, width))
    raw[7] = raw[3]
    present = rng.random(count) < 0.8
    present[[3, 7]] = True
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True) * present[:, None]
    return Content("text", unit.astype(dtype), present, neighbors, None)


@given(st.integers(0, 50), st.integers(1, 70), st.sampled_from([1, 3, 16, 1000]))
@settings(max_examples=40, deadline=None)
def test_nearest_is_the_sorted_list_of_all(seed, k, block):
    texts, before = made(seed), content._BLOCK
    query = np.random.default_rng(seed + 1).normal(size=(2, 7)).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    among = np.flatnonzero(np.arange(60) % 3 > 0)
    content._BLOCK = block
    try:
        rows, scores = texts.nearest(query, among, k)
    finally:
        content._BLOCK = before
    allowed = among[texts.present[among]]
    for at in range(2):
        exact = np.einsum("rd,d->r", texts.vectors[allowed], query[at])
        order = np.lexsort((allowed, -exact))[:k]
        np.testing.assert_allclose(scores[at], exact[order], atol=1e-6)
        assert len(rows[at]) == min(k, len(allowed))
        np.testing.assert_allclose(exact[np.searchsorted(allowed, rows[at])], scores[at], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_edges_are_those_that_the_graph_stage_finds(dtype):
    """An item that asks as a new one gets what it has as one of the catalogue."""
    whole = made(dtype=dtype)
    targets = np.arange(0, 40)
    graph, _ = knn_among(whole.vectors, whole.present, Among(targets, 5))
    graph.data = graph.data.clip(min=0)
    graph.eliminate_zeros()
    asking = np.arange(40, 60)
    unit = whole.vectors[asking].astype(np.float32)
    length = np.linalg.norm(unit, axis=1, keepdims=True)
    found = whole.edges(unit / np.where(length > 0, length, 1), whole.present[asking], targets)
    wanted = graph[asking][:, targets]
    np.testing.assert_allclose(found.toarray(), wanted.toarray(), atol=1e-6)
    assert found.nnz


def test_equal_vectors_stand_in_order_of_row():
    texts = made()
    rows, _ = texts.nearest(texts.vectors[[3]], None, 2)
    assert rows.tolist() == [[3, 7]]


def test_nobody_to_be_near_to():
    texts = made()
    rows, scores = texts.nearest(texts.vectors[:2], np.flatnonzero(~texts.present), 3)
    assert rows.shape == scores.shape == (2, 0)
    assert not texts.edges(texts.vectors[:1], np.ones(1, bool), np.empty(0, np.int64)).nnz


def test_a_neighbourhood_is_the_weighted_mean_of_what_an_item_is_like():
    rng = np.random.default_rng(0)
    vectors, fold_in = rng.normal(size=(2, 9, 4)).astype(np.float32)
    rows = np.array([2, 5, 8])
    text = sp.csr_matrix(np.array([[0.5, 0, 0.25], [0, 0, 0]], np.float32))
    image = sp.csr_matrix(np.array([[0.25, 0, 0], [0, 0, 0]], np.float32))
    found = Neighbourhood(rows, vectors, fold_in)(
        Arrivals({}, {}, {"text": text, "image": image}, 2)
    )
    for ours, theirs in ((found.items, vectors), (found.fold_in, fold_in)):
        np.testing.assert_allclose(ours[0], 0.75 * theirs[2] + 0.25 * theirs[8], rtol=1e-6)
        assert not ours[1].any()
