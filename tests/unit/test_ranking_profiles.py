"""Users by spread histories: against the same with dense matrices, and what must not count."""

import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.ids import UNKNOWN
from pipeline.ranking.profiles import KEPT, REACH, SHARPNESS, Profiles, brought_along
from tests.ranking_worlds import evidence as planted

close = {"atol": 1e-5, "rtol": 1e-5}
USERS = np.array([0, 3, 17, 42])


@pytest.fixture(scope="module")
def known():
    return planted()


def spread_slowly(relations, items):
    """Return ``brought_along`` one item at a time."""
    total = np.zeros((items, items))
    for relation in relations.values():
        dense = relation.toarray().astype(np.float64)
        degrees = np.sqrt(dense.sum(axis=1))
        total += np.divide(
            dense, np.outer(degrees, degrees), out=np.zeros_like(dense), where=dense > 0
        )
    spread = np.eye(items)
    for item, row in enumerate(total):
        closest = [j for j in sorted(range(items), key=lambda j: (-row[j], j)) if row[j] > 0][:KEPT]
        spread[item, closest] += REACH * row[closest] / max(row[closest].sum(), 1e-12)
    return spread


def took_slowly(taken, pool, relations, history, users):
    """Return ``Profiles.took`` one pair of users at a time."""
    spread = spread_slowly(relations, taken.shape[1])
    rarity = 1 / np.sqrt((taken @ spread).sum(axis=0) + 1)

    def profile(row):
        whole = row @ spread * rarity
        return whole / max(np.linalg.norm(whole), 1e-12)

    found = np.zeros(history.shape)
    for b, user in enumerate(users):
        for p, other in enumerate(pool):
            if other != user:
                cosine = profile(history[b]) @ profile(taken[p])
                found[b] += cosine**SHARPNESS * taken[p]
    return found


def test_an_item_brings_its_closest_along(known):
    found = brought_along(known.relations, known.items)
    np.testing.assert_allclose(
        found.toarray(), spread_slowly(known.relations, known.items), **close
    )
    assert (np.diff(found.indptr) <= KEPT + 1).all()


def test_without_relations_an_item_stands_for_itself():
    assert (brought_along({}, 4) != sp.eye(4)).nnz == 0


@pytest.mark.parametrize("strangers", [False, True])
@pytest.mark.parametrize("related", [True, False])
def test_what_others_took_is_that_of_every_pair(known, strangers, related):
    relations = known.relations if related else {}
    profiles = Profiles.of(known.pool_taken, known.pool, relations)
    users = np.full(len(USERS), UNKNOWN) if strangers else USERS
    history = known.tastes(USERS).history
    dense = known.pool_taken.toarray(), known.pool, relations, history.toarray(), users
    np.testing.assert_allclose(
        profiles.took(history, users).toarray(), took_slowly(*dense), **close
    )


def test_who_has_nothing_is_like_nobody(known):
    nobody = sp.csr_matrix((1, known.items), dtype=np.float32)
    assert not known.profiles.took(nobody, np.array([UNKNOWN])).nnz


def test_nobody_asks_themselves(known):
    """A user who alone has an item finds it with nobody else."""
    alone = np.flatnonzero(np.bincount(known.taken.indices, minlength=known.items) == 1)
    if not len(alone):
        taken = known.taken.tolil()
        taken[:, 0] = 0
        taken[3, 0] = 1
        taken, alone = sp.csr_matrix(taken, dtype=np.float32), np.array([0])
    else:
        taken = known.taken
    profiles = Profiles.of(taken, np.arange(taken.shape[0]), known.relations)
    owner = int(sp.csc_matrix(taken)[:, alone[0]].indices[0])
    history = sp.csr_matrix(taken[[owner]], dtype=np.float32)
    assert profiles.took(history, np.array([owner]))[0, alone[0]] == 0
    assert profiles.took(history, np.array([UNKNOWN]))[0, alone[0]] > 0
