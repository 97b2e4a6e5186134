"""Closed-form models against the obvious computation."""

import numpy as np
import pytest
import torch

from pipeline.models import MODELS, Inputs, Options
from pipeline.models.item_knn import BLOCK
from pipeline.train.active import edges_of
from pipeline.train.loop import matrix_of
from tests import worlds
from tests.train_worlds import inputs_of


def naive_cosine(matrix, shrinkage: float) -> np.ndarray:
    dense = matrix.toarray()
    shared, counts = dense.T @ dense, dense.sum(axis=0)
    norm = np.sqrt(np.outer(counts, counts)) + shrinkage
    cosine = np.divide(shared, norm, out=np.zeros_like(shared), where=norm > 0)
    np.fill_diagonal(cosine, 0)
    return cosine


@pytest.mark.parametrize("shrinkage", [0.0, 7.0])
def test_item_knn_is_the_shrunk_cosine(shrinkage):
    world = worlds.planted()
    options = Options(neighbors=world.n_items, shrinkage=shrinkage)
    found = matrix_of(MODELS["item_knn"](inputs_of(world), options, 0).outputs())
    np.testing.assert_allclose(found.toarray(), naive_cosine(world.matrix(), shrinkage), rtol=1e-5)


def test_item_knn_keeps_the_largest_of_each_row():
    world = worlds.planted()
    model = MODELS["item_knn"](inputs_of(world), Options(neighbors=3, shrinkage=1.0), 0)
    found = matrix_of(model.outputs())
    whole = naive_cosine(world.matrix(), 1.0)
    assert np.diff(found.indptr).max() == 3
    for row, kept in enumerate(found):
        best = np.sort(whole[row])[::-1][: kept.nnz]
        np.testing.assert_allclose(np.sort(kept.data)[::-1], best, rtol=1e-5)


def test_item_knn_does_not_depend_on_its_blocks():
    world = worlds.planted(n_items=BLOCK + 40, n_users=200)
    model = MODELS["item_knn"](inputs_of(world), Options(neighbors=BLOCK + 40), 0)
    np.testing.assert_allclose(
        matrix_of(model.outputs()).toarray(), naive_cosine(world.matrix(), 10.0), rtol=1e-5
    )


def test_item_knn_without_an_interaction_is_empty():
    nothing = worlds.planted().matrix() * 0
    nothing.eliminate_zeros()
    outputs = MODELS["item_knn"](Inputs(edges_of(nothing)), Options(), 0).outputs()
    assert matrix_of(outputs).nnz == 0


def test_popularity_orders_by_training_count():
    world = worlds.planted()
    vectors = MODELS["popularity"](inputs_of(world), Options(), 0).outputs().vectors
    counts = np.asarray(world.matrix().sum(axis=0)).ravel()
    assert torch.equal(vectors["item_vectors"][:, 0], torch.from_numpy(counts))
