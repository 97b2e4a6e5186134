"""Statistics of graphs small enough to count by hand."""

import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.graph import statistics

ALL = np.ones(5, dtype=bool)


def graph(*edges, n=5):
    rows, columns = zip(*edges, strict=True)
    ones = np.ones(len(edges), dtype=np.float32)
    return sp.csr_matrix((ones, (rows, columns)), shape=(n, n))


def test_a_star_has_one_hub_and_one_component():
    star = graph((1, 0), (2, 0), (3, 0), (4, 0))
    found = statistics.item_graph(star, np.zeros(5, dtype=int), ALL)
    assert found["in_degree"] == {"min": 0, "median": 0.0, "mean": 0.8, "max": 4}
    assert found["hubness"]["top_1_percent"] == 1.0
    assert found["hubness"]["none"] == 0.8
    assert found["hubness"]["robin_hood"] == pytest.approx((3.2 + 4 * 0.8) / 2 / 4)
    assert found["hubness"]["skewness"] == pytest.approx(1.5)
    assert found["components"] == {"count": 1, "largest_share": 1.0}
    assert found["symmetric_share"] == 0.0
    assert found["self_loops"] == found["isolated"] == 0


def test_a_ring_has_no_hub():
    ring = graph((0, 1), (1, 2), (2, 3), (3, 4), (4, 0))
    assert statistics.hubness(np.ones(5, dtype=int))["robin_hood"] == 0.0
    assert statistics.item_graph(ring, np.zeros(5, dtype=int), ALL)["hubness"]["skewness"] == 0.0


def test_two_pairs_and_a_lone_item():
    pairs = graph((0, 1), (1, 0), (2, 3), (3, 2))
    categories = np.array([0, 1, 2, 2, -1])
    found = statistics.item_graph(pairs, categories, ALL)
    assert found["components"] == {"count": 3, "largest_share": 0.4}
    assert found["symmetric_share"] == 1.0
    assert found["cross_category_share"] == 0.5
    assert found["isolated"] == 1


def test_items_left_out_are_not_isolated():
    pairs = graph((0, 1), (1, 0))
    included = np.array([True, True, False, False, False])
    found = statistics.item_graph(pairs, np.zeros(5, dtype=int), included)
    assert found["isolated"] == 0
    assert found["components"]["count"] == 1


def test_an_empty_graph_says_unknown_instead_of_nan():
    nothing = sp.csr_matrix((5, 5), dtype=np.float32)
    found = statistics.item_graph(nothing, np.full(5, -1), np.zeros(5, dtype=bool))
    assert found["hubness"]["skewness"] is None
    assert found["components"] == {"count": 0, "largest_share": None}
    assert found["weights"] is found["symmetric_share"] is found["cross_category_share"] is None


def test_a_self_loop_is_counted():
    assert statistics.item_graph(graph((2, 2)), np.zeros(5, dtype=int), ALL)["self_loops"] == 1


def test_bipartite_counts_who_has_nothing():
    matrix = sp.csr_matrix(np.array([[1, 1, 0], [0, 0, 0]], dtype=np.float32))
    found = statistics.bipartite(matrix)
    assert (found["users_without"], found["items_without"], found["edges"]) == (1, 1, 2)
    assert found["components"] == {"count": 1, "largest_share": 1.0}
    assert found["density"] == pytest.approx(1 / 3)
