"""Whom an epoch is validated on, and that the leak check asks the same again."""

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp

from pipeline.artifacts import Store
from pipeline.config import TrainConfig
from pipeline.evaluate.metrics import Metric
from pipeline.interactions import evaluable
from pipeline.leaks.selection import _asked, repeat
from pipeline.models import MODELS
from pipeline.scoring import VectorScorer
from pipeline.train.active import with_rest
from pipeline.train.data import load, of_some_users
from pipeline.train.loop import validation
from pipeline.train.stage import options_of
from tests import worlds

WORLD = worlds.planted()


def split_matrices(seed=0, users=200, items=30):
    rng = np.random.default_rng(seed)
    return [
        sp.csr_matrix((rng.random((users, items)) < share).astype(np.float32))
        for share in (0.1, 0.05)
    ]


def test_so_many_users_are_kept_whole_and_the_others_are_nobody():
    train, held_out = split_matrices()
    found = of_some_users(held_out, train, 40)
    kept = evaluable(train, found)
    assert len(kept) == 40 and set(kept) <= set(evaluable(train, held_out))
    assert (found[kept] != held_out[kept]).nnz == 0
    assert found.nnz == held_out[kept].nnz and found.has_sorted_indices


def test_all_are_kept_where_there_are_fewer():
    train, held_out = split_matrices()
    most = len(evaluable(train, held_out))
    assert of_some_users(held_out, train, most) is held_out
    assert len(evaluable(train, of_some_users(held_out, train, most - 1))) == most - 1


def test_the_same_users_are_drawn_every_time():
    train, held_out = split_matrices()
    assert (of_some_users(held_out, train, 40) != of_some_users(held_out, train, 40)).nnz == 0


@pytest.mark.parametrize("items", ["active", "all"])
def test_the_leak_check_repeats_what_training_validated(tmp_path, items):
    store = Store(tmp_path)
    made = {k: getattr(worlds, k)(store, WORLD) for k in ("tables", "embeddings", "graphs")}
    config = TrainConfig(items=items, width=8, init_std=0.1)
    data = load(made, config)
    model = MODELS["gat"](data.inputs, options_of(config, [*data.inputs.relations]), 0)
    recorded = validation(model, data, "recall@5")["recall@5"]
    outputs = model.outputs()
    facts = {}
    if data.rest is not None:
        outputs, facts = with_rest(model, outputs, data.rest), {"active_items": 60}
    vectors = (outputs.vectors[name].numpy() for name in ("user_vectors", "item_vectors"))
    asked = _asked(
        SimpleNamespace(tables=made["tables"]), SimpleNamespace(facts=facts), "validation"
    )
    found = repeat(VectorScorer(*vectors), asked, Metric.parse("recall@5"))
    assert found.mean == pytest.approx(recorded, abs=1e-6)
