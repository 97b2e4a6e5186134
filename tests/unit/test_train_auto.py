"""``model: auto``: which recipes are tried, what the user's settings do to them, which one wins."""

import pytest
import scipy.sparse as sp

from pipeline.config import TrainConfig
from pipeline.models.base import Inputs
from pipeline.train import auto
from pipeline.train.active import edges_of
from pipeline.train.data import TrainingData


def data(interactions: int = 4) -> TrainingData:
    train = sp.random_array((40, 30), density=interactions / 1200, rng=0, format="csr")
    train.data[:] = 1
    matrix = sp.csr_matrix(train)
    return TrainingData(Inputs(edges_of(matrix)), matrix, matrix)


def test_a_named_model_is_trained_as_it_is():
    config = TrainConfig(model="lightgcn", loss="softmax")
    assert auto.recipes_of(config, data()) == {"lightgcn": config}


def test_auto_tries_both_losses():
    recipes = auto.recipes_of(TrainConfig(model="auto"), data())
    assert {name: r.loss for name, r in recipes.items()} == {"softmax": "softmax", "bpr": "bpr"}
    assert {r.model for r in recipes.values()} == {"gat"}
    assert recipes["bpr"].heads == 0
    assert recipes["softmax"].init_std == 0.1


def test_what_the_user_sets_stands_in_every_recipe():
    config = TrainConfig(model="auto", epochs=3, width=8)
    for recipe in auto.recipes_of(config, data()).values():
        assert (recipe.epochs, recipe.width) == (3, 8)


def test_large_data_get_one_recipe(monkeypatch):
    monkeypatch.setattr(auto, "LARGE", 3)
    recipes = auto.recipes_of(TrainConfig(model="auto"), data())
    assert {name: r.batch_size for name, r in recipes.items()} == {"softmax": 8192}


@pytest.mark.parametrize(
    ("positives", "size"), [(1_245_184, 32_768), (77_824, 2048), (4_980_736, 131_072), (10, 2048)]
)
def test_batches_grow_with_the_load(positives, size):
    sized = TrainConfig(steps_per_epoch=38).sized(positives)
    assert (sized.batch_size, sized.steps_per_epoch) == (size, None)


def test_a_number_of_steps_is_a_size_of_batch_in_every_recipe():
    config = TrainConfig(model="auto", steps_per_epoch=2, in_batch=1)
    found = {recipe.batch_size for recipe in auto.recipes_of(config, data(40)).values()}
    assert found == {round(data(40).train.nnz / 2)}
