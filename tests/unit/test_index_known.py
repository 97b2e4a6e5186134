"""Lists made beforehand: those that the service's own search gives, for every kind of index."""

import faiss
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.index.audit import Search
from pipeline.index.known import known_lists
from serving.retrieval import Retriever, Wanted, top_allowed_naive
from tests.index_worlds import clustered

WIDTH = 16


def index_of(kind: str, vectors: np.ndarray):
    index = faiss.index_factory(vectors.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    if "IVF" in kind:
        faiss.extract_index_ivf(index).nprobe = 8
    return index


def seen_of(seed: int, users: int, items: int, most: int = 12) -> sp.csr_matrix:
    """Return histories of 0 to ``most`` items; the first user has nothing."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, most + 1, users)
    lengths[0] = 0
    rows = np.repeat(np.arange(users), lengths)
    columns = np.concatenate([rng.choice(items, size, replace=False) for size in lengths])
    ones = np.ones(len(rows), dtype=np.float32)
    return sp.csr_matrix((ones, (rows, columns)), shape=(users, items))


def taken(seen: sp.csr_matrix, user: int) -> np.ndarray:
    return np.sort(seen.indices[seen.indptr[user] : seen.indptr[user + 1]]).astype(np.int64)


@pytest.mark.parametrize("kind", ["Flat", "IVF32,Flat"])
def test_a_list_is_what_the_service_would_find(kind):
    vectors, users = clustered(0, 3000, WIDTH), clustered(1, 40, WIDTH)
    seen, index = seen_of(2, 40, 3000), index_of(kind, vectors)
    listed = known_lists(Search(index, vectors), users, seen, 50)
    retriever = Retriever(index, vectors)
    for user in range(1, 40):
        excluded = taken(seen, user)
        if not len(excluded):
            assert (listed[user] == -1).all()
            continue
        for count in (1, 10, 50):
            rows, _ = retriever.top([Wanted(users[user], count, excluded)])[0]
            assert listed[user, :count].tolist() == rows.tolist()


@given(st.integers(0, 1000), st.integers(1, 60))
@settings(max_examples=25)
def test_on_small_catalogues_every_item_is_compared(seed, count):
    vectors, users = clustered(seed, 50, WIDTH), clustered(seed + 1, 6, WIDTH)
    seen = seen_of(seed, 6, 50, most=48)
    listed = known_lists(Search(index_of("Flat", vectors), vectors), users, seen, count)
    assert listed.shape == (6, count) and listed.dtype == np.int32
    for user in np.flatnonzero(np.diff(seen.indptr)).tolist():
        rows, _ = top_allowed_naive(vectors, Wanted(users[user], count, taken(seen, user)))
        assert listed[user, : len(rows)].tolist() == rows.tolist()
        assert (listed[user, len(rows) :] == -1).all()


def test_who_was_not_trained_has_no_list():
    vectors, users = clustered(0, 300, WIDTH), clustered(1, 5, WIDTH)
    users[3] = 0
    seen = seen_of(4, 5, 300)
    listed = known_lists(Search(index_of("Flat", vectors), vectors), users, seen, 5)
    without = [user for user in range(5) if (listed[user] == -1).all()]
    assert {0, 3} <= set(without)


def test_codes_are_searched_as_deep_as_they_are_in_service():
    vectors, users = clustered(0, 2000, WIDTH), clustered(1, 20, WIDTH)
    seen, index = seen_of(2, 20, 2000), index_of("SQ4", vectors)
    listed = known_lists(Search(index, vectors, depth=8), users, seen, 10)
    retriever = Retriever(index, vectors, depth=8)
    for user in np.flatnonzero(np.diff(seen.indptr)).tolist():
        rows, _ = retriever.top([Wanted(users[user], 10, taken(seen, user))])[0]
        assert listed[user].tolist() == rows.tolist()


def test_progress_counts_every_user():
    vectors, users = clustered(0, 300, WIDTH), clustered(1, 30, WIDTH)
    told = []
    search = Search(index_of("Flat", vectors), vectors)
    known_lists(search, users, seen_of(2, 30, 300), 5, told.append)
    assert sum(told) == 30
