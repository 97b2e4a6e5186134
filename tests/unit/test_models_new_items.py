"""Practising new items and centring content: what a step sees, and that off is off."""

import dataclasses

import numpy as np
import pytest
import torch

from pipeline.models import MODELS, Inputs, Options
from pipeline.models.fusion import centred, mean_of_present
from tests import worlds
from tests.train_worlds import inputs_of

WORLD = worlds.planted()


def gat(inputs: Inputs | None = None, **options):
    inputs = inputs or inputs_of(WORLD)
    values = {"width": 8, "layers": 2, "heads": 2, "init_std": 0.5, **options}
    relations = {name: 0.5 for name in inputs.relations}
    return MODELS["gat"](inputs, Options(**values, relation_weights=relations), 0)


def noise(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_new_item_has_no_id_and_no_user():
    """The twin: ids set to zero by hand, edges closed by hand, nothing drawn."""
    model = gat(new_items=0.4)
    fresh = model._drawn_new(noise(), model.fusion.has_content(model.inputs.items))
    found = model(noise())
    twin = gat()
    with torch.no_grad():
        twin.items[fresh[twin.hot_rows]] = 0.0
    opened = (~fresh[twin.inputs.user_item.indices]).float()
    wanted = twin(None, opened)
    torch.testing.assert_close(found.items, wanted.items)
    torch.testing.assert_close(found.users, wanted.users)
    assert 0.2 < fresh.float().mean() < 0.6


def test_nothing_of_who_took_a_new_item_reaches_it():
    model = gat(dataclasses.replace(inputs_of(WORLD), relations={}), new_items=0.4)
    fresh = model._drawn_new(noise(), model.fusion.has_content(model.inputs.items))
    model(noise()).items[fresh].sum().backward()
    for ids in (model.items, model.users):
        assert ids.grad is None or not ids.grad.any()


def test_an_item_without_content_is_never_new():
    model = gat(new_items=0.999999)
    fresh = model._drawn_new(noise(), model.fusion.has_content(model.inputs.items))
    assert not fresh[WORLD.no_content] and fresh.sum() == WORLD.n_items - 1
    bare = gat(Inputs(inputs_of(WORLD).user_item), new_items=0.999999)
    assert not bare._drawn_new(noise(), bare.fusion.has_content(bare.inputs.items)).any()


def test_what_is_shown_is_never_new():
    practised, plain = (gat(new_items=p).outputs().vectors for p in (0.9, 0.0))
    for name, vectors in plain.items():
        assert torch.equal(practised[name], vectors)


def test_off_draws_nothing():
    generator = noise()
    before = generator.get_state()
    assert gat()._drawn_new(generator, torch.ones(3, dtype=torch.bool)) is None
    assert torch.equal(generator.get_state(), before)


def test_centred_vectors_point_away_from_their_mean():
    rng = np.random.default_rng(0)
    present = torch.from_numpy(rng.random(50) < 0.8)
    vectors = torch.from_numpy(rng.normal(size=(50, 6)).astype(np.float32) + 4)
    vectors = vectors * present.unsqueeze(1)
    found = centred(vectors, present, mean_of_present([vectors], present))
    away = vectors[present] - vectors[present].mean(dim=0)
    torch.testing.assert_close(found[present], away / away.norm(dim=1, keepdim=True))
    assert not found[~present].any()
    assert not centred(vectors * 0, present & False, torch.zeros(6)).any()


@pytest.mark.parametrize("name", ["gat", "gat_plain"])
def test_what_all_items_share_does_not_matter_once_centred(name):
    inputs = inputs_of(WORLD)
    moved = {m: v + 3.0 for m, v in inputs.vectors.items()}
    other = dataclasses.replace(inputs, vectors=moved)

    def items(of: Inputs, *, centre: bool):
        options = Options(width=8, layers=2, heads=2, centre_content=centre)
        return MODELS[name](of, options, 0)(None).items

    torch.testing.assert_close(
        items(inputs, centre=True), items(other, centre=True), rtol=1e-3, atol=1e-4
    )
    assert not torch.allclose(items(inputs, centre=False), items(other, centre=False), atol=1e-2)
