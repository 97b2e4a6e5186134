"""What a step minimises beside the ranking loss, each against a slow obvious twin."""

import dataclasses

import numpy as np
import pytest
import torch

from pipeline.errors import ConfigError
from pipeline.models.base import Vectors
from pipeline.models.losses import bpr_loss
from pipeline.models.regularizers import Mixing, noisy, perturbation
from pipeline.train.auxiliary import Alignment, Views, auxiliaries_of
from pipeline.train.batch import TensorBatch
from pipeline.train.objective import LOSSES, Objective
from tests import worlds
from tests.train_worlds import config_of, data_of, model_of, trainer_of
from tests.unit.test_regularizers import generator, random, slow_info_nce

WORLD = worlds.planted()
DATA = data_of(WORLD)
USERS, ITEMS = 6, 9


def vectors() -> Vectors:
    ids = torch.zeros(USERS, 4), torch.zeros(ITEMS, 4)
    return Vectors(
        random(USERS, 4).requires_grad_(), random(ITEMS, 4, seed=1).requires_grad_(), *ids
    )


def batch_for(loss: str) -> TensorBatch:
    negatives = torch.tensor([[3], [4], [8]]) if loss != "softmax" else torch.tensor([3, 8])
    return TensorBatch(torch.tensor([0, 5, 2]), torch.tensor([1, 7, 2]), negatives)


def objective(loss: str, **settings) -> Objective:
    return Objective(loss, 0.0, 0.5, torch.linspace(-1, 1, ITEMS), **settings)


every_loss = pytest.mark.parametrize("loss", LOSSES.names())


def test_mixed_bpr_is_each_user_wanting_each_mixture_as_much_as_it_is_theirs():
    seen, batch, mixing = vectors(), batch_for("bpr"), Mixing(0.3, torch.tensor([1, 2, 0]))
    want = 0.0
    for row, partner in enumerate(mixing.partner.tolist()):
        own, other = (seen.items[batch.positives[at]] for at in (row, partner))
        mixture = 0.3 * own + 0.7 * other
        for at, weight in ((row, 0.3), (partner, 0.7)):
            user, negative = seen.users[batch.users[at]], seen.items[batch.negatives[at, 0]]
            want += weight * bpr_loss((user @ mixture)[None], (user @ negative)[None, None]) / 3
    torch.testing.assert_close(objective("bpr").mixed(seen, batch, mixing), want)


@every_loss
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_mixture_of_one_alone_is_the_plain_loss(loss, share):
    seen, batch, mixing = vectors(), batch_for(loss), Mixing(share, torch.tensor([1, 2, 0]))
    plain = objective(loss)(seen, batch)
    torch.testing.assert_close(objective(loss).mixed(seen, batch, mixing), plain)


@every_loss
def test_mixup_is_drawn_in_a_step_and_only_there(loss):
    seen, batch = vectors(), batch_for(loss)
    mixing, plain = objective(loss, mixup=0.5), objective(loss)
    assert torch.equal(mixing(seen, batch), plain(seen, batch))
    want = plain.mixed(seen, batch, Mixing.drawn(3, 0.5, generator(4)))
    assert torch.equal(mixing(seen, batch, generator(4)), want)
    assert not torch.equal(want, plain(seen, batch))


@every_loss
def test_the_adversary_moves_every_vector_along_its_gradient(loss):
    seen, batch, plain = vectors(), batch_for(loss), objective(loss)
    plain(seen, batch).backward()
    users = seen.users.detach() + perturbation(seen.users, seen.users.grad, 0.3)
    items = seen.items.detach() + perturbation(seen.items, seen.items.grad, 0.3)
    want = plain(dataclasses.replace(seen, users=users, items=items), batch)
    adverse = objective(loss, adversarial_weight=2.0, adversarial_radius=0.3)
    torch.testing.assert_close(adverse.adversarial(seen, batch), want)
    torch.testing.assert_close(adverse(seen, batch), plain(seen, batch) + 2 * want)
    assert want > plain(seen, batch)


def test_the_adversary_is_a_constant_to_the_step():
    """By hand: the gradient at the moved vectors, not through how they were moved."""
    seen, batch = vectors(), batch_for("bpr")
    adverse = objective("bpr", adversarial_weight=1.0, adversarial_radius=0.3)
    found = torch.autograd.grad(adverse.adversarial(seen, batch), [seen.users, seen.items])
    ends = torch.autograd.grad(objective("bpr")(seen, batch), [seen.users, seen.items])
    moved = [
        (x.detach() + perturbation(x, g, 0.3)).detach().requires_grad_()
        for x, g in zip((seen.users, seen.items), ends, strict=True)
    ]
    there = dataclasses.replace(seen, users=moved[0], items=moved[1])
    want = torch.autograd.grad(objective("bpr")(there, batch), moved)
    for ours, theirs in zip(found, want, strict=True):
        torch.testing.assert_close(ours, theirs)


STEP = TensorBatch(torch.tensor([3, 4, 3, 9]), torch.tensor([2, 5, 7, 2]), torch.tensor([[1]] * 4))


def model(name: str = "lightgcn", **settings):
    return model_of(DATA, config_of(model=name, init_std=0.5, **settings))


def numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def dense_lightgcn(of, factors: torch.Tensor, layers: int = 2) -> np.ndarray:
    """LightGCN on a graph whose edges are scaled, by one dense matrix of users, then items."""
    edges, size = of.inputs.user_item, of.inputs.users + of.inputs.items
    joint = np.zeros((size, size))
    joint[edges.rows, of.inputs.users + edges.indices] = numpy(of.weights * factors)
    joint += joint.T
    found = [np.concatenate([numpy(of.users), numpy(of.items)])]
    for _ in range(layers):
        found.append(joint @ found[-1])
    return np.mean(found, axis=0)


def test_views_without_edges_agree_with_dense_graphs():
    lightgcn, share = model(), 0.3
    drawn, sides = generator(7), []
    for _ in range(2):
        survives = torch.rand(DATA.inputs.user_item.count, generator=drawn) >= share
        sides.append(dense_lightgcn(lightgcn, survives / (1 - share)))
    n = lightgcn.inputs.users
    users, items = np.array([3, 4, 9]), np.array([2, 5, 7])
    want = slow_info_nce(*(side[users] for side in sides), 0.2)
    want += slow_info_nce(*(side[n + items] for side in sides), 0.2)
    found = Views("edges", 0.5, share, 0.2)(lightgcn, lightgcn(), STEP, generator(7))
    assert found.item() == pytest.approx(0.5 * want, rel=1e-4)


def test_noisy_views_agree_with_the_formula():
    mf = model("mf")
    seen, drawn, sides = mf(), generator(7), []
    for _ in range(2):
        users = noisy(seen.users[[3, 4, 9]], 0.3, drawn)
        sides.append((users, noisy(seen.items[[2, 5, 7]], 0.3, drawn)))
    want = sum(slow_info_nce(numpy(a), numpy(b), 0.2) for a, b in zip(*sides, strict=True))
    found = Views("noise", 0.5, 0.3, 0.2)(mf, seen, STEP, generator(7))
    assert found.item() == pytest.approx(0.5 * want, rel=1e-4)


@pytest.mark.parametrize("fusion", ["gated", "mean"])
def test_alignment_takes_only_items_that_have_the_modality(fusion):
    gat = model("gat", fusion=fusion)
    seen = gat()
    bare = int(WORLD.no_picture)
    rows = torch.tensor([2, 5, bare, 7])
    step = TensorBatch(torch.zeros(4).long(), rows, torch.tensor([[1]] * 4))
    want, counted = 0.0, 0
    for at, name in enumerate(gat.fusion.names):
        having = [r for r in sorted(rows.tolist()) if gat.inputs.present[name][r]]
        projected = gat.fusion.rule.projections[name](gat.fusion.parts[at])
        want += slow_info_nce(numpy(projected[having]), numpy(seen.items[having]), 0.2)
        counted += len(having)
    assert counted < 2 * len(rows)
    found = Alignment(0.03, 0.2)(gat, seen, step, generator())
    assert found.item() == pytest.approx(0.03 * want, rel=1e-4)


def test_alignment_of_a_model_without_content_is_zero():
    mf = model("mf")
    assert Alignment(0.03, 0.2)(mf, mf(), STEP, generator()).item() == 0


def test_nothing_is_added_by_default():
    assert auxiliaries_of(config_of()) == []


@pytest.mark.parametrize("name", ["gat", "lightgcn"])
def test_factors_scale_edges_in_both_directions(name):
    """An edge of factor 0 is as good as absent, seen from either end."""
    propagating = model(name)
    ones = torch.ones(DATA.inputs.user_item.count)
    torch.testing.assert_close(propagating(None, ones).users, propagating().users)
    alone = propagating(None, 0 * ones)
    settings = {"vectors": {}, "present": {}, "relations": {}}
    if name == "lightgcn":
        torch.testing.assert_close(alone.users, propagating.users / 3)
        torch.testing.assert_close(alone.items, propagating.items / 3)
        half = dense_lightgcn(propagating, 0.5 * ones)
        found = propagating(None, 0.5 * ones)
        both = numpy(torch.cat([found.users, found.items]))
        np.testing.assert_allclose(both, half, atol=1e-5)
    else:
        bare = dataclasses.replace(DATA, inputs=dataclasses.replace(DATA.inputs, **settings))
        gat = model_of(bare, config_of(model="gat", init_std=0.5, shift=0.0, scale=1.0))
        assert torch.equal(gat(None, 0 * ones).items, gat._padded(gat.items) / 3)


def test_a_step_hides_its_own_positives_from_the_model():
    trainer = trainer_of(WORLD, model="lightgcn", hide_positives=True)
    edges, asked = trainer.model.inputs.user_item, []
    forward = trainer.model.forward

    def watched(noise, factors):
        asked.append(factors)
        return forward(noise, factors)

    trainer.model.forward = watched
    batch = trainer._on_device(next(trainer.sampler.epoch(np.random.default_rng(0))))
    trainer.step(batch, generator())
    hidden = (asked[0] == 0).nonzero().squeeze(1).tolist()
    found = {(int(edges.rows[e]), int(edges.indices[e])) for e in hidden}
    assert found == set(zip(batch.users.tolist(), batch.positives.tolist(), strict=True))
    assert len(asked) == 1


@pytest.mark.parametrize(
    "settings", [{"hide_positives": True}, {"view_weight": 0.1, "view_kind": "edges"}], ids=str
)
def test_a_model_that_cannot_leave_edges_out_says_so(settings):
    with pytest.raises(ConfigError, match="mf cannot do; gat and lightgcn can"):
        trainer_of(WORLD, model="mf", **settings)


def test_noisy_views_work_for_every_model():
    trainer_of(WORLD, model="mf", view_weight=0.1, view_kind="noise").epoch(0, 0)
