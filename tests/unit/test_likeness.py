"""How alike items are: by content, labels and neighbourhoods, on cases worked out by hand."""

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse as sp

from pipeline import likeness
from pipeline.crew import Crew
from pipeline.ids import UNKNOWN
from pipeline.likeness import (
    labels_of,
    mean_distances,
    mean_distances_at,
    of_graph,
    of_labels,
    of_vectors,
)

AXES = of_vectors(np.array([[2, 0], [0, 3], [1, 1], [0, 0]]), "axes")
"""East, north, north-east, and an item of which nothing is known."""
HALF = np.sqrt(0.5)


class TestCosines:
    def test_lengths_do_not_matter(self):
        np.testing.assert_allclose(
            AXES.cosines(np.array([[0, 1, 2]]))[0],
            [[1, 0, HALF], [0, 1, HALF], [HALF, HALF, 1]],
            atol=1e-6,
        )

    def test_an_unknown_item_is_as_alike_as_the_list_is_on_average(self):
        """Known pairs of (east, north, north-east) have 0, .707 and .707: .471 on average."""
        found = AXES.cosines(np.array([[0, 3, 1, 2]]))[0]
        np.testing.assert_allclose(found[1], 2 * HALF / 3, atol=1e-6)
        assert found[0, 2] == 0

    def test_the_end_of_a_list_is_no_item(self):
        """The last row of the vectors must not stand in for it."""
        full = of_vectors(np.array([[1.0, 0], [0, 1.0]]), "axes")
        found = full.cosines(np.array([[0, UNKNOWN]]))[0]
        assert found[0, 1] == found[1, 1] == 0, "one known item: no known pair"

    def test_each_list_apart(self):
        rows = np.array([[0, 1], [2, 2], [1, 3]])
        together = AXES.cosines(rows)
        for at, row in enumerate(rows):
            np.testing.assert_array_equal(together[at], AXES.cosines(row[None])[0])

    @pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
    def test_nothing_asked_nothing_said(self, shape):
        assert AXES.cosines(np.zeros(shape, np.int64)).shape == (*shape, shape[1])

    def test_what_is_known(self):
        assert AXES.known.tolist() == [True, True, True, False]
        assert AXES.share_known == 0.75


class TestLabels:
    def test_strings(self):
        found = labels_of(pa.chunked_array([pa.array(["x", None]), pa.array(["y", "x"])]))
        assert found.toarray().tolist() == [[1, 0], [0, 0], [0, 1], [1, 0]]

    def test_lists(self):
        column = pa.chunked_array([pa.array([["a", "b"], None, [], ["b", None, "b"]])])
        assert labels_of(column).toarray().tolist() == [[1, 1], [0, 0], [0, 0], [0, 1]]

    def test_none_at_all(self):
        column = pa.chunked_array([pa.array([None, None], pa.list_(pa.string()))])
        assert labels_of(column).shape == (2, 0)
        unknown = of_labels(labels_of(column), "labels")
        assert unknown.share_known == 0
        assert mean_distances(unknown, np.array([[0, 1]])).tolist() == [0]

    def test_common_labels_over_the_root_of_both_counts(self):
        """{a, b} and {b}: one in common, 1 / sqrt(2 * 1)."""
        found = of_labels(labels_of(pa.array([["a", "b"], ["b"]])), "labels")
        assert found.cosines(np.array([[0, 1]]))[0, 0, 1] == pytest.approx(HALF)


class TestGraph:
    GRAPH = sp.csr_matrix([[0, 0.5, 0, 0], [0, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 0, 0]])

    def test_items_with_a_common_neighbour_are_alike(self):
        """0 and 2 both point at 1 as strongly as at themselves: (.5 * .5) / (.5 + ...) = 1/2."""
        found = of_graph(self.GRAPH, "graph").cosines(np.array([[0, 2]]))[0]
        np.testing.assert_allclose(found, [[1, 0.5], [0.5, 1]], atol=1e-6)

    def test_an_item_without_neighbours_is_not_known(self):
        assert of_graph(self.GRAPH, "graph").known.tolist() == [True, False, True, False]

    def test_a_scale_of_the_weights_changes_nothing(self):
        """Counts of co-occurrence or cosines: an item is as near to itself as its nearest."""
        rows = np.array([[0, 2]])
        small, large = (of_graph(s * self.GRAPH, "graph").cosines(rows) for s in (1, 40))
        np.testing.assert_allclose(small, large, atol=1e-6)


class TestMeanDistances:
    def test_by_hand(self):
        """(east, north, north-east): distances 1, 1 - .707, 1 - .707."""
        rows = np.array([[0, 1, 2], [0, 1, UNKNOWN], [0, 3, UNKNOWN], [UNKNOWN] * 3])
        want = [(3 - 2 * HALF) / 3, 1, 0, 0]
        np.testing.assert_allclose(mean_distances(AXES, rows), want, atol=1e-6)

    def test_an_item_of_which_nothing_is_known_is_left_out(self):
        with_it, without = np.array([[0, 3, 1]]), np.array([[0, 1]])
        for rows in with_it, without:
            np.testing.assert_allclose(mean_distances(AXES, rows), [1], atol=1e-12)

    def test_the_same_thing_three_times_is_no_distance(self):
        assert mean_distances(AXES, np.array([[2, 2, 2]]))[0] == pytest.approx(0, abs=1e-6)

    def test_opposites_are_two_apart(self):
        opposite = of_vectors(np.array([[1.0], [-1.0]]), "signs")
        assert mean_distances(opposite, np.array([[0, 1]])).tolist() == [2]

    @pytest.mark.parametrize("sparse", [False, True])
    def test_blocks_of_any_size_give_the_same(self, monkeypatch, sparse):
        rng = np.random.default_rng(0)
        vectors = rng.normal(size=(40, 6)) * (rng.random((40, 6)) < 0.5)
        by = of_labels(sp.csr_matrix(vectors), "x") if sparse else of_vectors(vectors, "x")
        rows = rng.integers(-1, 40, size=(50, 9))
        whole = mean_distances(by, rows)
        monkeypatch.setattr(likeness, "_GATHERED_AT_ONCE", 7 * 6)
        np.testing.assert_allclose(mean_distances(by, rows), whole, atol=1e-7)
        np.testing.assert_allclose(likeness.mean_distances_naive(by, rows), whole, atol=1e-6)

    @pytest.mark.parametrize("sparse", [False, True])
    @pytest.mark.parametrize("crew", [None, Crew(2)])
    def test_several_lengths_at_once_are_each_by_itself(self, monkeypatch, sparse, crew):
        rng = np.random.default_rng(1)
        vectors = rng.normal(size=(40, 6)) * (rng.random((40, 6)) < 0.5)
        by = of_labels(sp.csr_matrix(vectors), "x") if sparse else of_vectors(vectors, "x")
        rows, ks = rng.integers(-1, 40, size=(50, 9)), [1, 4, 9, 20]
        monkeypatch.setattr(likeness, "_GATHERED_AT_ONCE", 7 * 6)
        found = mean_distances_at(by, rows, ks, crew)
        for k, each in zip(ks, found, strict=True):
            want = likeness.mean_distances_naive(by, rows[:, :k])
            np.testing.assert_allclose(each, want, atol=1e-6)
