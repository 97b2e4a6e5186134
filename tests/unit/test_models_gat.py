"""The parts of gat: what it is at zero gates, its fusion, its attention."""

import dataclasses

import numpy as np
import pytest
import torch

from pipeline.models import MODELS, Options
from pipeline.models.attention import EdgeGates, direction
from pipeline.models.fusion import Fusion, principal_directions
from pipeline.models.linear import fold_in_degrees
from tests import worlds
from tests.train_worlds import inputs_of

WORLD = worlds.planted()
WEIGHTS = {"text": 0.9, "image": 0.1}


def gat(inputs=None, **options):
    values = {"width": 8, "layers": 3, "heads": 2, "relation_weights": WEIGHTS, **options}
    return MODELS["gat"](inputs or inputs_of(WORLD), Options(**values), 0)


def joint_matrix(inputs) -> np.ndarray:
    """The jointly normalised graph of users, then items, dense and obvious."""
    users, items = inputs.users, inputs.items
    joint = np.zeros((users + items, users + items))
    joint[:users, users:] = WORLD.matrix().toarray()
    for name, weight in WEIGHTS.items():
        relation = inputs.relations[name]
        edges = relation.edges
        joint[users + edges.rows, users + edges.indices] += weight * relation.weights.numpy()
    joint[users:, :users] = joint[:users, users:].T
    degrees = joint.sum(axis=1)
    roots = np.where(degrees > 0, 1 / np.sqrt(np.maximum(degrees, 1e-12)), 0)
    return roots[:, None] * joint * roots


@pytest.mark.parametrize("shift, scale", [(0.0, 1.0), (0.05, 0.75)])
def test_a_new_model_is_linear_propagation_over_the_joint_graph(shift, scale):
    inputs = dataclasses.replace(inputs_of(WORLD), vectors={}, present={})
    model = gat(inputs, shift=shift, scale=scale, init_std=1.0)
    size = inputs.users + inputs.items
    step = (joint_matrix(inputs) - shift * np.eye(size)) / scale
    ids = model().user_ids, model().item_ids
    layers = [torch.cat(ids).detach().double().numpy()]
    for _ in range(3):
        layers.append(step @ layers[-1])
    found = model()
    want = np.mean(layers, axis=0)
    np.testing.assert_allclose(torch.cat([found.users, found.items]).detach(), want, atol=1e-5)


def test_attention_off_equals_attention_at_zero():
    on, off = gat(heads=4), gat(heads=0)
    off.load_state_dict({k: v for k, v in on.state_dict().items() if not k.startswith("gates")})
    torch.testing.assert_close(on().items, off().items)


def test_attention_changes_the_result_once_it_has_strength():
    model, before = gat(), gat()().items
    with torch.no_grad():
        model.gates["text"].strength.fill_(1.0)
    assert not torch.allclose(model().items, before)


def test_gates_are_what_their_formula_says():
    edges = inputs_of(WORLD).relations["text"].edges
    gates = EdgeGates(8, 2)
    with torch.no_grad():
        gates.strength.copy_(torch.tensor([0.7, -0.4]))
    x = torch.randn(WORLD.n_items, 8, generator=torch.Generator().manual_seed(1))
    queries, keys = (x @ gates.query).view(-1, 2, 4), (x @ gates.key).view(-1, 2, 4)
    agreement = (queries[edges.rows] * keys[edges.indices]).sum(-1) / 4**0.5
    want = 1 + (torch.tanh(torch.tensor([0.7, -0.4])) * torch.tanh(agreement)).mean(dim=1)
    torch.testing.assert_close(gates(edges, x, x), want)


def test_a_gate_never_turns_an_edge_around():
    edges = inputs_of(WORLD).relations["text"].edges
    gates = EdgeGates(8, 3)
    with torch.no_grad():
        gates.strength.fill_(50.0)
        gates.query.mul_(100)
    x = torch.randn(WORLD.n_items, 8, generator=torch.Generator().manual_seed(1))
    factors = gates(edges, x, x)
    assert factors.min() >= -1e-6
    assert factors.max() <= 2 + 1e-6
    assert factors.max() > 1.5


def test_direction_forgets_size_and_keeps_zero():
    x = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    small = direction(1e-8 * x)
    torch.testing.assert_close(small, direction(x))
    assert small[0].square().mean().item() == pytest.approx(1)
    assert not small[1].any()


def test_shares_sum_to_one_over_shown_modalities():
    inputs = inputs_of(WORLD)
    fusion = Fusion(inputs.vectors, inputs.present, Options(width=8))
    shares = fusion.rule.shares(fusion.parts, fusion.present)
    sums = shares.sum(dim=1)
    some = fusion.present.any(dim=1)
    torch.testing.assert_close(sums, some.float())
    assert shares[WORLD.no_picture, fusion.names.index("image")] == 0
    assert not fusion(None)[WORLD.no_content].any()


def test_wide_modalities_enter_by_their_principal_directions():
    noise = torch.Generator().manual_seed(0)
    wide = torch.randn(30, 3, generator=noise) @ torch.randn(3, 9, generator=noise)
    basis = principal_directions([wide[:11], wide[11:]], 4)
    torch.testing.assert_close(basis.T @ basis, torch.eye(4), atol=1e-5, rtol=0)
    torch.testing.assert_close((wide @ basis) @ basis.T, wide, atol=1e-4, rtol=0)
    energy = (wide @ basis).square().sum(dim=0)
    assert (energy[:-1] >= energy[1:] - 1e-4).all()


def test_modality_dropout_hides_whole_modalities():
    inputs = inputs_of(WORLD)
    text = {"text": inputs.vectors["text"]}, {"text": inputs.present["text"]}
    fusion = Fusion(*text, Options(width=8, modality_dropout=0.5))
    hidden = ~fusion(torch.Generator().manual_seed(0)).any(dim=1)
    assert 0.25 < hidden.float().mean() < 0.75
    assert fusion(None).any(dim=1).sum() == fusion.present.sum()


def test_id_dropout_spares_items_without_content():
    model = gat(id_dropout=0.999999, init_std=1.0)
    dropped = model.item_input(torch.Generator().manual_seed(0))
    content = model.fusion(None)
    torch.testing.assert_close(dropped[0], content[0])
    assert dropped[WORLD.no_content].any()


def test_edge_dropout_keeps_the_mean():
    model = gat(edge_dropout=0.5, init_std=1.0)
    noise = torch.Generator().manual_seed(0)
    drawn = torch.stack([model(noise).users.detach() for _ in range(400)]).mean(dim=0)
    plain = model().users.detach()
    assert (drawn - plain).norm() < 0.15 * plain.norm()


def test_a_warm_item_has_a_vector_from_content_alone():
    vectors = gat().outputs().vectors["item_vectors"]
    assert vectors[WORLD.warm_items].any(dim=1).all()
    assert len(gat().items) == WORLD.n_items - len(WORLD.warm_items)


def test_an_item_with_neither_is_at_zero():
    inputs = inputs_of(WORLD)
    bare = int(WORLD.warm_items[0])
    present = {m: p.clone() for m, p in inputs.present.items()}
    for mask in present.values():
        mask[bare] = False
    model = gat(dataclasses.replace(inputs, present=present, relations={}))
    assert not model.outputs().vectors["item_vectors"][bare].any()


def test_a_relation_of_weight_zero_is_left_out():
    model = gat(relation_weights={"text": 0.9, "image": 0.0})
    assert [*model.relations] == ["text"]
    assert model.learned()["share/text"] == 1


def test_user_item_edges_learn_only_where_asked():
    without, attending = gat().learned(), gat(attend_users=True).learned()
    assert "share/user_item" not in without
    assert "attention/user_item" not in without
    assert attending["share/user_item"] == pytest.approx(1 / 2.0)
    assert attending["attention/user_item"] == 0


def test_a_warm_item_folds_in_with_the_median_degree():
    inputs = inputs_of(WORLD)
    degrees = fold_in_degrees(inputs, inputs.item_degrees)
    counts = np.asarray(WORLD.matrix().sum(axis=0)).ravel()
    assert torch.equal(degrees[:10], torch.from_numpy(counts[:10]))
    assert degrees[int(WORLD.warm_items[0])] == torch.tensor(counts[counts > 0]).median()
