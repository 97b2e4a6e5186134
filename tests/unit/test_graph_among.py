"""The nearest of the items with interactions: exactly, by lists, and in the awkward cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.crew import Crew
from pipeline.errors import ArtifactError
from pipeline.graph.among import Among, Lists, knn_among, nearest_targets, trial_of
from pipeline.graph.audit import Exact, Sides
from pipeline.graph.clusters import Probes, closest, spherical_k_means
from pipeline.graph.ranked import edges_of
from tests.graph_worlds import best, clustered, recall, rows_of, similarities, unit

N, TARGETS = 4000, np.arange(0, 4000, 3)


@pytest.fixture(scope="module")
def vectors():
    return clustered(N, seed=3)


@pytest.fixture(scope="module")
def alike(vectors):
    return similarities(vectors, np.ones(N, dtype=bool), TARGETS)


def among(vectors, targets=TARGETS, k=10, floor=None, present=None, crew=None):
    present = np.ones(len(vectors), dtype=bool) if present is None else present
    return knn_among(
        vectors, present, Among(np.asarray(targets, dtype=int), k, floor), crew or Crew()
    )


@given(st.integers(0, 10_000), st.integers(1, 60), st.integers(1, 8))
def test_exact_neighbours_are_the_slow_ones(seed, n, k):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 4)).astype(np.float32) * (rng.random(n) < 0.9)[:, None]
    present, targets = rng.random(n) < 0.8, np.flatnonzero(rng.random(n) < 0.5)
    graph, facts = among(vectors, targets, k, present=present)
    usable = present & (np.linalg.norm(vectors, axis=1) > 0)
    most = max(0, int(usable[targets].sum()) - 1)
    wanted = best(similarities(vectors, present, targets), min(k, most))
    assert facts["exact"]
    for have, want in zip(rows_of(graph), wanted, strict=True):
        np.testing.assert_allclose(have, want, atol=1e-5)


def test_only_targets_are_neighbours_and_nobody_its_own(vectors):
    sources, targets, weights = edges_of(among(vectors)[0])
    assert np.isin(targets, TARGETS).all() and (sources != targets).all()
    assert (np.bincount(sources, minlength=N) == 10).all() and (weights <= 1).all()


def test_lists_find_what_they_say(vectors, alike):
    graph, facts = among(vectors, floor=0.95)
    assert not facts["exact"] and facts["compared"] < 0.5
    assert 0.95 <= facts["recall"] < 1
    assert facts["recall"] == pytest.approx(recall(graph, alike, 10), abs=1e-4)
    sources, targets, weights = edges_of(graph)
    np.testing.assert_allclose(weights, np.minimum(alike[sources, targets], 1), atol=1e-5)


def test_the_number_of_threads_changes_nothing(vectors):
    one, facts = among(vectors, floor=0.95)
    three, same = among(vectors, floor=0.95, crew=Crew(3))
    assert facts == same and (one != three).nnz == 0


def test_all_targets_wanted_is_an_exact_search(vectors):
    graph, facts = among(vectors, floor=1.0)
    assert facts["exact"] and (graph != among(vectors)[0]).nnz == 0


@pytest.mark.parametrize("targets", [[], [7]])
def test_hardly_any_target(vectors, targets):
    graph, _ = among(vectors, targets, floor=0.9)
    sources, found, _ = edges_of(graph)
    assert graph.shape == (N, N) and set(found) <= {7} and 7 not in sources


def test_a_vector_that_is_not_finite_is_named(vectors):
    wrong = vectors.copy()
    wrong[3] = np.nan
    with pytest.raises(ArtifactError, match="not finite, the first at row 3"):
        among(wrong)


def test_a_trial_counts_what_an_asker_must_compare(vectors):
    asking = unit(vectors)
    sides = Sides(asking, asking[TARGETS], np.full(N, -1))
    centres = spherical_k_means(sides.targets, 10, np.random.default_rng(0))
    own, _ = closest(sides.targets, centres)
    trial = trial_of(sides, centres, own, Exact.of(sides, np.arange(N), 10))
    gap = trial.gap(0.9)
    lists = Lists.of(own, Probes.of(asking, centres, gap))
    share = trial.shares[np.searchsorted(trial.gaps, gap)]
    assert lists.compared / (N * len(TARGETS)) == pytest.approx(share, rel=0.3)


def test_an_asker_that_is_a_target_leaves_itself_out_alone():
    asking = unit(clustered(50))
    itself = np.full(50, -1)
    itself[:5] = np.arange(5)
    edges, _ = nearest_targets(Sides(asking, asking[:5].copy(), itself), 4, None)
    assert (np.bincount(edges[0]) == 4).all()
    own = edges[0] < 5
    assert (edges[1][own] != edges[0][own]).all()
