"""Neighbours in the awkward cases: duplicates, absence, zero vectors, and values that are not."""

import numpy as np
import pytest

from pipeline.crew import Crew
from pipeline.errors import ArtifactError
from pipeline.graph.neighbors import block_pairs, cosine_knn
from pipeline.graph.ranked import edges_of


def knn(vectors, k, present=None, **more):
    vectors = np.asarray(vectors, dtype=np.float32)
    present = np.ones(len(vectors), dtype=bool) if present is None else np.asarray(present)
    graph = cosine_knn(vectors, present, k, **more)
    rows, columns, _ = edges_of(graph)
    return [columns[rows == row].tolist() for row in range(len(vectors))], graph


def test_equal_vectors_are_each_others_neighbours_lowest_row_first():
    near, graph = knn([[1, 0], [0, 1], [1, 0], [1, 0], [1, 1]], k=2)
    assert near == [[2, 3], [4, 0], [0, 3], [0, 2], [0, 1]]
    assert graph[0, 2] == 1.0


@pytest.mark.parametrize("block", [1, 2, 2048])
def test_many_equal_vectors_need_no_more_than_k_of_them(block):
    vectors = np.repeat(np.eye(3), 40, axis=0)
    near, graph = knn(vectors, k=5, block=block)
    assert near[0] == [1, 2, 3, 4, 5]
    assert near[45] == [40, 41, 42, 43, 44]
    assert (graph.data == 1.0).all()


def test_a_lone_group_reaches_into_the_next_one():
    near, _ = knn([[1, 0], [0.9, 0.1], [0.9, 0.1], [0, 1]], k=3)
    assert near[0] == [1, 2, 3]
    assert near[3] == [1, 2, 0]


def test_absent_and_zero_items_are_nobodys_neighbour():
    near, _ = knn([[1, 0], [1, 0], [0, 0], [0, 1]], k=3, present=[True, False, True, True])
    assert near == [[3], [], [], [0]]


@pytest.mark.parametrize("present", [[], [False] * 3, [True, False, False]])
def test_too_few_items_make_an_empty_graph(present):
    vectors = np.ones((len(present), 2))
    _, graph = knn(vectors, k=2, present=np.array(present, dtype=bool))
    assert graph.shape == (len(present),) * 2 and graph.nnz == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_named(wrong):
    with pytest.raises(ArtifactError, match="1 present vectors are not finite, the first at row 1"):
        knn([[1, 0], [wrong, 0], [0, 1]], k=1)


def test_an_absent_vector_that_is_not_finite_is_no_matter():
    near, _ = knn([[1, 0], [np.nan, 0], [0, 1]], k=1, present=[True, False, True])
    assert near == [[2], [], [0]]


def test_half_precision_is_compared_in_single():
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float16)
    graph = cosine_knn(vectors, np.ones(50, dtype=bool), 3)
    same = cosine_knn(vectors.astype(np.float32), np.ones(50, dtype=bool), 3)
    assert graph.dtype == np.float32 and (graph != same).nnz == 0


def test_length_does_not_matter():
    vectors = np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32)
    long = vectors * np.linspace(0.5, 90, 40, dtype=np.float32)[:, None]
    assert knn(vectors, 4)[0] == knn(long, 4)[0]


def test_every_pair_of_blocks_is_reported():
    done = []
    knn(np.random.default_rng(0).normal(size=(50, 4)), k=3, block=16, crew=Crew(2, done.append))
    assert sum(done) == block_pairs(50, 16) == 10


def test_two_runs_write_the_same_bytes():
    vectors = np.random.default_rng(0).normal(size=(300, 8))
    first, second = (knn(vectors, 7, block=64)[1] for _ in range(2))
    assert first.data.tobytes() == second.data.tobytes()
    assert first.indices.tobytes() == second.indices.tobytes()
