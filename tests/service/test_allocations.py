"""What opening a bundle and answering a request allocate: never a copy of what is on disk."""

import mmap
import tracemalloc
from dataclasses import replace

import faiss
import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.artifacts import Store
from serving.bundle import Bundle
from serving.messages import RecommendRequest
from serving.recommender import Recommender
from tests import worlds_bundle

WIDTH = 128


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A bundle whose vectors are much larger than everything else in it."""
    store, parts = (
        Store(tmp_path_factory.mktemp("store")),
        worlds_bundle.parts(n_items=3000, width=WIDTH),
    )
    index = faiss.IndexHNSWFlat(WIDTH, 16, faiss.METRIC_INNER_PRODUCT)
    index.add(parts.item_vectors)
    index.hnsw.efSearch = 64
    worlds_bundle.publish(store, replace(parts, index=index))
    return store


def allocated(work) -> int:
    """Return the most bytes that Python and numpy held for a piece of work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def is_mapped(array) -> bool:
    while isinstance(array, np.ndarray) and array.base is not None:
        array = array.base
    return isinstance(array, mmap.mmap)


def test_a_copy_is_noticed(store):
    vectors = Bundle.open(store).item_vectors
    assert not is_mapped(np.array(vectors))
    assert allocated(lambda: np.array(vectors)) >= vectors.nbytes
    assert allocated(lambda: vectors[7:9]) < vectors.nbytes / 100


def test_what_is_large_stays_on_disk(store):
    bundle = Bundle.open(store)
    assert all(map(is_mapped, (bundle.item_vectors, bundle.user_vectors, bundle.fold_in)))
    for matrix in (bundle.seen, *bundle.graphs.values()):
        assert all(map(is_mapped, (matrix.data, matrix.indices, matrix.indptr)))


def test_opening_copies_no_vectors(store):
    Bundle.open(store)  # what is imported late is no copy
    vectors = 3000 * WIDTH * 4
    assert allocated(lambda: Bundle.open(store)) < vectors


@pytest.mark.parametrize(
    "request_",
    [
        RecommendRequest(user="u3", k=20),
        RecommendRequest(history=["i8", "i12", "i40"], k=20),
        RecommendRequest(user="u3", history=["i80"], exclude_ids=["i4", "i44"], k=20, offset=20),
    ],
    ids=["user", "history", "both"],
)
def test_a_request_copies_no_matrix(store, request_):
    bundle = Bundle.open(store)
    recommender = Recommender(bundle)
    recommender.recommend(request_)
    assert allocated(lambda: recommender.recommend(request_)) < bundle.item_vectors.nbytes / 10


def test_a_batch_costs_by_its_requests_alone(store):
    recommender = Recommender(Bundle.open(store))
    requests = [RecommendRequest(user=f"u{user}", k=10, explain=False) for user in range(60)]
    recommender.recommend_many(requests[:2])
    few = allocated(lambda: recommender.recommend_many(requests[:10]))
    many = allocated(lambda: recommender.recommend_many(requests))
    assert many < 9 * few


def test_similar_items_are_scored_without_a_copy(store):
    bundle = Bundle.open(store)
    recommender = Recommender(bundle)
    recommender.similar("i7", 10)
    assert allocated(lambda: recommender.similar("i7", 10)) < bundle.item_vectors.nbytes / 5


def test_a_matrix_of_another_writer_is_read_into_memory(tmp_path):
    from pipeline import files

    matrix = sp.random(40, 50, 0.1, format="csr", random_state=0)
    sp.save_npz(tmp_path / "packed.npz", matrix, compressed=True)
    read = files.read_matrix(tmp_path / "packed.npz", mapped=True)
    assert not is_mapped(read.data) and (read != matrix).nnz == 0
