"""Neighbours by torch: exactly those of the blocked search, whatever bfloat16 made of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import RuntimeConfig
from pipeline.graph import device
from pipeline.graph.device import nearest_on
from pipeline.graph.neighbors import cosine_knn
from pipeline.graph.stage import device_for

CPU = torch.device("cpu")


def unit_rows(rng, count: int, width: int, spread: float = 1.0) -> np.ndarray:
    vectors = rng.normal(size=width) + spread * rng.normal(size=(count, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def twin(unit, k: int):
    """All similarities in float64, sorted; equal ones by row."""
    scores = unit.astype(np.float64) @ unit.T.astype(np.float64)
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores, order, axis=1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 150), st.integers(1, 30), st.sampled_from([1.0, 0.01]))
def test_it_is_the_twin(seed, count, k, spread):
    """Similarities agree to float32; rows too, wherever these tell them apart."""
    unit = unit_rows(np.random.default_rng(seed), count, 6, spread)
    found = nearest_on(CPU, unit, k, held=4096)
    rows, weights = twin(unit, min(k, count - 1))
    np.testing.assert_allclose(found.weights, weights, atol=3e-7)
    for row in np.flatnonzero((found.rows != rows).any(axis=1)):
        assert not (found.rows[row] == row).any()
        assert len(set(found.rows[row])) == found.rows.shape[1]


def test_alike_vectors_are_searched_again_and_found():
    """Differences far below bfloat16's: candidates mean nothing, so no row has a proof."""
    unit = unit_rows(np.random.default_rng(0), 400, 8, spread=1e-3)
    found = nearest_on(CPU, unit, 5)
    assert found.again > 350
    np.testing.assert_allclose(found.weights, twin(unit, 5)[1], atol=3e-7)


def test_spread_vectors_need_no_second_search():
    unit = unit_rows(np.random.default_rng(0), 3000, 32, spread=10.0)
    found = nearest_on(CPU, unit, 5)
    assert found.again < 30
    assert np.array_equal(found.rows, twin(unit, 5)[0])


def test_without_the_second_search_it_would_be_wrong(monkeypatch):
    """The broken variant: believing every candidate list."""
    unit = unit_rows(np.random.default_rng(0), 400, 8, spread=1e-3)
    monkeypatch.setattr(device._Search, "again", lambda self, rows: (0, 0.0))
    assert not np.allclose(nearest_on(CPU, unit, 5).weights, twin(unit, 5)[1], atol=3e-7)


@pytest.mark.parametrize("count, k, shape", [(0, 3, (0, 0)), (1, 3, (1, 0)), (3, 9, (3, 2))])
def test_few_rows(count, k, shape):
    unit = unit_rows(np.random.default_rng(0), count, 4) if count else np.empty((0, 4), np.float32)
    assert nearest_on(CPU, unit, k).rows.shape == shape


def test_the_graph_is_the_same_from_either_search():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(500, 12)).astype(np.float16)
    vectors[7] = vectors[3]  # equal vectors, a missing and a zero one
    present = rng.random(500) < 0.9
    vectors[present.argmax()] = 0
    whole, torchs = cosine_knn(vectors, present, 6), cosine_knn(vectors, present, 6, device=CPU)
    assert (abs(whole - torchs) > 1e-6).nnz == 0
    assert np.array_equal(whole.indptr, torchs.indptr)


def test_a_device_is_used_where_it_is_asked_for_and_there(monkeypatch):
    assert device_for(RuntimeConfig(device="cpu")) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_for(RuntimeConfig(device="auto")) is None
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("pipeline.graph.stage.has_driver", lambda: True)
    assert device_for(RuntimeConfig(device="auto")) == torch.device("cuda")
    assert device_for(RuntimeConfig(device="cuda")) == torch.device("cuda")
