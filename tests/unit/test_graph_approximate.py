"""An approximate search finds what it says, says what it found, and gives way to the exact one."""

import numpy as np
import pytest

from pipeline.crew import ALONE, Crew
from pipeline.graph.approximate import (
    LIST_SIZE,
    Examined,
    Trial,
    approximate_knn,
    number_of_lists,
    search,
)
from pipeline.graph.audit import Exact, Sides
from pipeline.graph.clusters import Probes, closest, spherical_k_means
from pipeline.graph.neighbors import cosine_knn
from pipeline.graph.ranked import edges_of
from tests.graph_worlds import best, clustered, recall, rows_of, similarities, unit

N = 3000


@pytest.fixture(scope="module")
def vectors():
    return clustered(N)


@pytest.fixture(scope="module")
def alike(vectors):
    return similarities(vectors, np.ones(N, dtype=bool), np.arange(N))


@pytest.fixture(scope="module")
def found(vectors):
    return approximate_knn(vectors, np.ones(N, dtype=bool), 10, 0.95)


def test_the_recall_is_that_of_the_slow_neighbours(found, alike):
    graph, facts = found
    assert facts["recall_queries"] == N
    assert not facts["exact"] and 0.95 <= facts["recall"] < 1
    assert facts["recall"] == pytest.approx(recall(graph, alike, 10), abs=1e-4)


def test_a_part_of_the_pairs_is_compared(found):
    assert found[1]["compared"] < 0.5 and found[1]["lists"] == N // LIST_SIZE


def test_edges_are_distinct_ranked_and_of_true_cosines(found, alike):
    sources, targets, weights = edges_of(found[0])
    assert (np.diff(found[0].indptr) == 10).all() and (sources != targets).all()
    assert len(np.unique(sources * N + targets)) == len(sources)
    np.testing.assert_allclose(weights, np.minimum(alike[sources, targets], 1), atol=1e-5)
    assert all((np.diff(row) <= 0).all() for row in rows_of(found[0]))


def test_lists_grow_with_the_root_of_a_large_catalogue():
    assert number_of_lists(10_000) == 10_000 // LIST_SIZE
    assert number_of_lists(262_144) == 262_144 // LIST_SIZE == 2_048
    assert number_of_lists(4 * 262_144) == 2 * 2_048


def test_the_number_of_threads_changes_nothing(found, vectors):
    graph, facts = approximate_knn(vectors, np.ones(N, dtype=bool), 10, 0.95, Crew(3))
    assert facts == found[1]
    assert (graph != found[0]).nnz == 0


@pytest.mark.parametrize("case", ["no structure", "few", "all wanted"])
def test_where_it_would_be_no_gain_the_search_is_exact(case):
    rng = np.random.default_rng(0)
    n = 200 if case == "few" else 1000
    vectors = rng.normal(size=(n, 48)).astype(np.float32)
    present, floor = np.ones(n, dtype=bool), 1.0 if case == "all wanted" else 0.97
    graph, facts = approximate_knn(vectors, present, 5, floor)
    assert facts == {"exact": True, "recall": 1.0}
    assert (graph != cosine_knn(vectors, present, 5)).nnz == 0


def test_absent_items_are_left_out_and_equal_ones_found(vectors):
    vectors, present = vectors.copy(), np.random.default_rng(1).random(N) < 0.9
    vectors[100:130] = vectors[100]
    graph, _ = approximate_knn(vectors, present, 10, 0.95)
    sources, targets, _ = edges_of(graph)
    assert present[sources].all() and present[targets].all()
    for row in np.flatnonzero(present[100:130]) + 100:
        np.testing.assert_allclose(rows_of(graph)[row], 1.0)


def test_a_search_of_every_list_is_exact(vectors, alike):
    centres = spherical_k_means(unit(vectors), 20, np.random.default_rng(0))
    probes = Probes.of(unit(vectors), centres, np.inf)
    edges, facts = search(unit(vectors), probes, 10, ALONE)
    assert facts["probes"] == 20 and facts["compared"] == pytest.approx(2, rel=0.1)  # both ask
    np.testing.assert_allclose(
        edges[2].reshape(N, 10), np.minimum(np.stack(best(alike, 10)), 1), atol=1e-5
    )


def test_rows_that_meet_too_few_are_completed(vectors):
    """A list of one vector that nobody else asks."""
    lonely = unit(vectors[:400])
    centres = np.vstack([lonely[:1], -lonely[:1]])
    own = np.zeros(400, dtype=np.int32)
    own[7] = 1
    asked = Probes.of(lonely, centres, 0.0).asked.tolil()
    asked[:] = False
    asked[np.arange(400), own] = True
    edges, _ = search(lonely, Probes(own, asked.tocsr()), 5, ALONE)
    want = best(similarities(lonely, np.ones(400, dtype=bool), np.arange(400)), 5)
    np.testing.assert_allclose(edges[2].reshape(400, 5)[7], want[7], atol=1e-5)


def test_a_trial_foretells_the_recall():
    near = unit(clustered(N, width=8, spread=1.5))
    sides = Sides.same(near)
    centres = spherical_k_means(near, N // LIST_SIZE, np.random.default_rng(0))
    trial = Trial.of(near, centres, Exact.of(sides, np.arange(0, N, 2), 10))
    judge = Exact.of(sides, np.arange(1, N, 2), 10)
    for aim in (0.8, 0.9, 0.99):
        gap = trial.gap(aim)
        assert gap is not None
        edges, _ = search(near, Probes.of(near, centres, gap), 10, ALONE)
        assert judge.recall(edges, sides) == pytest.approx(aim, abs=0.02)


def test_an_attempt_that_falls_short_is_made_again_looking_farther(vectors):
    sides, gaps = Sides.same(unit(vectors)), []
    examined = Examined.of(sides, 10, np.random.default_rng(0), ALONE)
    trial = Trial(np.linspace(0.1, 0.5, 1000, dtype=np.float32), np.full(1000, 0.1, np.float32))
    nothing = np.empty(0, int), np.empty(0, int), np.empty(0, np.float32)

    def attempt(gap):
        gaps.append(gap)
        return (nothing, {}) if len(gaps) < 3 else (examined.judge.edges, {"tries": len(gaps)})

    found = examined.search(trial, attempt, 0.01)
    assert found is not None and found[1]["tries"] == 3 and found[1]["recall"] == 1.0
    assert gaps == sorted(gaps) and gaps[0] < gaps[-1]


def test_closest_is_the_obvious_one(vectors):
    centres = unit(vectors[::100])
    own, top = closest(unit(vectors), centres)
    scores = unit(vectors) @ centres.T
    np.testing.assert_array_equal(own, scores.argmax(axis=1))
    np.testing.assert_allclose(top, scores.max(axis=1), rtol=1e-6)  # some float32 sums


def test_exact_neighbours_of_some_rows_are_the_slow_ones(vectors, alike):
    asked = np.array([5, 17, 2999])
    exact = Exact.of(Sides.same(unit(vectors)), asked, 10)
    np.testing.assert_allclose(exact.scores, np.stack(best(alike[asked], 10)), atol=1e-5)
    assert exact.recall(exact.edges, Sides.same(unit(vectors))) == 1.0
