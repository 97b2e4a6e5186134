"""Native edges against the dense twin: the same reasons, whatever is shown and owned."""

import shutil

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from pipeline import edges
from pipeline.edges import Edges
from serving.known import heaviest
from serving.reasons import strongest_naive

compiled = edges._library() is not None
needs_edges = pytest.mark.skipif(not compiled, reason="no C compiler when installed")
ROWS = st.lists(st.integers(0, 29), max_size=40, unique=True)
NODES = 30


def graph_of(seed: int, density: float = 0.15) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-1, 5, (NODES, NODES)).astype(np.float32)
    return sp.csr_matrix(np.where(rng.random((NODES, NODES)) < density, weights, 0))


def as_rows(rows) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


def test_a_compiler_means_edges():
    assert compiled or shutil.which("cc") is None


@needs_edges
@given(st.integers(0, 1000), st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=4))
def test_the_heaviest_are_those_of_the_dense_way(seed, people):
    graphs = [graph_of(seed), graph_of(seed + 1, density=0.8)]
    shown = [as_rows(rows) for rows, _ in people]
    has = [as_rows(sorted(rows)) for _, rows in people]
    owned, weights = Edges.of(graphs).heaviest(shown, has)
    for g, graph in enumerate(graphs):
        at = 0
        for items, own in zip(shown, has, strict=True):
            expected = strongest_naive(graph, items, own)
            for row in items.tolist():
                found = (int(owned[g, at]), float(weights[g, at]))
                assert found == expected.get(row, (-1, 0.0))
                at += 1


@needs_edges
def test_rows_that_no_graph_knows_have_no_edges():
    found = Edges.of([graph_of(0)]).heaviest([as_rows([40, 3])], [as_rows([31, 99])])
    assert found[0].tolist() == [[-1, -1]]


@needs_edges
def test_graphs_of_other_types_are_left_to_numpy():
    graph = graph_of(0)
    assert Edges.of([graph.astype(np.float64)]) is None
    wide = sp.csr_matrix(graph)
    wide.indices = wide.indices.astype(np.int64)
    assert Edges.of([graph, wide]) is None


@needs_edges
def test_both_ways_say_the_same():
    graphs = {"text": graph_of(3), "image": graph_of(4)}
    shown = np.array([[3, 1, 9], [7, 0, 2]])
    has = [as_rows([0, 5, 8]), as_rows([])]
    ours = heaviest(graphs, Edges.of([*graphs.values()]), shown, has)
    twin = heaviest(graphs, None, shown, has)
    for one, other in zip(ours, twin, strict=True):
        np.testing.assert_array_equal(one, other)
