"""Reasons are the strongest edges, whichever way they point."""

import numpy as np
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from serving.messages import Reason
from serving.reasons import TOGETHER, Edge, Lists, explain, strongest, strongest_naive
from serving.wording import alike, connection, popularity

ROWS = st.sets(st.integers(0, 29), max_size=12)


def graph_of(seed: int, density: float = 0.15) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random((30, 30)) < density, rng.integers(1, 5, (30, 30)), 0)
    np.fill_diagonal(dense, 0)
    return sp.csr_matrix(dense.astype(np.float32))


def one(shown, has) -> Lists:
    return Lists([np.array(shown, dtype=np.int64)], [np.array(sorted(has), dtype=np.int64)])


@given(st.integers(0, 1000), st.lists(st.tuples(ROWS, ROWS), min_size=1, max_size=4))
def test_the_sparse_way_finds_what_the_dense_way_does(seed, people):
    """For several people at once as for each alone."""
    graph = graph_of(seed)
    shown = [np.array([*rows], dtype=np.int64) for rows, _ in people]
    has = [np.array(sorted(rows), dtype=np.int64) for _, rows in people]
    expected = [strongest_naive(graph, *each) for each in zip(shown, has, strict=True)]
    assert strongest(graph, Lists(shown, has)) == expected


def test_an_edge_counts_in_both_directions():
    graph = sp.csr_matrix(([0.5, 0.9], ([1, 4], [4, 2])), shape=(6, 6))
    assert strongest(graph, one([4], [1])) == [{4: (1, 0.5)}]
    assert strongest(graph, one([4], [1, 2])) == [{4: (2, 0.9)}]


def test_an_edge_of_no_weight_is_no_reason():
    graph = sp.csr_matrix(([-0.5, 0.0], ([1, 2], [4, 4])), shape=(6, 6))
    assert strongest(graph, one([4], [1, 2])) == [{}]


def test_relations_keep_their_order():
    graphs = {name: graph_of(seed, density=0.9) for seed, name in enumerate([TOGETHER, "text"])}
    edges = explain(graphs, one([3, 7], [1, 2]))[0]
    assert [edge.relation for edge in edges[3]] == [TOGETHER, "text"]


def test_who_has_nothing_gets_no_connection():
    assert explain({TOGETHER: graph_of(0)}, one([3], [])) == [{}]


def test_sentences_name_the_item_and_its_weight():
    reason = connection(Edge(TOGETHER, 7, 4.0), "i7", "Kettle")
    assert reason["text"] == "often taken together with “Kettle”"
    assert (reason["item"], reason["title"], reason["weight"]) == ("i7", "Kettle", 4.0)
    assert connection(Edge("sound", 7, 0.5), "i7", None)["text"] == "near by sound to “i7”"
    assert popularity(1)["text"] == "popular: 1 user has it"
    assert alike("sound")["text"] == "similar sound"
    assert all(Reason.model_validate(each) for each in (reason, popularity(3), alike("text")))
