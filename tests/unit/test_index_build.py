"""Indexes: what they find, what they are measured to find, and that they come out the same."""

import faiss
import numpy as np
import pytest

from pipeline.errors import ArtifactError
from pipeline.index import build as builds
from pipeline.index.build import Recipe, audit, audit_until, build, choose, effort
from pipeline.nearest import top_k_exact, top_k_faiss

FLAT = Recipe("flat", 16, 40, 16)
HNSW = Recipe("hnsw", 16, 40, 32)


def clustered(seed, rows, width=16, skew=0.0):
    """Return vectors around a few centres; ``skew`` spreads their lengths."""
    centres = np.random.default_rng(7).normal(size=(30, width))
    rng = np.random.default_rng(seed)
    vectors = centres[rng.integers(0, 30, rows)] + 0.6 * rng.normal(size=(rows, width))
    return (vectors * np.exp(skew * rng.normal(size=(rows, 1)))).astype(np.float32)


@pytest.mark.parametrize("recipe", [FLAT, HNSW], ids=lambda r: r.method)
class TestEveryMethod:
    def test_row_i_is_item_i(self, recipe):
        items = clustered(0, 5000)
        index = build(items, recipe)
        assert (index.ntotal, index.d) == items.shape
        np.testing.assert_array_equal(index.reconstruct(4321), items[4321])

    def test_two_builds_are_the_same_bytes(self, recipe):
        items = clustered(0, 6000)
        first, second = (faiss.serialize_index(build(items, recipe)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_threads_of_faiss_are_put_back(self, recipe):
        before = faiss.omp_get_max_threads()
        build(clustered(0, 100), recipe)
        assert faiss.omp_get_max_threads() == before

    def test_progress_adds_up(self, recipe):
        done = []
        build(clustered(0, 5000), recipe, done.append)
        assert sum(done) == 5000 and len(done) > 1

    def test_a_catalogue_smaller_than_k(self, recipe):
        items = clustered(0, 5)
        found = audit(build(items, recipe), clustered(1, 9), items, k=20)
        assert (found.k, found.queries, found.recall) == (5, 9, 1.0)


def test_flat_is_exact():
    items, queries = clustered(0, 3000, skew=1.0), clustered(1, 50)
    index = build(items, FLAT)
    np.testing.assert_array_equal(
        top_k_faiss(index, queries, 20)[0], top_k_exact(queries, items, 20)[0]
    )
    assert effort(index) is None


@pytest.mark.parametrize("skew", [0.0, 1.0, 2.0])
def test_small_world_finds_nearly_all_even_where_lengths_vary(skew):
    items, queries = clustered(0, 6000, skew=skew), clustered(1, 200)
    found = audit(build(items, Recipe("hnsw", 32, 120, 128)), queries, items, 20)
    assert found.recall > 0.95


def test_the_audit_notices_an_index_of_other_vectors():
    items, queries = clustered(0, 2000), clustered(1, 50)
    shuffled = np.random.default_rng(0).permutation(items)
    found = audit(build(shuffled, FLAT), queries, items, 10)
    assert found.recall_by_row < 0.1


def test_equal_items_are_no_miss():
    items = np.repeat(clustered(0, 50), 40, axis=0)
    found = audit(build(items, HNSW), clustered(1, 100), items, 10)
    assert found.recall > found.recall_by_row


def test_effort_is_raised_until_the_floor_is_met():
    items, queries = clustered(0, 6000, skew=2.0), clustered(1, 100)
    index = build(items, Recipe("hnsw", 4, 8, 1))
    before = audit(index, queries, items, 20).recall
    found = audit_until(index, queries, items, 20, floor=before + 0.05)
    assert found.recall >= before + 0.05
    assert effort(index) > 1


def test_effort_is_raised_no_further_than_the_limit(monkeypatch):
    monkeypatch.setattr(builds, "EF_LIMIT", 2)
    items, queries = clustered(0, 6000, skew=2.0), clustered(1, 50)
    index = build(items, Recipe("hnsw", 4, 8, 1))
    with pytest.raises(ArtifactError, match=r"of the exact 20 best.*ef_search 2.*method=flat"):
        audit_until(index, queries, items, 20, floor=1.0)


@pytest.mark.parametrize(
    ("asked", "items", "chosen"),
    [
        ("auto", 50_000, "flat"),
        ("auto", 50_001, "hnsw"),
        ("flat", 10**6, "flat"),
        ("hnsw", 9, "hnsw"),
    ],
)
def test_auto_goes_by_the_size_of_the_catalogue(asked, items, chosen):
    assert choose(asked, items) == chosen
