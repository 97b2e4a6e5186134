"""Models that look at no content are given none, and would make nothing of it."""

import pytest
import torch

from pipeline.artifacts import Store
from pipeline.config import TrainConfig
from pipeline.models import MODELS
from pipeline.train.data import load, uses_content
from pipeline.train.stage import options_of
from tests import worlds

BLIND = [name for name in MODELS if not uses_content(TrainConfig(model=name))]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    world = worlds.planted()
    return {k: getattr(worlds, k)(store, world) for k in ("tables", "embeddings", "graphs")}


def test_these_do_not():
    assert BLIND == ["als", "ease", "item_knn", "lightgcn", "mf", "popularity"]
    assert uses_content(TrainConfig(model="auto")) and uses_content(TrainConfig())


@pytest.mark.parametrize("name", BLIND)
def test_content_changes_nothing(made, name):
    config = TrainConfig(model=name, width=8)
    without = load(made, config).inputs
    with_content = load(made, TrainConfig()).inputs
    assert not without.vectors and with_content.vectors
    options = options_of(config, [*without.relations])
    found, wanted = (MODELS[name](i, options, 0).outputs() for i in (without, with_content))
    for key, vectors in wanted.vectors.items():
        assert torch.equal(found.vectors[key], vectors)
    if wanted.item_item is not None:
        assert torch.equal(found.item_item.values, wanted.item_item.values)
