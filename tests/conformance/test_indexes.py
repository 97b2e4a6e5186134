"""What every way to build an index keeps: rows, bytes, threads, progress, recall, awkward sizes."""

from dataclasses import replace

import faiss
import numpy as np
import pytest

from pipeline.index.audit import Exact, Search, audit, audit_until
from pipeline.index.build import build
from pipeline.index.recipe import Recipe
from pipeline.nearest import open_index, top_k_naive
from tests.index_worlds import clustered

WIDTH = 16
EVERY = [
    Recipe(method, codes, WIDTH // 2, 1 if codes == "none" else 4, 16, 40, 64, 16, 8)
    for method, known in {
        "flat": ("none", "sq8", "sq4", "pq", "opq", "binary"),
        "ivf": ("none", "sq8", "sq4", "pq", "opq"),
        "hnsw": ("none", "sq8", "sq4"),
    }.items()
    for codes in known
]
BYTES = {"none": 4 * WIDTH, "sq8": WIDTH, "sq4": WIDTH // 2, "pq": 8, "opq": 8, "binary": 10}
recipes = pytest.mark.parametrize("recipe", EVERY, ids=lambda r: f"{r.method}-{r.codes}")


def fitted(recipe: Recipe, items: np.ndarray) -> Recipe:
    """Return the recipe with no more lists than items."""
    return replace(recipe, lists=max(1, min(recipe.lists, len(items))))


def searched(recipe: Recipe, items: np.ndarray) -> Search:
    return Search(build(items, fitted(recipe, items)), items, recipe.depth)


@recipes
class TestEveryRecipe:
    def test_row_i_is_item_i(self, recipe):
        items = clustered(0, 600)
        index = build(items, recipe)
        assert (index.ntotal, index.d) == items.shape
        if recipe.method == "ivf":
            faiss.extract_index_ivf(index).make_direct_map()
        held = np.array([index.reconstruct(row) for row in range(0, 600, 7)])
        apart = np.linalg.norm(held[:, None] - items[None, ::7], axis=2)
        nearest = apart.argmin(axis=1) == np.arange(len(held))
        assert nearest.mean() == 1.0 if recipe.codes != "binary" else nearest.mean() > 0.2

    def test_two_builds_are_the_same_bytes(self, recipe):
        items = clustered(0, 700)
        first, second = (faiss.serialize_index(build(items, recipe)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_threads_of_faiss_are_put_back(self, recipe):
        before = faiss.omp_get_max_threads()
        build(clustered(0, 100), recipe)
        assert faiss.omp_get_max_threads() == before

    def test_progress_adds_up(self, recipe, monkeypatch):
        monkeypatch.setattr("pipeline.index.build._CHUNK", 300)
        done = []
        build(clustered(0, 700), recipe, done.append)
        assert done == [300, 300, 100]

    @pytest.mark.parametrize("items", [0, 1, 5])
    def test_a_catalogue_smaller_than_k(self, recipe, items):
        vectors, queries = clustered(0, items), clustered(1, 9)
        found = audit(searched(recipe, vectors), Exact.of(queries, vectors, 20), 20)
        assert (found.k, found.queries, found.recall) == (items, 9, 1.0)

    def test_the_floor_is_reached_by_effort(self, recipe):
        items, queries = clustered(0, 1500, skew=0.5), clustered(1, 60)
        search, exact = searched(recipe, items), Exact.of(queries, items, 20)
        _, found = audit_until(search, exact, 10, 0.9)
        assert found.recall >= 0.9 and found.k == 10

    def test_scores_are_inner_products_of_the_vectors(self, recipe):
        items, queries = clustered(0, 800), clustered(1, 30)
        rows, scores = searched(recipe, items).top(queries, 10)
        assert (rows >= 0).all() and (np.diff(scores) <= 1e-5).all()
        wanted = np.einsum("bd,bkd->bk", queries, items[rows])
        np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-4)

    def test_equal_items_are_all_found(self, recipe):
        items = np.repeat(clustered(0, 20), 30, axis=0)
        found = audit(searched(recipe, items), Exact.of(items[::40], items, 10), 10)
        assert found.recall == 1.0

    def test_a_mapped_file_answers_as_the_index_does(self, recipe, tmp_path):
        items, queries = clustered(0, 900), clustered(1, 40)
        index = build(items, recipe)
        (tmp_path / "items.faiss").write_bytes(faiss.serialize_index(index).data)
        mapped = open_index(tmp_path / "items.faiss")
        for ours, theirs in zip(
            Search(index, items, recipe.depth).top(queries, 10),
            Search(mapped, items, recipe.depth).top(queries, 10),
            strict=True,
        ):
            np.testing.assert_array_equal(ours, theirs)

    def test_an_item_takes_the_bytes_of_its_code(self, recipe):
        half, whole = (
            len(faiss.serialize_index(build(clustered(0, n), recipe))) for n in (1000, 2000)
        )
        links = 4 * (2 * 16 + 4) if recipe.method == "hnsw" else 0
        number = 8 if recipe.method == "ivf" else 0
        more = (whole - half) / 1000
        assert more == pytest.approx(BYTES[recipe.codes] + number + links, rel=0.2, abs=2)


@pytest.mark.parametrize("codes", ["none", "sq8", "pq"])
def test_looking_at_every_list_is_the_flat_search(codes):
    items, queries = clustered(0, 900, skew=1.0), clustered(1, 50)
    recipe = Recipe("ivf", codes, 8, lists=16, probes=16)
    rows, _ = Search(build(items, recipe), items).top(queries, 10)
    flat, _ = Search(build(items, replace(recipe, method="flat")), items).top(queries, 10)
    if codes == "none":
        np.testing.assert_array_equal(rows, top_k_naive(queries, items, 10)[0])
    np.testing.assert_array_equal(rows, flat)


def test_rescoring_finds_more_than_codes_alone():
    items, queries = clustered(0, 3000), clustered(1, 100)
    index, exact = build(items, Recipe("flat", "sq4")), Exact.of(queries, items, 20)
    alone, afresh = (audit(Search(index, items, depth), exact, 20).recall for depth in (1, 4))
    assert alone < 0.97 < afresh


def test_lists_probed_by_their_longest_find_more_than_by_direction():
    """Faiss's own lists for inner products are by direction: long and short stand together."""
    items, queries = clustered(0, 6000, skew=0.8), clustered(1, 200)
    ours = build(items, Recipe("ivf", lists=128, probes=8))
    theirs = faiss.index_factory(WIDTH, "IVF128,Flat", faiss.METRIC_INNER_PRODUCT)
    theirs.cp.min_points_per_centroid = 1
    theirs.train(items)
    theirs.add(items)
    theirs.nprobe = 8
    exact = Exact.of(queries, items, 10)
    found = [audit(Search(index, items), exact, 10).recall for index in (ours, theirs)]
    assert found[0] > found[1] + 0.05


def test_rounding_an_extreme_that_no_sample_saw():
    """A scalar quantiser is trained on every vector: one that stands far out keeps its length."""
    items = clustered(0, 40_000, width=4)
    items[12_345] *= 50
    index = build(items, Recipe("flat", "sq8"))
    np.testing.assert_allclose(index.reconstruct(12_345), items[12_345], rtol=0.01, atol=1.0)
